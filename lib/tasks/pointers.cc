#include "base/error.h"
#include "base/strings.h"
#include "tasks/generators.h"

namespace mythos {
namespace {

// The place in `letters` that is one hop from `place`: behind the latest earlier letter of the same
// kind; npos if there is none.
size_t hop(const std::string& letters, size_t place) {
  if (place == 0) return std::string::npos;
  const size_t found = letters.rfind(letters[place], place - 1);
  return found == std::string::npos ? found : found + 1;
}

// The letter after so many hops from the last one; 0 if a hop leads nowhere.
char after_hops(const std::string& letters, int64_t hops) {
  size_t place = letters.size() - 1;
  for (int64_t i = 0; i < hops; ++i) {
    place = hop(letters, place);
    if (place == std::string::npos) return 0;
  }
  return letters[place];
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
    if (const char answer = after_hops(letters, hops)) {
      row.prompt = std::to_string(hops) + ":" + letters;
      row.completion = answer;
      return row;
    }
  }
  fail(ErrorKind::usage,
       strprintf("p-hop: of %d random sequences of --length %d none has %d hops", kTries,
                 options.length, hops),
       "Ask for longer sequences (--length) or fewer letters (--symbols).");
}

TaskRow make_pointer(const TaskOptions& options, int64_t steps, Rng& rng) {
  return options.to_end ? make_chains(options, steps, rng) : make_permutation(options, steps, rng);
}

}  // namespace mythos
