#include "text/tiktoken/tiktoken.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/strings.h"
#include "text/carried_name.h"
#include "text/stages/staged_tokenizer.h"
#include "text/tiktoken/base64.h"
#include "text/tiktoken/tiktoken_encodings.h"

namespace mythos {
namespace {

constexpr uint32_t kMaxRank = (1 << 24) - 1;

// Reads a line: appends the token to `bytes` and sets `rank`. Returns what is wrong with the line,
// or null.
const char* read_line(std::string_view line, std::string& bytes, uint32_t& rank) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) {
    return "expected base64, a space and a rank";
  }
  // Whisper's multilingual file has an empty token, which it writes "=".
  if (line.substr(0, space) != "=" && !decode_base64(line.substr(0, space), bytes)) {
    return "the token is not base64";
  }
  const std::string_view digits = line.substr(space + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (error != std::errc() || end != digits.data() + digits.size() || rank > kMaxRank) {
    return "the rank is not a number from 0 to 16777215";
  }
  return nullptr;
}

std::string_view next_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

struct Ranks {
  struct Token {
    uint32_t begin, size, rank, line;
  };
  std::string bytes;
  std::vector<Token> tokens;
  uint32_t last = 0;  // the largest rank
};

[[noreturn]] void fail_line(const std::string& source, uint32_t line, const std::string& what) {
  fail(ErrorKind::data,
       strprintf("%s:%u: not a line of a tiktoken rank file: %s", source, line, what));
}

Ranks read_ranks(std::string_view content, const std::string& source) {
  Ranks ranks;
  ranks.bytes.reserve(content.size() / 4 * 3);
  ranks.tokens.reserve(content.size() / 16);
  uint32_t number = 0;
  while (!content.empty()) {
    const std::string_view line = next_line(content);
    ++number;
    if (line.empty()) continue;
    const auto begin = static_cast<uint32_t>(ranks.bytes.size());
    uint32_t rank = 0;
    if (const char* wrong = read_line(line, ranks.bytes, rank)) {
      fail_line(source, number, std::string(wrong) + ", found '" + escaped(line, 40) + "'");
    }
    const auto size = static_cast<uint32_t>(ranks.bytes.size()) - begin;
    ranks.tokens.push_back({begin, size, rank, number});
    ranks.last = std::max(ranks.last, rank);
  }
  return ranks;
}

BpeParts make_bpe(const Ranks& ranks, const std::string& source) {
  BpeParts bpe(Vocabulary(ranks.last + 1, ranks.bytes.size()));
  Vocabulary& vocabulary = bpe.vocabulary;
  for (const Ranks::Token& token : ranks.tokens) {
    if (token.size == 0) continue;
    if (!vocabulary.set(token.rank, std::string_view(ranks.bytes).substr(token.begin, token.size)))
      fail_line(source, token.line, strprintf("rank %u comes a second time", token.rank));
    if (!vocabulary.index(token.rank)) {
      fail_line(source, token.line,
                strprintf("the token of rank %u has another rank too", token.rank));
    }
  }
  bpe.whole_pieces = true;
  if (const int byte = bpe.find_byte_ids(); byte >= 0) {
    fail(ErrorKind::data, strprintf("%s: the byte 0x%02X has no rank; each of the 256 bytes needs "
                                    "one. Is the file whole?",
                                    source, byte));
  }
  return bpe;
}

const TiktokenEncoding& choose_encoding(size_t ranks, const std::string& source,
                                        std::string_view name) {
  const auto* encoding = name.empty() ? tiktoken_encoding_of(ranks) : find_tiktoken_encoding(name);
  if (encoding) return *encoding;
  if (!name.empty()) {
    fail(ErrorKind::usage, strprintf("%s: '%s' is not an encoding (known: %s)", source,
                                     escaped(name, 40), tiktoken_encodings()));
  }
  fail(ErrorKind::usage,
       strprintf("%s: %u ranks do not tell how this tiktoken file cuts text.", source, ranks),
       strprintf("Write %s:ENCODING "
                 "with one of %s.",
                 source, tiktoken_encodings()));
}

std::string last_ranks_checksum(const Ranks& ranks) {
  std::vector<Ranks::Token> tokens = ranks.tokens;
  std::sort(tokens.begin(), tokens.end(),
            [](const auto& a, const auto& b) { return a.rank < b.rank; });
  std::string text;
  for (size_t i = tokens.size() - std::min(tokens.size(), kLastRanks); i < tokens.size(); ++i) {
    text += std::to_string(tokens[i].rank) + " ";
    text += std::string_view(ranks.bytes).substr(tokens[i].begin, tokens[i].size);
    text += "\n";
  }
  return checksum(text);
}

// A sentence on what the file only presumably shares with the encoding; empty if it is the
// published file.
std::string assumption_of(const TiktokenEncoding& encoding, const Ranks& ranks,
                          const std::string& source) {
  const size_t count = ranks.tokens.size();
  const std::string name(encoding.name), last = last_ranks_checksum(ranks);
  const std::string given = with_commas(count), wanted = with_commas(encoding.ranks);
  if (count != encoding.ranks) {
    const TiktokenEncoding* published = tiktoken_encoding_of(count);
    if (published && published->last_ranks == last) {
      return strprintf(
          "%s: these are the %s ranks of %s, not the %s of %s: only its pattern is "
          "used",
          source, given, published->name, wanted, name);
    }
    return strprintf("%s: %s ranks, and %s has %s: only its pattern is used", source, given, name,
                     wanted);
  }
  if (encoding.last_ranks == last) return "";
  return strprintf(
      "%s: as many ranks as %s, %s, but not the published ones: its pattern and "
      "special tokens are assumed",
      source, name, wanted);
}

void add_specials(const TiktokenEncoding& encoding, TokenizerParts& parts,
                  const std::string& source) {
  const Vocabulary& vocabulary = parts.vocabulary();
  for (const SpecialToken& token : encoding.specials()) {
    if (token.id < vocabulary.size() && !vocabulary.bytes(token.id).empty()) {
      fail(ErrorKind::data, strprintf("%s: rank %u is given, but it is the id of %s in %s", source,
                                      token.id, token.name, encoding.name));
    }
    parts.added.add({.name = token.name, .id = token.id});
    parts.vocab_size = std::max<int64_t>(parts.vocab_size, int64_t{token.id} + 1);
    if (token.name == encoding.eos) parts.eos = token.id;
    if (token.name == encoding.bos) parts.bos = token.id;
  }
}

}  // namespace

bool looks_like_tiktoken(std::string_view content) {
  std::string bytes;
  uint32_t rank = 0;
  return read_line(next_line(content).substr(0, 4096), bytes, rank) == nullptr;
}

std::unique_ptr<Tokenizer> parse_tiktoken(std::string content, const std::string& source,
                                          std::string_view encoding_name) {
  const Ranks ranks = read_ranks(content, source);
  const TiktokenEncoding& encoding = choose_encoding(ranks.tokens.size(), source, encoding_name);
  TokenizerParts parts(make_bpe(ranks, source));
  parts.pre_tokenizer.add_split(encoding.pattern);
  parts.vocab_size = ranks.last + 1;
  const bool known = encoding.ranks == ranks.tokens.size();
  if (known) {
    if (encoding.nfc) parts.normalizer.add(make_form_step("NFC"));
    add_specials(encoding, parts, source);
  } else {
    parts.added.add({.name = kEndOfText, .id = ranks.last + 1});
    parts.eos = ranks.last + 1;
    parts.vocab_size = int64_t{ranks.last} + 2;
    parts.open_ended = true;
  }
  parts.assumption = assumption_of(encoding, ranks, source);
  const bool told = tiktoken_encoding_of(ranks.tokens.size()) == &encoding;
  const CarriedName name{.stem = "tokenizer",
                         .suffix = "tiktoken",
                         .encoding = told ? "" : std::string(encoding.name)};
  return make_staged_tokenizer(std::move(parts), std::move(content), name.format());
}

}  // namespace mythos
