#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Writes PyTorch's files of weights byte by byte, right and wrong ones.
namespace mythos::test {

template <class T>
std::string bytes_of(const T& value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// A zip archive whose members are stored; data begin at multiples of 64 as PyTorch has them.
class ZipBytes {
 public:
  bool zip64 = false;       // sizes and places in zip64 fields and records
  uint16_t method = 0;      // that the entries state
  uint16_t flags = 0x0808;  // as PyTorch sets them

  void add(const std::string& name, const std::string& data) {
    const uint64_t begin = out_.size();
    std::string local = number<uint32_t>(0x04034b50) + number<uint16_t>(0) + number(flags) +
                        number(method) + number<uint32_t>(0) + number<uint32_t>(0);
    local += number<uint32_t>(static_cast<uint32_t>(data.size())) +
             number<uint32_t>(static_cast<uint32_t>(data.size()));
    const uint64_t used = begin + 30 + name.size();
    const auto padding = static_cast<uint16_t>((64 - used % 64) % 64);
    local += number(static_cast<uint16_t>(name.size())) + number(padding) + name;
    out_ += local + std::string(padding, 'Z') + data;
    entry(name, data.size(), begin);
  }

  std::string finish(const std::string& comment = "") const {
    std::string out = out_ + directory_;
    const uint64_t begin = out_.size(), size = directory_.size();
    if (zip64) {
      const uint64_t end64 = out.size();
      out += number<uint32_t>(0x06064b50) + number<uint64_t>(44) + std::string(4, '\0') +
             std::string(8, '\0') + number<uint64_t>(entries_) + number<uint64_t>(entries_) +
             number(size) + number(begin);
      out +=
          number<uint32_t>(0x07064b50) + number<uint32_t>(0) + number(end64) + number<uint32_t>(1);
    }
    const auto narrow = [&](uint64_t value) {
      return number<uint32_t>(zip64 ? 0xffffffff : static_cast<uint32_t>(value));
    };
    return out + number<uint32_t>(0x06054b50) + std::string(4, '\0') + number(entries_) +
           number(entries_) + narrow(size) + narrow(begin) +
           number(static_cast<uint16_t>(comment.size())) + comment;
  }

 private:
  template <class T>
  static std::string number(T value) {
    return bytes_of(value);
  }
  void entry(const std::string& name, uint64_t size, uint64_t begin) {
    const auto narrow = [&](uint64_t value) {
      return number<uint32_t>(zip64 ? 0xffffffff : static_cast<uint32_t>(value));
    };
    const std::string extra = zip64 ? number<uint16_t>(1) + number<uint16_t>(24) + number(size) +
                                          number(size) + number(begin)
                                    : "";
    directory_ += number<uint32_t>(0x02014b50) + std::string(4, '\0') + number(flags) +
                  number(method) + std::string(8, '\0') + narrow(size) + narrow(size) +
                  number(static_cast<uint16_t>(name.size())) +
                  number(static_cast<uint16_t>(extra.size())) + std::string(10, '\0') +
                  narrow(begin) + name + extra;
    ++entries_;
  }

  std::string out_, directory_;
  uint16_t entries_ = 0;
};

// Opcodes of protocol 2, put together as torch.save() does.
inline std::string pickled(const std::string& opcodes) {
  return std::string("\x80\x02") + opcodes + ".";
}
inline std::string text(std::string_view value) {
  return std::string("X") + bytes_of(static_cast<uint32_t>(value.size())) + std::string(value);
}
inline std::string whole(int32_t value) {
  return std::string("J") + bytes_of(value);
}
inline std::string tuple(const std::vector<int32_t>& values) {
  std::string out = "(";
  for (const int32_t value : values) out += whole(value);
  return out + "t";
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string storage(const std::string& type, const std::string& key, int32_t count) {
  return std::string("(") + text("storage") + global("torch", type) + text(key) + text("cpu") +
         whole(count) + "tQ";
}
inline std::string tensor(const std::string& storage, int32_t offset,
                          const std::vector<int32_t>& shape, const std::vector<int32_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + whole(offset) +
         tuple(shape) + tuple(strides) + "\x89" + global("collections", "OrderedDict") + ")RtR";
}
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = global("collections", "OrderedDict") + ")R(";
  for (const auto& [key, value] : entries) out += text(key) + value;
  return out + "u";
}

// A file of a pickle and storages, "0" first.
inline std::string torch_bytes(const std::string& pickle, const std::vector<std::string>& storages,
                               ZipBytes zip = {}) {
  zip.add("archive/data.pkl", pickle);
  zip.add("archive/byteorder", "little");
  for (size_t i = 0; i < storages.size(); ++i) {
    zip.add("archive/data/" + std::to_string(i), storages[i]);
  }
  zip.add("archive/version", "3\n");
  return zip.finish();
}

}  // namespace mythos::test
