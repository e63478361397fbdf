#include "data/read/csv_record.h"

#include <algorithm>

namespace mythos {

void CsvField::decode(std::string& out) const {
  if (!doubled_quotes) {
    out = text;
    return;
  }
  out.clear();
  for (size_t begin = 0; begin < text.size();) {
    const size_t quote = std::min(text.find('"', begin), text.size() - 1);
    out.append(text, begin, quote + 1 - begin);
    begin = quote + 2;
  }
}

size_t CsvRecordEnd::find(std::string_view text, bool last) {
  for (; at_ < text.size(); ++at_) {
    const char c = text[at_];
    if (state_ == State::quoted) {
      at_ = std::min(text.find('"', at_), text.size());
      if (at_ == text.size()) break;
      state_ = State::behind_quote;
    } else if (c == '"' && (state_ == State::field_start || state_ == State::behind_quote)) {
      state_ = State::quoted;
    } else if (c == delimiter_) {
      state_ = State::field_start;
    } else if (c == '\n') {
      return at_ + 1;
    } else if (c == '\r') {
      if (at_ + 1 == text.size() && !last) break;
      return at_ + 1 + text.substr(at_ + 1).starts_with('\n');
    } else {
      state_ = State::plain;
    }
  }
  return last && state_ != State::quoted ? text.size() : std::string_view::npos;
}

const char* split_csv_record(std::string_view record, char delimiter,
                             std::vector<CsvField>& fields) {
  if (record.ends_with('\n')) record.remove_suffix(1);
  if (record.ends_with('\r')) record.remove_suffix(1);
  fields.clear();
  for (std::string_view rest = record;;) {
    CsvField field;
    size_t end = 0;
    if (rest.starts_with('"')) {
      for (end = rest.find('"', 1); rest.substr(end + 1).starts_with('"');
           end = rest.find('"', end + 2)) {
        field.doubled_quotes = true;
      }
      field.text = rest.substr(1, end - 1);
      ++end;
      if (end < rest.size() && rest[end] != delimiter) return "text behind a closing quote";
    } else {
      end = std::min(rest.find(delimiter), rest.size());
      field.text = rest.substr(0, end);
    }
    fields.push_back(field);
    if (end == rest.size()) return nullptr;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace mythos
