#include "text/tiktoken/tiktoken_encodings.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>

#include "base/strings.h"
#include "text/split/splitter.h"

namespace mythos {
namespace {

using Names = std::initializer_list<const char*>;
using SpecialTokens = std::vector<SpecialToken>;

// Adds special tokens with these names and the ids from `next` on.
void add(SpecialTokens& tokens, uint32_t& next, Names names) {
  for (const char* name : names) tokens.push_back({name, next++});
}
// Adds `count` special tokens named "<|PREFIX_FROM|>", "<|PREFIX_FROM+1|>", ….
void add(SpecialTokens& tokens, uint32_t& next, const char* prefix, uint32_t from, uint32_t count) {
  for (uint32_t i = from; i < from + count; ++i) {
    tokens.push_back({strprintf("<|%s_%u|>", prefix, i), next++});
  }
}

SpecialTokens gpt2_specials() {
  return {{kEndOfText, 50256}};
}

SpecialTokens p50k_edit_specials() {
  return {{kEndOfText, 50256},
          {"<|fim_prefix|>", 50281},
          {"<|fim_middle|>", 50282},
          {"<|fim_suffix|>", 50283}};
}

SpecialTokens cl100k_specials() {
  return {{kEndOfText, 100257},
          {"<|fim_prefix|>", 100258},
          {"<|fim_middle|>", 100259},
          {"<|fim_suffix|>", 100260},
          {"<|endofprompt|>", 100276}};
}

SpecialTokens o200k_specials() {
  return {{kEndOfText, 199999}, {"<|endofprompt|>", 200018}};
}

// The special tokens of gpt-oss. <|endofprompt|> shares its id with a reserved name, which text may
// hold too.
SpecialTokens harmony_specials() {
  SpecialTokens tokens = {{"<|startoftext|>", 199998}, {kEndOfText, 199999},
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

SpecialTokens llama3_specials() {
  SpecialTokens tokens;
  uint32_t next = 128000;
  add(tokens, next, {"<|begin_of_text|>", "<|end_of_text|>"});
  add(tokens, next, "reserved_special_token", 0, 2);
  add(tokens, next,
      {"<|finetune_right_pad_id|>", "<|step_id|>", "<|start_header_id|>", "<|end_header_id|>",
       "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>"});
  add(tokens, next, "reserved_special_token", 2, 244);
  return tokens;
}

SpecialTokens llama4_specials() {
  SpecialTokens tokens;
  uint32_t next = 200000;
  add(tokens, next,
      {"<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
       "<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>"});
  add(tokens, next, "text_post_train_reserved_special_token", 0, 6);
  add(tokens, next, {"<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"});
  add(tokens, next, "text_post_train_reserved_special_token", 8, 61);
  add(tokens, next, {"<|image_start|>", "<|image_end|>"});
  add(tokens, next, "vision_reserved_special_token", 0, 2);
  add(tokens, next, {"<|tile_x_separator|>", "<|tile_y_separator|>"});
  add(tokens, next, "vision_reserved_special_token", 2, 4);
  add(tokens, next, {"<|image|>"});
  add(tokens, next, "vision_reserved_special_token", 6, 1);
  add(tokens, next, {"<|patch|>"});
  add(tokens, next, "vision_reserved_special_token", 7, 1041);
  add(tokens, next, "reasoning_reserved_special_token", 0, 8);
  add(tokens, next, {"<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"});
  add(tokens, next, "reserved_special_token", 0, 202048 - next);
  return tokens;
}

SpecialTokens qwen_specials() {
  SpecialTokens tokens;
  uint32_t next = 151643;
  add(tokens, next, {kEndOfText, "<|im_start|>", "<|im_end|>"});
  add(tokens, next, "extra", 0, 205);
  return tokens;
}

SpecialTokens qwen35_specials() {
  SpecialTokens tokens;
  uint32_t next = 248044;
  add(tokens, next,
      {kEndOfText,
       "<|im_start|>",
       "<|im_end|>",
       "<|object_ref_start|>",
       "<|object_ref_end|>",
       "<|box_start|>",
       "<|box_end|>",
       "<|quad_start|>",
       "<|quad_end|>",
       "<|vision_start|>",
       "<|vision_end|>",
       "<|vision_pad|>",
       "<|image_pad|>",
       "<|video_pad|>",
       "<tool_call>",
       "</tool_call>",
       "<|fim_prefix|>",
       "<|fim_middle|>",
       "<|fim_suffix|>",
       "<|fim_pad|>",
       "<|repo_name|>",
       "<|file_sep|>",
       "<tool_response>",
       "</tool_response>",
       "<think>",
       "</think>",
       "<|audio_start|>",
       "<|audio_end|>",
       "<tts_pad>",
       "<tts_text_bos>",
       "<tts_text_eod>",
       "<tts_text_bos_single>",
       "<|audio_pad|>"});
  return tokens;
}

const TiktokenEncoding kEncodings[] = {
    {"r50k_base", 50256, "0b5d9e0833bfe922", true, kGpt2Pattern, "", kEndOfText, gpt2_specials},
    {"p50k_base", 50280, "494b113f568d5f00", true, kGpt2Pattern, "", kEndOfText, gpt2_specials},
    {"p50k_edit", 50280, "494b113f568d5f00", false, kGpt2Pattern, "", kEndOfText,
     p50k_edit_specials},
    {"cl100k_base", 100256, "74b4e25ee26acc96", true, kCl100kPattern, "", kEndOfText,
     cl100k_specials},
    {"o200k_base", 199998, "b5861f89fcd2ee37", false, kO200kPattern, "", kEndOfText,
     o200k_specials},
    {"o200k_harmony", 199998, "b5861f89fcd2ee37", true, kO200kPattern, "<|startoftext|>",
     kEndOfText, harmony_specials},
    {"llama3", 128000, "73e21885c222a429", true, kLlama3Pattern, "<|begin_of_text|>",
     "<|end_of_text|>", llama3_specials},
    {"llama4", 200000, "e4dbab793f593055", true, kO200kPattern, "<|begin_of_text|>",
     "<|end_of_text|>", llama4_specials},
    {"qwen", 151643, "f35a2917ada36a1b", true, kQwenPattern, "", kEndOfText, qwen_specials, true},
    {"qwen3.5", 248044, "ac3d81453e739d4e", true, kQwen35Pattern, "", kEndOfText, qwen35_specials,
     true},
};

}  // namespace

const TiktokenEncoding* find_tiktoken_encoding(std::string_view name) {
  const auto found = std::find_if(std::begin(kEncodings), std::end(kEncodings),
                                  [&](const auto& encoding) { return encoding.name == name; });
  return found == std::end(kEncodings) ? nullptr : found;
}

const TiktokenEncoding* tiktoken_encoding_of(size_t ranks) {
  const auto found = std::find_if(
      std::begin(kEncodings), std::end(kEncodings),
      [&](const auto& encoding) { return encoding.told_by_ranks && encoding.ranks == ranks; });
  return found == std::end(kEncodings) ? nullptr : found;
}

std::string tiktoken_encodings() {
  std::vector<std::string> names;
  for (const TiktokenEncoding& encoding : kEncodings) names.emplace_back(encoding.name);
  return join(names, ", ");
}

}  // namespace mythos
