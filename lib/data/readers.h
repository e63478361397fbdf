#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mythos {

// automatic: by the file's name, without .zst: .jsonl and .ndjson are JSON lines, anything else and
// standard input is plain text.
enum class InputFormat { automatic, text, jsonl };

struct ReaderOptions {
  InputFormat format = InputFormat::automatic;
  std::string
      separator;  // between documents of a text file, as bytes; empty: a file is one document
  std::string field = "text";  // of a JSON line, a string
  bool strict = false;         // a malformed row is an error instead of being skipped and counted
};

// Documents of one input, one after the other.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // False at the end, and soon after stop_signal().
  virtual bool next(std::string& document) = 0;
  virtual uint64_t stored_bytes() const = 0;
};

// The documents of a list of inputs in order, "-" being standard input. A text file without
// separator is one document, even when it is empty; with one, it is what stands between separators,
// and nothing after the last one is no document. Blank lines of JSON lines are skipped.
class DocumentReader {
 public:
  // Fails (data) when an input is missing, so that a long job does not fail half-way for that.
  DocumentReader(std::vector<std::string> inputs, ReaderOptions options);
  ~DocumentReader();

  // False at the end, and soon after stop_signal(). Fails (data) as open_byte_stream() and, when
  // strict, on the first malformed row.
  bool next(std::string& document);

  uint64_t stored_bytes() const;                                // consumed so far
  uint64_t total_stored_bytes() const { return total_bytes_; }  // 0: not known
  // Malformed rows that were skipped. The first is logged as a warning, "FILE:LINE: what", when
  // met.
  uint64_t bad_rows() const { return bad_rows_; }

 private:
  std::unique_ptr<DocumentSource> open(const std::string& path);
  void on_bad_row(const std::string& message);

  std::vector<std::string> inputs_;
  ReaderOptions options_;
  size_t next_input_ = 0;
  std::unique_ptr<DocumentSource> source_;
  uint64_t total_bytes_ = 0, finished_bytes_ = 0, bad_rows_ = 0;
};

// Turns \n, \t, \r, \0, \\ and \xHH, as typed on a command line, into bytes. Fails (usage) naming
// `option` on any other use of the backslash.
std::string unescape(const std::string& text, const std::string& option);

}  // namespace mythos
