#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output_path.h"
#include "base/print.h"
#include "base/progress.h"
#include "base/strings.h"
#include "data/read/input_options.h"
#include "text/load_tokenizer.h"
#include "text/sentencepiece/sentencepiece.h"
#include "text/vocab/evaluate_vocab.h"
#include "text/vocab/train_vocab.h"

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

TrainingText read_text(const Options& options) {
  InputOptions input = options.input;
  // Sentences come from a text's pieces as well, unless documents are counted or chosen.
  const bool any_cut = !input.dedup && !input.limit && input.sample == 1;
  if (any_cut) input.text_piece_bytes = 1 << 20;
  DocumentReader reader = open_documents(input);
  TrainingText text(options.sample_bytes);
  Progress progress("read", static_cast<int64_t>(reader.total_stored_bytes()), "bytes");
  for (std::string document; reader.next(document);) {
    text.add(document);
    progress.update(static_cast<int64_t>(reader.stored_bytes()));
  }
  report_left_out(reader.counts());
  return text;
}

std::vector<std::string> first_megabyte(const std::vector<std::string>& sentences) {
  size_t bytes = 0, count = 0;
  while (count < sentences.size() && bytes <= 1 << 20) bytes += sentences[count++].size();
  return {sentences.begin(), sentences.begin() + static_cast<ptrdiff_t>(count)};
}

double bytes_per_token(const Tokenizer& tokenizer, const std::vector<std::string>& sentences) {
  size_t bytes = 0, tokens = 0;
  for (const std::string& sentence : sentences) {
    bytes += sentence.size();
    tokens += tokenizer.encode(sentence).size();
  }
  return static_cast<double>(bytes) / static_cast<double>(std::max<size_t>(tokens, 1));
}

// Shows that a step which tells nothing of its progress goes on.
class Ticker {
 public:
  explicit Ticker(const std::string& label)
      : thread_([this, label](const std::stop_token& stop) { show(label, stop); }) {}

 private:
  // Where memory is short, there is nothing to be seen, and the step itself tells.
  void show(const std::string& label, const std::stop_token& stop) try {
    Progress progress(label, 0, "");
    std::unique_lock lock(mutex_);
    while (!stopped_.wait_for(lock, stop, std::chrono::milliseconds(200),
                              [&] { return stop.stop_requested(); })) {
      progress.line(label + ", " + human_duration(progress.elapsed_seconds()));
    }
  } catch (const std::bad_alloc&) {
  }

  std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::jthread thread_;  // the last member: it ends before the others do
};

int train(Options& options) {
  check_output(options.output, OutputKind::file);
  options.vocab.type = options.type == "bpe" ? VocabType::bpe : VocabType::unigram;
  options.vocab.show_log = log_level() == LogLevel::debug;
  TrainingText text = read_text(options);
  const uint64_t added = text.added_bytes(), kept = text.kept_bytes();
  std::vector<std::string> sentences = text.take_sentences();
  const std::vector<std::string> checked = first_megabyte(sentences);
  log_info(strprintf("training %s vocabulary of %lld on %s of text", options.type.c_str(),
                     static_cast<long long>(options.vocab.vocab_size),
                     human_bytes(static_cast<double>(kept)).c_str()));
  std::string model;
  {
    const Ticker ticker("training");
    model = train_vocab(std::move(sentences), options.vocab);
  }
  const auto tokenizer = parse_sentencepiece(model, options.output);
  const double ratio = bytes_per_token(*tokenizer, checked);
  write_file_atomic(options.output, model);
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
