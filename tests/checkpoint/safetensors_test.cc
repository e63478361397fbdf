#include "checkpoint/safetensors.h"

#include <ATen/ATen.h>
#include <cstring>
#include <fstream>

#include "../scratch.h"

namespace mythos {
namespace {

void write_raw(const fs::path& path, const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), 8);
  out << header << std::string(data_bytes, '\1');
}

TEST(Safetensors, RoundTripsEveryType) {
  const Scratch scratch;
  NamedTensors tensors;
  for (const at::ScalarType type : {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt,
                                    at::kLong, at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    // Three elements: without ordering by width, later tensors would not be aligned.
    tensors.emplace_back(std::string("t.") + c10::toString(type),
                         at::tensor({0, 1, 1}, at::kFloat).to(type));
  }
  tensors.emplace_back("scalar", at::tensor(2.5f));
  tensors.emplace_back("empty", at::zeros({3, 0}));
  tensors.emplace_back("transposed", at::arange(6).reshape({2, 3}).t());
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"note", "a\"b\n"}};
  write_safetensors(scratch / "a.safetensors", tensors, metadata);

  const SafetensorsFile file = read_safetensors(scratch / "a.safetensors");
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    ASSERT_EQ(file.tensors.count(name), 1u) << name;
    const at::Tensor& read = file.tensors.at(name);
    EXPECT_EQ(read.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_EQ(read.sizes(), tensor.sizes()) << name;
    EXPECT_TRUE(at::equal(read, tensor)) << name;
  }
  for (const TensorExtent& extent : file.extents) {
    EXPECT_EQ(extent.begin % c10::elementSize(extent.dtype), 0u) << extent.name;
  }
}

TEST(Safetensors, DataBeginAtAMultipleOf64) {
  const Scratch scratch;
  write_safetensors(scratch / "a.safetensors", {{"x", at::ones({2})}});
  EXPECT_EQ(read_safetensors(scratch / "a.safetensors").extents.at(0).begin % 64, 0u);
}

TEST(Safetensors, TensorsOutliveTheFileObjectAndItsName) {
  const Scratch scratch;
  const fs::path path = scratch / "a.safetensors";
  write_safetensors(path, {{"x", at::arange(1000)}});
  at::Tensor x = read_safetensors(path).tensors.at("x");
  fs::remove(path);
  EXPECT_TRUE(at::equal(x, at::arange(1000)));
}

TEST(Safetensors, CopiesWhatAnotherWriterLeftUnaligned) {
  const Scratch scratch;
  const float value = 1.5f;
  std::string header = R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                       R"("x":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  bytes += header + "\7";
  bytes.append(reinterpret_cast<const char*>(&value), 4);
  write_file_atomic(scratch / "a.safetensors", bytes);
  EXPECT_EQ(read_safetensors(scratch / "a.safetensors").tensors.at("x").item<float>(), 1.5f);
}

struct BadFile {
  std::string name, header;
  size_t data_bytes;
  std::string expected;
};

void PrintTo(const BadFile& file, std::ostream* out) {
  *out << file.name;
}

class BadSafetensors : public testing::TestWithParam<BadFile> {};

TEST_P(BadSafetensors, IsRefusedWithFileAndPlace) {
  const Scratch scratch;
  const fs::path path = scratch / "bad.safetensors";
  write_raw(path, GetParam().header, GetParam().data_bytes);
  const std::string message = error_of(ErrorKind::data, [&] { read_safetensors(path); });
  EXPECT_TRUE(message.starts_with(path.string() + ": byte ")) << message;
  EXPECT_TRUE(contains(message, GetParam().expected)) << message;
}

const std::string kX = R"("x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";

INSTANTIATE_TEST_SUITE_P(
    Faults, BadSafetensors,
    testing::Values(
        BadFile{"NotJson", "{\"x\": ]}", 0, "byte 14: the header is not valid JSON"},
        BadFile{"NotUtf8", "{\"\xff\": 1}", 0, "not valid JSON"},
        BadFile{"NotAnObject", "[]", 0, "not a JSON object"},
        BadFile{"EntryNotAnObject", R"({"x":1})", 0, "tensor 'x': its entry is not an object"},
        BadFile{"NoType", R"({"x":{"shape":[2],"data_offsets":[0,8]}})", 8, "'x': no dtype"},
        BadFile{"UnknownType", R"({"x":{"dtype":"F4","shape":[2],"data_offsets":[0,8]}})", 8,
                "tensor 'x': unknown dtype 'F4'; known are BOOL,"},
        BadFile{"NoShape", R"({"x":{"dtype":"F32","data_offsets":[0,8]}})", 8, "'x': no shape"},
        BadFile{"NegativeShape", R"({"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8,
                "shape [-2] is not a list of whole numbers"},
        BadFile{"HugeShape",
                R"({"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8,
                "is larger than any memory"},
        BadFile{"HugeShapeWithZero",
                R"({"x":{"dtype":"U8","shape":[0,9223372036854775807,4],"data_offsets":[0,0]}})", 0,
                "is larger than any memory"},
        BadFile{"NoOffsets", R"({"x":{"dtype":"F32","shape":[2]}})", 8,
                "data_offsets is not a pair"},
        BadFile{"FractionalOffsets", R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0.0,8]}})",
                8, "data_offsets is not a pair"},
        BadFile{"BackwardOffsets", R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8,
                "data_offsets [8,0] reach outside the 8 bytes"},
        BadFile{"Truncated", "{" + kX + "}", 7, "data_offsets [0,8] reach outside the 7 bytes"},
        BadFile{"WrongSize", R"({"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
                "hold 8 bytes, but dtype F32 and shape [3] take 12"},
        BadFile{"Overlap", "{" + kX + R"(,"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                12, "tensor 'y' overlaps tensor 'x'"},
        BadFile{"Gap", "{" + kX + R"(,"y":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", 16,
                "4 bytes before tensor 'y' belong to no tensor"},
        BadFile{"TrailingBytes", "{" + kX + "}", 9, "1 bytes at the end of the file belong to no"},
        BadFile{"NameTwice", "{" + kX + "," + kX + "}", 8,
                "tensor 'x': the name occurs twice in the header"},
        BadFile{"KeyTwice", R"({"x":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})",
                8, "'shape': the name occurs twice"},
        BadFile{"MetadataNotStrings", R"({"__metadata__":{"a":1}})", 0, "'a' is not a string"}),
    [](const auto& info) { return info.param.name; });

TEST(Safetensors, RefusesFilesThatAreNone) {
  const Scratch scratch;
  const fs::path path = scratch / "x.safetensors";
  const auto read = [&] { read_safetensors(path); };
  EXPECT_TRUE(contains(error_of(ErrorKind::data, read), path.string()));
  write_file_atomic(path, "");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, read), "byte 0: the file has 0 bytes"));
  write_file_atomic(path, "1234567");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, read), "byte 0: the file has 7 bytes"));
  write_file_atomic(path, std::string(8, '\xff') + "{}");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, read), "byte 0: header length"));
  write_file_atomic(path, "PK\x03\x04 and the rest of a zip archive");
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, read), "Convert it with safetensors.torch.save_file"));
}

TEST(Safetensors, NamesAPointerToAFileThatWasNotFetched) {
  const Scratch scratch;
  const fs::path path = scratch / "x.safetensors";
  write_file_atomic(path, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n");
  const std::string message = error_of(ErrorKind::data, [&] { read_safetensors(path); });
  EXPECT_TRUE(contains(message, path.string() + ": a Git LFS pointer")) << message;
  EXPECT_TRUE(contains(message, "git lfs pull")) << message;
}

TEST(Safetensors, TensorsThatArePassedOverMayHaveAnyType) {
  const Scratch scratch;
  const fs::path path = scratch / "x.safetensors";
  write_raw(path,
            R"({"table":{"dtype":"C64","shape":[2],"data_offsets":[0,16]},)"
            R"("x":{"dtype":"F32","shape":[2],"data_offsets":[16,24]}})",
            24);
  const auto file = read_safetensors(path, [](const std::string& name) { return name == "table"; });
  EXPECT_EQ(file.tensors.size(), 1u);
  EXPECT_EQ(file.tensors.count("x"), 1u);
  EXPECT_EQ(file.extents.at(0).name, "table");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_safetensors(path); }),
                       "tensor 'table': unknown dtype 'C64'"));
  const auto none = [](const std::string&) { return false; };
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_safetensors(path, none); }), "'C64'"));
}

TEST(Safetensors, RefusesToWriteANameTwice) {
  const Scratch scratch;
  const NamedTensors twice = {{"x", at::ones(1)}, {"x", at::ones(1)}};
  error_of(ErrorKind::internal, [&] { write_safetensors(scratch / "a.safetensors", twice); });
  EXPECT_TRUE(fs::is_empty(scratch.path()));
}

}  // namespace
}  // namespace mythos
