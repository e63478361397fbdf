#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/shards/shards.h"

// Parts documents into training and validation.
namespace mythos {

// XXH3-64 of a document's text, which decides its split.
uint64_t parting_hash(std::string_view text);
ShardDirectory::Split split_of_hash(uint64_t hash, double val_fraction);

// The offset at which to cut a text so that a tail of about `tail_bytes` follows: after the nearest
// line if the tail then has between half and twice that size, else after white space, else between
// two characters. A tail of less than 256 bytes is cut only after a line, and may be up to half of
// the text. Nothing if the text has no such offset inside.
std::optional<size_t> cut_place(std::string_view text, uint64_t tail_bytes);

// The end of the text, if it was given to a split into which no document fell.
struct Tail {
  ShardDirectory::Split split = ShardDirectory::Split::val;
  uint64_t text_bytes = 0;  // 0 if there is no tail
  bool of_one_document = false;
};
// Logs a line about the tail if there is one.
void log_tail(const Tail& tail);

// Makes sure that both splits get something even if documents are too few for the fraction. As long
// as a split has nothing, the last documents are held back, about as much text as that split is to
// have. If no document falls into it until the end, the tail of the text goes there, as whole
// documents or cut by cut_place(). The result depends on the documents and their order alone.
//
// A Document has `text`, `split` as the hash decides it, and `Document cut(size_t place)`, which
// cuts the text at an offset and returns the rest. One whose kept_whole() is true, if it has that
// member, is never cut.
template <class Document>
class Parting {
 public:
  using Split = ShardDirectory::Split;
  // Held text, to which one document may be added.
  static constexpr uint64_t kMostHeldBytes = 64 << 20;

  // The text that the splits have already; all zeros at a start.
  struct Given {
    bool train = false, val = false;
    uint64_t text_bytes = 0;
  };
  Parting(double val_fraction, const Given& given)
      : val_fraction_(val_fraction),
        train_(given.train),
        val_(given.val),
        alone_(!given.train && !given.val),
        text_bytes_(given.text_bytes) {}

  // Whether the hash alone decides from here on; add() and finish() then need not be called.
  bool decided() const { return val_fraction_ == 0 || (train_ && val_); }
  // The document that was held back last, or null.
  Document* last() { return held_.empty() ? nullptr : &held_.back(); }

  // Takes the next document, and appends the documents whose split is certain to `out`, in order.
  void add(Document document, std::vector<Document>& out) {
    (document.split == Split::train ? train_ : val_) = true;
    text_bytes_ += document.text.size();
    held_bytes_ += document.text.size();
    held_.push_back(std::move(document));
    while (!held_.empty() && (decided() || (held_.size() > 1 && front_is_spare()))) {
      held_bytes_ -= held_.front().text.size();
      release(out);
      alone_ = false;
    }
  }

  // At the end of the text, appends the documents that are held back to `out`; a cut document
  // becomes two.
  Tail finish(std::vector<Document>& out) {
    if (held_.empty()) return {};
    alone_ = alone_ && held_.size() == 1;
    if (alone_) {
      held_.front().split = Split::train;
      train_ = true, val_ = false;
    }
    const Tail tail = cut_tail();
    while (!held_.empty()) release(out);
    return tail;
  }

 private:
  Split missing() const { return val_ ? Split::train : Split::val; }
  // The bytes of text that the split without documents is to have.
  uint64_t wanted() const {
    const double share = missing() == Split::val ? val_fraction_ : 1 - val_fraction_;
    return std::max<uint64_t>(1, static_cast<uint64_t>(share * static_cast<double>(text_bytes_)));
  }
  bool front_is_spare() const {
    return held_bytes_ - held_.front().text.size() >= std::min(wanted(), kMostHeldBytes);
  }
  void release(std::vector<Document>& out) {
    out.push_back(std::move(held_.front()));
    held_.pop_front();
    released_ = true;
  }

  static std::optional<size_t> place_to_cut(const Document& document, uint64_t tail_bytes) {
    if constexpr (requires { document.kept_whole(); }) {
      if (document.kept_whole()) return std::nullopt;
    }
    return cut_place(document.text, tail_bytes);
  }

  Tail cut_tail() {
    const Split split = missing();
    const auto others = [&](size_t begin) { return !alone_ && (released_ || begin > 1); };
    uint64_t left = wanted();
    size_t begin = held_.size();  // index of the tail's first document
    while (left > 0 && others(begin) && begin > 0 && held_[begin - 1].text.size() <= left)
      left -= held_[--begin].text.size();
    const bool enough = begin < held_.size() && left < wanted() / 2;
    if (left > 0 && begin > 0 && !enough) {
      if (const auto place = place_to_cut(held_[begin - 1], left)) {
        Document rest = held_[begin - 1].cut(*place);
        held_.insert(held_.begin() + static_cast<std::ptrdiff_t>(begin), std::move(rest));
      } else if (begin == held_.size() && others(begin)) {
        --begin;
      }
    }
    Tail tail = {split, 0, alone_};
    for (; begin < held_.size(); ++begin) {
      held_[begin].split = split;
      tail.text_bytes += held_[begin].text.size();
    }
    return tail;
  }

  double val_fraction_;
  bool train_, val_;         // whether documents fell into that split
  bool alone_;               // whether the held document may be the only one
  bool released_ = !alone_;  // whether a document went out
  uint64_t text_bytes_;      // bytes of all documents so far
  uint64_t held_bytes_ = 0;
  std::deque<Document> held_;
};

}  // namespace mythos
