#include "checkpoint/model_files.h"

#include "../scratch.h"
#include "checkpoint/exchange.h"
#include "checkpoint/hf_config.h"
#include "sample.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

constexpr const char* kTokenizerConfig =
    R"({"add_bos_token": true, "eos_token": {"content": "</s>", "lstrip": false},  "chat_template": "t"})";
constexpr const char* kGeneration = R"({"eos_token_id": [2, 7],  "temperature": 0.5})";

class ModelFilesTest : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& content) {
    write_file_atomic(scratch_ / name, content);
  }
  std::string get(const std::string& name) const { return read_file(scratch_ / name); }

  const Scratch scratch_;
};

TEST_F(ModelFilesTest, TakesTheKnownFilesOfAFolderAsTheyAre) {
  EXPECT_TRUE(read_model_files(scratch_.path()).empty());
  put("config.json", "{}");
  put("chat_template.jinja", "{{ x }}");
  put("generation_config.json", "not even JSON");
  const ModelFiles files = read_model_files(scratch_.path());
  EXPECT_EQ(files, (ModelFiles{{"chat_template.jinja", "{{ x }}"},
                               {"generation_config.json", "not even JSON"}}));
}

TEST_F(ModelFilesTest, TellsHowTextsBegin) {
  const auto ends = [](const std::string& text) {
    return declared_ends({}, {{"tokenizer_config.json", text}}, "m");
  };
  EXPECT_EQ(ends(R"({"add_bos_token": true})"), (DocumentEnds{Share::all, Share::all}));
  EXPECT_EQ(ends(R"({"add_bos_token": false})"), (DocumentEnds{Share::none, Share::all}));
  EXPECT_EQ(ends(R"({"add_bos_token": 1})"), std::nullopt);
  EXPECT_EQ(ends("[]"), std::nullopt);
  EXPECT_EQ(declared_ends({}, {}, "m"), std::nullopt);
  EXPECT_EQ(declared_ends({{kDocumentsKey, R"({"bos": "none", "eos": "some"})"}},
                          {{"tokenizer_config.json", R"({"add_bos_token": true})"}}, "m"),
            (DocumentEnds{Share::none, Share::some}));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { ends("{"); }), "m/tokenizer_config.json"));
}

TEST_F(ModelFilesTest, FindsTheChatTemplate) {
  const ModelFiles named = {{"tokenizer_config.json", R"({"chat_template": "a"})"}};
  EXPECT_EQ(chat_template_of(named, "m"), "a");
  ModelFiles both = named;
  both["chat_template.jinja"] = "b";
  EXPECT_EQ(chat_template_of(both, "m"), "b");
  EXPECT_EQ(chat_template_of({{"tokenizer_config.json", "{}"},
                              {"chat_template.json", R"({"chat_template": "c"})"}},
                             "m"),
            "c");
  EXPECT_EQ(chat_template_of({{"generation_config.json", "{}"}}, "m"), "");
}

// Where the tokenizer's own file of that name says nothing else, the model's stays to the byte.
TEST_F(ModelFilesTest, TheTokenizersWordStands) {
  const ModelFiles files = {{"tokenizer_config.json", kTokenizerConfig},
                            {"generation_config.json", kGeneration}};
  put("tokenizer_config.json", R"({"eos_token": "</s>"})");
  EXPECT_EQ(write_model_files(scratch_.path(), files, nullptr),
            (std::vector<std::string>{"generation_config.json"}));
  EXPECT_EQ(get("tokenizer_config.json"), kTokenizerConfig);
  EXPECT_EQ(get("generation_config.json"), kGeneration);
  put("tokenizer_config.json", R"({"eos_token": "<end>", "bos_token": "<s>"})");
  put("generation_config.json", R"({"eos_token_id": 7})");
  EXPECT_TRUE(write_model_files(scratch_.path(), files, nullptr).empty());
  EXPECT_EQ(get("generation_config.json"), kGeneration);
  const auto json = nlohmann::json::parse(get("tokenizer_config.json"));
  EXPECT_EQ(json["eos_token"], "<end>");
  EXPECT_EQ(json["bos_token"], "<s>");
  EXPECT_EQ(json["chat_template"], "t");
  put("generation_config.json", R"({"eos_token_id": 8})");
  write_model_files(scratch_.path(), files, nullptr);
  EXPECT_EQ(nlohmann::json::parse(get("generation_config.json")),
            nlohmann::json::parse(R"({"eos_token_id": 8, "temperature": 0.5})"));
}

// From a published directory into a checkpoint and out again.
TEST_F(ModelFilesTest, ACheckpointCarriesThem) {
  LoadedCheckpoint published;
  published.config = config_from_hf(sample_stack("ouro"), "f");
  published.model = std::make_unique<Model>(published.config.model);
  published.model->parameters.initialize(published.config.model, 3);
  const fs::path first = scratch_ / "first", second = scratch_ / "second";
  fs::create_directory(first);
  fs::create_directory(second);
  write_exchanged(ExchangeFormat::hf, first, published, at::kFloat);
  write_file_atomic(first / "generation_config.json", kGeneration);
  write_file_atomic(first / "tokenizer_config.json", kTokenizerConfig);
  const ExchangedModel read =
      read_exchanged(ExchangeFormat::hf, first / "model.safetensors", first / "config.json");
  EXPECT_EQ(read.model_files.size(), 2u);
  EXPECT_EQ(read.documents, (DocumentEnds{Share::all, Share::all}));
  EXPECT_EQ(load_checkpoint(first, at::kCPU).model_files, read.model_files);
  CheckpointContent content;
  content.config = read.config;
  content.model = named_tensors(read.model->parameters);
  content.model_files = read.model_files;
  const fs::path saved = save_checkpoint(scratch_ / "run", 0, content);
  EXPECT_EQ(read_file(saved / "generation_config.json"), kGeneration);
  EXPECT_TRUE(verify_checkpoint(saved).empty());
  const LoadedCheckpoint loaded = load_checkpoint(saved, at::kCPU);
  EXPECT_EQ(loaded.model_files, read.model_files);
  const std::vector<std::string> written =
      write_exchanged(ExchangeFormat::hf, second, loaded, at::kFloat);
  for (const char* name : {"generation_config.json", "tokenizer_config.json"}) {
    EXPECT_EQ(read_file(second / name), read_file(first / name));
    EXPECT_EQ(std::ranges::count(written, name), 1);
  }
  // They are under the checksums.
  write_file_atomic(saved / "generation_config.json",
                    R"({"eos_token_id": [2, 8],  "temperature": 0.5})");
  EXPECT_FALSE(verify_checkpoint(saved).empty());
}

}  // namespace
}  // namespace mythos
