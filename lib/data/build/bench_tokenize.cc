#include "data/build/bench_tokenize.h"

#include <atomic>
#include <exception>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

struct Documents {
  std::vector<std::string> texts;
  uint64_t bytes = 0;
};

Documents read_documents(const TokenizeBench& options) {
  DocumentReader reader = open_documents(options.input);
  Documents documents;
  std::string text;
  while (documents.bytes < options.max_bytes && reader.next(text)) {
    documents.bytes += text.size();
    documents.texts.push_back(std::move(text));
  }
  report_left_out(reader.counts());
  if (documents.bytes == 0) fail(ErrorKind::data, "no text to encode");
  if (documents.bytes >= options.max_bytes) {
    log_info("reading stopped at --max-bytes; what follows is not measured");
  }
  return documents;
}

// Calls work(i) for 0 … count-1, dealt out to threads one by one. Throws what a thread throws.
template <typename Work>
void share_out(size_t count, int threads, const Work& work) {
  std::atomic<size_t> next = 0;
  std::exception_ptr error;
  std::atomic<bool> failed = false;
  const auto run = [&] {
    try {
      for (size_t i; (i = next++) < count;) work(i);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(run);
  run();
  others.clear();
  if (error) std::rethrow_exception(error);
}

// A tokenizer and what it makes of the documents.
class Subject {
 public:
  Subject(const std::string& path, const Documents& documents, int threads)
      : tokenizer_(load_tokenizer(path)),
        documents_(documents),
        threads_(threads),
        ids_(documents.texts.size()) {}

  void encode() {
    share_out(ids_.size(), threads_, [&](size_t i) {
      ids_[i].clear();
      tokenizer_->encode(documents_.texts[i], ids_[i], Specials::as_text);
    });
  }
  void decode() {
    share_out(ids_.size(), threads_, [&](size_t i) { tokenizer_->decode(ids_[i]); });
  }
  uint64_t tokens() const {
    uint64_t tokens = 0;
    for (const auto& ids : ids_) tokens += ids.size();
    return tokens;
  }
  // The checksum of all ids, one document after the other, as little-endian 32-bit integers.
  std::string ids_checksum() const {
    Checksum checksum;
    for (const auto& ids : ids_) checksum.update(ids.data(), ids.size() * sizeof(uint32_t));
    return checksum.hex();
  }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  const Documents& documents_;
  int threads_;
  std::vector<std::vector<uint32_t>> ids_;
};

nlohmann::ordered_json tokenize_facts(const TokenizeBench& options, const Documents& documents,
                                      const std::vector<Subject>& subjects,
                                      const std::vector<std::string>& names) {
  nlohmann::ordered_json facts = machine_facts();
  facts["threads"] = options.threads;
  facts["documents"] = documents.texts.size();
  facts["bytes"] = documents.bytes;
  for (size_t i = 0; i < subjects.size(); ++i) {
    const std::string suffix = i == 0 ? "" : "_" + std::to_string(i + 1);
    facts["tokenizer" + suffix] = names[i];
    facts["vocab_size" + suffix] = subjects[i].tokenizer().vocab_size();
    facts["tokens" + suffix] = subjects[i].tokens();
    facts["ids_checksum" + suffix] = subjects[i].ids_checksum();
  }
  facts["peak_memory_bytes"] = peak_memory_bytes();
  return facts;
}

}  // namespace

BenchResult bench_tokenize(const TokenizeBench& options) {
  const Documents documents = read_documents(options);
  const size_t count = options.tokenizers.size();
  const std::vector<std::string> names = file_labels(options.tokenizers);
  std::vector<Subject> subjects;
  std::vector<std::function<void()>> encode, decode, open;
  subjects.reserve(count);
  for (const std::string& path : options.tokenizers) {
    open.push_back([&] { load_tokenizer(path); });
    subjects.emplace_back(path, documents, options.threads);
    encode.push_back([&subject = subjects.back()] { subject.encode(); });
    decode.push_back([&subject = subjects.back()] { subject.decode(); });
  }
  std::vector<Measurement> rows;
  const auto add = [&](const char* name, const std::vector<std::vector<double>>& seconds,
                       bool amounts) {
    for (size_t i = 0; i < count; ++i) {
      Measurement row{name + (count > 1 ? ", " + names[i] : ""), seconds[i], {}};
      if (amounts) {
        row.amounts = {{"bytes", static_cast<double>(documents.bytes)},
                       {"tokens", static_cast<double>(subjects[i].tokens())}};
      }
      rows.push_back(std::move(row));
    }
  };
  const auto first = measure_in_turn(0, 1, encode);
  const auto again = measure_in_turn(std::max(options.warmup - 1, 0), options.repeat, encode);
  add("load", measure_in_turn(0, options.repeat, open), false);
  add("encode, first time", first, true);
  add("encode", again, true);
  add("decode", measure_in_turn(options.warmup, options.repeat, decode), true);
  return {"tokenize", tokenize_facts(options, documents, subjects, names), std::move(rows)};
}

}  // namespace mythos
