#include "checkpoint/exchange.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/strings.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "checkpoint/json_file.h"
#include "checkpoint/weight_files.h"
#include "text/export_tokenizer.h"

namespace mythos {
namespace {

constexpr std::string_view kModelSchema = "mythos.model/1";
// Metadata of every export: loaders of other projects look for the key "format".
const std::map<std::string, std::string> kMetadata = {{"format", "pt"}};

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
    const bool hf = format == ExchangeFormat::hf;
    fail(ErrorKind::usage, path.string() + ": the " + (hf ? "hf" : "openmythos") +
                               " format's configuration is a .json file.");
  }
  Config config;
  const nlohmann::json json = read_json(path);
  if (format == ExchangeFormat::hf) return config_from_hf(json, path.string());
  config.model = format == ExchangeFormat::openmythos
                     ? model_config_from_openmythos(json, path.string())
                     : native_config(json, path);
  config.train.seq_len = std::min(config.train.seq_len, config.model.max_seq_len);
  return config;
}

TensorMap stored_tensors(const Parameters& parameters, at::ScalarType dtype,
                         ExchangeFormat format) {
  TensorMap tensors;
  for (const Parameters::Item& item : parameters.items()) {
    const at::Tensor tensor = item.tensor.detach();
    const bool rounds = format == ExchangeFormat::gguf
                            ? tensor.dim() >= 2
                            : is_cast(item.use) || format == ExchangeFormat::hf;
    tensors[item.name] = rounds ? tensor.to(dtype) : tensor;
  }
  return tensors;
}

// Reads the weights without the tables of angles that a format's files hold beside them.
StoredWeights read_without_tables(ExchangeFormat format, const fs::path& weights) {
  std::set<std::string> tables;
  const auto passed_over = [&](const std::string& name) {
    if (format == ExchangeFormat::openmythos) return is_openmythos_table(name);
    if (format != ExchangeFormat::hf || !is_hf_table(name)) return false;
    tables.insert(name);
    return true;
  };
  StoredWeights stored = read_weights(weights, passed_over);
  for (const std::string& name : tables) {
    log_info(strprintf("%s: left out %s: %s", weights, name, kComputedTable));
  }
  return stored;
}

// The native tensors of a published model; the log says what was left out.
TensorMap take_published(const ModelConfig& config, const TensorMap& tensors,
                         const std::string& origin) {
  const HfTensors read = from_hf(config, tensors, origin);
  for (const std::string& line : read.dropped) log_info(origin + ": left out " + line);
  return made(read.tensors);
}

at::Tensor all_logits(const Model& model, const at::Tensor& ids, int64_t loops) {
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  ForwardOptions options;
  options.loops = loops;
  return logits(weights, forward(model.config, weights, ids, options).hidden);
}

// config.json of the family, with the ids at which text begins and ends.
nlohmann::ordered_json published_config(const LoadedCheckpoint& checkpoint, at::ScalarType dtype) {
  Config config = checkpoint.config;
  config.model = hf_form(config.model);
  auto json = config_to_hf(config, dtype == at::kBFloat16 ? "bfloat16" : "float32");
  if (checkpoint.tokenizer) {
    const Tokenizer& tokenizer = *checkpoint.tokenizer;
    if (tokenizer.bos_id()) json["bos_token_id"] = *tokenizer.bos_id();
    if (tokenizer.eos_id()) json["eos_token_id"] = *tokenizer.eos_id();
  }
  return json;
}

}  // namespace

ExchangeFormat exchange_format(const std::string& name) {
  if (name == "safetensors") return ExchangeFormat::safetensors;
  if (name == "openmythos") return ExchangeFormat::openmythos;
  if (name == "hf") return ExchangeFormat::hf;
  if (name == "gguf") return ExchangeFormat::gguf;
  const std::vector<std::string> known = {"safetensors", "openmythos", "hf", "gguf"};
  fail(ErrorKind::usage, "--format " + escaped(name) +
                             " is not supported by this version; there are " + join(known, ", ") +
                             "." + did_you_mean(name, known));
}

ExchangedModel read_exchanged(ExchangeFormat format, const fs::path& weights,
                              const fs::path& config) {
  if (format == ExchangeFormat::gguf) {
    fail(ErrorKind::usage, "--format gguf is written by mythos export alone, not read.",
         "Import the directory that the .gguf file was converted from.");
  }
  ExchangedModel out{read_config(format, config), nullptr, {}, std::nullopt, {}};
  std::error_code status;
  if (format == ExchangeFormat::hf) {
    out.model_files =
        read_model_files(fs::is_directory(weights, status) ? weights : weights.parent_path());
  }
  StoredWeights stored = read_without_tables(format, weights);
  TensorMap& tensors = stored.tensors;
  const std::string prefix = take_wrapper_prefix(tensors);
  if (!prefix.empty()) {
    log_info(strprintf("%s: took the prefix '%s' off all names", weights, prefix));
  }
  require_floating_point(tensors, weights.string());
  out.nonfinite = find_nonfinite(tensors);
  if (format == ExchangeFormat::openmythos) {
    tensors = from_openmythos(out.config.model, tensors, weights.string());
  } else if (format == ExchangeFormat::hf) {
    tensors = take_published(out.config.model, tensors, weights.string());
  }
  out.model = std::make_unique<Model>(out.config.model);
  out.model->parameters.load(tensors, weights.string());
  out.documents = declared_ends(stored.metadata, out.model_files, weights.string());
  return out;
}

std::vector<std::string> write_exchanged(ExchangeFormat format, const fs::path& directory,
                                         const LoadedCheckpoint& checkpoint, at::ScalarType dtype) {
  const ModelConfig& config = checkpoint.config.model;
  TensorMap tensors = stored_tensors(checkpoint.model->parameters, dtype, format);
  std::string text;  // of config.json
  std::vector<std::string> names = {"model.safetensors", "config.json"};
  if (format == ExchangeFormat::openmythos) {
    text = openmythos_config(config).dump(2);
    tensors = to_openmythos(config, tensors);
  } else if (format == ExchangeFormat::hf) {
    text = published_config(checkpoint, dtype).dump(2);
    tensors = to_hf(hf_form(config), in_hf_form(config, tensors));
  } else {
    nlohmann::json json = to_json(config);
    json["schema"] = kModelSchema;
    text = json.dump(2);
    names.emplace_back("config.toml");
    write_file_atomic(directory / names.back(), to_toml(checkpoint.config));
  }
  auto metadata = kMetadata;
  if (checkpoint.documents) metadata[kDocumentsKey] = to_json(*checkpoint.documents).dump();
  write_safetensors(directory / names[0], {tensors.begin(), tensors.end()}, metadata);
  write_file_atomic(directory / names[1], text + "\n");
  if (checkpoint.tokenizer) {
    for (std::string& name : export_tokenizer(directory, *checkpoint.tokenizer)) {
      names.push_back(std::move(name));
    }
  }
  if (format == ExchangeFormat::hf) {
    for (std::string& name :
         write_model_files(directory, checkpoint.model_files, checkpoint.tokenizer.get())) {
      names.push_back(std::move(name));
    }
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

Model rounded(const Model& model, at::ScalarType dtype, ExchangeFormat format) {
  Model copy(model.config);
  copy.parameters.load(stored_tensors(model.parameters, dtype, format), "rounded copy");
  return copy;
}

bool changes_form(const ModelConfig& config, ExchangeFormat format) {
  if (format != ExchangeFormat::hf && format != ExchangeFormat::gguf) return false;
  const ModelConfig form = hf_form(config);
  return form.rope_pairing != config.rope_pairing || form.prelude_norm != config.prelude_norm ||
         form.embedding_scale != config.embedding_scale;
}

}  // namespace mythos
