#include "data/build/build_vocab.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/output_path.h"
#include "base/progress.h"
#include "base/strings.h"
#include "text/sentencepiece/sentencepiece.h"

namespace mythos {
namespace {

TrainingText read_text(InputOptions input, uint64_t sample_bytes) {
  // Sentences come from a text's pieces as well, unless documents are counted or chosen.
  const bool any_cut = !input.dedup && !input.limit && input.sample == 1;
  if (any_cut) input.text_piece_bytes = 1 << 20;
  DocumentReader reader = open_documents(input);
  TrainingText text(sample_bytes);
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

double bytes_for_each_token(const Tokenizer& tokenizer, const std::vector<std::string>& sentences) {
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

}  // namespace

BuiltVocab build_vocab(const InputOptions& input, uint64_t sample_bytes,
                       const VocabOptions& options, const fs::path& output) {
  check_output(output, OutputKind::file);
  TrainingText text = read_text(input, sample_bytes);
  BuiltVocab built;
  built.text_bytes = text.added_bytes();
  built.sample_bytes = text.kept_bytes();
  std::vector<std::string> sentences = text.take_sentences();
  const std::vector<std::string> checked = first_megabyte(sentences);
  log_info(strprintf("training %s vocabulary of %d on %s of text",
                     options.type == VocabType::bpe ? "bpe" : "unigram", options.vocab_size,
                     human_bytes(static_cast<double>(built.sample_bytes))));
  std::string model;
  {
    const Ticker ticker("training");
    model = train_vocab(std::move(sentences), options);
  }
  const auto tokenizer = parse_sentencepiece(model, output.string());
  built.vocab_size = tokenizer->vocab_size();
  built.fingerprint = tokenizer->fingerprint();
  built.bytes_per_token = bytes_for_each_token(*tokenizer, checked);
  write_file_atomic(output, model);
  return built;
}

}  // namespace mythos
