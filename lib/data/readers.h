#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mythos {

// automatic: by the file's name, without .zst, .gz or .xz: .jsonl and .ndjson are JSON lines,
// .parquet is Parquet, anything else and standard input is plain text. What is Parquet by its first
// bytes alone is refused.
enum class InputFormat { automatic, text, jsonl, parquet };

// Keeps the rows whose numeric field is at least `minimum`.
struct MinScore {
  std::string field;
  double minimum = 0;
};

struct ReaderOptions {
  InputFormat format = InputFormat::automatic;
  std::string
      separator;  // between documents of a text file, as bytes; empty: a file is one document
  // Where a text file is one document, give it in pieces of at most this many bytes, cut behind a
  // line where there is one; 0: whole. For readers to whom documents do not matter.
  size_t text_piece_bytes = 0;
  // The string that holds the text: a column of Parquet, a member of a JSON line or, where it
  // begins with '/', a JSON pointer (RFC 6901) into it.
  std::string field = "text";
  bool strict = false;  // a malformed row is an error instead of being skipped and counted
  std::vector<MinScore> min_scores;  // of Parquet and JSON lines; all must hold
  double sample = 1;                 // share of the documents to keep, chosen by hash of the text
  bool dedup = false;                // leave out documents whose text came before
  std::optional<uint64_t> limit;     // documents to give at most
};

// What became of the rows that were read.
struct ReaderCounts {
  uint64_t documents = 0;   // given
  uint64_t bad_rows = 0;    // malformed, skipped
  uint64_t low_scores = 0;  // left out by min_scores
  uint64_t unsampled = 0;   // left out by sample
  uint64_t duplicates = 0;  // left out by dedup
};

class DocumentSource;
class RowLog;
class TextHashSet;

// The documents of a list of inputs in order, "-" being standard input. A directory stands for all
// files below it whose names an automatic format knows, sorted by path; a name with *, ? or [ that
// is no file is a pattern, as in a shell. A text file without separator is one document, even when
// it is empty; with one, it is what stands between separators, and nothing after the last one is no
// document. Blank lines of JSON lines are skipped.
class DocumentReader {
 public:
  // Fails (data) when an input is missing, a directory holds no known file or a pattern matches
  // none, so that a long job does not fail half-way for that; fails (usage) on a malformed JSON
  // pointer, and on min_scores where an input is text.
  DocumentReader(std::vector<std::string> inputs, ReaderOptions options);
  ~DocumentReader();

  // False at the end, and soon after stop_signal(). Fails (data) as open_byte_stream() and, when
  // strict, on the first malformed row.
  bool next(std::string& document);
  // Passes over documents as if next() had given them, for resuming. False if the end came first.
  bool skip(uint64_t documents);

  // The inputs after expansion; input() is the index of the one that the last document came from.
  const std::vector<std::string>& inputs() const { return inputs_; }
  size_t input() const { return next_input_ - 1; }
  // The options and each input's name, size and time of change: equal for readers that give the
  // same documents.
  std::string identity() const;

  uint64_t stored_bytes() const;                                // consumed so far
  uint64_t total_stored_bytes() const { return total_bytes_; }  // 0: not known
  // The first malformed row is logged as a warning, "FILE:LINE: what", when met.
  const ReaderCounts& counts() const { return counts_; }

 private:
  std::unique_ptr<DocumentSource> open(const std::string& path);
  bool advance();
  void close_source();
  bool keeps(const std::string& document);

  std::vector<std::string> inputs_;
  ReaderOptions options_;
  size_t next_input_ = 0;
  uint64_t total_bytes_ = 0, finished_bytes_ = 0;
  ReaderCounts counts_;
  std::unique_ptr<RowLog> rows_;
  std::unique_ptr<DocumentSource> source_;
  std::unique_ptr<TextHashSet> seen_;
};

// Turns \n, \t, \r, \0, \\ and \xHH, as typed on a command line, into bytes. Fails (usage) naming
// `option` on any other use of the backslash.
std::string unescape(const std::string& text, const std::string& option);

}  // namespace mythos
