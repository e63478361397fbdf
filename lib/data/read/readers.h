#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mythos {

// automatic: told by an input's first bytes and its name, see tell_format(). Rows of JSON are
// objects: jsonl has one in each line; json has them in an array or one after the other, over any
// lines. csv and tsv have the columns' names in the first record. The numbers stand in files: do
// not change.
enum class InputFormat { automatic, text, jsonl, parquet, json, csv, tsv };

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
  // The string that holds the text: a column of Parquet, CSV or TSV, a member of a JSON object or,
  // where it begins with '/', a JSON pointer (RFC 6901) into it.
  std::string field = "text";
  // Damage to an input, such as compressed data that are cut off, is no error: the input is left
  // out from there on, noted in ReaderCounts and told in a warning.
  bool skip_damaged = false;
  bool strict = false;  // a malformed row is an error instead of being skipped and counted
  std::vector<MinScore> min_scores;  // of rows, which a text has not; all must hold
  double sample = 1;                 // share of the documents to keep, chosen by hash of the text
  bool dedup = false;                // leave out documents whose text came before
  std::optional<uint64_t> limit;     // documents to give at most
};

// An input that was left out, wholly or from some place on.
struct DamagedInput {
  std::string name, what;
};

// What became of the rows that were read.
struct ReaderCounts {
  uint64_t documents = 0;        // given
  uint64_t bad_rows = 0;         // malformed, skipped
  uint64_t lone_surrogates = 0;  // rows in whose text JSON's lone surrogates became U+FFFD
  uint64_t low_scores = 0;       // left out by min_scores
  uint64_t unsampled = 0;        // left out by sample
  uint64_t duplicates = 0;       // left out by dedup
  uint64_t unseparated = 0;      // text files in which the separator does not occur
  std::string first_unseparated;
  std::vector<DamagedInput> damaged;  // with skip_damaged
};

class DocumentSource;
class RowLog;
class TextHashSet;

// The documents of a list of inputs in order, "-" being standard input. A directory stands for all
// files below it whose names format_by_name() knows, sorted by path; what else lies there is
// counted and named in a line of the log, but for hidden files. A name with *, ? or [ that is no
// file is a pattern, as in a shell. A text file without separator is one document, even when it is
// empty; with one, it is what stands between separators, and nothing after the last one is no
// document. Blank lines of JSON lines, CSV and TSV are skipped.
class DocumentReader {
 public:
  // Fails (data) when an input is missing, a directory holds no known file, a pattern matches none,
  // or a file cannot be opened or is plainly no text, so that a long job does not fail half-way for
  // that; fails (usage) on a malformed JSON pointer, and on min_scores where an input is text. What
  // an input is that is no ordinary file, such as a pipe, is told when its turn comes.
  DocumentReader(std::vector<std::string> inputs, ReaderOptions options);
  ~DocumentReader();

  // False at the end, and soon after stop_signal(). Fails (data) as open_byte_stream() and, when
  // strict, on the first malformed row.
  bool next(std::string& document);
  // Begins again with the first document; for inputs that are files.
  void restart();
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
  void tell_formats();
  std::unique_ptr<DocumentSource> open(size_t input);
  bool advance();
  bool next_document(std::string& document);
  void leave_out_rest(const std::string& what);
  void close_source();
  bool keeps(const std::string& document);

  std::vector<std::string> inputs_;
  ReaderOptions options_;
  std::vector<InputFormat> formats_;  // of inputs_; automatic where it is not told yet
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
