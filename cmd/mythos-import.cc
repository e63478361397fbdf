// Makes a run directory of a model that another program wrote.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output_path.h"
#include "base/print.h"
#include "base/strings.h"
#include "checkpoint/exchange.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/json_file.h"
#include "checkpoint/retrofit.h"
#include "device/compute_options.h"
#include "text/tokenizer_options.h"

namespace mythos {
namespace {

struct Options {
  TokenizerChoice tokenizer;
  std::string format = "safetensors", weights, config, output, retrofit;
  std::vector<std::string> drop;
  std::optional<int64_t> loops;
  bool json = false;
};

// What lies beside the weights of a published model.
void complete(Options& options, ExchangeFormat format) {
  if (format != ExchangeFormat::hf) {
    if (options.config.empty()) fail(ErrorKind::usage, "--config is required; see --help");
    return;
  }
  std::error_code status;
  fs::path directory = options.weights;
  if (!fs::is_directory(directory, status)) directory = directory.parent_path();
  if (options.config.empty()) options.config = (directory / "config.json").string();
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (!options.tokenizer.path.empty() || !fs::exists(directory / name, status)) continue;
    options.tokenizer.path = directory.string();
  }
}

// How the model is to be cut, if it is; looks at config.json before the weights are read.
std::optional<Retrofit> asked_retrofit(const Options& options, ExchangeFormat format) {
  if (options.retrofit.empty()) {
    if (options.drop.empty() && !options.loops) return std::nullopt;
    fail(ErrorKind::usage,
         std::string(options.loops ? "--loops" : "--drop") + " goes with --retrofit; see --help");
  }
  if (format != ExchangeFormat::hf) {
    fail(ErrorKind::usage, "--retrofit cuts published models: it goes with --format hf.");
  }
  Retrofit retrofit = parse_retrofit(options.retrofit, options.drop);
  retrofit.loops = options.loops.value_or(retrofit.loops);
  retrofitted(config_from_hf(read_json(options.config), options.config), retrofit, options.weights);
  return retrofit;
}

std::unique_ptr<Tokenizer> read_tokenizer(const Options& options, const ModelConfig& model) {
  if (options.tokenizer.path.empty()) {
    log_warning(
        "no --tokenizer: the checkpoint carries none, and verbs that read or write text "
        "will ask for one");
    return nullptr;
  }
  auto tokenizer = load_tokenizer(options.tokenizer);
  if (tokenizer->vocab_size() > model.vocab_size) {
    fail(ErrorKind::data,
         strprintf("%s has %d tokens, more than the model's vocabulary of %d.",
                   options.tokenizer.path, tokenizer->vocab_size(), model.vocab_size));
  }
  if (tokenizer->vocab_size() < model.vocab_size) {
    log_warning(
        strprintf("%s has %d tokens, the model's vocabulary %d: ids from %d on stand for no token",
                  options.tokenizer.path, tokenizer->vocab_size(), model.vocab_size,
                  tokenizer->vocab_size()));
  }
  return tokenizer;
}

int run(Options options) {
  ComputeOptions().set_threads();
  const ExchangeFormat format = exchange_format(options.format);
  complete(options, format);
  check_output(options.output, OutputKind::contents);
  std::error_code status;
  if (fs::exists(options.output, status) && !fs::is_empty(options.output, status)) {
    fail(ErrorKind::usage, options.output + " is not empty; name a new run directory.");
  }
  const std::optional<Retrofit> retrofit = asked_retrofit(options, format);
  const ExchangedModel read = read_exchanged(format, options.weights, options.config);
  if (!read.nonfinite.none()) {
    fail(ErrorKind::data, options.weights + ": " + read.nonfinite.text() + ".",
         "Get the weights again from where they were made.");
  }
  const auto tokenizer = read_tokenizer(options, read.config.model);
  CheckpointContent content;
  content.config = read.config;
  content.tokenizer = tokenizer.get();
  content.model = named_tensors(read.model->parameters);
  content.documents = read.documents;
  content.model_files = read.model_files;
  if (retrofit) {
    content.config = retrofitted(read.config, *retrofit, options.weights);
    content.model = retrofitted(read.config.model, *retrofit, content.model);
    log_info(options.weights + ": " + describe(*retrofit));
  }
  const fs::path saved = save_checkpoint(options.output, 0, content);
  int64_t numbers = 0;
  for (const auto& [name, tensor] : content.model) numbers += tensor.numel();
  if (options.json) {
    const nlohmann::json out = {{"schema", "mythos.import/1"},
                                {"checkpoint", saved.string()},
                                {"tensors", content.model.size()},
                                {"parameters", numbers},
                                {"tokenizer", tokenizer ? tokenizer->file_name() : ""}};
    print_json(out);
  } else {
    std::printf("imported %s parameters in %zu tensors to %s\n", with_commas(numbers).c_str(),
                content.model.size(), shown(saved.string()).c_str());
  }
  return 0;
}

}  // namespace
}  // namespace mythos

int main(int argc, char** argv) {
  mythos::Options options;
  mythos::Command command;
  command.name = "mythos-import";
  command.summary = "Make a run directory of a model that another program wrote.";
  command.examples =
      "mythos import --format openmythos --weights model.safetensors --config config.json "
      "--tokenizer tok.model --output runs/imported\n"
      "mythos import --format safetensors --weights exports/nano --config exports/nano/config.toml "
      "--output runs/copy\n"
      "mythos import --format hf --weights Ouro-1.4B --output runs/ouro\n"
      "mythos import --format hf --weights TinyLlama-1.1B --retrofit prelude=4,core=8,coda=4 "
      "--drop 4-9 --output runs/looped";
  command.options = [&](CLI::App& app) {
    app.add_option("--format", options.format,
                   "safetensors, openmythos or hf; default: safetensors")
        ->type_name("FORMAT");
    app.add_option("--weights", options.weights,
                   "A .safetensors file, a directory of them, or their index.json; PyTorch's .bin")
        ->type_name("PATH")
        ->required();
    app.add_option("--config", options.config,
                   "Its config.json, or a .toml file (safetensors); hf: the one beside the weights")
        ->type_name("FILE");
    add_tokenizer_options(app, options.tokenizer);
    app.add_option("--retrofit", options.retrofit,
                   "hf: cut a plain model into a looped one, prelude=P,core=R,coda=C layers");
    app.add_option("--drop", options.drop,
                   "--retrofit: layers to leave out, from 0, such as 4 or 10-14")
        ->delimiter(',');
    app.add_option("--loops", options.loops, "--retrofit: loops of the model; default: 4")
        ->type_name("N");
    app.add_option("--output", options.output, "Run directory to make")
        ->type_name("RUN")
        ->required();
    app.add_flag("--json", options.json, "Print the result as one JSON object");
  };
  command.run = [&] { return mythos::run(options); };
  command.memory_advice = "The weights are held in fp32.";
  return mythos::run_command(argc, argv, command);
}
