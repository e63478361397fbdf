#pragma once
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// What the SentencePiece library itself gives.
inline std::vector<uint32_t> library_ids(const std::string& model, std::string_view text) {
  sentencepiece::SentencePieceProcessor processor;
  EXPECT_TRUE(processor.LoadFromSerializedProto(model).ok());
  std::vector<int> ids;
  EXPECT_TRUE(processor.Encode(text, &ids).ok());
  return {ids.begin(), ids.end()};
}

}  // namespace mythos
