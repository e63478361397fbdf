#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/splitter.h"

namespace mythos {

// The steps that cut text into pieces before merging, one after the other, each within the pieces
// of the one before. No step: the text is one piece.
class PreTokenizer {
 public:
  // Cuts by a regular expression, see make_splitter.
  void add_split(std::string_view pattern, Dialect dialect = Dialect::rust);
  // Puts a space before each piece that does not begin with one.
  void add_prefix_space();

  // Appends the end of each piece to `ends`. `text` is well-formed UTF-8. Where spaces were put in,
  // `text` becomes the changed text, held by `storage`. `begins`: the text is the beginning of a
  // document or follows an added token; only there spaces are put in.
  void split(std::string_view& text, bool begins, std::string& storage,
             std::vector<size_t>& ends) const;

  // Where to cut a long text into parts of about `wanted` bytes whose pieces are those of the
  // whole; text.size() where no such place is known.
  size_t safe_cut(std::string_view text, size_t wanted) const;

 private:
  struct Step {
    std::unique_ptr<Splitter> splitter;  // null: prefix space
  };
  std::vector<Step> steps_;
  bool can_cut_ = true;
};

}  // namespace mythos
