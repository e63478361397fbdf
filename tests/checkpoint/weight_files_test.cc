#include "checkpoint/weight_files.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "../torch_bytes.h"

namespace mythos {
namespace {

// Two shards and their index in a folder.
class WeightFiles : public testing::Test {
 protected:
  WeightFiles() {
    write_safetensors(first_, {{"a", at::full({2}, 1)}, {"b", at::full({2}, 2)}});
    write_safetensors(second_, {{"c", at::full({2}, 3)}});
    map_ = {{"a", first_.filename()}, {"b", first_.filename()}, {"c", second_.filename()}};
    write_index();
  }
  void write_index() {
    write_file_atomic(
        index_, nlohmann::json({{"metadata", {{"total_size", 24}}}, {"weight_map", map_}}).dump());
  }
  void cut(const fs::path& file) { fs::resize_file(file, fs::file_size(file) - 1); }

  static TensorMap read(const fs::path& path) { return read_weights(path, {}).tensors; }
  static std::string refusal(const fs::path& path, ErrorKind kind = ErrorKind::data) {
    return error_of(kind, [&] { read(path); });
  }

  const Scratch scratch_;
  const fs::path first_ = scratch_ / "model-00001-of-00002.safetensors";
  const fs::path second_ = scratch_ / "model-00002-of-00002.safetensors";
  const fs::path index_ = scratch_ / "model.safetensors.index.json";
  std::map<std::string, std::string> map_;
};

TEST_F(WeightFiles, IndexFolderAndShardAllMeanTheWholeModel) {
  for (const fs::path& path : {index_, scratch_.path(), first_, second_}) {
    const TensorMap tensors = read(path);
    ASSERT_EQ(tensors.size(), 3u) << path;
    EXPECT_EQ(tensors.at("c")[0].item<float>(), 3) << path;
  }
  fs::remove(index_);
  for (const fs::path& path : {scratch_.path(), first_, second_}) {
    EXPECT_EQ(read(path).size(), 3u) << path;
  }
}

TEST_F(WeightFiles, AnIndexedFileOfAnyNameIsAShard) {
  fs::rename(first_, scratch_ / "left.safetensors");
  map_["a"] = map_["b"] = "left.safetensors";
  write_index();
  EXPECT_EQ(read(scratch_ / "left.safetensors").size(), 3u);
}

TEST_F(WeightFiles, AFileThatNoIndexNamesIsReadAlone) {
  write_safetensors(scratch_ / "other.safetensors", {{"z", at::ones(1)}});
  EXPECT_EQ(read(scratch_ / "other.safetensors").size(), 1u);
  // The folder's index leaves it out.
  EXPECT_EQ(read(scratch_.path()).size(), 3u);
}

TEST_F(WeightFiles, AbsentShardsAreNamed) {
  fs::remove(first_);
  for (const fs::path& path : {index_, scratch_.path(), second_}) {
    EXPECT_EQ(refusal(path),
              index_.string() + ": shard 'model-00001-of-00002.safetensors' is absent");
  }
  fs::remove(second_);
  EXPECT_TRUE(contains(refusal(index_),
                       "'model-00001-of-00002.safetensors' is absent; shard "
                       "'model-00002-of-00002.safetensors' is absent"));
}

TEST_F(WeightFiles, NumberedShardsNeedNoIndexToBeMissed) {
  fs::remove(index_);
  fs::remove(first_);
  for (const fs::path& path : {scratch_.path(), second_}) {
    EXPECT_EQ(refusal(path),
              path.string() + ": shard 'model-00001-of-00002.safetensors' is absent");
  }
}

TEST_F(WeightFiles, EveryCutShardIsNamed) {
  cut(first_);
  cut(second_);
  const std::string message = refusal(index_);
  EXPECT_TRUE(contains(message, first_.string() + ": byte ")) << message;
  EXPECT_TRUE(contains(message, second_.string() + ": byte ")) << message;
  EXPECT_TRUE(contains(message, "truncated?")) << message;
}

TEST_F(WeightFiles, StrayTensorsAreNamed) {
  write_safetensors(first_, {{"a", at::ones(2)}, {"b", at::ones(2)}, {"e", at::ones(2)}});
  map_["e"] = first_.filename();
  map_.erase("a");
  map_["d"] = second_.filename();
  map_["b"] = second_.filename();
  write_index();
  EXPECT_EQ(refusal(index_),
            index_.string() +
                ": tensor 'a' of 'model-00001-of-00002.safetensors' is not in the index; "
                "tensor 'b' is not in 'model-00002-of-00002.safetensors', where the index has it, "
                "but in 'model-00001-of-00002.safetensors'; "
                "tensor 'd' is not in 'model-00002-of-00002.safetensors', where the index has it");
}

TEST_F(WeightFiles, ATensorOfTwoShardsIsNamed) {
  write_safetensors(second_, {{"b", at::ones(2)}, {"c", at::ones(2)}});
  EXPECT_TRUE(contains(refusal(index_),
                       "tensor 'b' is in both 'model-00001-of-00002.safetensors' and "
                       "'model-00002-of-00002.safetensors'"));
}

TEST_F(WeightFiles, TensorsThatArePassedOverMayBeInTheIndex) {
  const auto passed_over = [](const std::string& name) { return name == "b"; };
  EXPECT_EQ(read_weights(index_, passed_over).tensors.size(), 2u);
}

TEST_F(WeightFiles, OtherJsonIsNoIndex) {
  for (const char* text : {"{}", "[]", "1", R"({"weight_map":{}})", R"({"weight_map":[]})"}) {
    write_file_atomic(index_, text);
    EXPECT_TRUE(contains(refusal(index_), "not an index of files of weights")) << text;
  }
  for (const char* name : {"\"../x\"", "\"/x\"", "\"..\"", "\"\"", "1"}) {
    write_file_atomic(index_, std::string(R"({"weight_map":{"a":)") + name + "}}");
    EXPECT_TRUE(contains(refusal(index_), "is not the name of a file beside it")) << name;
  }
}

TEST_F(WeightFiles, OneOfSeveralIndicesMustBeNamed) {
  fs::copy_file(index_, scratch_ / "other.safetensors.index.json");
  EXPECT_TRUE(contains(refusal(scratch_.path(), ErrorKind::usage),
                       "model.safetensors.index.json, other.safetensors.index.json"));
}

// A PyTorch file of one fp32 tensor of two numbers.
void write_torch(const fs::path& path, const std::string& name, float value) {
  const std::string number = test::bytes_of(value);
  const std::string tensor = test::tensor(test::storage("FloatStorage", "0", 2), 0, {2}, {1});
  write_file_atomic(
      path, test::torch_bytes(test::pickled(test::dict({{name, tensor}})), {number + number}));
}

TEST(TorchWeightFiles, ShardsAndIndexAreThoseOfSafetensors) {
  const Scratch scratch;
  const fs::path first = scratch / "pytorch_model-00001-of-00002.bin";
  const fs::path second = scratch / "pytorch_model-00002-of-00002.bin";
  write_torch(first, "a", 1);
  write_torch(second, "b", 2);
  write_file_atomic(scratch / "training_args.bin", "a pickle of settings");
  const auto read = [&](const fs::path& path) { return read_weights(path, {}).tensors; };
  for (const fs::path& path : {scratch.path(), first, second}) {
    const TensorMap tensors = read(path);
    ASSERT_EQ(tensors.size(), 2u) << path;
    EXPECT_EQ(tensors.at("b")[1].item<float>(), 2);
  }
  const nlohmann::json map = {{"a", first.filename().string()}, {"b", second.filename().string()}};
  const fs::path index = scratch / "pytorch_model.bin.index.json";
  write_file_atomic(index, nlohmann::json({{"weight_map", map}}).dump());
  EXPECT_EQ(read(scratch.path()).size(), 2u);
  fs::remove(first);
  EXPECT_EQ(error_of(ErrorKind::data, [&] { read(scratch.path()); }),
            index.string() + ": shard 'pytorch_model-00001-of-00002.bin' is absent");
}

TEST(TorchWeightFiles, OneFileMustBeMeant) {
  const Scratch scratch;
  write_torch(scratch / "step-1.pt", "a", 1);
  EXPECT_EQ(read_weights(scratch.path(), {}).tensors.size(), 1u);
  write_torch(scratch / "step-2.pt", "a", 1);
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { read_weights(scratch.path(), {}); }),
                       "holds several files of weights: step-1.pt, step-2.pt"));
  EXPECT_EQ(read_weights(scratch / "step-2.pt", {}).tensors.size(), 1u);
  write_safetensors(scratch / "model.safetensors", {{"a", at::ones(3)}});
  EXPECT_EQ(read_weights(scratch.path(), {}).tensors.at("a").numel(), 3);
}

}  // namespace
}  // namespace mythos
