#include "data/shards/parting.h"

#include <span>

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr uint64_t kShortTailBytes = 256;

// The offset nearest to `wanted`, from `least` to `most`, that is fit.
template <class IsFit>
std::optional<size_t> nearest_place(size_t wanted, size_t least, size_t most, const IsFit& is_fit) {
  for (size_t distance = 0;; ++distance) {
    const bool below = wanted >= least + distance, above = wanted + distance <= most;
    if (!below && !above) return std::nullopt;
    if (below && is_fit(wanted - distance)) return wanted - distance;
    if (above && is_fit(wanted + distance)) return wanted + distance;
  }
}

}  // namespace

uint64_t parting_hash(std::string_view text) {
  return checksum64(std::as_bytes(std::span(text)));
}

ShardDirectory::Split split_of_hash(uint64_t hash, double val_fraction) {
  return static_cast<double>(hash >> 11) * 0x1.0p-53 < val_fraction ? ShardDirectory::Split::val
                                                                    : ShardDirectory::Split::train;
}

std::optional<size_t> cut_place(std::string_view text, uint64_t tail_bytes) {
  if (text.size() < 2) return std::nullopt;
  const size_t inside = text.size() - 1;  // size of the longest tail
  const size_t tail = std::clamp<size_t>(tail_bytes, 1, inside);
  const bool is_short = tail_bytes < kShortTailBytes;
  const size_t shortest = is_short ? 1 : tail - tail / 2;
  const size_t doubled = tail > inside / 2 ? inside : 2 * tail;
  const size_t longest = is_short ? std::max(doubled, text.size() / 2) : doubled;
  const size_t wanted = text.size() - tail;
  const size_t least = text.size() - std::min(longest, inside), most = text.size() - shortest;
  const auto behind_line = [&](size_t place) { return text[place - 1] == '\n'; };
  if (const auto place = nearest_place(wanted, least, most, behind_line)) return place;
  if (is_short) return std::nullopt;
  const auto behind_space = [&](size_t place) {
    return std::string_view(" \t\r\v\f").find(text[place - 1]) != std::string_view::npos;
  };
  if (const auto place = nearest_place(wanted, least, most, behind_space)) return place;
  const auto between_characters = [&](size_t place) {
    return (static_cast<unsigned char>(text[place]) & 0xC0) != 0x80;
  };
  return nearest_place(wanted, wanted - std::min<size_t>(wanted - 1, 3),
                       std::min(wanted + 3, inside), between_characters)
      .value_or(wanted);
}

void log_tail(const Tail& tail) {
  if (tail.text_bytes == 0) return;
  const std::string bytes = with_commas(tail.text_bytes) + " bytes";
  if (tail.of_one_document) {
    log_info("the text is one document: its last " + bytes +
             " are the validation split; --val-fraction 0 keeps none");
  } else if (tail.split == ShardDirectory::Split::val) {
    log_info("no document fell into the validation split: the last " + bytes +
             " of the text are it; --val-fraction 0 keeps none");
  } else {
    log_info("all documents fell into the validation split: the last " + bytes +
             " of the text are for training");
  }
}

}  // namespace mythos
