#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "text/vocab/evaluate_vocab.h"

namespace mythos {
namespace {

double ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 0;
}

constexpr int kRateWidth = 9;

std::string round_trip(const TokenizerFacts& facts) {
  if (facts.wrong_documents == 0) return "ok";
  return strprintf("document %s, byte %s", with_commas(facts.first_fault.document),
                   with_commas(facts.first_fault.byte));
}

double share(uint64_t part, uint64_t whole) {
  return ratio(static_cast<double>(part), static_cast<double>(whole));
}

int name_width(const std::vector<TokenizerFacts>& tokenizers) {
  size_t width = 16;
  for (const TokenizerFacts& facts : tokenizers) width = std::max(width, facts.name.size());
  return static_cast<int>(width);
}

std::string rows_by_tokenizer(const TextFacts& text,
                              const std::vector<TokenizerFacts>& tokenizers) {
  const int width = name_width(tokenizers);
  std::string out =
      strprintf("%-*s %10s %14s %11s %11s %8s %7s %9s  %s\n", width, "tokenizer", "vocabulary",
                "tokens", "bytes/token", "tokens/word", "bytes", "unused", "MB/s", "round trip");
  for (const TokenizerFacts& facts : tokenizers) {
    const auto vocab = static_cast<uint64_t>(facts.vocab_size);
    out += strprintf("%-*s %10s %14s %11.3f %11.3f %7.2f%% %6.1f%% %9.1f  %s\n", width, facts.name,
                     with_commas(vocab), with_commas(facts.tokens), share(text.bytes, facts.tokens),
                     share(facts.tokens, text.words), 100 * share(facts.byte_tokens, facts.tokens),
                     100 * share(vocab - facts.used_ids, vocab),
                     ratio(static_cast<double>(text.bytes) / 1e6, facts.encode_seconds),
                     round_trip(facts));
  }
  return out;
}

}  // namespace

std::string evaluation_table(const TextFacts& text, const std::vector<TokenizerFacts>& tokenizers,
                             double min_share) {
  const uint64_t total = text.total_characters();
  std::string out =
      strprintf("%s documents, %s bytes, %s characters, %s words\n\n", with_commas(text.documents),
                with_commas(text.bytes), with_commas(total), with_commas(text.words));
  out += rows_by_tokenizer(text, tokenizers);
  out += strprintf("\ntokens per character\n%-14s %14s %7s", "script", "characters", "share");
  for (const TokenizerFacts& facts : tokenizers) out += strprintf("  %*s", kRateWidth, facts.name);
  out += "\n";
  for (size_t i = 0; i < kScripts; ++i) {
    const uint64_t characters = text.characters[i];
    if (characters == 0 || share(characters, total) < min_share) continue;
    out += strprintf("%-14s %14s %6.2f%%", script_name(static_cast<Script>(i)),
                     with_commas(characters), 100 * share(characters, total));
    for (const TokenizerFacts& facts : tokenizers) {
      out += strprintf("  %*.4f", std::max(kRateWidth, static_cast<int>(facts.name.size())),
                       ratio(facts.script_tokens[i], static_cast<double>(characters)));
    }
    out += "\n";
  }
  return out;
}

nlohmann::ordered_json evaluation_json(const TextFacts& text,
                                       const std::vector<TokenizerFacts>& tokenizers) {
  using nlohmann::ordered_json;
  ordered_json out = {{"schema", "mythos.vocab-evaluate/1"},
                      {"documents", text.documents},
                      {"bytes", text.bytes},
                      {"characters", text.total_characters()},
                      {"words", text.words},
                      {"scripts", ordered_json::object()},
                      {"tokenizers", ordered_json::array()}};
  const auto by_script = [&](auto value) {
    ordered_json object = ordered_json::object();
    for (size_t i = 0; i < kScripts; ++i) {
      if (text.characters[i] == 0) continue;
      object[std::string(script_name(static_cast<Script>(i)))] = value(i);
    }
    return object;
  };
  out["scripts"] = by_script([&](size_t i) { return text.characters[i]; });
  for (const TokenizerFacts& facts : tokenizers) {
    const auto vocab = static_cast<uint64_t>(facts.vocab_size);
    ordered_json row = {{"name", facts.name},
                        {"vocab_size", facts.vocab_size},
                        {"tokens", facts.tokens},
                        {"bytes_per_token", share(text.bytes, facts.tokens)},
                        {"tokens_per_word", share(facts.tokens, text.words)},
                        {"byte_tokens", facts.byte_tokens},
                        {"unused_ids", vocab - facts.used_ids},
                        {"round_trip", facts.wrong_documents == 0},
                        {"wrong_documents", facts.wrong_documents}};
    if (facts.wrong_documents > 0) {
      row["first_fault"] = {{"document", facts.first_fault.document},
                            {"byte", facts.first_fault.byte}};
    }
    row["encode_seconds"] = facts.encode_seconds;
    row["encode_bytes_per_second"] = ratio(static_cast<double>(text.bytes), facts.encode_seconds);
    row["tokens_per_character"] = by_script([&](size_t i) {
      return ratio(facts.script_tokens[i], static_cast<double>(text.characters[i]));
    });
    out["tokenizers"].push_back(std::move(row));
  }
  return out;
}

}  // namespace mythos
