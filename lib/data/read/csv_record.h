#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// A field of a record as the file has it, without the quotes around it.
struct CsvField {
  std::string_view text;
  bool doubled_quotes = false;  // whether `text` holds quotes, each written twice

  void decode(std::string& out) const;
};

// Finds the end of a record of delimited fields in a text that arrives in pieces (RFC 4180: fields
// in double quotes may hold delimiters, line ends and doubled quotes). A line ends with LF, CR LF
// or CR. Quotes within a field that does not begin with a quote are ordinary characters.
class CsvRecordEnd {
 public:
  explicit CsvRecordEnd(char delimiter) : delimiter_(delimiter) {}

  // Returns the record's size in bytes with its line end; npos if the record does not end in
  // `text`. `text` begins with the record's first byte and grows from call to call. With `last` no
  // text follows, and npos means that a quote is not closed.
  size_t find(std::string_view text, bool last);
  bool in_quotes() const { return state_ == State::quoted; }

 private:
  enum class State { field_start, plain, quoted, behind_quote };

  char delimiter_;
  size_t at_ = 0;
  State state_ = State::field_start;
};

// Cuts a record, with or without its line end, into fields. Returns what is wrong with it, or null.
const char* split_csv_record(std::string_view record, char delimiter,
                             std::vector<CsvField>& fields);

}  // namespace mythos
