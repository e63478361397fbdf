#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/shards/shards.h"

// How documents are parted into training and validation.
namespace mythos {

// XXH3-64 of a document's text, which decides where it goes.
uint64_t parting_hash(std::string_view text);
ShardDirectory::Split split_of_hash(uint64_t hash, double val_fraction);

// Where to cut a text so that about `tail_bytes` lie behind: behind the nearest line where that
// makes the tail no less than half and no more than twice as long, else behind white space, else
// between two characters. A tail of less than 256 bytes is cut at a line alone, and may be up to
// half of the text. Nothing where no such place is inside the text.
std::optional<size_t> cut_place(std::string_view text, uint64_t tail_bytes);

// The end of the text that was given to a split because no document fell into it.
struct Tail {
  ShardDirectory::Split split = ShardDirectory::Split::val;
  uint64_t text_bytes = 0;  // 0: there is none
  bool of_one_document = false;
};
// Says so on the log, in one line; nothing where there is none.
void log_tail(const Tail& tail);

// Sees to it that both splits get something where documents are too few for the fraction. As long
// as one split has nothing, the last documents, about as much as that split is to have, are held
// back. If nothing falls into it up to the end, the tail of the text goes there, as whole documents
// or cut by cut_place(). Depends on the documents and their order alone.
//
// A Document has `text`, `split`, which is what the hash says, and `Document cut(size_t place)`,
// which takes off and returns the rest behind a place of the text.
template <class Document>
class Parting {
 public:
  using Split = ShardDirectory::Split;
  static constexpr uint64_t kMostHeldBytes = 64 << 20;  // besides one document

  // What the splits already have; all zeros at a start.
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

  // Whether the hash alone decides from here on; add() and finish() have nothing to do then.
  bool decided() const { return val_fraction_ == 0 || (train_ && val_); }
  // The document held back last, or null.
  Document* last() { return held_.empty() ? nullptr : &held_.back(); }

  // Takes the next document and appends those to `out` whose place is certain, in order.
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

  // Gives what is held back at the end of the text; a cut document is given as two, the one behind
  // the other.
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
  // Bytes of text that the split without documents is to have.
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

  Tail cut_tail() {
    const Split split = missing();
    const auto others = [&](size_t begin) { return !alone_ && (released_ || begin > 1); };
    uint64_t left = wanted();
    size_t begin = held_.size();  // documents from here on are the tail
    while (left > 0 && others(begin) && begin > 0 && held_[begin - 1].text.size() <= left)
      left -= held_[--begin].text.size();
    const bool enough = begin < held_.size() && left < wanted() / 2;
    if (left > 0 && begin > 0 && !enough) {
      if (const auto place = cut_place(held_[begin - 1].text, left)) {
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
  bool train_, val_;         // whether documents fell into them
  bool alone_;               // the held document may be the only one
  bool released_ = !alone_;  // a document went out
  uint64_t text_bytes_;      // of all documents
  uint64_t held_bytes_ = 0;
  std::deque<Document> held_;
};

}  // namespace mythos
