#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// Unicode's normal forms (UAX 15) as Hugging Face's tokenizers makes them: characters newer than
// Unicode 9.0 stay as they are.
class UnicodeForm {
 public:
  enum Kind { nfc, nfd, nfkc, nfkd };

  explicit UnicodeForm(Kind kind);
  // Appends the normal form of well-formed `text`.
  void apply(std::string_view text, std::string& out) const;

 private:
  struct Table;
  static const Table& table(Kind kind);
  size_t inert_from(std::string_view text) const;
  void put_together(std::vector<int32_t>& codes, std::string& out) const;

  Kind kind_;
  const Table& table_;
};

}  // namespace mythos
