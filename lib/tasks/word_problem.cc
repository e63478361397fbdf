#include <array>

#include "tasks/generators.h"

namespace mythos {
namespace {

constexpr std::array<std::string_view, kTaskNames> kNames = {
    "Ada",  "Ben", "Cleo", "Dan", "Eve",  "Finn", "Gwen", "Hugo",  "Ivy",
    "Jack", "Kim", "Leo",  "Mia", "Noah", "Ola",  "Pia",  "Quinn", "Rob",
    "Sue",  "Tom", "Una",  "Vic", "Wes",  "Xena", "Yara", "Zoe"};
constexpr std::array<std::string_view, 6> kThings = {"pens",  "coins",  "shells",
                                                     "books", "apples", "stamps"};

// A problem while it is told: people in the order in which their numbers can be computed.
struct Problem {
  uint64_t modulus;
  std::string_view thing;
  std::vector<std::string_view> people;
  std::vector<uint64_t> values;
  std::vector<std::string> sentences;

  std::string has(size_t person) const { return std::string(people[person]) + " has "; }
  // The number of the next person is given.
  void give(uint64_t number) {
    sentences.push_back(has(values.size()) + std::to_string(number) + " " + std::string(thing) +
                        ".");
    values.push_back(number % modulus);
  }
  // The number of the next person follows from one or two earlier ones.
  void derive(size_t from, size_t other, Rng& rng);
};

void Problem::derive(size_t from, size_t other, Rng& rng) {
  const std::string begin = has(values.size()), things = std::string(thing);
  const std::string source(people[from]);
  const uint64_t value = values[from], number = 2 + rng.below(8);
  switch (rng.below(from == other ? 3 : 4)) {
    case 0:
      sentences.push_back(begin + std::to_string(number) + " more " + things + " than " + source +
                          ".");
      values.push_back((value + number) % modulus);
      return;
    case 1:
      sentences.push_back(begin + std::to_string(number) + " fewer " + things + " than " + source +
                          ".");
      values.push_back((value + number * (modulus - 1)) % modulus);
      return;
    case 2:
      sentences.push_back(begin + std::to_string(number) + " times as many " + things + " as " +
                          source + ".");
      values.push_back(value * number % modulus);
      return;
    default:
      sentences.push_back(begin + "as many " + things + " as " + source + " and " +
                          std::string(people[other]) + " together.");
      values.push_back((value + values[other]) % modulus);
  }
}

}  // namespace

TaskRow make_i_gsm(const TaskOptions& options, int64_t operations, Rng& rng) {
  Problem problem;
  problem.modulus = static_cast<uint64_t>(options.modulus);
  problem.thing = kThings[draw_index(rng, kThings.size())];
  for (const size_t i : random_order(kNames.size(), rng)) problem.people.push_back(kNames[i]);

  problem.give(rng.below(problem.modulus));
  // Each operation uses the result before it, so all of them are needed.
  for (int64_t i = 0; i < operations; ++i) {
    const size_t last = problem.values.size() - 1;
    problem.derive(last, draw_index(rng, last + 1), rng);
  }
  const size_t asked = problem.values.size() - 1;
  for (uint64_t extra = rng.below(3); extra > 0; --extra) {
    const size_t from = draw_index(rng, problem.values.size());
    problem.derive(from, draw_index(rng, problem.values.size()), rng);
  }

  TaskRow row;
  shuffle_elements(problem.sentences, rng);
  for (const std::string& sentence : problem.sentences) row.prompt += sentence + " ";
  row.prompt += "How many " + std::string(problem.thing) + " has " +
                std::string(problem.people[asked]) + "? ";
  row.completion = std::to_string(problem.values[asked]);
  return row;
}

}  // namespace mythos
