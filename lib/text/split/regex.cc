#include "text/split/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "text/split/pattern_dialect.h"
#include "text/unicode/char_classes.h"

namespace mythos {
namespace {

// A bound on the backtracking of one match; published patterns need a handful of steps for a piece.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr size_t kJitStackStart_bytes = 32 << 10, kJitStackMax_bytes = 8 << 20;

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

// The memory that a match works in: one for each thread, whatever the number of splitters.
struct Scratch {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack =
      pcre2_jit_stack_create(kJitStackStart_bytes, kJitStackMax_bytes, nullptr);

  Scratch() {
    if (!match || !context) fail(ErrorKind::resources, "out of memory for regular expressions");
    pcre2_set_match_limit(context, kMatchLimit);
    // There is no stack if PCRE2 was built without JIT.
    if (stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Scratch() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

}  // namespace

struct Regex::Code {
  ~Code() { pcre2_code_free(code); }
  pcre2_code* code = nullptr;
  bool jit = false;
};

Regex::Regex(std::string_view pattern, Dialect dialect)
    : pattern_(pcre2_spelling(pattern, dialect)), code_(std::make_unique<Code>()) {
  int error = 0;
  size_t offset = 0;
  const uint32_t ends = dialect == Dialect::oniguruma ? PCRE2_MULTILINE : PCRE2_DOLLAR_ENDONLY;
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  if (!context) fail(ErrorKind::resources, "out of memory for regular expressions");
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern_.data()), pattern_.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | ends, &error,
                              &offset, context);
  pcre2_compile_context_free(context);
  if (!code_->code) {
    fail(ErrorKind::data, "cannot use the split pattern \"" + pattern_ + "\"",
         "byte " + std::to_string(offset) + ": " + pcre2_message(error));
  }
  code_->jit = pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE) == 0;
}

Regex::~Regex() = default;

std::string Regex::settled(std::string_view text) {
  return has_unsettled(text) ? with_stand_ins(text) : std::string();
}

std::optional<Span> Regex::find(std::string_view text, size_t from) const {
  static thread_local Scratch scratch;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto match = code_->jit ? pcre2_jit_match : pcre2_match;
  const int result = match(code_->code, subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                           scratch.match, scratch.context);
  const size_t* bounds = pcre2_get_ovector_pointer(scratch.match);
  if (result >= 0) return Span{bounds[0], bounds[1]};
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  fail(ErrorKind::resources,
       "the split pattern \"" + pattern_ + "\" gives up at byte " + std::to_string(from) +
           " of a document of " + std::to_string(text.size()) + " bytes: " + pcre2_message(result),
       "simplify the pattern");
}

size_t Regex::next_start(std::string_view text, Span match) {
  if (match.end > match.begin) return match.end;
  // After an empty match the search goes on after the next character.
  if (match.end == text.size()) return match.end;
  return match.end + static_cast<size_t>(utf8_sequence(text.substr(match.end)));
}

}  // namespace mythos
