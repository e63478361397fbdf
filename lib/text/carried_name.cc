#include "text/carried_name.h"

#include <utility>
#include <vector>

#include "base/strings.h"
#include "text/tiktoken/tiktoken_encodings.h"

namespace mythos {
namespace {

constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
    {"tokenizer", "model"}, {"tokenizer", "json"}, {"tekken", "json"}, {"tokenizer", "tiktoken"}};

// The id in a part such as "eos-ID", which must have no leading zeros; `key` is "eos".
std::optional<uint32_t> read_id(std::string_view part, std::string_view key) {
  if (!part.starts_with(key)) return std::nullopt;
  part.remove_prefix(key.size());
  const auto id = parse_int(part);
  if (!id || *id < 0 || *id > UINT32_MAX || std::to_string(*id) != part) return std::nullopt;
  return static_cast<uint32_t>(*id);
}

bool read_tag(std::string_view tag, CarriedName& name) {
  // Parts are taken from the back, because names of encodings may hold dots.
  while (!tag.empty()) {
    const size_t dot = tag.rfind('.');
    const std::string_view part = dot == tag.npos ? tag : tag.substr(dot + 1);
    const auto bos = read_id(part, "bos-"), eos = read_id(part, "eos-");
    if (!bos && !eos) break;
    (bos ? name.bos : name.eos) = bos ? bos : eos;
    tag = dot == tag.npos ? std::string_view() : tag.substr(0, dot);
  }
  name.encoding = tag;
  return tag.empty() || (name.suffix == "tiktoken" && find_tiktoken_encoding(tag));
}

}  // namespace

std::string CarriedName::tag() const {
  std::vector<std::string> parts;
  if (!encoding.empty()) parts.push_back(encoding);
  if (bos) parts.push_back("bos-" + std::to_string(*bos));
  if (eos) parts.push_back("eos-" + std::to_string(*eos));
  return join(parts, ".");
}

std::string CarriedName::format() const {
  const std::string middle = tag();
  return stem + "." + (middle.empty() ? "" : middle + ".") + suffix;
}

std::optional<CarriedName> parse_carried_name(std::string_view file_name) {
  for (const auto& [stem, suffix] : kKinds) {
    const std::string head = std::string(stem) + ".", tail = "." + std::string(suffix);
    if (!file_name.starts_with(head) || !file_name.ends_with(tail) ||
        file_name.size() + 1 < head.size() + tail.size()) {
      continue;
    }
    CarriedName name{std::string(stem), std::string(suffix), {}, {}, {}};
    if (file_name.size() + 1 == head.size() + tail.size()) return name;
    const std::string_view middle =
        file_name.substr(head.size(), file_name.size() - head.size() - tail.size());
    if (!middle.empty() && read_tag(middle, name) && name.format() == file_name) return name;
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace mythos
