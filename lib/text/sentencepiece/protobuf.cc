#include "text/sentencepiece/protobuf.h"

namespace mythos {
namespace {

bool read_varint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in[0]);
    in.remove_prefix(1);
    value |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool read_fixed(std::string_view& in, size_t size, uint64_t& value) {
  if (in.size() < size) return false;
  value = 0;
  for (size_t i = 0; i < size; ++i) value |= uint64_t{static_cast<unsigned char>(in[i])} << (8 * i);
  in.remove_prefix(size);
  return true;
}

bool read_field(std::string_view& in, ProtobufField& field) {
  uint64_t tag = 0;
  if (!read_varint(in, tag) || tag >> 3 == 0 || tag >> 32 != 0) return false;
  field.number = static_cast<uint32_t>(tag >> 3);
  switch (tag & 7) {
    case 0:
      return read_varint(in, field.value);
    case 1:
      return read_fixed(in, 8, field.value);
    case 5:
      return read_fixed(in, 4, field.value);
    case 2: {
      uint64_t size = 0;
      if (!read_varint(in, size) || size > in.size()) return false;
      field.bytes = in.substr(0, size);
      in.remove_prefix(size);
      return true;
    }
    default:  // groups, which no tokenizer file uses
      return false;
  }
}

}  // namespace

bool read_protobuf(std::string_view message,
                   const std::function<bool(const ProtobufField&)>& visit) {
  while (!message.empty()) {
    ProtobufField field;
    if (!read_field(message, field) || !visit(field)) return false;
  }
  return true;
}

}  // namespace mythos
