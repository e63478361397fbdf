#include "base/error.h"
#include "base/strings.h"
#include "tasks/generators.h"

namespace mythos {
namespace {

// The letter after so many hops from a letter that is asked for; 0 if a hop leads nowhere. A hop
// leads behind the latest letter of that kind before `place`, which begins at the end.
char after_hops(const std::string& letters, char letter, int64_t hops) {
  size_t place = letters.size() - 1;
  for (int64_t i = 0; i < hops; ++i) {
    const size_t found = letters.rfind(letter, place - 1);
    if (found == std::string::npos) return 0;
    place = found + 1;
    letter = letters[place];
  }
  return letter;
}

// The answers for so many letters from the last one on, in alphabetical order and round; empty if a
// hop leads nowhere.
std::string hop_answers(const TaskOptions& options, const std::string& letters, int64_t hops) {
  std::string answers;
  const size_t first = kTaskLetters.find(letters.back());
  for (int64_t query = 0; query < options.queries; ++query) {
    const auto symbols = static_cast<size_t>(options.symbols);
    const char letter = kTaskLetters[(first + static_cast<size_t>(query)) % symbols];
    const char answer = after_hops(letters, letter, hops);
    if (answer == 0) return "";
    if (query > 0) answers += {' ', letter};
    answers += answer;
  }
  return answers;
}

// Neighbours differ, because a hop from the second of two equal letters stays where it is.
void draw_letters(size_t symbols, std::string& letters, Rng& rng) {
  size_t before = symbols;
  for (char& letter : letters) {
    size_t drawn = draw_index(rng, before == symbols ? symbols : symbols - 1);
    if (before < symbols && drawn >= before) ++drawn;
    letter = kTaskLetters[drawn];
    before = drawn;
  }
}

// images[i] is what letter i points to; the pairs stand in random order.
std::string pairs_text(const std::vector<size_t>& images, Rng& rng) {
  std::string text;
  for (const size_t from : random_order(images.size(), rng)) {
    if (!text.empty()) text += ' ';
    text += kTaskLetters[from];
    text += kTaskLetters[images[from]];
  }
  return text;
}

TaskRow make_permutation(const TaskOptions& options, int64_t steps, Rng& rng) {
  const std::vector<size_t> images = random_order(static_cast<size_t>(options.symbols), rng);
  TaskRow row;
  row.prompt = std::to_string(steps) + ":" + pairs_text(images, rng) + ">";
  const auto queries = static_cast<size_t>(options.queries);
  const size_t first = draw_index(rng, images.size());
  row.prompt += kTaskLetters[first];
  for (size_t query = 0; query < queries; ++query) {
    size_t at = (first + query) % images.size();
    if (query > 0) row.completion += kTaskLetters[at];
    for (int64_t i = 0; i < steps; ++i) at = images[at];
    row.completion += kTaskLetters[at];
  }
  return row;
}

// As many chains of `steps` pointers as the letters make; the letters that are left point to
// themselves, as the ends of the chains do.
TaskRow make_chains(const TaskOptions& options, int64_t steps, Rng& rng) {
  const std::vector<size_t> order = random_order(static_cast<size_t>(options.symbols), rng);
  std::vector<size_t> images(order.size());
  const auto chain = static_cast<size_t>(steps) + 1;
  for (size_t i = 0; i < order.size(); ++i) {
    const bool is_end = i % chain == chain - 1 || i / chain == order.size() / chain;
    images[order[i]] = is_end ? order[i] : order[i + 1];
  }
  TaskRow row;
  row.prompt = pairs_text(images, rng) + ">" + kTaskLetters[order[0]];
  row.completion = kTaskLetters[order[chain - 1]];
  return row;
}

}  // namespace

TaskRow make_p_hop(const TaskOptions& options, int64_t hops, Rng& rng) {
  constexpr int kTries = 10'000;
  TaskRow row;
  std::string letters(static_cast<size_t>(options.length), ' ');
  for (int i = 0; i < kTries; ++i) {
    draw_letters(static_cast<size_t>(options.symbols), letters, rng);
    row.completion = hop_answers(options, letters, hops);
    if (row.completion.empty()) continue;
    row.prompt = std::to_string(hops) + ":" + letters;
    return row;
  }
  const bool several = options.queries > 1;
  fail(ErrorKind::usage,
       strprintf("p-hop: of %d random sequences of --length %d none has %d hops%s", kTries,
                 options.length, hops, several ? " from each letter that is asked for" : ""),
       strprintf("Ask for longer sequences (--length) or fewer letters (--symbols%s).",
                 several ? ", --queries" : ""));
}

TaskRow make_pointer(const TaskOptions& options, int64_t steps, Rng& rng) {
  return options.to_end ? make_chains(options, steps, rng) : make_permutation(options, steps, rng);
}

}  // namespace mythos
