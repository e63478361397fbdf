#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace mythos {

// Finds names in text: the leftmost, of those the longest.
class NameFinder {
 public:
  struct Match {
    size_t begin = 0, end = 0;
    uint32_t value = 0;
  };

  // `name` is not empty. The last value given to a name counts.
  void add(std::string_view name, uint32_t value);
  bool empty() const { return nodes_.size() == 1; }
  // The first match at or after `from`.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  struct Node {
    char byte = 0;
    uint32_t value = kNone, child = kNone, sibling = kNone;
  };
  uint32_t child(uint32_t node, char byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);  // a trie; the root is first
  std::array<bool, 256> begins_ = {};               // bytes that names begin with
};

// A token that is looked for in the text before anything else, by its name.
struct AddedToken {
  std::string name;
  std::string text = name;  // what it decodes to
  uint32_t id = 0;
  bool special = true;  // text in text unless Specials::parse; stands for no bytes
  // Takes the white space on this side with it. What it took is not brought back by decoding.
  bool lstrip = false, rstrip = false;
  // Stands neither behind nor before a letter, digit or other \w.
  bool single_word = false;
  // Looked for only in what the tokens without this mark left over, once that is normalised (as
  // Hugging Face does).
  bool second_pass = false;
};

class AddedTokens {
 public:
  struct Section {
    std::string_view text;       // to encode, not empty, unless there is an id
    std::optional<uint32_t> id;  // of an added token
  };

  void add(AddedToken token);
  // A token that text holds in another spelling than its name, which is its name normalised.
  void add(AddedToken token, std::string_view spelling);
  // Makes the tokens of this id special.
  void make_special(uint32_t id);
  const std::vector<AddedToken>& all() const { return tokens_; }
  // Whether text may hold any token that `specials` makes of it.
  bool relevant(Specials specials) const {
    return specials == Specials::parse ? !tokens_.empty() : has_ordinary_;
  }
  // Cuts text into added tokens and what stands between them. With Specials::as_text a special
  // token's name hides shorter names in it, but stays text.
  std::vector<Section> cut(std::string_view text, Specials specials) const {
    return cut_pass(first_, text, specials);
  }
  // Does the same in normalised text for the tokens of the second pass.
  bool has_second_pass() const { return !second_.empty(); }
  std::vector<Section> cut_normalized(std::string_view text, Specials specials) const {
    return cut_pass(second_, text, specials);
  }
  // Whether the second pass may go over parts of a text, cut between an ASCII letter and a space.
  bool can_cut() const { return can_cut_; }

 private:
  std::vector<Section> cut_pass(const NameFinder& finder, std::string_view text,
                                Specials specials) const;

  std::vector<AddedToken> tokens_;
  NameFinder first_, second_;  // values are places in tokens_
  bool has_ordinary_ = false, can_cut_ = true;
};

}  // namespace mythos
