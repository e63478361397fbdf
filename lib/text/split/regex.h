#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/split/splitter.h"

namespace mythos {

// Where a pattern matches.
struct Span {
  size_t begin = 0, end = 0;
};

// A compiled regular expression, by PCRE2 with JIT; see make_splitter for what it reads and
// refuses.
class Regex {
 public:
  Regex(std::string_view pattern, Dialect dialect);
  ~Regex();

  // Calls visit(Span) for the matches in order, the empty ones too. `text` is well-formed UTF-8.
  // Fails (resources) where a match backtracks without end. May be called from several threads at
  // once.
  template <class Visit>
  void for_each_match(std::string_view text, const Visit& visit) const {
    const std::string stand_ins = settled(text);
    const std::string_view subject = stand_ins.empty() ? text : std::string_view(stand_ins);
    for (size_t from = 0; from < subject.size();) {
      const auto match = find(subject, from);
      if (!match) break;
      visit(*match);
      from = next_start(subject, *match);
    }
  }

 private:
  // The text with stand-ins for characters that PCRE2 may not know; empty where there are none.
  static std::string settled(std::string_view text);
  std::optional<Span> find(std::string_view text, size_t from) const;
  static size_t next_start(std::string_view text, Span match);

  std::string pattern_;
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace mythos
