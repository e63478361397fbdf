#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/stop.h"
#include "data/read/masked_rows.h"

namespace mythos {

// The formats of inputs. `automatic` is decided by an input's first bytes and its name
// (tell_format()). Rows of JSON are objects: `jsonl` has one on each line; `json` has them in an
// array or one after the other, over any lines. `csv` and `tsv` have the columns' names in the
// first record. The numbers stand in files: do not change them.
enum class InputFormat { automatic, text, jsonl, parquet, json, csv, tsv };

// A condition on rows: their numeric field must be at least `minimum`.
struct MinScore {
  std::string field;
  double minimum = 0;
};

struct ReaderOptions {
  InputFormat format = InputFormat::automatic;
  std::string
      separator;  // between documents of a text file, as bytes; empty: a file is one document
  // If not 0, a text file that is one document is given in pieces of at most this many bytes, cut
  // after a line if possible. For readers to whom documents do not matter.
  size_t text_piece_bytes = 0;
  // The field that holds the text: a column of Parquet, CSV or TSV, a member of a JSON object or,
  // if it begins with '/', a JSON pointer (RFC 6901) into the object.
  std::string field = "text";
  // What rows hold; other than text only for JSON. With `messages`, `chat` writes them.
  RowKind rows = RowKind::text;
  ChatFormat chat;
  // If not empty, the field of a JSON object that says which bytes of the text count
  // (mark_ranges()).
  std::string mask_field;
  // Whether damage to an input, such as compressed data that are cut off, is no error. The rest of
  // the input is then left out, a warning says so, and ReaderCounts lists the input.
  bool skip_damaged = false;
  bool strict = false;  // a malformed row is an error instead of being skipped and counted
  std::vector<MinScore> min_scores;  // rows must meet all of them; a text has no rows

  bool masked() const { return rows != RowKind::text || !mask_field.empty(); }
  double sample = 1;              // share of the documents to keep, chosen by hash of the text
  bool dedup = false;             // whether to leave out documents whose text came before
  std::optional<uint64_t> limit;  // most documents to give
  StopToken stop;                 // ends the reading
};

// An input that was left out, wholly or from some byte on.
struct DamagedInput {
  std::string name, what;
};

// Counts of what became of the rows that were read.
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

// Reads the documents of a list of inputs in order; "-" is standard input. A directory stands for
// all files below it whose names format_by_name() knows, sorted by path; other files there, except
// hidden ones, are counted and named in a line of the log. A name with *, ? or [ that is no file is
// a pattern, as in a shell. Without a separator a text file is one document, even if it is empty;
// with one, its documents are the texts between separators, and an empty text after the last
// separator is none. Blank lines of JSON lines, CSV and TSV are skipped.
class DocumentReader {
 public:
  // Fails (data) if an input is missing, a directory holds no known file, a pattern matches no
  // file, or a file cannot be opened or is plainly no text, so that a long job does not fail
  // half-way for such a reason. Fails (usage) on a malformed JSON pointer, on min_scores if an
  // input is text, and on masks if one is not JSON. The format of an input that is no ordinary
  // file, such as a pipe, is found out when its turn comes. The constructor and the functions that
  // read throw Stopped.
  DocumentReader(std::vector<std::string> inputs, ReaderOptions options);
  ~DocumentReader();

  // Reads the next document. Returns false at the end. Fails (data) as open_byte_stream() does and,
  // if `strict`, on the first malformed row.
  bool next(std::string& document);
  // The parts of the document that next() gave last; none unless ReaderOptions::masked().
  const std::vector<TextPart>& parts() const;
  // Begins again with the first document; only for inputs that are files.
  void restart();
  // Skips documents as if next() had given them, for resuming. Returns false if the end came first.
  bool skip(uint64_t documents);

  // The inputs after expansion. input() is the index of the input that the last document came from.
  const std::vector<std::string>& inputs() const { return inputs_; }
  size_t input() const { return next_input_ - 1; }
  // The options and each input's name, size and time of change. Readers with equal identities give
  // the same documents.
  std::string identity() const;

  uint64_t stored_bytes() const;                                // consumed so far
  uint64_t total_stored_bytes() const { return total_bytes_; }  // 0 if not known
  // The counts so far. The first malformed row is also logged as a warning, "FILE:LINE: what", when
  // it is met.
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
  std::vector<InputFormat> formats_;  // of inputs_; automatic if not known yet
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
