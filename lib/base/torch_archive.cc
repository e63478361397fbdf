#include "base/torch_archive.h"

#include "base/error.h"
#include "base/pointer_file.h"
#include "base/strings.h"
#include "base/torch_pickle.h"

namespace mythos {
namespace {

constexpr std::string_view kZipStart = "PK\x03\x04";
// How files of PyTorch before 1.6 begin: protocol 2, and a number of 10 bytes.
constexpr std::string_view kOldStart =
    "\x80\x02\x8a\nl\xfc\x9c"
    "F\xf9 j\xa8P\x19.";
}  // namespace

uint64_t element_bytes(TorchType type) {
  switch (type) {
    case TorchType::c128:
      return 16;
    case TorchType::f64:
    case TorchType::i64:
    case TorchType::c64:
      return 8;
    case TorchType::f32:
    case TorchType::i32:
      return 4;
    case TorchType::f16:
    case TorchType::bf16:
    case TorchType::i16:
      return 2;
    case TorchType::i8:
    case TorchType::u8:
    case TorchType::boolean:
      return 1;
  }
  return 1;
}

bool is_torch_archive(std::string_view start) {
  return start.starts_with(kZipStart) || start.starts_with(kOldStart);
}

std::vector<TorchTensor> read_torch_archive(const MappedFile& file) {
  refuse_pointer(file.path(), file.text());
  if (file.text().starts_with(kOldStart)) {
    fail(ErrorKind::data,
         file.path().string() + ": a file of PyTorch before 1.6, which is not read.",
         "Load it and save it again with a newer PyTorch");
  }
  if (!file.text().starts_with(kZipStart)) {
    fail(ErrorKind::data, file.path().string() +
                              ": byte 0: not a PyTorch file of weights, which begins as a zip "
                              "archive does.");
  }
  ZipMembers members;
  std::vector<std::string> prefixes;
  for (const ZipMember& member : read_zip(file)) {
    members[member.name] = member;
    constexpr std::string_view kPickle = "data.pkl";
    const std::string_view name = member.name;
    if (name == kPickle || name.ends_with("/data.pkl")) {
      prefixes.emplace_back(name.substr(0, name.size() - kPickle.size()));
    }
  }
  if (prefixes.size() != 1) {
    fail(ErrorKind::data, strprintf("%s: a zip archive with %u members 'data.pkl' instead of one: "
                                    "not a PyTorch file of weights.",
                                    file.path(), prefixes.size()));
  }
  const std::string order_name = prefixes[0] + "byteorder";
  if (const auto order = members.find(order_name); order != members.end()) {
    const std::string_view text =
        file.text().substr(order->second.begin, order->second.end - order->second.begin);
    if (text != "little") {
      fail(ErrorKind::data, file.path().string() + ": byte order '" +
                                escaped(std::string(text.substr(0, 16))) +
                                "' instead of 'little'.");
    }
  }
  return read_torch_pickle(file, members, prefixes[0]);
}

}  // namespace mythos
