#pragma once
#include <functional>
#include <memory>
#include <string>

#include "data/read/byte_stream.h"
#include "data/read/readers.h"

namespace mythos {

// Documents of one input, one after the other; rows that give none are told to a RowLog.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // False at the end, and soon after stop_signal().
  virtual bool next(std::string& document) = 0;
  // Passes over documents, with the same effect on the RowLog. Returns how many; fewer than asked
  // only at the end and soon after stop_signal().
  virtual uint64_t skip(uint64_t documents);
  virtual uint64_t stored_bytes() const = 0;
  // At the end: whether it is a text that was to be cut at a separator and has none.
  virtual bool lacks_separator() const { return false; }
};

// Counts the rows that give no document, and shows the first malformed one.
class RowLog {
 public:
  RowLog(ReaderCounts& counts, bool strict) : counts_(counts), strict_(strict) {}

  // `message` says "FILE:LINE: what"; it is called only where it is shown. Fails (data) when
  // strict.
  void malformed(const std::function<std::string()>& message);
  void low_score() { ++counts_.low_scores; }
  void lone_surrogate() { ++counts_.lone_surrogates; }

 private:
  ReaderCounts& counts_;
  bool strict_;
};

// Below, `name` is how messages name the input. Rows of all kinds that hold no text in the field,
// or no number in a field of min_scores, are malformed.

// A text, cut at options.separator.
std::unique_ptr<DocumentSource> open_text(std::unique_ptr<ByteStream> stream,
                                          const ReaderOptions& options);
// JSON lines. A byte order mark at the start is passed over, here and in the next two.
std::unique_ptr<DocumentSource> open_jsonl(const std::string& name,
                                           std::unique_ptr<ByteStream> stream,
                                           const ReaderOptions& options, RowLog& rows);
// JSON objects over any lines, in an array or one after the other. Fails (data) where an array or
// an object does not end, or something else stands between two of them.
std::unique_ptr<DocumentSource> open_json(const std::string& name,
                                          std::unique_ptr<ByteStream> stream,
                                          const ReaderOptions& options, RowLog& rows);
// Records of fields with `delimiter` between them, the first one with the columns' names, quoted as
// RFC 4180 says. Fails (data) when the first record is malformed or lacks a column.
std::unique_ptr<DocumentSource> open_csv(const std::string& name,
                                         std::unique_ptr<ByteStream> stream, char delimiter,
                                         const ReaderOptions& options, RowLog& rows);
// A Parquet file; what is no ordinary file is first copied from `stream` to a temporary one. Fails
// (data) when the file is compressed, is damaged or lacks a column, and when this build or
// installation reads no Parquet.
std::unique_ptr<DocumentSource> open_parquet(const std::string& path,
                                             std::unique_ptr<ByteStream> stream,
                                             const ReaderOptions& options, RowLog& rows);

}  // namespace mythos
