#include "checkpoint/gguf.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "base/strings.h"
#include "checkpoint/export.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "sample.h"
#include "text/hf/hf_tokenizer.h"
#include "text/sentencepiece/sentencepiece.h"

namespace mythos {
namespace {

using nlohmann::json;

json gguf_family(const std::string& family) {
  json file = sample_stack(family);
  file["vocab_size"] = 300;
  file["hidden_size"] = 32;
  return file;
}

// A tokenizer.json of all bytes, one merge and an added token.
json byte_level_json(const json& pre_tokenizer) {
  json vocab = json::object();
  int64_t id = 0;
  // The bytes in letters: printable ones are themselves, others follow from U+0100.
  int extra = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const int point = printable ? byte : 256 + extra++;
    std::string letter;
    if (point < 128) {
      letter = static_cast<char>(point);
    } else {
      letter += static_cast<char>(0xc0 | point >> 6);
      letter += static_cast<char>(0x80 | (point & 63));
    }
    vocab[letter] = id++;
  }
  vocab["ab"] = id++;
  return {{"version", "1.0"},
          {"added_tokens",
           {{{"id", id},
             {"content", "<|end|>"},
             {"single_word", false},
             {"lstrip", false},
             {"rstrip", false},
             {"normalized", false},
             {"special", true}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", pre_tokenizer},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a b"}}}}};
}

const json kGpt2Steps = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};

json split_steps(const std::string& digits) {
  const std::string regex = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" + digits +
                            R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"},
             {"pattern", {{"Regex", regex}}},
             {"behavior", "Isolated"},
             {"invert", false}},
            {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
}

TEST(Gguf, FilesAreLaidOutAsTheFormatSays) {
  const Scratch scratch;
  const at::Tensor a = at::arange(6, at::kFloat).reshape({2, 3}), b = at::ones({1}, at::kHalf);
  write_gguf(scratch / "f", {{"k", uint32_t{7}}, {"list", std::vector<int32_t>{1, -1}}},
             {{"a", a}, {"b", b}});
  const std::string bytes = read_file(scratch / "f");
  const auto number = [&](size_t at, size_t width) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, width);
    return value;
  };
  EXPECT_EQ(bytes.substr(0, 4), "GGUF");
  EXPECT_EQ(number(4, 4), 3u);
  EXPECT_EQ(number(8, 8), 2u);   // tensors
  EXPECT_EQ(number(16, 8), 2u);  // values
  EXPECT_EQ(number(24, 8), 1u);  // the length of "k"
  EXPECT_EQ(bytes[32], 'k');
  EXPECT_EQ(number(33, 4), 4u);  // uint32
  EXPECT_EQ(number(37, 4), 7u);
  EXPECT_EQ(bytes.substr(49, 4), "list");
  EXPECT_EQ(number(53, 4), 9u);  // a list of int32
  EXPECT_EQ(number(57, 4), 5u);
  EXPECT_EQ(number(61, 8), 2u);
  EXPECT_EQ(number(86, 4), 2u);  // sides of "a", the innermost first
  EXPECT_EQ(number(90, 8), 3u);
  EXPECT_EQ(number(98, 8), 2u);
  EXPECT_EQ(number(106, 4), 0u);  // fp32
  EXPECT_EQ(number(110, 8), 0u);
  EXPECT_EQ(number(127, 4), 1u);  // sides of "b"
  EXPECT_EQ(number(139, 4), 1u);  // fp16
  EXPECT_EQ(number(143, 8), 32u);
  ASSERT_EQ(bytes.size(), 160u + 64u);
  EXPECT_EQ(std::memcmp(bytes.data() + 160, a.const_data_ptr(), a.nbytes()), 0);
  const GgufFile back = read_gguf(scratch / "f");
  expect_equal(back.tensors, {{"a", a}, {"b", b}});
  EXPECT_EQ(std::get<std::vector<int32_t>>(back.metadata.at("list"))[1], -1);
  // A file that ends early, wherever; only padding may be missing.
  for (size_t size = 0; size < 194; ++size) {
    write_file_atomic(scratch / "cut", bytes.substr(0, size));
    EXPECT_TRUE(
        contains(error_of(ErrorKind::data, [&] { read_gguf(scratch / "cut"); }), "cut: byte "));
  }
  std::string other = bytes;
  other[4] = 2;
  write_file_atomic(scratch / "other", other);
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_gguf(scratch / "other"); }),
                       "version 2; expected 3"));
}

class GgufExport : public testing::Test {
 protected:
  void use(const Config& config) {
    checkpoint_.config = config;
    checkpoint_.config.model.init_std = 0.2;
    checkpoint_.model = std::make_unique<Model>(config.model);
    checkpoint_.model->parameters.initialize(checkpoint_.config.model, 3);
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : named_tensors(checkpoint_.model->parameters)) {
      if (tensor.dim() == 1) tensor.add_(at::rand_like(tensor), 0.3);
    }
  }
  ExportResult write(at::ScalarType dtype = at::kFloat) {
    ExportOptions options;
    options.output = scratch_ / "out";
    options.format = ExchangeFormat::gguf;
    options.dtype = dtype;
    options.replace = true;
    check_export_output(options);
    return export_model(checkpoint_, options);
  }
  GgufFile read() const { return read_gguf(scratch_ / "out" / "model.gguf"); }
  std::string refusal() {
    return error_of(ErrorKind::usage, [&] { write(); });
  }
  TensorMap native() const { return as_map(named_tensors(checkpoint_.model->parameters)); }

  const Scratch scratch_;
  LoadedCheckpoint checkpoint_;
};

TEST_F(GgufExport, FamiliesReadBackWithLlamaCppsKeys) {
  for (const std::string family : {"llama", "qwen2", "qwen3", "nanbeige"}) {
    use(config_from_hf(gguf_family(family), "f"));
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const ExportResult result = write(dtype);
      EXPECT_EQ(result.files, std::vector<std::string>{"model.gguf"});
      EXPECT_EQ(result.parity.largest_difference, 0);
      EXPECT_EQ(result.rounding > 0, dtype != at::kFloat);
      const GgufFile file = read();
      const auto number = [&](const std::string& key) {
        return std::get<uint32_t>(file.metadata.at(family + "." + key));
      };
      EXPECT_EQ(std::get<std::string>(file.metadata.at("general.architecture")), family);
      EXPECT_EQ(number("vocab_size"), 300u);
      EXPECT_EQ(number("block_count"), 2u);
      EXPECT_EQ(number("context_length"), 64u);
      EXPECT_EQ(number("embedding_length"), 32u);
      EXPECT_EQ(number("feed_forward_length"), 40u);
      EXPECT_EQ(number("attention.head_count"), 4u);
      EXPECT_EQ(number("attention.head_count_kv"), 2u);
      EXPECT_EQ(number("attention.key_length"), 8u);
      EXPECT_EQ(number("rope.dimension_count"), 8u);
      EXPECT_EQ(std::get<float>(file.metadata.at(family + ".rope.freq_base")), 1e4f);
      EXPECT_EQ(std::get<float>(file.metadata.at(family + ".attention.layer_norm_rms_epsilon")),
                1e-5f);
      EXPECT_EQ(file.metadata.count(family + ".num_loops"), family == "nanbeige");
      if (family == "nanbeige") {
        EXPECT_EQ(number("num_loops"), 2u);
        EXPECT_FALSE(std::get<bool>(file.metadata.at("nanbeige.skip_loop_final_norm")));
      }
      EXPECT_EQ(file.tensors.count("output.weight"), family != "qwen2");
      EXPECT_EQ(file.tensors.count("blk.1.attn_q.bias"), family == "qwen2");
      EXPECT_EQ(file.tensors.count("blk.1.attn_k_norm.weight"), family == "qwen3");
      for (const auto& [name, tensor] : file.tensors) {
        EXPECT_EQ(tensor.scalar_type(), tensor.dim() == 1 ? at::kFloat : dtype) << name;
      }
    }
  }
}

TEST_F(GgufExport, LlamasQueriesAndKeysTurnInAdjacentChannels) {
  for (const std::string family : {"llama", "nanbeige", "qwen2", "qwen3"}) {
    use(config_from_hf(gguf_family(family), "f"));
    write();
    const TensorMap written = read().tensors, published = to_hf(checkpoint_.config.model, native());
    const std::string layer = "model.layers.1.self_attn.";
    for (const std::string part : {"q", "k", "v"}) {
      const at::Tensor to = written.at("blk.1.attn_" + part + ".weight");
      const at::Tensor from = published.at(layer + part + "_proj.weight");
      const bool moves = part != "v" && family != "qwen2" && family != "qwen3";
      for (int64_t row = 0; row < to.size(0); ++row) {
        const int64_t channel = row % 8;
        const int64_t source = moves ? row - channel + channel / 2 + channel % 2 * 4 : row;
        EXPECT_TRUE(at::equal(to[row], from[source])) << family << part << row;
      }
    }
  }
}

// A plain model of this program turns adjacent channels too, so that its rows stay in place.
TEST_F(GgufExport, PlainModelsRunAsLlama) {
  Config config = config_from_hf(gguf_family("llama"), "f");
  config.model.rope_pairing = RopePairing::adjacent;
  config.model.prelude_layers = config.model.coda_layers = 1;
  use(config);
  EXPECT_LT(write().parity.largest_difference, 1e-4);
  const GgufFile file = read();
  EXPECT_EQ(std::get<uint32_t>(file.metadata.at("llama.block_count")), 4u);
  EXPECT_TRUE(at::equal(file.tensors.at("blk.1.attn_q.weight"),
                        native().at("core.0.attn.qkv.weight").narrow(0, 0, 32)));
  EXPECT_EQ(write(at::kBFloat16).parity.largest_difference, 0);
}

TEST_F(GgufExport, RefusesOtherModelsAndSaysWhy) {
  use(config_from_hf(gguf_family("ouro"), "f"));
  EXPECT_TRUE(contains(refusal(), "this model is of the family ouro, and llama.cpp has no"));
  Config config = config_from_hf(gguf_family("llama"), "f");
  config.model.max_loop_iters = 3;
  config.model.injection = Injection::add;
  use(config);
  EXPECT_TRUE(contains(refusal(), "llama.cpp cannot run this model: no published family has this"));
  config = config_from_hf(gguf_family("nanbeige"), "f");
  config.model.max_loop_iters = 300;
  use(config);
  EXPECT_TRUE(contains(refusal(), "2 layers over 300 loops are 600; llama.cpp runs at most 512"));
  json narrow = gguf_family("qwen2");
  narrow["hidden_size"] = 24;
  use(config_from_hf(narrow, "f"));
  EXPECT_TRUE(
      contains(refusal(), "qwen2 has heads of dim / n_heads channels (24 / 4); these have 8"));
  EXPECT_FALSE(fs::exists(scratch_ / "out"));
  use(config_from_hf(gguf_family("llama"), "f"));
  {
    const at::NoGradGuard no_grad;
    checkpoint_.model->parameters.at("embed.weight").fill_(1e5);
  }
  EXPECT_TRUE(
      contains(error_of(ErrorKind::check_failed, [&] { write(at::kHalf); }), "rounded to fp16, "));
}

TEST(GgufTokenizer, SentencePieceKeepsPiecesAndScores) {
  const auto tokenizer = parse_sentencepiece(sample_vocabulary(), "v");
  GgufMetadata metadata;
  add_gguf_tokenizer(*tokenizer, 300, true, metadata);
  const std::map<std::string, GgufValue> values(metadata.begin(), metadata.end());
  EXPECT_EQ(std::get<std::string>(values.at("tokenizer.ggml.model")), "llama");
  const auto names = std::get<std::vector<std::string>>(values.at("tokenizer.ggml.tokens"));
  const auto types = std::get<std::vector<int32_t>>(values.at("tokenizer.ggml.token_type"));
  const auto scores = std::get<std::vector<float>>(values.at("tokenizer.ggml.scores"));
  ASSERT_EQ(names.size(), 300u);
  ASSERT_EQ(types.size(), 300u);
  ASSERT_EQ(scores.size(), 300u);
  for (uint32_t id = 0; id < 290; ++id) EXPECT_EQ(names[id], tokenizer->piece(id));
  EXPECT_EQ(names[290], "[PAD290]");
  EXPECT_EQ(types[0], 2);
  EXPECT_EQ(types[1], 3);
  EXPECT_EQ(types[3], 6);  // a byte
  EXPECT_EQ(types[289], 1);
  EXPECT_EQ(types[290], 5);
  EXPECT_LT(scores[260], scores[259]);  // merges in their order
  EXPECT_EQ(std::get<uint32_t>(values.at("tokenizer.ggml.bos_token_id")), 1u);
  EXPECT_EQ(std::get<uint32_t>(values.at("tokenizer.ggml.eos_token_id")), 2u);
  EXPECT_TRUE(std::get<bool>(values.at("tokenizer.ggml.add_bos_token")));
  EXPECT_FALSE(std::get<bool>(values.at("tokenizer.ggml.add_space_prefix")));
}

TEST(GgufTokenizer, ByteLevelBpeNamesItsRules) {
  const auto values_of = [](const json& file) {
    GgufMetadata metadata;
    add_gguf_tokenizer(*parse_hf_tokenizer(file.dump(), "t"), 300, false, metadata);
    return std::map<std::string, GgufValue>(metadata.begin(), metadata.end());
  };
  const auto rules = [&](const json& file) {
    return std::get<std::string>(values_of(file).at("tokenizer.ggml.pre"));
  };
  const auto values = values_of(byte_level_json(kGpt2Steps));
  EXPECT_EQ(std::get<std::string>(values.at("tokenizer.ggml.model")), "gpt2");
  const auto names = std::get<std::vector<std::string>>(values.at("tokenizer.ggml.tokens"));
  const auto types = std::get<std::vector<int32_t>>(values.at("tokenizer.ggml.token_type"));
  EXPECT_EQ(names[256], "ab");
  EXPECT_EQ(names[257], "<|end|>");
  EXPECT_EQ(types[256], 1);
  EXPECT_EQ(types[257], 3);
  EXPECT_EQ(types[258], 5);
  EXPECT_EQ(std::get<std::vector<std::string>>(values.at("tokenizer.ggml.merges")),
            std::vector<std::string>{"a b"});
  EXPECT_FALSE(std::get<bool>(values.at("tokenizer.ggml.add_bos_token")));
  EXPECT_EQ(rules(byte_level_json(kGpt2Steps)), "gpt-2");
  EXPECT_EQ(rules(byte_level_json(split_steps(R"(\p{N})"))), "qwen2");
  json llama = byte_level_json(split_steps(R"(\p{N}{1,3})"));
  EXPECT_EQ(rules(llama), "dbrx");
  llama["model"]["ignore_merges"] = true;
  EXPECT_EQ(rules(llama), "llama-bpe");
  EXPECT_EQ(
      rules(byte_level_json(
          {{"type", "Sequence"},
           {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, kGpt2Steps}}})),
      "smollm");
  const auto refused = [&](const json& file) {
    return error_of(ErrorKind::usage, [&] { values_of(file); });
  };
  EXPECT_TRUE(contains(refused(byte_level_json(split_steps(R"(\p{N}{1,2})"))), "by other rules"));
  json lower = byte_level_json(kGpt2Steps);
  lower["normalizer"] = {{"type", "Lowercase"}};
  EXPECT_TRUE(contains(refused(lower), "changes text before it is cut"));
  GgufMetadata metadata;
  EXPECT_TRUE(contains(error_of(ErrorKind::usage,
                                [&] {
                                  add_gguf_tokenizer(
                                      *parse_hf_tokenizer(byte_level_json(kGpt2Steps).dump(), "t"),
                                      100, false, metadata);
                                }),
                       "more tokens than the model's vocabulary"));
}

TEST(GgufTokenizer, UnigramModelsAreRefused) {
  TrainingText text(1 << 20);
  for (int i = 0; i < 50; ++i) text.add("the prelude, the core and the coda of the model\n");
  VocabOptions options;
  options.vocab_size = 280;
  options.type = VocabType::unigram;
  const auto tokenizer = parse_sentencepiece(train_vocab(text.take_sentences(), options), "v");
  GgufMetadata metadata;
  EXPECT_TRUE(contains(
      error_of(ErrorKind::usage, [&] { add_gguf_tokenizer(*tokenizer, 300, true, metadata); }),
      "is no BPE model of SentencePiece"));
}

// llama.cpp itself, as PyPI's `xllamacpp` carries it, gives the next token the same probability:
// MYTHOS_TEST_PYTHON names an interpreter that has it.
TEST_F(GgufExport, LlamaCppComputesTheSame) {
  const char* chosen = std::getenv("MYTHOS_TEST_PYTHON");
  const std::string python = chosen ? chosen : "python3";
  if (std::system((python + " -c 'import xllamacpp' 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << python << " has no module xllamacpp (PyPI)";
  }
  write_file_atomic(scratch_ / "run.py", R"(import json, sys, xllamacpp as x
params = x.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.warmup, params.cpuparams.n_threads = 64, 1, False, 1
params.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
params.cache_type_k = params.cache_type_v = x.ggml_type.GGML_TYPE_F32
answers = []
# The bias makes the answer a piece that is text; the probabilities are those without it.
query = {"prompt": json.loads(sys.argv[3]), "max_tokens": 1, "temperature": 0, "logprobs": 3,
         "logit_bias": {"280": 100}}
x.Server(params).handle_completions(json.dumps(query), answers.append)
answer = answers[0]
answer = json.loads(answer) if isinstance(answer, (str, bytes)) else answer
json.dump(answer["choices"][0]["logprobs"]["content"][0], open(sys.argv[2], "w"))
)");
  const std::vector<int64_t> ids = {5, 270, 33, 281, 7, 99, 260, 120, 5, 64, 277};
  for (const std::string family : {"llama", "qwen2", "qwen3", "nanbeige", "once"}) {
    json file = gguf_family(family == "once" ? "nanbeige" : family);
    if (family == "once") file["skip_loop_final_norm"] = true;
    use(config_from_hf(file, "f"));
    checkpoint_.tokenizer = parse_sentencepiece(sample_vocabulary(), "v");
    write();
    const std::string command = python + " " + (scratch_ / "run.py").string() + " " +
                                (scratch_ / "out" / "model.gguf").string() + " " +
                                (scratch_ / "out.json").string() + " '" + json(ids).dump() + "' >" +
                                (scratch_ / "log").string() + " 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << read_file(scratch_ / "log");
    const json seen = json::parse(read_file(scratch_ / "out.json"));
    const at::NoGradGuard no_grad;
    const Model& model = *checkpoint_.model;
    const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
    ForwardOptions options;
    options.loops = model.config.max_loop_iters;
    const at::Tensor scores = at::log_softmax(
        logits(weights,
               forward(model.config, weights, at::tensor(ids).unsqueeze(0), options).hidden)
            .reshape({-1, 300})[-1],
        0);
    for (const json& token : seen["top_logprobs"]) {
      const double expected = scores[token["id"].get<int64_t>()].item<double>();
      EXPECT_NEAR(token["logprob"].get<double>(), expected, 1e-3) << family << token;
    }
    EXPECT_EQ(seen["top_logprobs"].size(), 3u);
    EXPECT_EQ(seen["top_logprobs"][0]["id"], scores.argmax().item<int64_t>()) << family;
  }
}

TEST_F(GgufExport, TakesThePublishedChatTemplateAlong) {
  use(config_from_hf(gguf_family("llama"), "f"));
  checkpoint_.tokenizer = parse_sentencepiece(sample_vocabulary(), "v");
  write();
  EXPECT_EQ(read().metadata.count("tokenizer.chat_template"), 0u);
  checkpoint_.model_files = {{"chat_template.jinja", "{{ x }}"}};
  write();
  EXPECT_EQ(std::get<std::string>(read().metadata.at("tokenizer.chat_template")), "{{ x }}");
}

// PyPI's `gguf` reads the same: MYTHOS_TEST_PYTHON names an interpreter that has it.
TEST_F(GgufExport, PublishedReaderReadsTheSame) {
  const char* chosen = std::getenv("MYTHOS_TEST_PYTHON");
  const std::string python = chosen ? chosen : "python3";
  if (std::system((python + " -c 'import gguf' 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << python << " has no module gguf (PyPI)";
  }
  write_file_atomic(scratch_ / "read.py", R"(import json, sys, gguf
reader = gguf.GGUFReader(sys.argv[1])
fields = {k: f.contents() for k, f in reader.fields.items()}
tensors = {t.name: [t.tensor_type.name, [int(n) for n in t.shape], t.data.tobytes().hex()]
           for t in reader.tensors}
json.dump({"fields": fields, "tensors": tensors}, open(sys.argv[2], "w"))
)");
  for (const std::string family : {"llama", "nanbeige"}) {
    use(config_from_hf(gguf_family(family), "f"));
    checkpoint_.tokenizer = parse_sentencepiece(sample_vocabulary(), "v");
    write(family == "llama" ? at::kHalf : at::kBFloat16);
    const std::string command = python + " " + (scratch_ / "read.py").string() + " " +
                                (scratch_ / "out" / "model.gguf").string() + " " +
                                (scratch_ / "out.json").string();
    ASSERT_EQ(std::system(command.c_str()), 0);
    const json seen = json::parse(read_file(scratch_ / "out.json"));
    const GgufFile file = read();
    EXPECT_EQ(seen["fields"]["general.architecture"], family);
    EXPECT_EQ(seen["fields"][family + ".block_count"], 2);
    EXPECT_EQ(seen["fields"]["tokenizer.ggml.tokens"].get<std::vector<std::string>>(),
              std::get<std::vector<std::string>>(file.metadata.at("tokenizer.ggml.tokens")));
    for (const auto& [key, value] : file.metadata) EXPECT_TRUE(seen["fields"].contains(key)) << key;
    ASSERT_EQ(seen["tensors"].size(), file.tensors.size());
    for (const auto& [name, tensor] : file.tensors) {
      const json& other = seen["tensors"].at(name);
      const bool vector = tensor.dim() == 1;
      EXPECT_EQ(other[0], vector ? "F32" : family == "llama" ? "F16" : "BF16") << name;
      std::vector<int64_t> shape(tensor.sizes().rbegin(), tensor.sizes().rend());
      EXPECT_EQ(other[1].get<std::vector<int64_t>>(), shape) << name;
      std::string hex;
      const auto* bytes = static_cast<const uint8_t*>(tensor.const_data_ptr());
      for (size_t i = 0; i < tensor.nbytes(); ++i) {
        hex += "0123456789abcdef"[bytes[i] >> 4];
        hex += "0123456789abcdef"[bytes[i] & 15];
      }
      EXPECT_EQ(other[2], hex) << name;
    }
  }
}

}  // namespace
}  // namespace mythos
