#include "text/split/regex.h"
#include "text/split/splitter.h"

namespace mythos {
namespace {

class RegexSplitter : public Splitter {
 public:
  RegexSplitter(std::string_view pattern, Dialect dialect) : regex_(pattern, dialect) {}

  void split(std::string_view text, std::vector<size_t>& ends) const override {
    size_t last = 0;  // where the last piece ended
    regex_.for_each_match(text, [&](Span match) {
      if (match.begin > last) ends.push_back(last = match.begin);
      if (match.end > match.begin) ends.push_back(last = match.end);
    });
    if (last < text.size()) ends.push_back(text.size());
  }

 private:
  Regex regex_;
};

}  // namespace

std::unique_ptr<Splitter> make_regex_splitter(std::string_view pattern, Dialect dialect) {
  return std::make_unique<RegexSplitter>(pattern, dialect);
}

}  // namespace mythos
