#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "config/field.h"

// Reads the value of a field from a file, a manifest or a command line, and shows it. All failures
// are Error(usage): "WHERE: KEY = VALUE: what is allowed", without WHERE if it is empty.
namespace mythos {

using FieldValue = std::variant<bool, int64_t, double, std::string>;

// A key's value and where it was written ("nano.toml:12", "--set").
struct Entry {
  std::string table, key;
  FieldValue value;
  std::string where;
};

// The value as TOML writes it; reads back equal.
std::string show(const FieldValue& value);

// The value of what is typed on a command line, as TOML would read it without the space around it;
// a bare word is a string.
FieldValue parse_value(std::string_view typed);

[[noreturn]] void fail_value(const std::string& where, const std::string& key,
                             const std::string& shown, const std::string& message);

void assign(const Field& field, const std::string& key, const FieldValue& value,
            const std::string& where, bool& target);
void assign(const Field& field, const std::string& key, const FieldValue& value,
            const std::string& where, int64_t& target);
void assign(const Field& field, const std::string& key, const FieldValue& value,
            const std::string& where, double& target);
// Takes a number as the text that it reads as: train.length = 500.
void assign(const Field& field, const std::string& key, const FieldValue& value,
            const std::string& where, std::string& target);
// The index of the value among the names.
size_t find_name(const std::string& key, const FieldValue& value, const std::string& where,
                 std::span<const std::string_view> names);

template <class E>
requires std::is_enum_v<E>
void assign(const Field&, const std::string& key, const FieldValue& value, const std::string& where,
            E& target) {
  target = static_cast<E>(find_name(key, value, where, EnumNames<E>::names));
}

template <class T>
FieldValue field_value(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::string(enum_name(value));
  } else {
    return value;
  }
}

// Fails if the number is outside the field's range.
void check_range(const Field& field, const std::string& key, double value, const FieldValue& shown,
                 const std::string& where);

// Checks that every field of a table is within its range.
template <class C>
void check_ranges(const std::string& table, const C& config) {
  C::visit(config, [&](const Field& field, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, int64_t> ||
                  std::is_same_v<std::decay_t<decltype(value)>, double>) {
      check_range(field, table + "." + std::string(field.name), static_cast<double>(value),
                  FieldValue(value), "");
    }
  });
}

}  // namespace mythos
