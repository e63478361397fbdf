#pragma once
#include <cstdint>
#include <string>

#include "config/field.h"

// Synthetic tasks whose answer needs a known number of steps, for models that compute in depth.
namespace mythos {

enum class Task { p_hop, addition, modular, pointer, parity, i_gsm };
template <>
struct EnumNames<Task> {
  static constexpr std::array<std::string_view, 6> names = {"p-hop",   "addition", "modular",
                                                            "pointer", "parity",   "i-gsm"};
};

// One example. All text is printable ASCII.
struct TaskRow {
  std::string prompt, completion;
  int64_t difficulty = 0;

  bool operator==(const TaskRow&) const = default;
};

// What rows are drawn from. A task reads the sizes that its comment names.
//
// p-hop: `length` letters of `symbols`, no two neighbours alike; the answer is hop^p at the last
// one
//   (Sanford et al. 2024, "Transformers, parallel computation, and logarithmic depth"): hop finds
//   the latest earlier place of the same letter and takes the letter behind it. Difficulty: p.
//   "2:bcabca" → "c". `queries` asks for as many letters, in alphabetical order from the last one
//   on and round; a first hop leads behind the latest place of such a letter that has one behind
//   it. Each stands with its answer behind a space: "2:bcabca" → "c ba cb"
// addition: the sum of `operands` numbers, without leading zeros; with `reversed` the answer's
//   digits begin with the lowest. Difficulty: digits of each number. "27+85=" → "112"
// modular: a chain of +, − and * from left to right, without precedence, modulo `modulus`.
//   Difficulty: operations. "3+4*2=" → "0" (modulo 7)
// pointer: a permutation of `symbols` letters as pairs in random order, and how often to follow it.
//   Difficulty: steps. "2:ab ca bc>a" → "c". `queries` asks for as many letters, in alphabetical
//   order from a random one on and round, and the answers stand between them. With `to_end` the
//   pairs are chains, the last letter of each points to itself, and the answer is where the chain
//   ends: no number of steps is given. "ab cc bc dd>a" → "c"
// parity: of a row of bits. Difficulty: bits. "1101=" → "1"
// i-gsm: quantities that depend on each other, in sentences in random order, modulo `modulus`
//   (after iGSM, Ye et al. 2024, "Physics of language models 2.1"). Difficulty: the operations that
//   the answer needs; up to two further sentences are of no use.
struct TaskOptions {
  Task task = Task::p_hop;
  uint64_t seed = 1;
  int64_t easiest = 1, hardest = 1;  // difficulties, equally likely
  int64_t length = 32;
  int64_t symbols = 4;
  int64_t modulus = 7;
  int64_t operands = 2;
  int64_t queries = 1;
  bool reversed = false;
  bool to_end = false;

  // The sizes and difficulties of a task where none are asked for.
  static TaskOptions defaults(Task task);
  // Fails (usage), naming the option, where the sizes do not hold such a task.
  void validate() const;
};

// Row `index`, which follows from the options and the index alone, on every machine. Fails (usage)
// if p-hop finds no sequence with so many hops.
TaskRow make_task_row(const TaskOptions& options, uint64_t index);

}  // namespace mythos
