#include "text/chat/chat.h"

#include <algorithm>

#include "base/strings.h"

namespace mythos {

Chat::Chat(const Tokenizer& tokenizer, ChatFormat format, bool bos)
    : tokenizer_(&tokenizer), format_(std::move(format)), bos_(bos && tokenizer.bos_id()) {
  check_chat_format(format_, tokenizer, "--chat-template " + format_.name);
  const std::vector<uint32_t> end = tokenizer.encode(format_.end, Specials::parse);
  const auto is_end = [&](const SpecialToken& token) { return !end.empty() && token.id == end[0]; };
  if (std::ranges::any_of(tokenizer.special_tokens(), is_end)) {
    stop_ids_.push_back(end[0]);
  } else {
    stop_texts_.push_back(format_.end);
  }
}

MarkedText Chat::written(const std::vector<ChatMessage>& messages) const {
  MarkedText out;
  write_messages(format_, messages, out);
  out.add(format_.before_content("assistant") + format_.answer, false, true);
  return out;
}

std::vector<uint32_t> Chat::prompt_ids(const std::vector<ChatMessage>& messages) const {
  std::vector<uint32_t> ids = encode_whole(*tokenizer_, written(messages));
  if (bos_) ids.insert(ids.begin(), *tokenizer_->bos_id());
  return ids;
}

std::string Chat::prompt_text(const std::vector<ChatMessage>& messages) const {
  return written(messages).text;
}

std::vector<uint32_t> Chat::next_turn_ids(std::string_view message) const {
  MarkedText out;
  out.add(format_.end + format_.behind_end, false, true);
  ChatFormat turn = format_;
  turn.system.clear();
  write_messages(turn, {{"user", std::string(message)}}, out);
  out.add(format_.before_content("assistant") + format_.answer, false, true);
  return encode_whole(*tokenizer_, out);
}

}  // namespace mythos
