#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace mythos {

// Finds names in text: the leftmost match, and the longest of those that begin there.
class NameFinder {
 public:
  struct Match {
    size_t begin = 0, end = 0;
    uint32_t value = 0;
  };

  // Gives `name`, which is not empty, a value. If a name is added again, the last value counts.
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

  std::vector<Node> nodes_ = std::vector<Node>(1);  // a trie; its root is the first node
  std::array<bool, 256> begins_ = {};               // bytes that names begin with
};

// A token that is found in text by its name, before the text is cut into pieces.
struct AddedToken {
  std::string name;
  std::string text = name;  // what the token decodes to
  uint32_t id = 0;
  bool special = true;  // its name is plain text unless Specials::parse; it stands for no bytes
  // The token takes the white space on its left (lstrip) or right (rstrip) with it; decoding does
  // not bring that back.
  bool lstrip = false, rstrip = false;
  // The token is found only where no letter, digit or other \w stands beside it.
  bool single_word = false;
  // The token is looked for only between the tokens of the first pass, in the normalised text (as
  // Hugging Face does).
  bool second_pass = false;
};

class AddedTokens {
 public:
  struct Section {
    std::string_view text;       // to encode; empty only if there is an id
    std::optional<uint32_t> id;  // the added token that this section is
  };

  void add(AddedToken token);
  // Adds a token that text holds under another spelling than its name: the name normalised.
  void add(AddedToken token, std::string_view spelling);
  // Makes all tokens that have this id special.
  void make_special(uint32_t id);
  const std::vector<AddedToken>& all() const { return tokens_; }
  // Whether text read with `specials` may hold any added token.
  bool relevant(Specials specials) const {
    return specials == Specials::parse ? !tokens_.empty() : has_ordinary_;
  }
  // Cuts text into added tokens and the text between them. With Specials::as_text the name of a
  // special token stays text, and shorter names within it are not found.
  std::vector<Section> cut(std::string_view text, Specials specials) const {
    return cut_pass(first_, text, specials);
  }
  // cut() for the tokens of the second pass, in normalised text.
  bool has_second_pass() const { return !second_.empty(); }
  std::vector<Section> cut_normalized(std::string_view text, Specials specials) const {
    return cut_pass(second_, text, specials);
  }
  // Whether the second pass gives the same tokens when text is cut between an ASCII letter and a
  // space and each part is searched by itself.
  bool can_cut() const { return can_cut_; }

 private:
  std::vector<Section> cut_pass(const NameFinder& finder, std::string_view text,
                                Specials specials) const;

  std::vector<AddedToken> tokens_;
  NameFinder first_, second_;  // the values are indices into tokens_
  bool has_ordinary_ = false, can_cut_ = true;
};

}  // namespace mythos
