#include "text/load_tokenizer.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <unistd.h>

#include "base/error.h"
#include "sample_text.h"
#include "text/library_ids.h"
#include "text/sentencepiece/sentencepiece.h"

namespace mythos {
namespace {

using test::random_bytes;
using test::sample_text;
using test::train_sample_model;

const std::string& model_file(VocabType type) {
  static const std::string bpe = train_sample_model(600, VocabType::bpe);
  static const std::string unigram = train_sample_model(400, VocabType::unigram);
  return type == VocabType::bpe ? bpe : unigram;
}

std::unique_ptr<Tokenizer> parse(const std::string& content) {
  return parse_sentencepiece(content, "test.model");
}

class TempFile {
 public:
  explicit TempFile(const std::string& content) {
    std::string name = (fs::temp_directory_path() / "mythos-text-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    write_file_atomic(path(), content);
  }
  ~TempFile() { fs::remove_all(directory_); }
  fs::path path() const { return directory_ / "tokenizer.model"; }
  const fs::path& directory() const { return directory_; }

 private:
  fs::path directory_;
};

Error error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::internal, ""};
}

class BothTypes : public testing::TestWithParam<VocabType> {
 protected:
  std::unique_ptr<Tokenizer> tokenizer_ = parse(model_file(GetParam()));
};
INSTANTIATE_TEST_SUITE_P(Tokenizer, BothTypes, testing::Values(VocabType::bpe, VocabType::unigram));

TEST_P(BothTypes, RoundTripsAdversarialText) {
  const std::string texts[] = {"",
                               " ",
                               "  ",
                               "   leading",
                               "trailing   ",
                               " a  b   c ",
                               "\n\n\n",
                               "\t\tx",
                               "▁",
                               "▁▁ ▁a▁",
                               "<s>",
                               "</s>",
                               "<unk>",
                               "<0x41>",
                               "a<s>b</s>",
                               std::string("nul\0byte", 8),
                               "\xFF\xFE",
                               "\xE2\x96",
                               "\xE2\x96\x81",
                               "e\u0301",
                               "日本語",
                               "🙂👨‍👩‍👧",
                               "\xED\xA0\x80",
                               "\xC0\x80",
                               "\r\n",
                               "\u2585",
                               "\uFEFFbom",
                               "half \xF0\x9F\x99"};
  for (const std::string& text : texts) {
    EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text) << testing::PrintToString(text);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(3, static_cast<char>(byte));
    EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text) << byte;
  }
}

TEST_P(BothTypes, RoundTripsRandomBytes) {
  Rng rng(11);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_bytes(rng, rng.below(60));
    ASSERT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text) << testing::PrintToString(text);
  }
}

TEST_P(BothTypes, NeverEmitsSpecialTokensForText) {
  Rng rng(12);
  for (int i = 0; i < 200; ++i) {
    for (const uint32_t id : tokenizer_->encode(random_bytes(rng, 30))) EXPECT_GT(id, 2u);
  }
}

TEST_P(BothTypes, ParsesTheNamesOfControlPieces) {
  const std::string text = "<s>kato men</s> ri</s";
  std::vector<uint32_t> expected = {1};
  tokenizer_->encode("kato men", expected, Specials::as_text);
  expected.push_back(2);
  tokenizer_->encode(" ri</s", expected, Specials::as_text);
  EXPECT_EQ(tokenizer_->encode(text, Specials::parse), expected);
  EXPECT_EQ(tokenizer_->decode(expected), text);
  EXPECT_EQ(tokenizer_->special_tokens().size(), 2u);
}

TEST_P(BothTypes, GivesTheLibrarysIds) {
  const std::string text = sample_text(500, 3);
  EXPECT_EQ(tokenizer_->encode(text), library_ids(model_file(GetParam()), text));
}

// Parts are cut where no piece joins the two sides, so the ids are those of the whole.
TEST(Tokenizer, LongTextGivesTheLibrarysIds) {
  const std::string& model = model_file(VocabType::bpe);
  const auto tokenizer = parse(model);
  const std::string texts[] = {sample_text(50000, 4), std::string(100000, 'a'),
                               std::string(100000, ' '),
                               std::string(100000, 'k') + sample_text(9000, 5)};
  for (const std::string& text : texts) {
    const std::vector<uint32_t> ids = tokenizer->encode(text);
    EXPECT_EQ(ids, library_ids(model, text));
    EXPECT_EQ(tokenizer->decode(ids), text);
  }
}

TEST(Tokenizer, InvalidBytesDoNotChangeTheirNeighbours) {
  const auto tokenizer = parse(model_file(VocabType::bpe));
  std::vector<uint32_t> expected = tokenizer->encode("kato ri");
  expected.push_back(3 + 0xFF);
  tokenizer->encode("men sol", expected, Specials::as_text);
  EXPECT_EQ(tokenizer->encode("kato ri\xFFmen sol"), expected);
}

TEST(Tokenizer, DescribesItsTokens) {
  const auto tokenizer = parse(model_file(VocabType::bpe));
  EXPECT_EQ(tokenizer->vocab_size(), 600);
  EXPECT_EQ(tokenizer->bos_id(), 1u);
  EXPECT_EQ(tokenizer->eos_id(), 2u);
  EXPECT_EQ(tokenizer->piece(0), "<unk>");
  EXPECT_EQ(tokenizer->piece(3 + 0x0A), "<0x0A>");
  EXPECT_EQ(tokenizer->token_bytes(3 + 0x0A), "\n");
  EXPECT_EQ(tokenizer->token_bytes(1), "");
  const std::vector<int32_t> lengths = tokenizer->byte_lengths();
  ASSERT_EQ(lengths.size(), 600u);
  for (uint32_t id = 0; id < 600; ++id) {
    EXPECT_EQ(lengths[id], static_cast<int32_t>(tokenizer->token_bytes(id).size()));
  }
  const Error error = error_of([&] { tokenizer->token_bytes(600); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_NE(std::string(error.what()).find("600"), std::string::npos);
}

TEST(Tokenizer, LoadsFromAFileAndFromADirectory) {
  const std::string& model = model_file(VocabType::bpe);
  const TempFile file(model);
  const auto tokenizer = load_tokenizer(file.path());
  EXPECT_EQ(tokenizer->file_content(), model);
  EXPECT_EQ(tokenizer->fingerprint(), checksum(model));
  EXPECT_EQ(tokenizer->file_name(), "tokenizer.model");
  EXPECT_EQ(load_carried_tokenizer(file.directory())->fingerprint(), tokenizer->fingerprint());
}

TEST(Tokenizer, RefusesWhatIsNotATokenizer) {
  const std::string& model = model_file(VocabType::bpe);
  const std::string contents[] = {"",
                                  "hello\n",
                                  "{\"version\": \"1.0\"}",
                                  std::string(1000, '\0'),
                                  model.substr(0, model.size() / 2),
                                  std::string("\x0a\x00", 2)};
  for (const std::string& content : contents) {
    const TempFile file(content);
    const Error error = error_of([&] { load_tokenizer(file.path()); });
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find(file.path().string()), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(error_of([] { load_tokenizer("/nonexistent/tok.model"); }).kind(), ErrorKind::data);
}

// Damage must give an error or a tokenizer, never a crash.
TEST(Tokenizer, SurvivesDamagedModels) {
  const std::string& model = model_file(VocabType::bpe);
  Rng rng(13);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = model;
    damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    if (i % 3 == 0) damaged.resize(rng.below(damaged.size()));
    try {
      parse(damaged)->encode("kato men the 42\n");
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::data || error.kind() == ErrorKind::internal);
    }
  }
}

// A later normalizer_spec is merged into the first: this makes models as others train them.
TEST(Tokenizer, AddsTheDummyPrefixOnce) {
  const std::string model = model_file(VocabType::bpe) + std::string("\x1a\x02\x18\x01", 4);
  const auto tokenizer = parse(model);
  EXPECT_EQ(tokenizer->encode("kato men"), library_ids(model, "kato men"));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("kato\xFFmen")), " kato\xFFmen");
  EXPECT_TRUE(tokenizer->encode("").empty());
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("kato</s>men", Specials::parse)), " kato</s>men");
}

TEST(Tokenizer, RespectsAForeignNormalizer) {
  const std::string model = model_file(VocabType::bpe) + std::string("\x1a\x02\x20\x01", 4);
  const auto tokenizer = parse(model);
  EXPECT_EQ(tokenizer->encode(" kato   men "), library_ids(model, " kato   men "));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(" kato   men ")), "kato men");
}

TEST(StreamDecoder, HoldsBackUnfinishedCharacters) {
  const auto tokenizer = parse(model_file(VocabType::bpe));
  const auto byte = [](unsigned char b) { return 3u + b; };
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.push(byte(0xF0)), "");
  EXPECT_EQ(decoder.push(byte(0x9F)), "");
  EXPECT_EQ(decoder.push(byte(0x99)), "");
  EXPECT_EQ(decoder.push(byte(0x82)), "🙂");
  EXPECT_EQ(decoder.push(byte(0xE2)), "");
  EXPECT_EQ(decoder.push(byte('a')),
            "\xE2"
            "a")
      << "bytes that cannot become valid pass";
  EXPECT_EQ(decoder.push(byte(0xC3)), "");
  EXPECT_EQ(decoder.finish(), "\xC3");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, GivesTheSameTextAsDecode) {
  const auto tokenizer = parse(model_file(VocabType::bpe));
  Rng rng(14);
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_bytes(rng, 40);
    StreamDecoder decoder(*tokenizer);
    std::string streamed;
    for (const uint32_t id : tokenizer->encode(text)) streamed += decoder.push(id);
    EXPECT_EQ(streamed + decoder.finish(), text);
  }
}

}  // namespace
}  // namespace mythos
