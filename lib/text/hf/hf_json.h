#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace mythos {

// Parses JSON. Fails (data), naming `source` and the byte, if the content is none.
nlohmann::json parse_hf_json(const std::string& content, const std::string& source);

// A value inside a tokenizer.json together with its path, so that every refusal names the file and
// the path in it: "tok.json: model.merges[17]: …".
class HfJson {
 public:
  HfJson(const nlohmann::json& value, std::string source, std::string path)
      : value_(value), source_(std::move(source)), path_(std::move(path)) {}

  const nlohmann::json& value() const { return value_; }
  // The member of that name; null if there is none.
  HfJson operator[](const std::string& key) const;
  HfJson at(size_t index) const;
  // The number of elements of an array; 0 for null. Fails (data) on any other value.
  size_t size() const;

  bool is_null() const { return value_.is_null(); }
  // text(), flag(), id() and type() fail (data) if the value has another type.
  std::string text() const;
  bool flag(bool otherwise) const;  // `otherwise` for null
  uint32_t id() const;              // a token id
  std::string type() const;         // an object's member "type"; "" of null
  static bool is_id(const nlohmann::json& value);

  [[noreturn]] void refuse(const std::string& what) const;
  // Refuses the value for the error of a part of it, in one line.
  [[noreturn]] void refuse(const Error& error) const;
  // The value as messages show it, cut short if it is long.
  std::string shown() const;

 private:
  const nlohmann::json& value_;
  std::string source_, path_;
};

}  // namespace mythos
