#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

namespace mythos {

// A field of a Protocol Buffers message as it stands on the wire.
struct ProtobufField {
  uint32_t number = 0;
  uint64_t value = 0;      // of a varint or fixed-size field
  std::string_view bytes;  // of a length-delimited field
};

// Calls `visit` for each field in order. Returns false if the bytes are not a well-formed message,
// or as soon as `visit` returns false. Encoding: protobuf.dev/programming-guides/encoding.
bool read_protobuf(std::string_view message,
                   const std::function<bool(const ProtobufField&)>& visit);

}  // namespace mythos
