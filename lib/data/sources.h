#pragma once
#include <functional>
#include <memory>
#include <string>

#include "data/readers.h"

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
};

// Counts the rows that give no document, and shows the first malformed one.
class RowLog {
 public:
  RowLog(ReaderCounts& counts, bool strict) : counts_(counts), strict_(strict) {}

  // `message` says "FILE:LINE: what"; it is called only where it is shown. Fails (data) when
  // strict.
  void malformed(const std::function<std::string()>& message);
  void low_score() { ++counts_.low_scores; }

 private:
  ReaderCounts& counts_;
  bool strict_;
};

// A text file, cut at options.separator.
std::unique_ptr<DocumentSource> open_text(const std::string& path, const ReaderOptions& options);
// JSON lines. A byte order mark at the start is passed over.
std::unique_ptr<DocumentSource> open_jsonl(const std::string& path, const ReaderOptions& options,
                                           RowLog& rows);
// A Parquet file; standard input that cannot seek is copied to a temporary file first. Fails (data)
// when the file is damaged or lacks a column, when this build or installation reads no Parquet.
std::unique_ptr<DocumentSource> open_parquet(const std::string& path, const ReaderOptions& options,
                                             RowLog& rows);

}  // namespace mythos
