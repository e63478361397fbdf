#pragma once
#include <functional>
#include <memory>
#include <string>

#include "data/read/byte_stream.h"
#include "data/read/readers.h"

namespace mythos {

// Reads the documents of one input, one after the other, and reports rows that give none to a
// RowLog.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // Reads the next document. Returns false at the end. Throws Stopped once ReaderOptions::stop is
  // requested.
  virtual bool next(std::string& document) = 0;
  // The parts of the document that next() gave last.
  virtual const std::vector<TextPart>& parts() const;
  // Skips documents, with the same effect on the RowLog as reading them. Returns their number,
  // fewer than asked for only at the end.
  virtual uint64_t skip(uint64_t documents);
  virtual uint64_t stored_bytes() const = 0;
  // Whether the input, once it is read to the end, is a text without the separator at which it was
  // to be cut.
  virtual bool lacks_separator() const { return false; }
};

// Counts the rows that give no document, and logs the first malformed row.
class RowLog {
 public:
  RowLog(ReaderCounts& counts, bool strict) : counts_(counts), strict_(strict) {}

  // Counts a malformed row. `message` returns "FILE:LINE: what" and is called only if it is shown.
  // Fails (data) if strict.
  void malformed(const std::function<std::string()>& message);
  void low_score() { ++counts_.low_scores; }
  void lone_surrogate() { ++counts_.lone_surrogates; }

 private:
  ReaderCounts& counts_;
  bool strict_;
};

// In the functions below, `name` is how messages name the input. A row of any format is malformed
// if it holds no text in the field, or no number in a field of min_scores.

// Reads a text, cut at options.separator.
std::unique_ptr<DocumentSource> open_text(std::unique_ptr<ByteStream> stream,
                                          const ReaderOptions& options);
// Reads JSON lines. open_jsonl(), open_json() and open_csv() skip a byte order mark at the start.
// Where rows are masked, a mask that does not fit its text is an error (data), malformed or not.
std::unique_ptr<DocumentSource> open_jsonl(const std::string& name,
                                           std::unique_ptr<ByteStream> stream,
                                           const ReaderOptions& options, RowLog& rows);
// Reads JSON objects over any lines, in an array or one after the other. Fails (data) if an array
// or an object does not end, or if something else stands between two objects.
std::unique_ptr<DocumentSource> open_json(const std::string& name,
                                          std::unique_ptr<ByteStream> stream,
                                          const ReaderOptions& options, RowLog& rows);
// Reads records of fields separated by `delimiter` and quoted as RFC 4180 says; the first record
// has the columns' names. Fails (data) if the first record is malformed or lacks a column.
std::unique_ptr<DocumentSource> open_csv(const std::string& name,
                                         std::unique_ptr<ByteStream> stream, char delimiter,
                                         const ReaderOptions& options, RowLog& rows);
// Reads a Parquet file. An input that is no ordinary file is first copied from `stream` to a
// temporary file. Fails (data) if the file is compressed, is damaged or lacks a column, and if this
// build or installation reads no Parquet.
std::unique_ptr<DocumentSource> open_parquet(const std::string& path,
                                             std::unique_ptr<ByteStream> stream,
                                             const ReaderOptions& options, RowLog& rows);

}  // namespace mythos
