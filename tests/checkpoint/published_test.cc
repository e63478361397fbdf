#include "checkpoint/published.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "../scratch.h"
#include "../torch_bytes.h"
#include "base/sha256.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "infer/engine/decoder.h"
#include "ops/linear/matrix.h"
#include "sample.h"

namespace mythos {
namespace {

// A small model as Ouro's are published, in bf16.
nlohmann::json ouro_config(bool tied = false) {
  return {{"architectures", {"OuroForCausalLM"}},
          {"model_type", "ouro"},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 1e6},
          {"rope_scaling", nullptr},
          {"attention_dropout", 0.0},
          {"use_sliding_window", false},
          {"early_exit_threshold", 1.0},
          {"tie_word_embeddings", tied},
          {"use_cache", true},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"vocab_size", 300},
          {"hidden_size", 32},
          {"intermediate_size", 48},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"total_ut_steps", 3},
          {"layer_types", {"full_attention", "full_attention"}}};
}

class Published : public testing::Test {
 protected:
  Published() { publish(); }

  // Writes config.json and draws the tensors; files of weights are each test's.
  void publish(bool tied = false) {
    const nlohmann::json json = ouro_config(tied);
    write_file_atomic(folder_ / "config.json", json.dump());
    const Config config = config_from_hf(json, "config.json");
    model_ = std::make_unique<Model>(config.model);
    model_->parameters.initialize(config.model, 1);
    const at::NoGradGuard no_grad;
    TensorMap native;
    for (const Parameters::Item& item : model_->parameters.items()) {
      item.tensor.copy_(item.tensor.to(at::kBFloat16));
      native[item.name] = item.tensor.detach().to(at::kBFloat16);
    }
    tensors_ = to_hf(config.model, native);
  }
  void write_one_file() {
    write_safetensors(folder_ / "model.safetensors", {tensors_.begin(), tensors_.end()});
  }
  // Two shards and their index, as they are published.
  void write_shards() {
    NamedTensors shards[2];
    nlohmann::json map = nlohmann::json::object();
    size_t i = 0;
    for (const auto& item : tensors_) {
      shards[i % 2].push_back(item);
      map[item.first] = shard(i++ % 2).filename().string();
    }
    for (const size_t j : {0, 1}) write_safetensors(shard(j), shards[j]);
    write_file_atomic(folder_ / "model.safetensors.index.json",
                      nlohmann::json({{"weight_map", map}}).dump());
  }
  // pytorch_model.bin, each tensor with a storage of its own.
  void write_torch_file() {
    std::vector<std::pair<std::string, std::string>> entries;
    std::vector<std::string> storages;
    for (const auto& [name, tensor] : tensors_) {
      const at::Tensor values = tensor.contiguous();
      std::vector<int32_t> shape(values.sizes().begin(), values.sizes().end());
      std::vector<int32_t> strides(values.strides().begin(), values.strides().end());
      const std::string from = test::storage("BFloat16Storage", std::to_string(storages.size()),
                                             static_cast<int32_t>(values.numel()));
      entries.emplace_back(name, test::tensor(from, 0, shape, strides));
      storages.emplace_back(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
    }
    write_file_atomic(folder_ / "pytorch_model.bin",
                      test::torch_bytes(test::pickled(test::dict(entries)), storages));
  }
  fs::path shard(size_t i) const {
    return folder_ /
           (i == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors");
  }
  LoadedCheckpoint load(LoadFor purpose = LoadFor::computing) const {
    return load_checkpoint(folder_.path(), at::kCPU, purpose);
  }
  std::string refused(LoadFor purpose = LoadFor::computing) const {
    return error_of(ErrorKind::data, [&] { load(purpose); });
  }
  void expect_same_model() const {
    const LoadedCheckpoint loaded = load();
    EXPECT_EQ(loaded.path, folder_.path());
    EXPECT_FALSE(loaded.was_trained());
    for (const Parameters::Item& item : model_->parameters.items()) {
      const at::Tensor& read = loaded.model->parameters.at(item.name);
      EXPECT_EQ(read.scalar_type(), is_cast(item.use) ? at::kBFloat16 : at::kFloat) << item.name;
      EXPECT_TRUE(at::equal(read.to(at::kFloat), item.tensor)) << item.name;
    }
  }
  // Whether a tensor's memory is not LibTorch's, but a file's.
  static bool is_mapped(const at::Tensor& tensor) {
    return tensor.storage().allocator() == nullptr;
  }

  const Scratch folder_;
  std::unique_ptr<Model> model_;
  TensorMap tensors_;
};

TEST_F(Published, AFileShardsAndAPyTorchFileAreTheSameModel) {
  write_torch_file();
  expect_same_model();
  fs::remove(folder_ / "pytorch_model.bin");
  write_shards();
  expect_same_model();
  fs::remove(folder_ / "model.safetensors.index.json");
  expect_same_model();
  for (const size_t i : {0, 1}) fs::remove(shard(i));
  write_one_file();
  expect_same_model();
}

TEST_F(Published, WeightsAreComputedWithWhereTheyLie) {
  write_shards();
  LoadedCheckpoint loaded = load();
  const Parameters& parameters = loaded.model->parameters;
  EXPECT_TRUE(is_mapped(parameters.at("embed.weight")));
  EXPECT_TRUE(is_mapped(parameters.at("core.0.ffn.down.weight")));
  EXPECT_FALSE(is_mapped(parameters.at("core.0.attn.qkv.weight")));
  // Nobody else holds it, so that its pages go back as it is rounded.
  EXPECT_EQ(parameters.at("core.0.ffn.down.weight").storage().use_count(), 1u);
  const Weights weights = make_inference_weights(
      loaded.config.model, std::move(loaded.model->parameters), at::kBFloat16, WeightFormat::plain);
  EXPECT_TRUE(is_mapped(weights.embed));
  EXPECT_TRUE(is_mapped(weights.head.values));
  EXPECT_TRUE(is_mapped(weights.core.layers[1].dense.down.values));
}

// A file has gate_proj and up_proj one behind the other, but not q_proj, k_proj and v_proj.
TEST_F(Published, RowsThatLieTogetherAreOneMappedTensor) {
  write_one_file();
  LoadedCheckpoint loaded = load();
  const Parameters& parameters = loaded.model->parameters;
  EXPECT_TRUE(is_mapped(parameters.at("core.1.ffn.gate_up.weight")));
  EXPECT_FALSE(is_mapped(parameters.at("core.1.attn.qkv.weight")));
  expect_same_model();
  // A tensor between them keeps them apart.
  NamedTensors apart;
  for (const auto& item : tensors_) {
    if (!item.first.ends_with("up_proj.weight")) apart.push_back(item);
  }
  for (const auto& item : tensors_) {
    if (item.first.ends_with("up_proj.weight")) apart.push_back(item);
  }
  write_safetensors(folder_ / "model.safetensors", apart);
  loaded = load();
  EXPECT_FALSE(is_mapped(loaded.model->parameters.at("core.0.ffn.gate_up.weight")));
  expect_same_model();
}

TEST_F(Published, TextIsDecodedFromTheFilesNumbersAsFromFp32) {
  write_shards();
  const auto logits_of = [&](ComputeType type) {
    LoadedCheckpoint loaded = load(LoadFor::decoding);
    Decoder::Options options;
    options.compute_type = type;
    Decoder decoder(std::move(*loaded.model), options);
    EXPECT_EQ(decoder.weights().compute_type, at::kFloat);
    EXPECT_EQ(is_mapped(decoder.weights().head.values), type == ComputeType::automatic);
    const auto cache = decoder.make_cache(3, 40);
    std::vector<uint32_t> ids(37);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<uint32_t>(7 * i % 300);
    std::vector<float> all, one(300);
    const std::span<const uint32_t> rest(ids);
    decoder.prefill(*cache, rest.first(9), one.data());  // row by row: to the bit
    all.insert(all.end(), one.begin(), one.end());
    decoder.prefill(*cache, rest.subspan(9, 20), one.data());
    all.insert(all.end(), one.begin(), one.end());
    return all;
  };
  const std::vector<float> kept = logits_of(ComputeType::automatic),
                           wide = logits_of(ComputeType::fp32);
  for (size_t i = 0; i < 300; ++i) ASSERT_EQ(kept[i], wide[i]) << i;
  for (size_t i = 300; i < 600; ++i) ASSERT_NEAR(kept[i], wide[i], 1e-5) << i;
}

TEST_F(Published, OnlyTextDoesWithoutALookAtAllWeights) {
  tensors_.at("model.norm.weight")[5] = NAN;
  write_shards();
  const auto warnings = [&](LoadFor purpose) {
    testing::internal::CaptureStderr();
    const LoadedCheckpoint loaded = load(purpose);
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(loaded.nonfinite.count(), purpose == LoadFor::decoding ? 0 : 1);
    return text;
  };
  EXPECT_TRUE(contains(warnings(LoadFor::computing), "1 value in 1 tensor is not finite"));
  EXPECT_TRUE(contains(warnings(LoadFor::training), "1 value in 1 tensor is not finite"));
  EXPECT_FALSE(contains(warnings(LoadFor::decoding), "finite"));
}

TEST_F(Published, IsListedAndVerified) {
  write_shards();
  const auto config = published_config(folder_.path());
  ASSERT_TRUE(config);
  const PublishedSummary found = summarise_published(folder_.path(), *config);
  EXPECT_EQ(found.family, "ouro");
  EXPECT_EQ(found.loops, 3);
  EXPECT_EQ(found.files, (std::vector<std::string>{shard(0).filename(), shard(1).filename()}));
  EXPECT_EQ(found.bytes, fs::file_size(shard(0)) + fs::file_size(shard(1)));
  EXPECT_EQ(found.tensors, static_cast<int64_t>(tensors_.size()));
  int64_t numbers = 0;
  for (const auto& [name, tensor] : tensors_) numbers += tensor.numel();
  EXPECT_EQ(found.types, (std::map<std::string, int64_t>{{"BF16", numbers}}));
  EXPECT_EQ(found.parameters, numbers);
  EXPECT_EQ(found.tokenizer, "");
  EXPECT_TRUE(found.left_out.empty());
  const auto faults = [&] { return verify_published(folder_.path(), *config).faults; };
  EXPECT_TRUE(faults().empty());
  fs::resize_file(shard(1), fs::file_size(shard(1)) - 1);
  ASSERT_EQ(faults().size(), 1u);
  EXPECT_TRUE(contains(faults()[0], "truncated?"));
}

// As the library huggingface_hub leaves them: beside files of a directory, and links in its cache.
TEST_F(Published, DownloadsAreComparedWithTheHubsChecksums) {
  write_shards();
  const auto config = published_config(folder_.path());
  const auto check = [&] { return verify_published(folder_.path(), *config); };
  EXPECT_TRUE(check().compared.empty());
  const auto sum = [&](size_t i) { return sha256(MappedFile(shard(i)).bytes()); };
  const fs::path told = folder_ / ".cache" / "huggingface" / "download";
  fs::create_directories(told);
  write_file_atomic(told / (shard(0).filename().string() + ".metadata"),
                    "0123\n" + sum(0) + "\n1700000000.5\n");
  fs::create_directory(folder_ / "blobs");
  const fs::path blob = folder_ / "blobs" / sum(1);
  fs::rename(shard(1), blob);
  fs::create_symlink(blob, shard(1));
  EXPECT_TRUE(check().faults.empty());
  EXPECT_EQ(check().compared.size(), 2u);
  // A number that changes is as good as any other to the reader.
  std::string bytes = read_file(shard(0));
  bytes[bytes.size() - 2] = static_cast<char>(bytes[bytes.size() - 2] ^ 1);
  write_file_atomic(shard(0), bytes);
  ASSERT_EQ(check().faults.size(), 1u);
  EXPECT_TRUE(contains(check().faults[0], "model-00001-of-00002.safetensors: SHA-256 "));
  // A small file's name on the hub is no SHA-256.
  write_file_atomic(told / (shard(0).filename().string() + ".metadata"),
                    "0123\n0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\n");
  EXPECT_EQ(check().compared, std::vector<std::string>{shard(1).filename()});
}

TEST_F(Published, ComputesAsTheModelDoesInEveryFormat) {
  write_shards();
  const auto logits_of = [](const ModelConfig& config, const Weights& weights) {
    const at::NoGradGuard no_grad;
    const at::Tensor ids = at::arange(24).view({2, 12});
    return logits(weights, forward(config, weights, ids).hidden);
  };
  for (const auto format : {WeightFormat::plain, WeightFormat::int8, WeightFormat::int4}) {
    for (const auto type : {at::kBFloat16, at::kFloat}) {
      LoadedCheckpoint loaded = load();
      const ModelConfig& config = loaded.config.model;
      const Weights read =
          make_inference_weights(config, std::move(loaded.model->parameters), type, format);
      Parameters copy = model_->parameters;
      const Weights expected = make_inference_weights(config, std::move(copy), type, format);
      EXPECT_TRUE(at::equal(logits_of(config, read), logits_of(config, expected)));
    }
  }
}

TEST_F(Published, BeginsTraining) {
  write_shards();
  const LoadedCheckpoint loaded = load(LoadFor::training);
  Parameters filled(loaded.config.model, at::kCPU, ParameterMemory::later);
  for (const Parameters::Item& item : model_->parameters.items()) {
    filled.fill(item.name, loaded.model->parameters);
    const at::Tensor& read = filled.at(item.name);
    EXPECT_EQ(read.scalar_type(), at::kFloat);
    EXPECT_EQ(read.requires_grad(), is_trained(item.use));
    EXPECT_FALSE(is_mapped(read));
    EXPECT_TRUE(at::equal(read.detach(), item.tensor.detach())) << item.name;
  }
  EXPECT_TRUE(contains(refused(LoadFor::resuming), "holds no state of a training run"));
  EXPECT_TRUE(contains(refused(LoadFor::averages), "holds no averages of the weights"));
}

TEST_F(Published, ItsTokenizerComesWithIt) {
  write_one_file();
  EXPECT_EQ(load().tokenizer, nullptr);
  write_file_atomic(folder_ / "tokenizer.model", sample_vocabulary());
  LoadedCheckpoint loaded = load();
  ASSERT_NE(loaded.tokenizer, nullptr);
  EXPECT_EQ(loaded.tokenizer->vocab_size(), 290);
  EXPECT_FALSE(loaded.documents);
  write_file_atomic(folder_ / "tokenizer_config.json", R"({"add_bos_token": true})");
  loaded = load();
  ASSERT_TRUE(loaded.documents);
  EXPECT_EQ(loaded.documents->bos, Share::all);
}

TEST_F(Published, DamagedFilesAreNamed) {
  write_shards();
  fs::resize_file(shard(1), fs::file_size(shard(1)) - 1);
  EXPECT_TRUE(contains(refused(), "model-00002-of-00002.safetensors"));
  EXPECT_TRUE(contains(refused(), "truncated?"));
  write_file_atomic(shard(1), "version https://git-lfs.github.com/spec/v1\noid sha256:4\nsize 9\n");
  EXPECT_TRUE(contains(refused(), "a Git LFS pointer"));
  EXPECT_TRUE(contains(refused(), "Run git lfs pull"));
  fs::remove(shard(1));
  EXPECT_TRUE(contains(refused(), "shard 'model-00002-of-00002.safetensors' is absent"));
  write_shards();
  write_safetensors(folder_ / "stray.safetensors", {{"z", at::ones(1)}});
  testing::internal::CaptureStderr();
  load();
  EXPECT_TRUE(contains(testing::internal::GetCapturedStderr(), "left out: 'stray.safetensors'"));
}

TEST_F(Published, WrappersPrefixesAreTakenOff) {
  TensorMap wrapped;
  for (const auto& [name, tensor] : tensors_) wrapped["_orig_mod.module." + name] = tensor;
  tensors_ = wrapped;
  write_one_file();
  expect_same_model();
}

TEST_F(Published, ATiedHeadMayBeAbsentOrThereTwice) {
  publish(/*tied=*/true);
  write_one_file();
  expect_same_model();
  tensors_["lm_head.weight"] = tensors_.at("model.embed_tokens.weight");
  write_one_file();
  expect_same_model();
  tensors_["lm_head.weight"] = tensors_.at("lm_head.weight") + 1;
  write_one_file();
  EXPECT_TRUE(contains(refused(), "'lm_head.weight' differs from 'model.embed_tokens.weight'"));
}

TEST_F(Published, ATensorOfAnotherModelIsNamed) {
  const at::Tensor taken = tensors_.at("model.norm.weight");
  tensors_.erase("model.norm.weight");
  write_one_file();
  EXPECT_TRUE(contains(refused(), "'model.norm.weight' of shape [32] is missing"));
  tensors_["model.norm.weight"] = at::ones(33);
  write_one_file();
  EXPECT_TRUE(contains(refused(), "[33]"));
  tensors_["model.norm.weight"] = at::ones(32, at::kInt);
  write_one_file();
  EXPECT_TRUE(contains(refused(), "'model.norm.weight' is of type I32"));
  tensors_["model.norm.weight"] = taken;
  nlohmann::json json = ouro_config();
  json["model_type"] = "mamba";
  write_file_atomic(folder_ / "config.json", json.dump());
  EXPECT_TRUE(contains(refused(), "mamba"));
}

}  // namespace
}  // namespace mythos
