#pragma once
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace mythos {

// Cuts text into the pieces within which byte-level BPE merges ("pre-tokenization"): the matches of
// a regular expression, and what lies between matches.
class Splitter {
 public:
  virtual ~Splitter() = default;
  // Appends the end offset of each piece of `text` in order; the last is text.size(). `text` is
  // well-formed UTF-8. May be called from several threads at once.
  virtual void split(std::string_view text, std::vector<size_t>& ends) const = 0;
};

// The patterns of OpenAI's encodings, as tiktoken publishes them.
extern const std::string_view kGpt2Pattern;    // r50k_base, p50k_base; Hugging Face's ByteLevel
extern const std::string_view kCl100kPattern;  // cl100k_base
extern const std::string_view kO200kPattern;   // o200k_base, o200k_harmony

// A splitter for a pattern: hand-written code for the patterns that are met most, PCRE2 with JIT
// otherwise. Character classes are those of one Unicode version in both. Fails (data) on a pattern
// that PCRE2 refuses, telling where.
std::unique_ptr<Splitter> make_splitter(std::string_view pattern);
// The plain path: PCRE2 whatever the pattern.
std::unique_ptr<Splitter> make_regex_splitter(std::string_view pattern);

}  // namespace mythos
