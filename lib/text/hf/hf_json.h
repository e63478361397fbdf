#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace mythos {

// Fails (data), naming `source` and the byte, on what is not JSON.
nlohmann::json parse_hf_json(const std::string& content, const std::string& source);

// A value inside a tokenizer.json that knows where it stands, so that every refusal names the file
// and the path in it: "tok.json: model.merges[17]: …".
class HfJson {
 public:
  HfJson(const nlohmann::json& value, std::string source, std::string path)
      : value_(value), source_(std::move(source)), path_(std::move(path)) {}

  const nlohmann::json& value() const { return value_; }
  // The member; null where there is none.
  HfJson operator[](const std::string& key) const;
  HfJson at(size_t index) const;
  // Number of elements of an array, 0 of null. Fails (data) on anything else.
  size_t size() const;

  bool is_null() const { return value_.is_null(); }
  // Each fails (data) when the value has another type.
  std::string text() const;
  bool flag(bool otherwise) const;  // `otherwise` for null
  uint32_t id() const;              // a token id
  std::string type() const;         // an object's member "type"; "" of null
  static bool is_id(const nlohmann::json& value);

  [[noreturn]] void refuse(const std::string& what) const;
  // With what a part of the value was refused for, in one line.
  [[noreturn]] void refuse(const Error& error) const;
  // "a long value cut short", for messages.
  std::string shown() const;

 private:
  const nlohmann::json& value_;
  std::string source_, path_;
};

}  // namespace mythos
