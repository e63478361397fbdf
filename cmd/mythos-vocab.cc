#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/print.h"
#include "base/progress.h"
#include "base/strings.h"
#include "data/build/build_vocab.h"
#include "text/load_tokenizer.h"
#include "text/vocab/evaluate_vocab.h"

using namespace mythos;

namespace {

struct Options {
  InputOptions input;
  VocabOptions vocab;
  std::string type = "bpe", output;
  uint64_t sample_bytes = 20'000'000;
  std::vector<std::string> tokenizers;
  bool evaluate = false, json = false;
};

int train(Options& options) {
  options.vocab.type = options.type == "bpe" ? VocabType::bpe : VocabType::unigram;
  options.vocab.show_log = log_level() == LogLevel::debug;
  const BuiltVocab built =
      build_vocab(options.input, options.sample_bytes, options.vocab, options.output);
  log_info(strprintf("%s: %d pieces, %.2f bytes per token on the training text", options.output,
                     built.vocab_size, built.bytes_per_token));
  if (options.json) {
    const nlohmann::ordered_json out = {{"schema", "mythos.vocab/1"},
                                        {"output", options.output},
                                        {"type", options.type},
                                        {"vocab_size", built.vocab_size},
                                        {"fingerprint", built.fingerprint},
                                        {"text_bytes", built.text_bytes},
                                        {"sample_bytes", built.sample_bytes},
                                        {"bytes_per_token", built.bytes_per_token}};
    print_json(out);
  }
  return 0;
}

int evaluate(const Options& options) {
  if (options.tokenizers.empty()) {
    fail(ErrorKind::usage, "--evaluate needs the tokenizers to compare: --tokenizer TOK, repeated");
  }
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  std::vector<const Tokenizer*> borrowed;
  for (const std::string& path : options.tokenizers) {
    tokenizers.push_back(load_tokenizer(path));
    borrowed.push_back(tokenizers.back().get());
  }
  VocabEvaluation evaluation(borrowed, file_labels(options.tokenizers));
  DocumentReader reader = open_documents(options.input);
  Progress progress("evaluate", static_cast<int64_t>(reader.total_stored_bytes()), "bytes");
  for (std::string document; reader.next(document);) {
    evaluation.add(document);
    progress.update(static_cast<int64_t>(reader.stored_bytes()));
  }
  Progress::clear_line();
  report_left_out(reader.counts());
  if (evaluation.text().bytes == 0) fail(ErrorKind::data, "no text to evaluate on");
  const std::vector<TokenizerFacts> facts = evaluation.tokenizers();
  if (options.json) {
    print_json(evaluation_json(evaluation.text(), facts));
  } else {
    print_lines(evaluation_table(evaluation.text(), facts));
  }
  return 0;
}

int run(Options& options) {
  if (options.evaluate) return evaluate(options);
  if (options.vocab.vocab_size == 0 || options.output.empty()) {
    fail(ErrorKind::usage,
         "training needs --vocab-size N and --output FILE; --evaluate compares tokenizers instead");
  }
  return train(options);
}

void declare(CLI::App& app, Options& options) {
  app.add_option("--vocab-size", options.vocab.vocab_size,
                 "Pieces, including 256 bytes and <unk>, <s>, </s>")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->type_name("N");
  app.add_option("--output", options.output, "File to write, in SentencePiece's .model format")
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
  CLI::Option* evaluate = app.add_flag("--evaluate", options.evaluate,
                                       "Compare tokenizers on the text instead of training")
                              ->group("Evaluation");
  for (const char* name :
       {"--vocab-size", "--output", "--type", "--character-coverage", "--sample-bytes"}) {
    evaluate->excludes(app.get_option(name));
  }
  app.add_option("--tokenizer", options.tokenizers, "One to compare; may be repeated")
      ->allow_extra_args(false)
      ->needs(evaluate)
      ->type_name("TOK")
      ->group("Evaluation");
  app.add_flag("--json", options.json,
               "Print one JSON object (mythos.vocab/1 or mythos.vocab-evaluate/1)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(
      argc, argv,
      {"mythos-vocab", "Train a SentencePiece vocabulary on text, or compare tokenizers on it.",
       R"(mythos vocab --vocab-size 4096 --output tok.model book.txt
                         mythos vocab --vocab-size 32000 --output tok.model --field text part-*.jsonl.zst
                         pdftotext book.pdf - | mythos vocab --vocab-size 8192 --output tok.model -
                         mythos vocab --evaluate --tokenizer tok.model --tokenizer o200k_base.tiktoken book.txt)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run(options); }});
}
