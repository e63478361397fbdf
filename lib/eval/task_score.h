#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/divided_experts.h"
#include "model/initial_state.h"
#include "model/kv_cache.h"

namespace mythos {

// What `mythos eval --tasks` measures of a checkpoint.
struct TaskScoreOptions {
  std::string tasks;           // a file of rows (tasks/task_file.h)
  std::vector<int64_t> loops;  // empty: powers of two up to model.max_loop_iters, and that
  int64_t batch_size = 0;      // rows; 0: as many as hold 8192 tokens
  ComputeType compute_type = ComputeType::automatic;
  Exit exit;  // when positions stop before their last loop
  StateDraw state;
  // Ranks that divide the model's experts, which all call score_tasks(); rank 0 gets the scores.
  DividedExperts* experts = nullptr;
};

// The rows of one difficulty, or all rows, at one loop count.
struct TaskScore {
  int64_t loops = 0, difficulty = 0;
  int64_t rows = 0, exact = 0;           // rows whose whole answer was right
  int64_t tokens = 0, right_tokens = 0;  // of the answers
  int64_t loops_run = 0;                 // by the tokens of the answers
  // Per core layer with experts: tokens that each expert took, over all loops and positions.
  std::vector<std::vector<int64_t>> expert_load = {};
  // And for each loop but the first the choices of tokens that they had also made in the loop
  // before; empty where positions may stop early.
  std::vector<std::vector<int64_t>> expert_repeats = {};

  double accuracy() const { return static_cast<double>(exact) / static_cast<double>(rows); }
  double mean_loops() const { return static_cast<double>(loops_run) / static_cast<double>(tokens); }
};

struct TaskReport {
  std::string checkpoint, tasks, device, compute_type;
  int64_t step = 0;
  bool stops = false;                 // whether the answer's end (EOS) had to be right as well
  bool halts = false;                 // whether positions may run fewer loops
  std::vector<int64_t> loops;         // in the order asked for
  std::vector<int64_t> difficulties;  // ascending
  std::vector<TaskScore> scores;      // for each of `difficulties` one for each of `loops`
  std::vector<TaskScore> all;         // over all difficulties, for each of `loops`
};

// Scores every row by exact match: prompt and answer are encoded one by one, as `mythos tokenize
// --rows completion` does, with the BOS and EOS of the training's documents. An answer is right if
// every token of it, and its EOS, is the likeliest after the right ones before it. That is the same
// as decoding greedily and comparing: greedy decoding leaves the answer at its first wrong token.
// One forward pass serves many rows, each at the front of its row of the batch.
//
// Fails (data) as read_task_file(), when the checkpoint carries no tokenizer, and on a row that is
// longer than model.max_seq_len or has nothing before its answer.
TaskReport score_tasks(const LoadedCheckpoint& loaded, at::Device device,
                       const TaskScoreOptions& options);

// The report as an object of schema "mythos.eval-tasks/1" (mythos-eval(1)).
nlohmann::ordered_json to_json(const TaskReport& report);
// A table of difficulties and loop counts, for people.
std::string task_table(const TaskReport& report);

}  // namespace mythos
