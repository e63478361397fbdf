#include "text/hf/hf_json.h"

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

const nlohmann::json kNull;
constexpr uint64_t kMaxId = (1 << 24) - 1;

}  // namespace

nlohmann::json parse_hf_json(const std::string& content, const std::string& source) {
  try {
    return nlohmann::json::parse(content);
  } catch (const nlohmann::json::parse_error& error) {
    fail(ErrorKind::data,
         strprintf("%s: byte %u: not well-formed JSON; is the file whole?", source, error.byte));
  }
}

HfJson HfJson::operator[](const std::string& key) const {
  std::string path = path_.empty() ? key : path_ + "." + key;
  const auto found = value_.is_object() ? value_.find(key) : value_.end();
  return {value_.is_object() && found != value_.end() ? *found : kNull, source_, std::move(path)};
}

HfJson HfJson::at(size_t index) const {
  return {value_.at(index), source_, strprintf("%s[%u]", path_, index)};
}

size_t HfJson::size() const {
  if (value_.is_null()) return 0;
  if (!value_.is_array()) refuse("expected an array, found " + shown());
  return value_.size();
}

std::string HfJson::text() const {
  if (!value_.is_string()) refuse("expected a string, found " + shown());
  return value_.get<std::string>();
}

bool HfJson::flag(bool otherwise) const {
  if (value_.is_null()) return otherwise;
  if (!value_.is_boolean()) refuse("expected true or false, found " + shown());
  return value_.get<bool>();
}

bool HfJson::is_id(const nlohmann::json& value) {
  return value.is_number_unsigned() && value.get<uint64_t>() <= kMaxId;
}

uint32_t HfJson::id() const {
  if (!is_id(value_)) {
    refuse("expected a token id from 0 to 16777215, found " + shown());
  }
  return value_.get<uint32_t>();
}

std::string HfJson::type() const {
  return value_.is_null() ? "" : (*this)["type"].text();
}

void HfJson::refuse(const std::string& what) const {
  fail(ErrorKind::data, source_ + ": " + (path_.empty() ? "" : path_ + ": ") + what);
}

void HfJson::refuse(const Error& error) const {
  refuse(error.message() + ": " + error.advice());
}

std::string HfJson::shown() const {
  return escaped(value_.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 60);
}

}  // namespace mythos
