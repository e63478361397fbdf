#include "checkpoint/safetensors.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/pointer_file.h"
#include "base/strings.h"

namespace mythos {
namespace {

using nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
// The limit of the format's first implementation. A longer header means that the length is damaged.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr uint64_t kAlignment = 64;
constexpr size_t kChunkBytes = 1 << 20;
constexpr std::string_view kMetadataName = "__metadata__";

struct TypeName {
  std::string_view name;
  at::ScalarType type;
};
constexpr TypeName kTypes[] = {
    {"BOOL", at::kBool}, {"U8", at::kByte},    {"I8", at::kChar},  {"I16", at::kShort},
    {"I32", at::kInt},   {"I64", at::kLong},   {"F16", at::kHalf}, {"BF16", at::kBFloat16},
    {"F32", at::kFloat}, {"F64", at::kDouble},
};

class HeaderReader {
 public:
  HeaderReader(const MappedFile& file, const std::function<bool(const std::string&)>& passed_over)
      : file_(file), passed_over_(passed_over) {}

  // Fills metadata and extents; the extents are in the file's order.
  void read(SafetensorsFile& out) {
    locate();
    const json header = parse();
    for (const auto& [name, entry] : header.items()) {
      if (name == kMetadataName) {
        read_metadata(entry, out.metadata);
      } else {
        out.extents.push_back(read_entry(name, entry));
      }
    }
    // An empty tensor comes before the tensor that begins at the same offset.
    std::sort(out.extents.begin(), out.extents.end(), [](const auto& a, const auto& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    check_cover(out.extents);
  }

 private:
  [[noreturn]] void bad(uint64_t offset, const std::string& what,
                        std::string_view advice = {}) const {
    fail(ErrorKind::data, strprintf("%s: byte %u: ", file_.path(), offset) + what, advice);
  }
  [[noreturn]] void bad_tensor(const std::string& name, const std::string& what) const {
    const size_t place = file_.text().substr(0, data_begin_).find('"' + name + '"', kLengthBytes);
    bad(place == std::string_view::npos ? kLengthBytes : place,
        "tensor '" + escaped(name) + "': " + what);
  }

  void locate() {
    const uint64_t size = file_.bytes().size();
    refuse_pointer(file_.path(), file_.text());
    if (file_.text().starts_with("PK\x03\x04")) {
      bad(0, "a zip archive (a PyTorch .pt file?), not a .safetensors file.",
          "Convert it with safetensors.torch.save_file; published models may have it as it is.");
    }
    if (size < kLengthBytes) {
      bad(0, strprintf("the file has %u bytes; a .safetensors file begins with an 8-byte header "
                       "length",
                       size));
    }
    uint64_t length = 0;
    std::memcpy(&length, file_.bytes().data(), kLengthBytes);
    if (length > size - kLengthBytes || length > kMaxHeaderBytes) {
      bad(0, strprintf("header length %u reaches past the end of the file (%u bytes): truncated, "
                       "or not a .safetensors file",
                       length, size));
    }
    data_begin_ = kLengthBytes + length;
    data_bytes_ = size - data_begin_;
  }

  json parse() {
    const std::string_view text = file_.text().substr(kLengthBytes, data_begin_ - kLengthBytes);
    // The parsed object keeps only one of two equal names; the parser's callback sees both.
    std::vector<std::set<std::string>> names;
    std::optional<std::string> twice;
    const auto watch = [&](int depth, json::parse_event_t event, json& value) {
      if (event == json::parse_event_t::object_start) {
        names.resize(static_cast<size_t>(depth) + 1);
        names.back().clear();
      } else if (event == json::parse_event_t::key) {
        names.resize(static_cast<size_t>(depth));
        const std::string& key = value.get_ref<const std::string&>();
        if (!names.back().insert(key).second && !twice) twice = key;
      }
      return true;
    };
    json header;
    try {
      header = json::parse(text, watch);
    } catch (const json::parse_error& error) {
      bad(kLengthBytes + (error.byte > 0 ? error.byte - 1 : 0), "the header is not valid JSON");
    }
    if (!header.is_object()) bad(kLengthBytes, "the header is not a JSON object");
    if (twice) bad_tensor(*twice, "the name occurs twice in the header");
    return header;
  }

  void read_metadata(const json& entry, std::map<std::string, std::string>& metadata) const {
    if (!entry.is_object()) bad_tensor(std::string(kMetadataName), "not an object of strings");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) {
        bad_tensor(std::string(kMetadataName), "'" + escaped(key) + "' is not a string");
      }
      metadata[key] = value.get<std::string>();
    }
  }

  at::ScalarType read_type(const std::string& name, const json& entry) const {
    const auto found = entry.find("dtype");
    if (found == entry.end() || !found->is_string()) bad_tensor(name, "no dtype");
    std::vector<std::string> known_names;
    for (const TypeName& known : kTypes) {
      if (*found == known.name) return known.type;
      known_names.emplace_back(known.name);
    }
    bad_tensor(name, "unknown dtype '" + escaped(found->get<std::string>()) + "'; known are " +
                         join(known_names, ", "));
  }

  // Reads the tensor's shape and returns its size in bytes.
  uint64_t read_shape(const std::string& name, const json& entry, TensorExtent& extent) const {
    const auto found = entry.find("shape");
    if (found == entry.end() || !found->is_array()) bad_tensor(name, "no shape");
    // An empty dimension must not hide an overflow of the others, so zeros are multiplied last.
    uint64_t bytes = c10::elementSize(extent.dtype);
    bool empty = false;
    for (const json& size : *found) {
      if (!size.is_number_unsigned()) {
        bad_tensor(name, "shape " + found->dump() + " is not a list of whole numbers");
      }
      const auto count = size.get<uint64_t>();
      if (count == 0) {
        empty = true;
      } else if (__builtin_mul_overflow(bytes, count, &bytes) || bytes > INT64_MAX) {
        bad_tensor(name, "shape " + found->dump() + " is larger than any memory");
      }
      extent.shape.push_back(static_cast<int64_t>(count));
    }
    return empty ? 0 : bytes;
  }

  TensorExtent read_entry(const std::string& name, const json& entry) const {
    if (!entry.is_object()) bad_tensor(name, "its entry is not an object");
    TensorExtent extent;
    extent.name = name;
    const bool passed_over = passed_over_ && passed_over_(name);
    extent.dtype = passed_over ? at::ScalarType::Undefined : read_type(name, entry);
    const uint64_t bytes = passed_over ? 0 : read_shape(name, entry, extent);
    const auto offsets = entry.find("data_offsets");
    if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2 ||
        !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
      bad_tensor(name, "data_offsets is not a pair of whole numbers");
    }
    const auto begin = (*offsets)[0].get<uint64_t>(), end = (*offsets)[1].get<uint64_t>();
    if (begin > end || end > data_bytes_) {
      bad_tensor(name, strprintf("data_offsets %s reach outside the %u bytes of data: truncated?",
                                 offsets->dump(), data_bytes_));
    }
    if (!passed_over && end - begin != bytes) {
      bad_tensor(name, strprintf("data_offsets %s hold %u bytes, but dtype %s and shape %s take %u",
                                 offsets->dump(), end - begin, entry["dtype"].get<std::string>(),
                                 entry["shape"].dump(), bytes));
    }
    extent.begin = data_begin_ + begin;
    extent.end = data_begin_ + end;
    return extent;
  }

  void check_cover(const std::vector<TensorExtent>& extents) const {
    uint64_t place = data_begin_;
    for (size_t i = 0; i < extents.size(); ++i) {
      const TensorExtent& extent = extents[i];
      if (extent.begin < place) {
        bad(extent.begin, "tensor '" + escaped(extent.name) + "' overlaps tensor '" +
                              escaped(extents[i - 1].name) + "'");
      }
      if (extent.begin > place) {
        bad(place, strprintf("%u bytes before tensor '%s' belong to no tensor",
                             extent.begin - place, escaped(extent.name)));
      }
      place = extent.end;
    }
    const uint64_t end = data_begin_ + data_bytes_;
    if (place != end) {
      bad(place, strprintf("%u bytes at the end of the file belong to no tensor", end - place));
    }
  }

  const MappedFile& file_;
  const std::function<bool(const std::string&)>& passed_over_;
  uint64_t data_begin_ = 0, data_bytes_ = 0;
};

at::Tensor map_tensor(const std::shared_ptr<MappedFile>& file, const TensorExtent& extent) {
  const auto options = at::TensorOptions().dtype(extent.dtype);
  if (extent.begin == extent.end) return at::empty(extent.shape, options);
  auto* data = const_cast<std::byte*>(file->bytes().data() + extent.begin);
  // Other writers may pad the header less; kernels expect aligned elements.
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(extent.dtype) != 0) {
    at::Tensor copy = at::empty(extent.shape, options);
    std::memcpy(copy.data_ptr(), data, extent.end - extent.begin);
    return copy;
  }
  return at::from_blob(
      data, extent.shape, [file](void*) {}, options);
}

std::string make_header(const NamedTensors& tensors,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(kMetadataName)] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    if (name == kMetadataName || header.contains(name)) {
      fail(ErrorKind::internal, "tensor name '" + name + "' cannot be stored twice or is reserved");
    }
    const uint64_t end = offset + tensor.nbytes();
    header[name] = {{"dtype", stored_type_name(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  const uint64_t used = (kLengthBytes + text.size()) % kAlignment;
  if (used != 0) text.append(kAlignment - used, ' ');
  return text;
}

void write_data(AtomicFile& file, const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kCPU).contiguous();
  const auto* data = static_cast<const char*>(host.const_data_ptr());
  // The data are written in pieces, as AtomicFile would gather a large one in memory.
  for (size_t done = 0; done < host.nbytes(); done += kChunkBytes) {
    file.write(data + done, std::min(kChunkBytes, host.nbytes() - done));
  }
}

}  // namespace

void write_safetensors(const fs::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  NamedTensors ordered = tensors;
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    return a.second.element_size() > b.second.element_size();
  });
  const std::string header = make_header(ordered, metadata);
  const uint64_t length = header.size();
  AtomicFile file(path);
  file.write(&length, kLengthBytes);
  file.write(header);
  for (const auto& [name, tensor] : ordered) write_data(file, tensor);
  file.commit();
}

std::string_view stored_type_name(at::ScalarType type) {
  for (const TypeName& known : kTypes) {
    if (known.type == type) return known.name;
  }
  fail(ErrorKind::internal,
       strprintf("type %s cannot be stored in a .safetensors file", c10::toString(type)));
}

SafetensorsFile read_safetensors(const fs::path& path,
                                 const std::function<bool(const std::string&)>& passed_over) {
  const auto file = std::make_shared<MappedFile>(path);
  SafetensorsFile out;
  HeaderReader(*file, passed_over).read(out);
  for (const TensorExtent& extent : out.extents) {
    if (extent.dtype == at::ScalarType::Undefined) continue;
    out.tensors.emplace(extent.name, map_tensor(file, extent));
  }
  return out;
}

}  // namespace mythos
