#include "checkpoint/exchange.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr std::string_view kModelSchema = "mythos.model/1";
// Loaders of the wider ecosystem look for this key.
const std::map<std::string, std::string> kMetadata = {{"format", "pt"}};

nlohmann::json read_json(const fs::path& path) {
  const std::string text = read_file(path);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    fail(ErrorKind::data, strprintf("%s: byte %zu: not valid JSON", path.c_str(),
                                    error.byte > 0 ? error.byte - 1 : 0));
  }
}

ModelConfig native_config(nlohmann::json json, const fs::path& path) {
  if (json.is_object()) {
    const auto schema = json.find("schema");
    if (schema != json.end() && *schema != kModelSchema) {
      fail(ErrorKind::data, path.string() + ": schema " + escaped(schema->dump()) +
                                "; this version reads '" + std::string(kModelSchema) + "'.");
    }
    json.erase("schema");
  }
  return model_config_from_json(json, path.string());
}

Config read_config(ExchangeFormat format, const fs::path& path) {
  if (path.extension() == ".toml") {
    if (format == ExchangeFormat::safetensors) return load_config_file(path);
    fail(ErrorKind::usage,
         path.string() + ": the openmythos format's configuration is a .json file.");
  }
  Config config;
  const nlohmann::json json = read_json(path);
  config.model = format == ExchangeFormat::openmythos
                     ? model_config_from_openmythos(json, path.string())
                     : native_config(json, path);
  config.train.seq_len = std::min(config.train.seq_len, config.model.max_seq_len);
  return config;
}

std::vector<fs::path> weight_files(const fs::path& path) {
  std::error_code status;
  if (!fs::is_directory(path, status)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path, status)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  if (files.empty()) fail(ErrorKind::data, path.string() + ": no .safetensors file in it.");
  std::sort(files.begin(), files.end());
  return files;
}

TensorMap read_weights(const fs::path& path) {
  TensorMap tensors;
  for (const fs::path& file : weight_files(path)) {
    for (const auto& [name, tensor] : read_safetensors(file).tensors) {
      if (!tensors.emplace(name, tensor).second) {
        fail(ErrorKind::data, file.string() + ": tensor '" + escaped(name) +
                                  "' is also in another file of " + path.string() + ".");
      }
    }
  }
  return tensors;
}

TensorMap stored_tensors(const Parameters& parameters, at::ScalarType dtype) {
  TensorMap tensors;
  for (const Parameters::Item& item : parameters.items()) {
    const at::Tensor tensor = item.tensor.detach();
    tensors[item.spec.name] = item.spec.matrix ? tensor.to(dtype) : tensor;
  }
  return tensors;
}

at::Tensor all_logits(const Model& model, const at::Tensor& ids, int64_t loops) {
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  ForwardOptions options;
  options.loops = loops;
  return logits(weights, forward(model.config, weights, ids, options).hidden);
}

}  // namespace

ExchangeFormat exchange_format(const std::string& name) {
  if (name == "safetensors") return ExchangeFormat::safetensors;
  if (name == "openmythos") return ExchangeFormat::openmythos;
  const std::vector<std::string> known = {"safetensors", "openmythos"};
  fail(ErrorKind::usage, "--format " + escaped(name) +
                             " is not supported by this version; there are " +
                             join(known, " and ") + "." + did_you_mean(name, known));
}

ExchangedModel read_exchanged(ExchangeFormat format, const fs::path& weights,
                              const fs::path& config) {
  ExchangedModel out{read_config(format, config), nullptr};
  TensorMap tensors = read_weights(weights);
  if (format == ExchangeFormat::openmythos) {
    tensors = from_openmythos(out.config.model, tensors, weights.string());
  }
  out.model = std::make_unique<Model>(out.config.model);
  out.model->parameters.load(tensors, weights.string());
  return out;
}

std::vector<std::string> write_exchanged(ExchangeFormat format, const fs::path& directory,
                                         const LoadedCheckpoint& checkpoint, at::ScalarType dtype) {
  const ModelConfig& config = checkpoint.config.model;
  TensorMap tensors = stored_tensors(checkpoint.model->parameters, dtype);
  nlohmann::json json;
  std::vector<std::string> names = {"model.safetensors", "config.json"};
  if (format == ExchangeFormat::openmythos) {
    json = openmythos_config(config);
    tensors = to_openmythos(config, tensors);
  } else {
    json = to_json(config);
    json["schema"] = kModelSchema;
    names.emplace_back("config.toml");
    write_file_atomic(directory / names.back(), to_toml(checkpoint.config));
  }
  write_safetensors(directory / names[0], {tensors.begin(), tensors.end()}, kMetadata);
  write_file_atomic(directory / names[1], json.dump(2) + "\n");
  if (checkpoint.tokenizer) {
    names.push_back(checkpoint.tokenizer->file_name());
    write_file_atomic(directory / names.back(), checkpoint.tokenizer->file_content());
  }
  return names;
}

Parity compare_logits(const Model& a, const Model& b) {
  const at::NoGradGuard no_grad;
  Parity parity;
  parity.seq_len = std::min(parity.seq_len, a.config.max_seq_len);
  parity.loops = std::min(parity.loops, a.config.max_loop_iters);
  at::Tensor ids = at::empty({parity.batch, parity.seq_len}, at::kLong);
  Rng rng(0);
  for (int64_t i = 0; i < ids.numel(); ++i) {
    ids.data_ptr<int64_t>()[i] =
        static_cast<int64_t>(rng.below(static_cast<uint64_t>(a.config.vocab_size)));
  }
  const at::Tensor difference = all_logits(a, ids, parity.loops) - all_logits(b, ids, parity.loops);
  parity.largest_difference = difference.abs().max().item<double>();
  return parity;
}

Model rounded(const Model& model, at::ScalarType dtype) {
  Model copy(model.config);
  copy.parameters.load(stored_tensors(model.parameters, dtype), "rounded copy");
  return copy;
}

}  // namespace mythos
