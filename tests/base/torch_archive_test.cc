#include "base/torch_archive.h"

#include <gtest/gtest.h>

#include "../scratch.h"
#include "../torch_bytes.h"
#include "base/strings.h"

namespace mythos {
namespace {

using namespace test;
using namespace std::string_literals;

class TorchArchive : public ::testing::Test {
 protected:
  std::vector<TorchTensor> read(const std::string& bytes) {
    OutputFile file(path_);
    file.write(bytes);
    file.close();
    return read_torch_archive(MappedFile(path_));
  }
  std::string refused(const std::string& bytes) {
    return error_of(ErrorKind::data, [&] { read(bytes); });
  }
  // A file of one storage of six fp32 numbers.
  std::string of(const std::string& opcodes) {
    return torch_bytes(pickled(opcodes), {std::string(24, '\1')});
  }
  const Scratch scratch_;
  const fs::path path_ = scratch_ / "pytorch_model.bin";
};

const std::string kSix = storage("FloatStorage", "0", 6);

TEST_F(TorchArchive, ReadsTensorsThatShareAStorage) {
  for (const bool zip64 : {false, true}) {
    ZipBytes zip;
    zip.zip64 = zip64;
    const std::string numbers = "0123456789abcdefghijklmn";
    const std::string bytes =
        torch_bytes(pickled(dict({{"whole", tensor(kSix, 0, {2, 3}, {3, 1})},
                                  {"turned", tensor(kSix, 0, {3, 2}, {1, 3})},
                                  {"row", tensor(kSix, 3, {3}, {1})},
                                  {"none", tensor(kSix, 6, {0, 3}, {3, 1})},
                                  {"half", tensor(storage("HalfStorage", "1", 1), 0, {}, {})},
                                  {"step", whole(3)}})),
                    {numbers, "hi"}, zip);
    const auto tensors = read(bytes);
    ASSERT_EQ(tensors.size(), 5u);
    EXPECT_EQ(tensors[0].name, "whole");
    EXPECT_EQ(bytes.substr(tensors[0].begin, 24), numbers);
    EXPECT_EQ(tensors[0].shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(tensors[1].begin, tensors[0].begin);
    EXPECT_EQ(tensors[1].strides, (std::vector<int64_t>{1, 3}));
    EXPECT_EQ(bytes.substr(tensors[2].begin, 4), "cdef");
    EXPECT_EQ(tensors[4].type, TorchType::f16);
    EXPECT_EQ(bytes.substr(tensors[4].begin, 2), "hi");
    EXPECT_TRUE(tensors[4].shape.empty());
  }
}

TEST_F(TorchArchive, TakesTheModelOfATrainingProgramsDictionary) {
  const auto one = tensor(kSix, 0, {6}, {1});
  const auto tensors = read(of(dict({{"optimizer", dict({{"moment", one}})},
                                     {"step", whole(7)},
                                     {"model", dict({{"w", one}})}})));
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].name, "w");
  EXPECT_TRUE(contains(refused(of(dict({{"step", whole(7)}}))), "holds no tensors"));
}

TEST_F(TorchArchive, KnowsTheOpcodesAroundTensors) {
  // Plain dictionaries, memory, lists, long and short numbers, parameters, attributes.
  const std::string parameter = global("torch._utils", "_rebuild_parameter") + "(" +
                                tensor(kSix, 0, {6}, {1}) + "\x88" + "}tR";
  const std::string list = "](K\1M\1\1\x8a\2\1\1G" + std::string(8, '\0') +
                           "N\x89"
                           "e"
                           "K\2a";
  const auto tensors = read(of("}q\1(" + text("w") + parameter + text("list") + list + "u" +
                               text("pair") + "K\1K\2\x86s" + "}" + text("_metadata") + "}sb" +
                               "r\xff\xff\0\0"s + "h\1" + "j\xff\xff\0\0"s + "\x86" +
                               "K\0\x85"s
                               "q\2" +
                               "}(" + text("state_dict") + "h\1" + "u"));
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].name, "w");
}

TEST_F(TorchArchive, RefusesEverythingElseByNameAndByte) {
  const auto expect = [&](const std::string& opcodes, const std::string& message) {
    const std::string found = refused(of(opcodes));
    EXPECT_TRUE(contains(found, message)) << found;
    EXPECT_TRUE(contains(found, "Nothing of it was run")) << found;
  };
  expect(global("os", "system") + text("true") + "\x85R",
         "data.pkl, byte 2: global 'os.system' is none that tensors need");
  expect(global("torch", "load"), "global 'torch.load'");
  expect("i__builtin__\neval\n", "byte 2: opcode INST is none");
  expect("}(\x8c\1w", "byte 4: opcode SHORT_BINUNICODE");
  expect("\x93", "opcode STACK_GLOBAL");
  expect("\x81", "opcode NEWOBJ");
  expect("2", "opcode DUP");
  expect("\xff", "byte 2: 0xff is no opcode");
  expect("K\1)R", "what is called is a whole number");
  expect(global("collections", "OrderedDict") + "]\x85R", "made from something");
  expect("K\1", "it holds a whole number");
  expect("R", "nothing is on the stack");
  expect("(R", "nothing is on the stack");
  expect("u", "no MARK");
  expect("}(" + text("w") + "u", "a key without a value");
  expect("h\7", "nothing was put at 7");
  expect("X\xff\xff\xff\xff", "the pickle ends within an opcode");
  expect("\x8a\x09" + std::string(9, '\1'), "more than 64 bits");
  expect("K\1K\2a", "instead of a list there is a whole number");
  EXPECT_TRUE(contains(refused(torch_bytes("\x80\4}.", {})), "protocol 4 instead of 2"));
}

TEST_F(TorchArchive, RefusesTensorsOutsideTheirStorage) {
  const auto message = [&](const std::string& value) { return refused(of(dict({{"w", value}}))); };
  EXPECT_TRUE(contains(message(tensor(kSix, 0, {7}, {1})), "outside its storage of 6 elements"));
  EXPECT_TRUE(contains(message(tensor(kSix, 1, {2, 3}, {3, 1})), "outside its storage"));
  EXPECT_TRUE(contains(message(tensor(kSix, 0, {2}, {6})), "outside its storage"));
  EXPECT_TRUE(contains(message(tensor(kSix, -1, {1}, {1})), "outside its storage"));
  EXPECT_TRUE(contains(message(tensor(kSix, 0, {1}, {-1})), "a stride is -1"));
  EXPECT_TRUE(contains(message(tensor(kSix, 0, {-1}, {1})), "a tensor's size is -1"));
  EXPECT_TRUE(contains(message(tensor(kSix, 0, {1, 1}, {1})), "shape and strides differ"));
  const int32_t large = 1 << 30;
  EXPECT_TRUE(contains(message(tensor(kSix, 0, {large, large, large}, {0, 0, 0})), "outside"));
  EXPECT_TRUE(contains(message(tensor(storage("FloatStorage", "0", 7), 0, {1}, {1})),
                       "has 24 bytes, less than its 7 elements of 4 bytes: truncated?"));
  EXPECT_TRUE(contains(message(tensor(storage("FloatStorage", "9", 1), 0, {1}, {1})),
                       "storage 'archive/data/9' is not in the archive"));
}

TEST_F(TorchArchive, RefusesDamagedArchives) {
  const std::string good = of(dict({{"w", tensor(kSix, 0, {6}, {1})}}));
  EXPECT_EQ(read(good).size(), 1u);
  for (size_t size = 16; size < good.size(); size += 7) {
    EXPECT_TRUE(contains(refused(good.substr(0, size)), "truncated?")) << size;
  }
  ZipBytes zip;
  zip.method = 8;
  EXPECT_TRUE(contains(refused(torch_bytes("", {}, zip)), "is compressed (method 8)"));
  zip.method = 0;
  zip.flags = 1;
  EXPECT_TRUE(contains(refused(torch_bytes("", {}, zip)), "is encrypted"));
  zip.flags = 0;
  zip.add("archive/version", "3\n");
  EXPECT_TRUE(
      contains(refused(torch_bytes("", {}, zip)), "'archive/version' is in the archive twice"));
  ZipBytes other;
  other.add("word/document.xml", "<>");
  EXPECT_TRUE(contains(refused(other.finish()), "0 members 'data.pkl' instead of one"));
  ZipBytes big;
  big.add("byteorder", "big");
  big.add("data.pkl", "");
  EXPECT_TRUE(contains(refused(big.finish("and a comment")), "byte order 'big'"));
  EXPECT_TRUE(contains(refused("\x80\x02\x8a\nl\xfc\x9c"
                               "F\xf9 j\xa8P\x19."),
                       "before 1.6"));
  EXPECT_TRUE(contains(refused("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"));
}

}  // namespace
}  // namespace mythos
