#include "tasks/task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "../scratch.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr int kRows = 300;

TaskOptions options_for(Task task, int64_t easiest, int64_t hardest) {
  TaskOptions options = TaskOptions::defaults(task);
  options.easiest = easiest;
  options.hardest = hardest;
  options.validate();
  return options;
}

template <class F>
void for_rows(const TaskOptions& options, F&& f) {
  for (uint64_t i = 0; i < kRows; ++i) f(make_task_row(options, i));
}

std::pair<std::string, std::string> cut(const std::string& text, char at) {
  const size_t found = text.find(at);
  return {text.substr(0, found), text.substr(found + 1)};
}

std::string error_for(const TaskOptions& options) {
  return error_of(ErrorKind::usage, [&] { options.validate(); });
}

// The definition of Sanford et al. with a loop in place of each maximum.
std::string reference_hops(const std::string& letters, int64_t hops) {
  size_t place = letters.size() - 1;
  for (int64_t hop = 0; hop < hops; ++hop) {
    size_t next = 0;
    for (size_t j = 1; j <= place; ++j) {
      if (letters[j - 1] == letters[place]) next = j;
    }
    if (next == 0) return "";
    place = next;
  }
  return letters.substr(place, 1);
}

TEST(Tasks, PHopAnswersByTheDefinition) {
  const TaskOptions options = options_for(Task::p_hop, 1, 5);
  for_rows(options, [&](const TaskRow& row) {
    const auto [hops, letters] = cut(row.prompt, ':');
    EXPECT_EQ(letters.size(), 32U);
    EXPECT_EQ(parse_int(hops), row.difficulty);
    EXPECT_EQ(row.completion, reference_hops(letters, row.difficulty)) << row.prompt;
    EXPECT_EQ(std::adjacent_find(letters.begin(), letters.end()), letters.end());
  });
  EXPECT_EQ(reference_hops("bcabca", 2), "c");
}

// The letter behind the latest `from` before place `end`, found by reading on from the beginning,
// and on from there; "" where there is none.
std::string letter_after(const std::string& letters, char from, size_t end, int64_t hops) {
  std::vector<size_t> behind;
  for (size_t i = 1; i <= end; ++i) {
    if (letters[i - 1] == from) behind.push_back(i);
  }
  if (behind.empty()) return "";
  const size_t place = behind.back();
  if (hops == 1) return letters.substr(place, 1);
  return letter_after(letters, letters[place], place, hops - 1);
}

TEST(Tasks, PHopAnswersEachQuery) {
  TaskOptions options = options_for(Task::p_hop, 1, 5);
  options.symbols = 6;
  options.length = 64;
  options.queries = 6;
  for_rows(options, [](const TaskRow& row) {
    const std::string letters = cut(row.prompt, ':').second;
    const std::string line = letters.substr(63) + row.completion;  // "fc ab bd" and so on
    ASSERT_EQ(line.size(), 17U);
    for (size_t query = 0; query < 6; ++query) {
      const char letter = line[3 * query];
      EXPECT_EQ(letter, static_cast<char>('a' + (line[0] - 'a' + query) % 6));
      EXPECT_EQ(line.substr(3 * query + 1, 1), letter_after(letters, letter, 63, row.difficulty));
      EXPECT_TRUE(query == 0 || line[3 * query - 1] == ' ') << row.completion;
    }
  });
  EXPECT_EQ(letter_after("bcabca", 'b', 5, 2), "a");
}

// More queries draw other sequences only where one of them leads nowhere.
TEST(Tasks, PHopOfOneQueryIsTheBeginningOfTheOthers) {
  TaskOptions options = options_for(Task::p_hop, 1, 1);
  options.length = 200;
  options.queries = 4;
  for_rows(options, [&](const TaskRow& row) {
    EXPECT_EQ(row.completion[0], reference_hops(cut(row.prompt, ':').second, 1)[0]);
  });
  const TaskRow all = make_task_row(options, 1);
  options.queries = 1;
  const TaskRow one = make_task_row(options, 1);
  EXPECT_EQ(all.prompt, one.prompt);
  EXPECT_EQ(all.completion.substr(0, 1), one.completion);
}

TEST(Tasks, AdditionAddsInBothOrders) {
  TaskOptions options = options_for(Task::addition, 1, 5);
  options.operands = 3;
  for_rows(options, [](const TaskRow& row) {
    int64_t sum = 0;
    for (const std::string& number : split(row.prompt.substr(0, row.prompt.size() - 1), '+')) {
      EXPECT_EQ(static_cast<int64_t>(number.size()), row.difficulty);
      sum += parse_int(number).value();
    }
    EXPECT_EQ(row.completion, std::to_string(sum)) << row.prompt;
  });
  const TaskRow forward = make_task_row(options, 5);
  options.reversed = true;
  const TaskRow backward = make_task_row(options, 5);
  EXPECT_EQ(backward.prompt, forward.prompt);
  EXPECT_EQ(backward.completion,
            std::string(forward.completion.rbegin(), forward.completion.rend()));
}

TEST(Tasks, ModularComputesFromLeftToRight) {
  for_rows(options_for(Task::modular, 1, 9), [](const TaskRow& row) {
    std::istringstream in(row.prompt);
    int64_t value = 0, operand = 0, operations = 0;
    in >> value;
    for (char sign = 0; in >> sign && sign != '='; ++operations) {
      in >> operand;
      value = sign == '+' ? value + operand : sign == '-' ? value - operand : value * operand;
      value = (value % 7 + 7) % 7;
    }
    EXPECT_EQ(operations, row.difficulty);
    EXPECT_EQ(row.completion, std::to_string(value)) << row.prompt;
  });
}

std::map<char, char> pairs_of(const std::string& text) {
  std::map<char, char> images;
  for (const std::string& pair : split(text, ' ')) images[pair.at(0)] = pair.at(1);
  return images;
}

TEST(Tasks, PointerFollowsThePairs) {
  TaskOptions options = options_for(Task::pointer, 1, 12);
  options.queries = 5;
  for_rows(options, [](const TaskRow& row) {
    const auto [steps, rest] = cut(row.prompt, ':');
    const auto [pairs, start] = cut(rest, '>');
    std::map<char, char> images = pairs_of(pairs);
    EXPECT_EQ(images.size(), 12U);
    EXPECT_EQ(parse_int(steps), row.difficulty);
    const std::string line = start + row.completion;
    ASSERT_EQ(line.size(), 10U);
    for (size_t query = 0; query < 5; ++query) {
      EXPECT_EQ(line[2 * query], static_cast<char>('a' + (line[0] - 'a' + query) % 12));
      char at = line[2 * query];
      for (int64_t i = 0; i < row.difficulty; ++i) at = images.at(at);
      EXPECT_EQ(line[2 * query + 1], at) << row.prompt;
    }
  });
}

TEST(Tasks, PointerToTheEndHasChainsOfThatLength) {
  TaskOptions options = TaskOptions::defaults(Task::pointer);
  options.to_end = true;
  options.hardest = 5;
  for_rows(options, [](const TaskRow& row) {
    const auto [pairs, start] = cut(row.prompt, '>');
    std::map<char, char> images = pairs_of(pairs);
    EXPECT_EQ(images.size(), 12U);
    int64_t steps = 0;
    char at = start.at(0);
    for (; images.at(at) != at; at = images.at(at)) ASSERT_LE(++steps, 12);
    EXPECT_EQ(steps, row.difficulty) << row.prompt;
    EXPECT_EQ(row.completion, std::string(1, at));
    // Other chains of that length end elsewhere.
    int64_t ends = 0;
    for (const auto& [from, to] : images) ends += from != to && images.at(to) == to;
    EXPECT_GE(ends, 2) << row.prompt;
  });
  options.hardest = 6;
  EXPECT_NE(error_for(options).find("expected 1 to 5"), std::string::npos) << error_for(options);
}

TEST(Tasks, ParityCountsOnes) {
  for_rows(options_for(Task::parity, 1, 20), [](const TaskRow& row) {
    EXPECT_EQ(static_cast<int64_t>(row.prompt.size()) - 1, row.difficulty);
    const auto ones = std::count(row.prompt.begin(), row.prompt.end(), '1');
    EXPECT_EQ(row.completion, ones % 2 ? "1" : "0") << row.prompt;
  });
}

// Solves a word problem by going over the sentences until each person has a number.
std::string solve(const std::string& prompt) {
  std::map<std::string, int64_t> values;
  std::vector<std::string> sentences = split(prompt, '.');
  const std::string question = sentences.back();
  sentences.pop_back();
  for (size_t round = 0; round < sentences.size(); ++round) {
    for (const std::string& sentence : sentences) {
      std::vector<std::string> w;
      std::istringstream in(sentence);
      for (std::string word; in >> word;) w.push_back(word);
      const std::string& who = w.at(0);
      if (w.size() == 4) {
        values[who] = parse_int(w[2]).value();
      } else if (w[2] == "as") {  // Ben has as many pens as Ada and Cleo together
        if (values.count(w[6]) && values.count(w[8])) values[who] = values[w[6]] + values[w[8]];
      } else if (values.count(w.back())) {
        const int64_t number = parse_int(w[2]).value(), other = values[w.back()];
        values[who] = w[3] == "more"    ? other + number
                      : w[3] == "fewer" ? other - number
                                        : other * number;
      }
      if (values.count(who)) values[who] = (values[who] % 23 + 23) % 23;
    }
  }
  const std::vector<std::string> words = split(question.substr(0, question.find('?')), ' ');
  return std::to_string(values.at(words.back()));
}

TEST(Tasks, IGsmHasTheAnswerOfItsSentences) {
  std::set<size_t> sentences;
  for_rows(options_for(Task::i_gsm, 3, 3), [&](const TaskRow& row) {
    EXPECT_EQ(row.completion, solve(row.prompt)) << row.prompt;
    sentences.insert(split(row.prompt, '.').size() - 1);
  });
  EXPECT_EQ(sentences, (std::set<size_t>{4, 5, 6}));
  for_rows(options_for(Task::i_gsm, 1, 20),
           [](const TaskRow& row) { EXPECT_EQ(row.completion, solve(row.prompt)); });
}

// Bytes that must not change: a seed means the same rows in every version and on every machine.
TEST(Tasks, RowsOfASeedAreThese) {
  const auto text = [](Task task) {
    const TaskRow row = make_task_row(TaskOptions::defaults(task), 3);
    return row.prompt + "|" + row.completion;
  };
  EXPECT_EQ(text(Task::p_hop), "1:cabcdabacabdadcbacbcadbdbdacbcdc|d");
  EXPECT_EQ(text(Task::addition), "13+44=|57");
  EXPECT_EQ(text(Task::modular), "1+6-5-2-5*6=|5");
  EXPECT_EQ(text(Task::pointer), "2:ck eh if kl lb ac jj he gd dg fi ba>b|c");
  EXPECT_EQ(text(Task::parity), "001000100=|0");
  EXPECT_EQ(text(Task::i_gsm),
            "Zoe has 6 fewer coins than Vic. Vic has 11 coins. Ivy has 7 times as many coins as "
            "Dan. Dan has 5 more coins than Zoe. How many coins has Dan? |10");
}

TEST(Tasks, SeedsAndRowsDifferAndDifficultiesAreEquallyLikely) {
  TaskOptions options = TaskOptions::defaults(Task::pointer);
  std::map<int64_t, int> counts;
  std::set<std::string> prompts;
  for (uint64_t i = 0; i < 1000; ++i) {
    const TaskRow row = make_task_row(options, i);
    ++counts[row.difficulty];
    prompts.insert(row.prompt);
  }
  EXPECT_EQ(prompts.size(), 1000U);
  EXPECT_EQ(counts.size(), 5U);
  for (const auto& count : counts) EXPECT_NEAR(count.second, 200, 60);
  const TaskRow first = make_task_row(options, 0);
  options.seed = 2;
  EXPECT_NE(make_task_row(options, 0), first);
}

TEST(Tasks, SizesThatHoldNoSuchTaskAreRefused) {
  TaskOptions options = TaskOptions::defaults(Task::p_hop);
  options.hardest = 32;
  EXPECT_NE(error_for(options).find("--difficulty 32: expected 1 to 30"), std::string::npos);
  options = options_for(Task::p_hop, 30, 30);
  EXPECT_NE(error_of(ErrorKind::usage, [&] { make_task_row(options, 0); }).find("--length 32"),
            std::string::npos);
  options = options_for(Task::p_hop, 29, 29);
  options.queries = 2;
  EXPECT_NE(error_of(ErrorKind::usage, [&] { make_task_row(options, 0); }).find("from each letter"),
            std::string::npos);
  options.queries = 5;
  EXPECT_NE(error_for(options).find("--queries 5: expected 1 to 4"), std::string::npos);
  options = TaskOptions::defaults(Task::pointer);
  options.symbols = 53;
  EXPECT_NE(error_for(options).find("--symbols 53: expected 2 to 52"), std::string::npos);
  options.symbols = 4;
  options.queries = 5;
  EXPECT_NE(error_for(options).find("--queries 5: expected 1 to 4"), std::string::npos);
  options.queries = 2;
  options.to_end = true;
  EXPECT_NE(error_for(options).find("--queries and --to-end"), std::string::npos);
  options = TaskOptions::defaults(Task::parity);
  options.easiest = 17;
  EXPECT_NE(error_for(options).find("17..16"), std::string::npos);
}

}  // namespace
}  // namespace mythos
