#include "checkpoint/exchange.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <cstring>

#include "../scratch.h"
#include "sample.h"
#include "text/load_tokenizer.h"

namespace mythos {

void PrintTo(ExchangeFormat format, std::ostream* out) {
  *out << (format == ExchangeFormat::safetensors ? "safetensors" : "openmythos");
}

namespace {

class ExchangeTest : public testing::Test {
 protected:
  ExchangeTest() {
    write_file_atomic(scratch_ / "tok.model", sample_vocabulary());
    use(sample_config());
  }

  void use(const ModelConfig& config) {
    checkpoint_.config.model = config;
    checkpoint_.config.train.seq_len = 32;
    checkpoint_.tokenizer = load_tokenizer(scratch_ / "tok.model");
    checkpoint_.model = std::make_unique<Model>(config);
    checkpoint_.model->parameters.initialize(config, 3);
  }

  std::vector<std::string> write(ExchangeFormat format, const std::string& name,
                                 at::ScalarType dtype = at::kFloat) {
    fs::create_directory(scratch_ / name);
    return write_exchanged(format, scratch_ / name, checkpoint_, dtype);
  }

  ExchangedModel read(ExchangeFormat format, const std::string& name) const {
    return read_exchanged(format, scratch_ / name / "model.safetensors",
                          scratch_ / name / "config.json");
  }

  const Scratch scratch_;
  LoadedCheckpoint checkpoint_;
};

class EveryFormat : public ExchangeTest, public testing::WithParamInterface<ExchangeFormat> {};

TEST_P(EveryFormat, ReadsBackEqual) {
  for (const Attention attention : {Attention::mla, Attention::gqa}) {
    ModelConfig config = sample_config();
    config.attention = attention;
    use(config);
    write(GetParam(), "out");
    const ExchangedModel back = read(GetParam(), "out");
    EXPECT_EQ(back.config.model, config);
    expect_equal(as_map(named_tensors(back.model->parameters)),
                 as_map(named_tensors(checkpoint_.model->parameters)));
    EXPECT_EQ(compare_logits(*checkpoint_.model, *back.model).largest_difference, 0);
    fs::remove_all(scratch_ / "out");
  }
}

TEST_P(EveryFormat, CarriesWhatDocumentsBeganAndEndedWith) {
  write(GetParam(), "unknown");
  EXPECT_EQ(read(GetParam(), "unknown").documents, std::nullopt);
  checkpoint_.documents = DocumentEnds{Share::none, Share::some};
  write(GetParam(), "known");
  EXPECT_EQ(read(GetParam(), "known").documents, checkpoint_.documents);
}

TEST_P(EveryFormat, WrittenAgainAfterImportIsTheSameFile) {
  checkpoint_.documents = DocumentEnds{Share::all, Share::all};
  const auto names = write(GetParam(), "first");
  ExchangedModel back = read(GetParam(), "first");
  checkpoint_.config = back.config;
  checkpoint_.config.train.seq_len = 32;
  checkpoint_.documents = back.documents;
  checkpoint_.model = std::move(back.model);
  write(GetParam(), "second");
  for (const std::string& name : names) {
    EXPECT_EQ(read_file(scratch_ / "first" / name), read_file(scratch_ / "second" / name)) << name;
  }
}

TEST_P(EveryFormat, Bf16StoresRoundedMatrices) {
  write(GetParam(), "out", at::kBFloat16);
  const auto file = read_safetensors(scratch_ / "out" / "model.safetensors");
  EXPECT_EQ(file.tensors.at("embed.weight").scalar_type(), at::kBFloat16);
  EXPECT_EQ(file.tensors.at("norm.weight").scalar_type(), at::kFloat);
  const ExchangedModel back = read(GetParam(), "out");
  const Model stored = rounded(*checkpoint_.model, at::kBFloat16);
  EXPECT_EQ(compare_logits(stored, *back.model).largest_difference, 0);
  EXPECT_GT(compare_logits(*checkpoint_.model, *back.model).largest_difference, 0);
}

TEST_P(EveryFormat, OneChangedWeightLosesParity) {
  write(GetParam(), "out");
  const ExchangedModel back = read(GetParam(), "out");
  const at::NoGradGuard no_grad;
  back.model->parameters.at("core.0.attn.wo.weight")[0][0] += 0.5;
  EXPECT_GT(compare_logits(*checkpoint_.model, *back.model).largest_difference, 0);
}

INSTANTIATE_TEST_SUITE_P(All, EveryFormat,
                         testing::Values(ExchangeFormat::safetensors, ExchangeFormat::openmythos),
                         testing::PrintToStringParamName());

TEST_F(ExchangeTest, SafetensorsReadsEitherConfigAndADirectory) {
  write(ExchangeFormat::safetensors, "out");
  const auto back = read_exchanged(ExchangeFormat::safetensors, scratch_ / "out",
                                   scratch_ / "out" / "config.toml");
  EXPECT_EQ(back.config, checkpoint_.config);
}

// The tensors that write() left, changed, in the place of that file.
class ChangedExchange : public ExchangeTest {
 protected:
  void change(ExchangeFormat format, const std::function<void(TensorMap&)>& change) {
    fs::remove_all(scratch_ / "out");
    write(format, "out");
    TensorMap tensors;
    for (const auto& [name, tensor] : read_safetensors(file_).tensors) {
      tensors[name] = tensor.clone();
    }
    change(tensors);
    write_safetensors(file_, {tensors.begin(), tensors.end()});
  }
  std::string refusal(ExchangeFormat format) {
    return error_of(ErrorKind::data, [&] { read(format, "out"); });
  }
  const fs::path file_ = scratch_ / "out" / "model.safetensors";
};

TEST_F(ChangedExchange, WholeNumbersAreRefusedByNameAndType) {
  const std::map<at::ScalarType, std::string> names = {
      {at::kChar, "I8"}, {at::kByte, "U8"}, {at::kBool, "BOOL"}, {at::kInt, "I32"}};
  for (const auto& [type, name] : names) {
    change(ExchangeFormat::safetensors, [&, to = type](TensorMap& tensors) {
      tensors["norm.weight"] = tensors["norm.weight"].to(to);
    });
    const std::string message = refusal(ExchangeFormat::safetensors);
    EXPECT_TRUE(contains(message, file_.string() + ": tensor 'norm.weight' is of type " + name +
                                      "; weights are of type F16, BF16, F32 or F64."))
        << message;
  }
  change(ExchangeFormat::openmythos, [](TensorMap& tensors) {
    tensors["recurrent.block.attn.wo.weight"] =
        tensors["recurrent.block.attn.wo.weight"].to(at::kChar);
  });
  EXPECT_TRUE(contains(refusal(ExchangeFormat::openmythos), "attn.wo.weight' is of type I8"));
}

TEST_F(ChangedExchange, CountsValuesThatAreNotFinite) {
  for (const ExchangeFormat format : {ExchangeFormat::safetensors, ExchangeFormat::openmythos}) {
    change(format, [](TensorMap& tensors) {
      tensors["norm.weight"][5] = NAN;
      tensors["embed.weight"] = tensors["embed.weight"].to(at::kDouble);
      tensors["embed.weight"][7][2] = 1e300;
    });
    EXPECT_EQ(read(format, "out").nonfinite.text(),
              "2 values in 2 tensors are not finite (1 in 'embed.weight', 1 in 'norm.weight'), the "
              "first 1e+300 (infinite in fp32) in 'embed.weight' at [7,2]");
  }
}

TEST_F(ChangedExchange, PrefixesOfWrappersAreTakenOff) {
  for (const std::string prefix : {"_orig_mod.", "module.", "module._orig_mod.",
                                   "_orig_mod.module.", "module.module._orig_mod."}) {
    for (const ExchangeFormat format : {ExchangeFormat::safetensors, ExchangeFormat::openmythos}) {
      change(format, [&](TensorMap& tensors) {
        TensorMap longer;
        for (const auto& [name, tensor] : tensors) longer[prefix + name] = tensor;
        tensors = longer;
      });
      const ExchangedModel back = read(format, "out");
      expect_equal(as_map(named_tensors(back.model->parameters)),
                   as_map(named_tensors(checkpoint_.model->parameters)));
    }
  }
}

TEST_F(ChangedExchange, APrefixOfSomeNamesStays) {
  change(ExchangeFormat::safetensors, [](TensorMap& tensors) {
    tensors["module.norm.weight"] = tensors["norm.weight"];
    tensors.erase("norm.weight");
  });
  EXPECT_TRUE(contains(refusal(ExchangeFormat::safetensors),
                       "tensor 'module.norm.weight' is not part of this model"));
}

TEST_F(ChangedExchange, ARoPETableOfComplexNumbersIsPassedOver) {
  change(ExchangeFormat::openmythos, [](TensorMap&) {});
  // safetensors.torch writes complex64 as C64, which no tensor here is written as.
  std::string bytes = read_file(file_);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  auto header = nlohmann::json::parse(bytes.substr(8, length));
  const size_t end = bytes.size() - 8 - length;
  header["freqs_cis"] = {{"dtype", "C64"}, {"shape", {4, 2}}, {"data_offsets", {end, end + 64}}};
  const std::string text = header.dump();
  const uint64_t new_length = text.size();
  std::string out(reinterpret_cast<const char*>(&new_length), 8);
  write_file_atomic(file_, out + text + bytes.substr(8 + length) + std::string(64, '\0'));
  expect_equal(as_map(named_tensors(read(ExchangeFormat::openmythos, "out").model->parameters)),
               as_map(named_tensors(checkpoint_.model->parameters)));
}

TEST_F(ExchangeTest, CarriesTheTokenizer) {
  const auto names = write(ExchangeFormat::openmythos, "out");
  const std::string& name = checkpoint_.tokenizer->file_name();
  EXPECT_EQ(names, (std::vector<std::string>{"model.safetensors", "config.json", name}));
  EXPECT_EQ(read_file(scratch_ / "out" / name), sample_vocabulary());
}

TEST_F(ExchangeTest, OpenMythosRefusesWhatItCannotSay) {
  ModelConfig config = sample_config();
  config.prelude_norm = true;
  use(config);
  const std::string message =
      error_of(ErrorKind::usage, [&] { write(ExchangeFormat::openmythos, "out"); });
  EXPECT_TRUE(contains(message, "model.prelude_norm")) << message;
}

TEST_F(ExchangeTest, NamesTheFileThatDoesNotFit) {
  write(ExchangeFormat::safetensors, "out");
  const fs::path weights = scratch_ / "out" / "model.safetensors";
  const fs::path config = scratch_ / "out" / "config.json";
  const auto read = [&] { read_exchanged(ExchangeFormat::safetensors, weights, config); };
  auto json = nlohmann::json::parse(read_file(config));
  json["expert_dim"] = 5;
  write_file_atomic(config, json.dump());
  std::string message = error_of(ErrorKind::data, read);
  EXPECT_TRUE(contains(message, weights.string())) << message;
  EXPECT_TRUE(contains(message, "core.0.ffn.experts.gate_up")) << message;

  json["expert_dm"] = 5;
  write_file_atomic(config, json.dump());
  message = error_of(ErrorKind::usage, read);
  EXPECT_TRUE(contains(message, "Did you mean 'model.expert_dim'?")) << message;

  json.erase("expert_dm");
  json["schema"] = "mythos.model/9";
  write_file_atomic(config, json.dump());
  EXPECT_TRUE(contains(error_of(ErrorKind::data, read), "this version reads 'mythos.model/1'"));

  write_file_atomic(config, "{\"dim\": }");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, read), "config.json: byte 8: not valid JSON"));
}

TEST(ExchangeFormatName, UnknownOnesAreListed) {
  const auto message = [](const std::string& name) {
    return error_of(ErrorKind::usage, [&] { exchange_format(name); });
  };
  EXPECT_EQ(
      message("onnx"),
      "--format onnx is not supported by this version; there are safetensors, openmythos, hf, "
      "gguf.");
  EXPECT_TRUE(contains(message("openmyhtos"), "Did you mean 'openmythos'?"));
}

}  // namespace
}  // namespace mythos
