#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat/chat_format.h"

namespace mythos {

// Turns conversations into prompts whose continuation is the assistant's answer.
class Chat {
 public:
  // `bos`: conversations begin with BOS. `system` replaces the format's system message. The
  // tokenizer must outlive it. Fails (usage) if the tokenizer lacks a token of the format.
  Chat(const Tokenizer& tokenizer, ChatFormat format, bool bos);

  const ChatFormat& format() const { return format_; }
  // A conversation up to where the answer begins. What the messages say is never markup: names of
  // special tokens in them stay text.
  std::vector<uint32_t> prompt_ids(const std::vector<ChatMessage>& messages) const;
  std::string prompt_text(const std::vector<ChatMessage>& messages) const;
  // What follows the last token of an answer when a user says more: the end of the answer, the
  // message and the beginning of the next answer.
  std::vector<uint32_t> next_turn_ids(std::string_view message) const;

  // How answers end: with a token, or else with a text.
  const std::vector<uint32_t>& stop_ids() const { return stop_ids_; }
  const std::vector<std::string>& stop_texts() const { return stop_texts_; }

 private:
  MarkedText written(const std::vector<ChatMessage>& messages) const;

  const Tokenizer* tokenizer_;
  ChatFormat format_;
  bool bos_;
  std::vector<uint32_t> stop_ids_;
  std::vector<std::string> stop_texts_;
};

}  // namespace mythos
