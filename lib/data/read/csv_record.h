#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// A field of a record as it stands in the file, without the quotes around it.
struct CsvField {
  std::string_view text;
  bool doubled_quotes = false;  // `text` holds quotes, each written twice

  void decode(std::string& out) const;
};

// Finds where a record of delimited fields ends (RFC 4180: fields in double quotes may hold
// delimiters, line ends and doubled quotes) in a text that arrives in pieces. A line ends with LF,
// CR LF or CR. Quotes within a field that does not begin with one are characters like others.
class CsvRecordEnd {
 public:
  explicit CsvRecordEnd(char delimiter) : delimiter_(delimiter) {}

  // `text` begins with the record's first byte and grows from call to call; `last` when no more
  // follows. The record's size in bytes with its line end; npos where it goes on behind the text,
  // and when `last`, where a quote is open.
  size_t find(std::string_view text, bool last);
  bool in_quotes() const { return place_ == Place::quoted; }

 private:
  enum class Place { field_start, plain, quoted, behind_quote };

  char delimiter_;
  size_t at_ = 0;
  Place place_ = Place::field_start;
};

// Cuts a record, which may end with its line end, into fields. Null, or what is wrong with it.
const char* split_csv_record(std::string_view record, char delimiter,
                             std::vector<CsvField>& fields);

}  // namespace mythos
