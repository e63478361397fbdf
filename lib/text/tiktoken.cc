#include "text/tiktoken.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "base/strings.h"
#include "text/byte_bpe.h"

namespace mythos {
namespace {

constexpr uint32_t kMaxRank = (1 << 24) - 1;
constexpr const char* kEndOfText = "<|endoftext|>";

struct Encoding {
  std::string_view name;
  size_t ranks;
  bool told_by_ranks;  // when no encoding is named
  const std::string_view& pattern;
  std::vector<SpecialToken> (*specials)();
};

std::vector<SpecialToken> gpt2_specials() {
  return {{kEndOfText, 50256}};
}

std::vector<SpecialToken> p50k_edit_specials() {
  return {{kEndOfText, 50256},
          {"<|fim_prefix|>", 50281},
          {"<|fim_middle|>", 50282},
          {"<|fim_suffix|>", 50283}};
}

std::vector<SpecialToken> cl100k_specials() {
  return {{kEndOfText, 100257},
          {"<|fim_prefix|>", 100258},
          {"<|fim_middle|>", 100259},
          {"<|fim_suffix|>", 100260},
          {"<|endofprompt|>", 100276}};
}

std::vector<SpecialToken> o200k_specials() {
  return {{kEndOfText, 199999}, {"<|endofprompt|>", 200018}};
}

// gpt-oss. <|endofprompt|> shares its id with a reserved name, which text may hold too.
std::vector<SpecialToken> harmony_specials() {
  std::vector<SpecialToken> tokens = {{"<|startoftext|>", 199998}, {kEndOfText, 199999},
                                      {"<|return|>", 200002},      {"<|constrain|>", 200003},
                                      {"<|channel|>", 200005},     {"<|start|>", 200006},
                                      {"<|end|>", 200007},         {"<|message|>", 200008},
                                      {"<|call|>", 200012},        {"<|endofprompt|>", 200018}};
  constexpr uint32_t kNamed[] = {200002, 200003, 200005, 200006, 200007, 200008, 200012};
  for (uint32_t id = 200000; id < 201088; ++id) {
    if (std::find(std::begin(kNamed), std::end(kNamed), id) != std::end(kNamed)) continue;
    tokens.push_back({strprintf("<|reserved_%u|>", id), id});
  }
  return tokens;
}

const Encoding kEncodings[] = {
    {"r50k_base", 50256, true, kGpt2Pattern, gpt2_specials},
    {"p50k_base", 50280, true, kGpt2Pattern, gpt2_specials},
    {"p50k_edit", 50280, false, kGpt2Pattern, p50k_edit_specials},
    {"cl100k_base", 100256, true, kCl100kPattern, cl100k_specials},
    {"o200k_base", 199998, false, kO200kPattern, o200k_specials},
    {"o200k_harmony", 199998, true, kO200kPattern, harmony_specials},
};

const Encoding* find_encoding(std::string_view name) {
  const auto found = std::find_if(std::begin(kEncodings), std::end(kEncodings),
                                  [&](const Encoding& encoding) { return encoding.name == name; });
  return found == std::end(kEncodings) ? nullptr : found;
}

const Encoding* told_by_ranks(size_t ranks) {
  const auto found = std::find_if(
      std::begin(kEncodings), std::end(kEncodings),
      [&](const Encoding& encoding) { return encoding.told_by_ranks && encoding.ranks == ranks; });
  return found == std::end(kEncodings) ? nullptr : found;
}

// Values of base64's letters (RFC 4648), 64 for all other bytes.
constexpr std::array<uint8_t, 256> kBase64 = [] {
  std::array<uint8_t, 256> values;
  values.fill(64);
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kLetters.size(); ++i) {
    values[static_cast<unsigned char>(kLetters[i])] = static_cast<uint8_t>(i);
  }
  return values;
}();

// Appends the decoded bytes. False when the text is not padded base64.
bool decode_base64(std::string_view text, std::string& out) {
  if (text.empty() || text.size() % 4 != 0) return false;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  for (size_t i = 0; i < text.size(); i += 4) {
    const size_t letters = i + 4 < text.size() ? 4 : 4 - padding;
    uint32_t group = 0;
    for (size_t j = 0; j < 4; ++j) {
      const uint32_t value = j < letters ? kBase64[static_cast<unsigned char>(text[i + j])] : 0;
      if (value > 63) return false;
      group = group << 6 | value;
    }
    for (size_t j = 0; j + 1 < letters; ++j) out += static_cast<char>(group >> (16 - 8 * j));
  }
  return true;
}

// One line's token, appended to `bytes`, and rank. What is wrong with the line, or nothing.
const char* read_line(std::string_view line, std::string& bytes, uint32_t& rank) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) {
    return "expected base64, a space and a rank";
  }
  if (!decode_base64(line.substr(0, space), bytes)) {
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
  fail(ErrorKind::data, strprintf("%s:%u: not a line of a tiktoken rank file: %s", source.c_str(),
                                  line, what.c_str()));
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
    if (!vocabulary.set(token.rank, std::string_view(ranks.bytes).substr(token.begin, token.size)))
      fail_line(source, token.line, strprintf("rank %u comes a second time", token.rank));
    if (!vocabulary.index(token.rank)) {
      fail_line(source, token.line,
                strprintf("the token of rank %u has another rank too", token.rank));
    }
  }
  bpe.whole_pieces = true;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const uint32_t id = vocabulary.find({&c, 1});
    if (id == Vocabulary::kNone) {
      fail(ErrorKind::data,
           strprintf("%s: the byte 0x%02X has no rank; each of the 256 bytes needs "
                     "one. Is the file whole?",
                     source.c_str(), byte));
    }
    bpe.byte_ids[static_cast<size_t>(byte)] = id;
  }
  return bpe;
}

const Encoding& choose_encoding(size_t ranks, const std::string& source, std::string_view name) {
  const Encoding* encoding = name.empty() ? told_by_ranks(ranks) : find_encoding(name);
  if (encoding) return *encoding;
  if (!name.empty()) {
    fail(ErrorKind::usage, strprintf("%s: '%s' is not an encoding (known: %s)", source.c_str(),
                                     escaped(name, 40).c_str(), tiktoken_encodings().c_str()));
  }
  fail(ErrorKind::usage,
       strprintf("%s: %zu ranks do not tell how this tiktoken file cuts text.\nWrite %s:ENCODING "
                 "with one of %s.",
                 source.c_str(), ranks, source.c_str(), tiktoken_encodings().c_str()));
}

}  // namespace

bool looks_like_tiktoken(std::string_view content) {
  std::string bytes;
  uint32_t rank = 0;
  return read_line(next_line(content).substr(0, 4096), bytes, rank) == nullptr;
}

bool is_tiktoken_encoding(std::string_view name) {
  return find_encoding(name) != nullptr;
}

std::string tiktoken_encodings() {
  std::vector<std::string> names;
  for (const Encoding& encoding : kEncodings) names.emplace_back(encoding.name);
  return join(names, ", ");
}

std::string_view encoding_of_file_name(std::string_view file_name) {
  constexpr std::string_view kPrefix = "tokenizer.", kSuffix = ".tiktoken";
  if (!file_name.starts_with(kPrefix) || !file_name.ends_with(kSuffix) ||
      file_name.size() <= kPrefix.size() + kSuffix.size()) {
    return {};
  }
  file_name.remove_prefix(kPrefix.size());
  file_name.remove_suffix(kSuffix.size());
  return is_tiktoken_encoding(file_name) ? file_name : std::string_view();
}

std::unique_ptr<Tokenizer> parse_tiktoken(std::string content, const std::string& source,
                                          std::string_view encoding_name) {
  const Ranks ranks = read_ranks(content, source);
  const Encoding& encoding = choose_encoding(ranks.tokens.size(), source, encoding_name);
  ByteBpeParts parts(make_bpe(ranks, source));
  parts.pre_tokenizer.add_split(encoding.pattern);
  const bool known = encoding.ranks == ranks.tokens.size();
  const std::vector<SpecialToken> specials =
      known ? encoding.specials() : std::vector<SpecialToken>{{kEndOfText, ranks.last + 1}};
  parts.vocab_size = ranks.last + 1;
  for (const SpecialToken& token : specials) {
    if (token.id <= ranks.last && !parts.bpe.vocabulary.bytes(token.id).empty()) {
      fail(ErrorKind::data,
           strprintf("%s: rank %u is given, but it is the id of %s in %s", source.c_str(), token.id,
                     token.name.c_str(), std::string(encoding.name).c_str()));
    }
    parts.added.add({.name = token.name, .id = token.id});
    parts.vocab_size = std::max<int64_t>(parts.vocab_size, int64_t{token.id} + 1);
    if (token.name == kEndOfText) parts.eos = token.id;
    if (token.name == "<|startoftext|>") parts.bos = token.id;
  }
  const bool told = told_by_ranks(ranks.tokens.size()) == &encoding;
  std::string file_name =
      told ? "tokenizer.tiktoken" : "tokenizer." + std::string(encoding.name) + ".tiktoken";
  return make_byte_bpe(std::move(parts), std::move(content), std::move(file_name));
}

}  // namespace mythos
