#include "checkpoint/slices.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr const char* kShapePrefix = "shape:";
// The most numbers of a tensor; a product of sizes below it does not overflow.
constexpr int64_t kMostNumbers = int64_t{1} << 50;

struct Slice {
  int64_t begin = 0;
  at::Tensor numbers;  // [count]
  int64_t end() const { return begin + numbers.numel(); }
};

// The slices of a tensor, by their begin.
std::vector<Slice> slices_of(const TensorMap& stored, const std::string& tensor) {
  std::vector<Slice> slices;
  const std::string prefix = tensor + "@";
  for (auto it = stored.lower_bound(prefix); it != stored.end(); ++it) {
    if (!it->first.starts_with(prefix)) break;
    const auto begin = slice_begin(it->first);
    if (begin) slices.push_back({*begin, it->second.reshape({-1})});
  }
  std::ranges::sort(slices, {}, &Slice::begin);
  return slices;
}

[[noreturn]] void fail_gap(const std::string& tensor, int64_t at, const std::string& origin) {
  fail(ErrorKind::data,
       strprintf("%s: the slices of tensor '%s' lack number %d.", origin, escaped(tensor), at),
       "Use another checkpoint of the run");
}

}  // namespace

std::string slice_name(const std::string& tensor, int64_t begin) {
  return tensor + "@" + std::to_string(begin);
}

std::string whole_name(const std::string& name) {
  return slice_begin(name) ? name.substr(0, name.rfind('@')) : name;
}

std::optional<int64_t> slice_begin(const std::string& name) {
  const size_t at = name.rfind('@');
  if (at == name.npos) return std::nullopt;
  const std::string digits = name.substr(at + 1);
  if (digits.find_first_not_of("0123456789") != digits.npos) return std::nullopt;
  return parse_int(digits);
}

std::map<std::string, std::string> to_metadata(const TensorShapes& shapes) {
  std::map<std::string, std::string> metadata;
  for (const auto& [name, shape] : shapes)
    metadata[kShapePrefix + name] = nlohmann::json(shape).dump();
  return metadata;
}

void read_shapes(const std::map<std::string, std::string>& metadata, TensorShapes& shapes,
                 const std::string& origin) {
  const std::string prefix = kShapePrefix;
  for (const auto& [key, text] : metadata) {
    if (!key.starts_with(prefix)) continue;
    const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    bool good = json.is_array();
    int64_t numbers = 1;
    for (size_t i = 0; good && i < json.size(); ++i) {
      good = json[i].is_number_unsigned() && json[i].get<uint64_t>() > 0 &&
             json[i].get<uint64_t>() <= static_cast<uint64_t>(kMostNumbers / numbers);
      if (good) numbers *= json[i].get<int64_t>();
    }
    if (!good) {
      fail(ErrorKind::data, strprintf("%s: '%s' in the metadata is no shape: %s", origin,
                                      escaped(key), escaped(text)));
    }
    shapes[key.substr(prefix.size())] = json.get<std::vector<int64_t>>();
  }
}

bool has_numbers(const TensorMap& stored, const std::string& tensor) {
  return stored.contains(tensor) || !slices_of(stored, tensor).empty();
}

at::Tensor stored_numbers(const TensorMap& stored, const std::string& tensor, int64_t begin,
                          int64_t count, const std::string& origin) {
  const auto whole = stored.find(tensor);
  std::vector<Slice> slices;
  if (whole != stored.end()) {
    slices.push_back({0, whole->second.reshape({-1})});
  } else {
    slices = slices_of(stored, tensor);
  }
  if (slices.empty()) return {};
  const int64_t end = begin + count;
  std::vector<at::Tensor> found;
  int64_t at = begin;
  for (const Slice& slice : slices) {
    if (slice.end() <= at || at >= end) continue;
    if (slice.begin > at) fail_gap(tensor, at, origin);
    const int64_t taken = std::min(slice.end(), end) - at;
    found.push_back(slice.numbers.narrow(0, at - slice.begin, taken));
    at += taken;
  }
  if (at < end) fail_gap(tensor, at, origin);
  return found.size() == 1 ? found[0] : at::cat(found);
}

StoredTensors joined(const TensorMap& stored, const TensorShapes& shapes,
                     const std::string& origin) {
  StoredTensors whole;
  std::map<std::string, TensorMap> slices;  // by the tensor's own name
  for (const auto& [name, tensor] : stored) {
    if (slice_begin(name)) {
      slices[whole_name(name)].emplace(name, tensor);
    } else {
      whole[name] = [of = tensor] { return of; };
    }
  }
  for (const auto& [name, parts] : slices) {
    const auto shape = shapes.find(name);
    if (shape == shapes.end()) {
      fail(ErrorKind::data, strprintf("%s: tensor '%s' is stored in slices, but no file has its "
                                      "shape.",
                                      origin, escaped(name)));
    }
    int64_t expected = 1, count = 0;
    for (const int64_t size : shape->second) expected *= size;
    for (const auto& item : parts) count += item.second.numel();
    if (count != expected || whole.contains(name)) {
      fail(ErrorKind::data,
           strprintf("%s: the slices of tensor '%s' have %d numbers, its shape %d.", origin,
                     escaped(name), count, expected));
    }
    whole[name] = [from = parts, of = name, sizes = shape->second, expected, origin] {
      return stored_numbers(from, of, 0, expected, origin).view(sizes);
    };
  }
  return whole;
}

}  // namespace mythos
