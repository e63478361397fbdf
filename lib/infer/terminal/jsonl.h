#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "infer/engine/batch.h"
#include "infer/terminal/line_reader.h"

namespace mythos {

// The prompts of 'mythos generate --jsonl', one JSON object a line; man/mythos-generate.1 describes
// the keys.
class JsonlPrompts {
 public:
  // `defaults`: what a line does not say; `auto_loops`: the most of a line that says "auto".
  JsonlPrompts(const std::string& path, BatchRequest defaults, int64_t auto_loops,
               size_t max_line_bytes = LineReader::kMaxLineBytes);

  // As BatchGenerator::Source. Blank lines are skipped. A line that is none of use gives a request
  // with a fault (data or usage) that says what is allowed. Fails (data) when reading fails.
  Arrival next(BatchRequest& request, bool wait, const std::function<bool()>& cancelled = {});

  // The label of a request: its line, and the member "id" of its object (null without one).
  struct Label {
    uint64_t line = 0;
    nlohmann::json id;
  };
  // Once for each request.
  Label take_label(uint64_t number);
  const std::string& name() const { return lines_.name(); }  // of the file, for messages

 private:
  void read_line(const std::string& line, BatchRequest& request, Label& label) const;

  LineReader lines_;
  BatchRequest defaults_;
  int64_t auto_loops_;
  uint64_t given_ = 0;
  std::map<uint64_t, Label> labels_;  // of those not yet taken
};

// Puts what comes in any order back into the order of its numbers, 0 and on.
class OrderedLines {
 public:
  explicit OrderedLines(std::function<void(const std::string&)> print) : print_(std::move(print)) {}
  void add(uint64_t number, std::string line);
  // Lines that wait for an earlier one.
  size_t waiting() const { return waiting_.size(); }
  // Numbers that never came are passed over.
  void flush();

 private:
  std::function<void(const std::string&)> print_;
  uint64_t next_ = 0;
  std::map<uint64_t, std::string> waiting_;
};

}  // namespace mythos
