#include "data/read/byte_stream.h"

#include <gtest/gtest.h>

#include "compress.h"
#include "plain_file.h"
#include "scratch.h"

namespace mythos {
namespace {

struct Compression {
  std::string suffix, name;
  std::string (*compress)(const std::string&);
};
void PrintTo(const Compression& compression, std::ostream* out) {
  *out << compression.name;
}
const Compression kCompressions[] = {
    {".zst", "Zstandard", zstd_of}, {".gz", "gzip", gzip_of}, {".xz", "xz", xz_of}};

std::string read_stream(const std::string& path, size_t piece_bytes = 100000) {
  const auto stream = open_byte_stream(path);
  std::string got, piece(piece_bytes, '\0');
  while (const size_t size = stream->read(piece)) got.append(piece, 0, size);
  EXPECT_EQ(stream->stored_bytes(), fs::file_size(path));
  return got;
}

class ByteStreams : public testing::TestWithParam<Compression> {
 protected:
  std::string file(const std::string& name, const std::string& content) {
    write_plain(scratch_ / name, content);
    return (scratch_ / name).string();
  }
  std::string packed(const std::string& name, const std::string& text) {
    return file(name, GetParam().compress(text));
  }
  std::string error_of_reading(const std::string& path) {
    return error_of(ErrorKind::data, [&] { read_stream(path); });
  }
  Scratch scratch_;
};

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += std::to_string(i) + "\n";
  return text;
}

TEST_P(ByteStreams, KnownByNameAndByContent) {
  const std::string text = numbers(200000);
  EXPECT_EQ(read_stream(packed("f" + GetParam().suffix, text)), text);
  EXPECT_EQ(open_byte_stream(packed("f", text))->compression(), GetParam().name);
  EXPECT_EQ(open_byte_stream(file("f", text))->compression(), "");
  EXPECT_EQ(read_stream(packed("f", text)), text);
  EXPECT_EQ(read_stream(packed("none" + GetParam().suffix, "")), "");
}

TEST_P(ByteStreams, SeveralStreamsOneAfterTheOther) {
  std::string joined, text;
  for (const std::string& part : {numbers(100), std::string(), std::string("x"), numbers(70000)}) {
    joined += GetParam().compress(part);
    text += part;
  }
  const std::string path = file("f" + GetParam().suffix, joined);
  EXPECT_EQ(read_stream(path), text);
  EXPECT_EQ(read_stream(path, 7), text);
}

// All input is taken long before the output has been given out.
TEST_P(ByteStreams, InSmallPieces) {
  const std::string text(300000, 'a');
  EXPECT_EQ(read_stream(packed("f", text), 7), text);
}

TEST_P(ByteStreams, CutOffAnywhere) {
  const std::string whole = GetParam().compress("some text that does not repeat 0123456789");
  for (size_t size = 10; size < whole.size(); ++size) {
    const std::string path = file("cut" + GetParam().suffix, whole.substr(0, size));
    const std::string message = error_of_reading(path);
    EXPECT_TRUE(contains(message, path + ": byte " + std::to_string(size) + ": the " +
                                      GetParam().name + " data are cut off"))
        << message;
  }
}

TEST_P(ByteStreams, Corrupt) {
  const std::string text = numbers(20000);
  std::string damaged = GetParam().compress(text);
  for (size_t i = 0; i < 16; ++i) damaged[damaged.size() / 2 + i] ^= 0x55;
  const std::string path = file("damaged" + GetParam().suffix, damaged);
  const std::string message = error_of_reading(path);
  EXPECT_TRUE(contains(message, path + ": byte ") &&
              contains(message, "corrupt " + GetParam().name + " data ("))
      << message;
  const std::string trailing = file("trailing", GetParam().compress(text) + "what is no stream");
  EXPECT_TRUE(contains(error_of_reading(trailing), "corrupt")) << error_of_reading(trailing);
}

TEST_P(ByteStreams, ANameThatDoesNotFit) {
  const std::string fake = file("fake" + GetParam().suffix, "plain text");
  const std::string message = error_of_reading(fake);
  EXPECT_TRUE(contains(message, fake + ": byte 0: by its name this is " + GetParam().name))
      << message;
  EXPECT_TRUE(contains(error_of_reading(file("fake" + GetParam().suffix,
                                             "version https://git-lfs.github.com/spec/v1")),
                       "It is a Git LFS pointer"));
}

TEST_P(ByteStreams, PeekTakesNothing) {
  const std::string path = packed("f", "0123456789");
  const auto stream = open_byte_stream(path);
  EXPECT_EQ(stream->peek(4).substr(0, 4), "0123");
  std::string got(20, '\0');
  got.resize(stream->read(got));
  std::string rest(20, '\0');
  rest.resize(stream->read(rest));
  EXPECT_EQ(got + rest, "0123456789");
}

TEST_P(ByteStreams, SplitsNames) {
  const std::string path = "a/b.jsonl" + GetParam().suffix;
  const CompressedName name = split_compression(path);
  EXPECT_EQ(name.path, "a/b.jsonl");
  EXPECT_EQ(name.compression, GetParam().name);
  std::string upper = "A/B.JSONL" + GetParam().suffix;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(split_compression(upper).path, "A/B.JSONL");
}

INSTANTIATE_TEST_SUITE_P(All, ByteStreams, testing::ValuesIn(kCompressions),
                         [](const auto& param) { return param.param.name; });

class OtherStreams : public ByteStreams {};
INSTANTIATE_TEST_SUITE_P(Plain, OtherStreams, testing::Values(kCompressions[0]));

TEST_P(OtherStreams, PaddingBetweenXzStreams) {
  const std::string padding(8, '\0'), one = xz_of("one "), two = xz_of("two");
  EXPECT_EQ(read_stream(file("f.xz", one + padding + two + padding)), "one two");
  EXPECT_TRUE(contains(error_of_reading(file("odd.xz", one + std::string(3, '\0') + two)),
                       "corrupt xz data"));
  EXPECT_TRUE(contains(error_of_reading(file("odd.xz", one + std::string(3, '\0'))), "cut off"));
}

// The 16 magic numbers of skippable frames, in front (as pzstd writes), between and behind frames.
TEST_P(OtherStreams, SkippableZstandardFrames) {
  for (int number = 0; number < 16; ++number) {
    std::string skipped("\x50\x2A\x4D\x18\4\0\0\0(\0\0\0", 12);
    skipped[0] = static_cast<char>(0x50 + number);
    const std::string frames = skipped + zstd_of("one ") + skipped + zstd_of("two") + skipped;
    EXPECT_EQ(read_stream(file("f.zst", frames)), "one two");
    EXPECT_EQ(read_stream(file("f", frames), 1), "one two");
    EXPECT_EQ(read_stream(file("f.zst", skipped)), "");
    EXPECT_TRUE(contains(error_of_reading(file("f.zst", skipped.substr(0, 11))), "cut off"));
  }
}

TEST_P(OtherStreams, ZerosBehindGzip) {
  const std::string zeros(300000, '\0'), one = gzip_of("one "), two = gzip_of("two");
  EXPECT_EQ(read_stream(file("f.gz", one + zeros)), "one ");
  EXPECT_EQ(read_stream(file("f.gz", one + std::string(3, '\0') + two + zeros), 1), "one two");
  EXPECT_TRUE(contains(error_of_reading(file("f.gz", one + zeros + "what is no member")),
                       "corrupt gzip data"));
}

// As bgzip writes it: members with an extra field, and an empty one at the end.
TEST_P(OtherStreams, BlockedGzip) {
  constexpr std::string_view kEnd(
      "\x1f\x8b\x08\x04\0\0\0\0\0\xff\6\0BC\2\0\x1b\0\3\0\0\0\0\0\0\0\0\0", 28);
  const std::string path = file("f.gz", gzip_of("one ") + gzip_of("two") + std::string(kEnd));
  EXPECT_EQ(read_stream(path), "one two");
}

}  // namespace
}  // namespace mythos
