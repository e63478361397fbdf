#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/split/splitter.h"

namespace mythos {

// The offsets of a match.
struct Span {
  size_t begin = 0, end = 0;
};

// A regular expression that PCRE2's JIT has compiled. make_splitter says which patterns it reads
// and refuses.
class Regex {
 public:
  Regex(std::string_view pattern, Dialect dialect);
  ~Regex();

  // Calls visit(Span) for each match in order, also for empty matches. `text` is well-formed UTF-8.
  // Fails (resources) if a match backtracks without end. May be called from several threads at
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
  // The text with stand-ins for characters that PCRE2 may not know; empty if it has no such
  // characters.
  static std::string settled(std::string_view text);
  std::optional<Span> find(std::string_view text, size_t from) const;
  static size_t next_start(std::string_view text, Span match);

  std::string pattern_;
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace mythos
