#include "checkpoint/gguf.h"

#include <ATen/ATen.h>
#include <cstring>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kVersion = 3;
constexpr uint64_t kGgufAlignment = 32;  // the format's default
constexpr size_t kMaxSides = 4;

// The format's numbers of types of values.
enum GgufKind : uint32_t { kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kText = 8, kList = 9 };

struct GgufType {
  at::ScalarType type;
  uint32_t number;
};
constexpr GgufType kGgufTypes[] = {{at::kFloat, 0}, {at::kHalf, 1}, {at::kBFloat16, 30}};

uint64_t padding_behind(uint64_t size_bytes) {
  return (kGgufAlignment - size_bytes % kGgufAlignment) % kGgufAlignment;
}

template <class T>
void put_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, const std::string& text) {
  put_number<uint64_t>(out, text.size());
  out += text;
}

template <class T>
void put_list(std::string& out, uint32_t kind, const std::vector<T>& list) {
  put_number<uint32_t>(out, kList);
  put_number(out, kind);
  put_number<uint64_t>(out, list.size());
  for (const T& value : list) {
    if constexpr (std::is_same_v<T, std::string>) {
      put_text(out, value);
    } else {
      put_number(out, value);
    }
  }
}

struct PutValue {
  std::string& out;

  void operator()(uint32_t value) const {
    put_number<uint32_t>(out, kUint32);
    put_number(out, value);
  }
  void operator()(float value) const {
    put_number<uint32_t>(out, kFloat32);
    put_number(out, value);
  }
  void operator()(bool value) const {
    put_number<uint32_t>(out, kBool);
    put_number<uint8_t>(out, value);
  }
  void operator()(const std::string& value) const {
    put_number<uint32_t>(out, kText);
    put_text(out, value);
  }
  void operator()(const std::vector<int32_t>& list) const { put_list(out, kInt32, list); }
  void operator()(const std::vector<float>& list) const { put_list(out, kFloat32, list); }
  void operator()(const std::vector<std::string>& list) const { put_list(out, kText, list); }
};

uint32_t gguf_type(const std::string& name, at::ScalarType type) {
  for (const GgufType& known : kGgufTypes) {
    if (known.type == type) return known.number;
  }
  fail(ErrorKind::internal, strprintf("tensor '%s' of type %s cannot be stored in a .gguf file",
                                      name, c10::toString(type)));
}

// Everything in front of the data.
std::string gguf_header(const GgufMetadata& metadata, const NamedTensors& tensors) {
  std::string out(kMagic);
  put_number(out, kVersion);
  put_number<uint64_t>(out, tensors.size());
  put_number<uint64_t>(out, metadata.size());
  for (const auto& [key, value] : metadata) {
    put_text(out, key);
    std::visit(PutValue{out}, value);
  }
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    put_text(out, name);
    put_number(out, static_cast<uint32_t>(tensor.dim()));
    // The format counts sides from the innermost one.
    for (int64_t side = tensor.dim() - 1; side >= 0; --side) {
      put_number(out, static_cast<uint64_t>(tensor.size(side)));
    }
    put_number(out, gguf_type(name, tensor.scalar_type()));
    put_number(out, offset);
    offset += tensor.nbytes() + padding_behind(tensor.nbytes());
  }
  return out.append(padding_behind(out.size()), '\0');
}

class GgufReader {
 public:
  explicit GgufReader(const fs::path& path) : file_(path) {}

  GgufFile read() {
    if (take_bytes(kMagic.size()) != kMagic) bad("not a .gguf file");
    const auto version = take<uint32_t>();
    if (version != kVersion) bad(strprintf("version %u; expected %u", version, kVersion));
    const auto tensors = take<uint64_t>(), values = take<uint64_t>();
    GgufFile out;
    for (uint64_t i = 0; i < values; ++i) {
      const std::string key = take_text();
      out.metadata[key] = take_value();
    }
    std::vector<Entry> entries;
    for (uint64_t i = 0; i < tensors; ++i) entries.push_back(take_entry());
    const uint64_t data = at_ + padding_behind(at_);
    for (const Entry& entry : entries) out.tensors[entry.name] = tensor_of(entry, data);
    return out;
  }

 private:
  struct Entry {
    std::string name;
    std::vector<int64_t> shape;
    at::ScalarType type = at::kFloat;
    uint64_t offset = 0;
  };

  [[noreturn]] void bad(const std::string& what) const {
    fail(ErrorKind::data, strprintf("%s: byte %u: ", file_.path(), at_) + what + ".");
  }

  std::string_view take_bytes(uint64_t size) {
    if (size > file_.text().size() - at_) bad("the file is cut off");
    const std::string_view bytes = file_.text().substr(at_, size);
    at_ += size;
    return bytes;
  }

  template <class T>
  T take() {
    T value;
    std::memcpy(&value, take_bytes(sizeof value).data(), sizeof value);
    return value;
  }

  std::string take_text() { return std::string(take_bytes(take<uint64_t>())); }

  template <class T>
  std::vector<T> take_list(uint64_t count) {
    std::vector<T> list;
    for (uint64_t i = 0; i < count; ++i) {
      if constexpr (std::is_same_v<T, std::string>) {
        list.push_back(take_text());
      } else {
        list.push_back(take<T>());
      }
    }
    return list;
  }

  GgufValue take_value() {
    const auto kind = take<uint32_t>();
    if (kind == kUint32) return take<uint32_t>();
    if (kind == kFloat32) return take<float>();
    if (kind == kBool) return take<uint8_t>() != 0;
    if (kind == kText) return take_text();
    if (kind != kList) bad(strprintf("a value of type %u, which is not read here", kind));
    const auto element = take<uint32_t>();
    const auto count = take<uint64_t>();
    if (element == kInt32) return take_list<int32_t>(count);
    if (element == kFloat32) return take_list<float>(count);
    if (element == kText) return take_list<std::string>(count);
    bad(strprintf("a list of type %u, which is not read here", element));
  }

  Entry take_entry() {
    Entry entry;
    entry.name = take_text();
    const auto sides = take<uint32_t>();
    if (sides > kMaxSides) bad(strprintf("a tensor of %u sides", sides));
    entry.shape.resize(sides);
    for (uint32_t i = sides; i > 0; --i) {
      entry.shape[i - 1] = static_cast<int64_t>(take<uint64_t>());
    }
    const auto number = take<uint32_t>();
    bool known = false;
    for (const GgufType& type : kGgufTypes) {
      if (type.number != number) continue;
      entry.type = type.type;
      known = true;
    }
    if (!known) bad(strprintf("a tensor of type %u, which is not read here", number));
    entry.offset = take<uint64_t>();
    return entry;
  }

  at::Tensor tensor_of(const Entry& entry, uint64_t data) {
    // Sides are compared with what is left, so that their product cannot overflow.
    const uint64_t size = file_.text().size();
    uint64_t bytes = c10::elementSize(entry.type);
    for (const int64_t side : entry.shape) {
      if (side <= 0 || static_cast<uint64_t>(side) > size / bytes) bad("the file is cut off");
      bytes *= static_cast<uint64_t>(side);
    }
    if (data > size || entry.offset > size - data) bad("the file is cut off");
    at_ = data + entry.offset;
    at::Tensor tensor = at::empty(entry.shape, entry.type);
    std::memcpy(tensor.mutable_data_ptr(), take_bytes(bytes).data(), bytes);
    return tensor;
  }

  MappedFile file_;
  uint64_t at_ = 0;
};

}  // namespace

void write_gguf(const fs::path& path, const GgufMetadata& metadata, const NamedTensors& tensors) {
  AtomicFile file(path);
  file.write(gguf_header(metadata, tensors));
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
    file.write(plain.const_data_ptr(), plain.nbytes());
    file.write(std::string(padding_behind(plain.nbytes()), '\0'));
  }
  file.commit();
}

GgufFile read_gguf(const fs::path& path) {
  return GgufReader(path).read();
}

}  // namespace mythos
