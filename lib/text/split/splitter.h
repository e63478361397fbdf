#pragma once
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace mythos {

// Cuts text into the pieces within which byte-level BPE merges ("pre-tokenization"): the matches of
// a regular expression, and the texts between matches.
class Splitter {
 public:
  virtual ~Splitter() = default;
  // Appends the end offset of each piece of `text` in order; the last is text.size(). `text` is
  // well-formed UTF-8. May be called from several threads at once.
  virtual void split(std::string_view text, std::vector<size_t>& ends) const = 0;
};

// The split patterns of encodings, as their makers publish them.
extern const std::string_view kGpt2Pattern;    // r50k_base, p50k_base; Hugging Face's ByteLevel
extern const std::string_view kCl100kPattern;  // cl100k_base
extern const std::string_view kO200kPattern;   // o200k_base, o200k_harmony, llama4
extern const std::string_view kLlama3Pattern;  // llama3; cl100k_base before tiktoken 0.9
extern const std::string_view kQwenPattern;    // qwen
extern const std::string_view kQwen35Pattern;  // qwen3.5

// The engine in whose dialect a pattern is written. Published patterns mean the same in both
// dialects except kCl100kPattern: {1,3}+ is possessive in Rust's and a repeated group in
// Oniguruma's.
enum class Dialect {
  rust,  // the regex and fancy-regex crates, for tiktoken: ^ and $ match at the ends of the text
  oniguruma,  // for tokenizer.json: ^ and $ match at the ends of lines
};

// The splitter for a pattern: hand-written code for the most common patterns, which are recognised
// by their spelling, and PCRE2 with JIT for all others. Both take \p{L}, its like and \s from
// Unicode 16.0, as tiktoken 0.14 and tokenizers 0.23 do; only a script or a code point newer than
// 14.0 that the pattern itself names may not be recognised. Fails (data), naming the offset, on a
// pattern that PCRE2 refuses or might read differently from `dialect`.
std::unique_ptr<Splitter> make_splitter(std::string_view pattern, Dialect dialect = Dialect::rust);
// A splitter that uses PCRE2 for every pattern. Splitting fails (resources) if a match backtracks
// without end.
std::unique_ptr<Splitter> make_regex_splitter(std::string_view pattern,
                                              Dialect dialect = Dialect::rust);

}  // namespace mythos
