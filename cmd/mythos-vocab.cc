#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/strings.h"
#include "data/input_options.h"
#include "text/sentencepiece.h"
#include "text/train_vocab.h"

using namespace mythos;

namespace {

struct Options {
  InputOptions input;
  VocabOptions vocab;
  std::string type = "bpe", output;
  uint64_t sample_bytes = 20'000'000;
  bool json = false;
};

TrainingText read_text(const Options& options) {
  DocumentReader reader = open_documents(options.input);
  TrainingText text(options.sample_bytes);
  Progress progress("read", static_cast<int64_t>(reader.total_stored_bytes()), "bytes");
  for (std::string document; reader.next(document);) {
    text.add(document);
    progress.update(static_cast<int64_t>(reader.stored_bytes()));
  }
  report_bad_rows(reader);
  return text;
}

// On the first megabyte of the training text.
double bytes_per_token(const Tokenizer& tokenizer, const std::vector<std::string>& sentences) {
  size_t bytes = 0, tokens = 0;
  for (const std::string& sentence : sentences) {
    bytes += sentence.size();
    tokens += tokenizer.encode(sentence).size();
    if (bytes > 1 << 20) break;
  }
  return static_cast<double>(bytes) / static_cast<double>(std::max<size_t>(tokens, 1));
}

int train(Options& options) {
  const fs::path output = options.output;
  if (output.has_parent_path() && !fs::is_directory(output.parent_path())) {
    fail(ErrorKind::data, output.parent_path().string() + ": no such directory for --output");
  }
  options.vocab.type = options.type == "bpe" ? VocabType::bpe : VocabType::unigram;
  options.vocab.show_log = log_level() == LogLevel::debug;
  TrainingText text = read_text(options);
  const uint64_t added = text.added_bytes(), kept = text.kept_bytes();
  const std::vector<std::string> sentences = text.take_sentences();
  log_info(strprintf("training %s vocabulary of %lld on %s of text", options.type.c_str(),
                     static_cast<long long>(options.vocab.vocab_size),
                     human_bytes(static_cast<double>(kept)).c_str()));
  const std::string model = train_vocab(sentences, options.vocab);
  const auto tokenizer = parse_sentencepiece(model, options.output);
  const double ratio = bytes_per_token(*tokenizer, sentences);
  write_file_atomic(output, model);
  log_info(strprintf("%s: %lld pieces, %.2f bytes per token on the training text",
                     options.output.c_str(), static_cast<long long>(tokenizer->vocab_size()),
                     ratio));
  if (options.json) {
    const nlohmann::ordered_json out = {{"schema", "mythos.vocab/1"},
                                        {"output", options.output},
                                        {"type", options.type},
                                        {"vocab_size", tokenizer->vocab_size()},
                                        {"fingerprint", tokenizer->fingerprint()},
                                        {"text_bytes", added},
                                        {"sample_bytes", kept},
                                        {"bytes_per_token", ratio}};
    std::puts(out.dump(2).c_str());
  }
  return 0;
}

void declare(CLI::App& app, Options& options) {
  app.add_option("--vocab-size", options.vocab.vocab_size,
                 "Pieces, including 256 bytes and <unk>, <s>, </s>")
      ->required()
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->type_name("N");
  app.add_option("--output", options.output, "File to write, in SentencePiece's .model format")
      ->required()
      ->type_name("FILE");
  app.add_option("--type", options.type, "Kind of model (default bpe)")
      ->check(CLI::IsMember({"bpe", "unigram"}));
  app.add_option("--character-coverage", options.vocab.character_coverage,
                 "Share of the characters that get a piece; the rest become bytes (default 0.9995)")
      ->check(CLI::Range(0.5, 1.0))
      ->type_name("F");
  app.add_option("--sample-bytes", options.sample_bytes,
                 "Train on a uniform sample of at most this much text (default 20MB)")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 40))
      ->type_name("N");
  add_input_options(app, options.input);
  app.add_flag("--json", options.json, "Print one JSON object (mythos.vocab/1)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(
      argc, argv,
      {"mythos-vocab", "Train a SentencePiece vocabulary on text.",
       R"(mythos vocab --vocab-size 4096 --output tok.model book.txt
                         mythos vocab --vocab-size 32000 --output tok.model --field text part-*.jsonl.zst
                         gzip -dc dump.txt.gz | mythos vocab --vocab-size 8192 --output tok.model -)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return train(options); }});
}
