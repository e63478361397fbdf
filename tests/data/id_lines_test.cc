#include "data/read/id_lines.h"

#include <gtest/gtest.h>

#include "number_tokenizer.h"
#include "scratch.h"

namespace mythos {
namespace {

class IdLines : public testing::Test {
 protected:
  template <class F>
  std::string run(const std::string& input, const std::string& separator, const F& f) {
    write_file_atomic(scratch_ / "in", input);
    ReaderOptions options;
    options.separator = separator;
    DocumentReader reader({(scratch_ / "in").string()}, options);
    std::FILE* out = std::fopen((scratch_ / "out").c_str(), "wb");
    f(reader, out);
    std::fclose(out);
    return read_file(scratch_ / "out");
  }
  std::string encode(const std::string& text, const std::string& separator = "") {
    return run(text, separator, [&](DocumentReader& r, std::FILE* out) {
      write_id_lines(r, tokenizer_, Specials::as_text, out);
    });
  }
  std::string decode(const std::string& lines) {
    return run(lines, "\n", [&](DocumentReader& r, std::FILE* out) {
      decode_id_lines(r, "ids", tokenizer_, out);
    });
  }

  Scratch scratch_;
  test::NumberTokenizer tokenizer_{300};
};

TEST_F(IdLines, OneDocumentALine) {
  EXPECT_EQ(encode("ab\n"), "97 98 10\n");
  EXPECT_EQ(encode(""), "\n");
  EXPECT_EQ(encode("a;;b;", ";"), "97\n\n98\n");
}

TEST_F(IdLines, DecodingGivesTheBytes) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(decode(encode(bytes)), bytes);
  EXPECT_EQ(decode("97  98\t99\r\n\n100"), "abcd");
  EXPECT_EQ(decode("298 97 299\n"), "a") << "BOS and EOS stand for no bytes";
  EXPECT_EQ(decode(""), "");
}

TEST_F(IdLines, NamesTheLineOfABadId) {
  for (const std::string word : {"300", "-1", "x", "1.5", "99999999999999999999"}) {
    const std::string message = error_of(ErrorKind::data, [&] { decode("1 2\n3 " + word + "\n"); });
    EXPECT_TRUE(contains(message, "ids:2: '" + word + "'")) << message;
  }
}

}  // namespace
}  // namespace mythos
