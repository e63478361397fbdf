#include "data/build/build_vocab.h"

#include <gtest/gtest.h>

#include "scratch.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

class BuildVocab : public testing::Test {
 protected:
  BuildVocab() {
    for (int i = 0; i < 300; ++i)
      text_ += "the loop runs again and again " + std::to_string(i * i) + "\n";
    write_file_atomic(scratch_ / "text.txt", text_);
    input_.files = {(scratch_ / "text.txt").string()};
    options_.vocab_size = 300;
  }

  Scratch scratch_;
  std::string text_;
  InputOptions input_;
  VocabOptions options_;
  fs::path output_ = scratch_ / "tok.model";
};

TEST_F(BuildVocab, TellsOfTheFileThatItWrote) {
  const BuiltVocab built = build_vocab(input_, 1 << 20, options_, output_);
  const auto tokenizer = load_tokenizer(output_);
  EXPECT_EQ(built.vocab_size, 300);
  EXPECT_EQ(tokenizer->vocab_size(), 300);
  EXPECT_EQ(built.fingerprint, tokenizer->fingerprint());
  EXPECT_EQ(built.text_bytes, text_.size());
  EXPECT_GT(built.bytes_per_token, 1);
  EXPECT_LT(built.bytes_per_token, 10);
}

TEST_F(BuildVocab, TrainsOnASampleOfTheText) {
  const BuiltVocab built = build_vocab(input_, 9000, options_, output_);
  EXPECT_EQ(built.text_bytes, text_.size());
  EXPECT_LE(built.sample_bytes, 9000);
  EXPECT_GT(built.sample_bytes, 4000);
}

TEST_F(BuildVocab, AnOutputThatCannotBeIsToldBeforeTheInputIsRead) {
  input_.files = {(scratch_ / "missing.txt").string()};
  const fs::path output = scratch_ / "no/such/tok.model";
  try {
    build_vocab(input_, 1 << 20, options_, output);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_TRUE(contains(error.what(), "no/such")) << error.what();
  }
}

TEST_F(BuildVocab, AFailureLeavesNoFile) {
  options_.vocab_size = 60000;
  error_of(ErrorKind::usage, [&] { build_vocab(input_, 1 << 20, options_, output_); });
  EXPECT_FALSE(fs::exists(output_));
}

}  // namespace
}  // namespace mythos
