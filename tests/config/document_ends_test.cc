#include "config/document_ends.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../scratch.h"

namespace mythos {
namespace {

TEST(DocumentEnds, OfTwoKindsTogether) {
  const DocumentEnds with{Share::all, Share::all}, without{Share::none, Share::all};
  EXPECT_EQ(both(with, with), with);
  EXPECT_EQ(both(with, without), (DocumentEnds{Share::some, Share::all}));
  EXPECT_EQ(both(both(with, without), with), (DocumentEnds{Share::some, Share::all}));
}

TEST(DocumentEnds, DifferFromWhatTrainingNeverShowed) {
  const DocumentEnds with{Share::all, Share::all}, without{Share::none, Share::all},
      some{Share::some, Share::all};
  EXPECT_FALSE(differs(with, with));
  EXPECT_TRUE(differs(with, without));
  EXPECT_TRUE(differs(without, with));
  EXPECT_FALSE(differs(with, some));
  EXPECT_FALSE(differs(without, some));
  EXPECT_TRUE(differs({Share::all, Share::none}, some));
}

TEST(DocumentEnds, InWords) {
  EXPECT_EQ(describe(DocumentEnds{Share::none, Share::all}), "without BOS, with EOS");
  EXPECT_EQ(describe(DocumentEnds{Share::some, Share::none}), "some with BOS, without EOS");
}

TEST(DocumentEnds, AsJsonAndBack) {
  const DocumentEnds ends{Share::some, Share::all};
  EXPECT_EQ(to_json(ends).dump(), R"({"bos":"some","eos":"all"})");
  EXPECT_EQ(document_ends_from_json(to_json(ends), "x"), ends);
  for (const char* text : {"null", "[]", R"({"bos":"all"})", R"({"bos":"all","eos":true})",
                           R"({"bos":"all","eos":"many"})"}) {
    const std::string message = error_of(ErrorKind::data, [&] {
      document_ends_from_json(nlohmann::json::parse(text), "state.json");
    });
    EXPECT_TRUE(contains(message, "state.json: documents.")) << message;
  }
}

}  // namespace
}  // namespace mythos
