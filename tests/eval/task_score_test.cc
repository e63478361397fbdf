#include "eval/task_score.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include "../model/sample_model.h"
#include "../scratch.h"
#include "../small_data.h"
#include "tasks/task_file.h"

namespace mythos {
namespace {

// A checkpoint as it is loaded, of a model that was not trained, with a tokenizer of characters.
class TaskScoring : public testing::Test {
 protected:
  TaskScoring() {
    at::set_num_threads(1);
    write_file_atomic(scratch_ / "tok.json", character_tokenizer());
    loaded_.path = "runs/x/step-000007";
    loaded_.state["step"] = 7;
    loaded_.tokenizer = load_tokenizer((scratch_ / "tok.json").string());
    loaded_.config.model = small_config();
    loaded_.config.model.vocab_size = 97;
    loaded_.config.model.init_std = 0.3;
    set_model();
    options_.tasks = (scratch_ / "tasks.jsonl").string();
    options_.loops = {1, 3};
  }
  void set_model() { loaded_.model = std::make_unique<Model>(sample_model(loaded_.config.model)); }
  void write(const std::vector<TaskRow>& rows) {
    std::string text;
    for (const TaskRow& row : rows) text += task_line(row);
    write_file_atomic(options_.tasks, text);
  }
  TaskReport scored() const { return score_tasks(loaded_, at::kCPU, options_); }
  std::string error() const {
    return error_of(ErrorKind::data, [&] { scored(); });
  }

  // What the model writes behind a prompt, token by token, each from a pass of its own.
  std::string greedy(const std::string& prompt, int64_t tokens, int64_t loops) const {
    const at::NoGradGuard no_grad;
    const ModelConfig& config = loaded_.config.model;
    const Weights weights = make_weights(config, loaded_.model->parameters, at::kFloat);
    std::vector<uint32_t> ids = loaded_.tokenizer->encode(prompt);
    const size_t begin = ids.size();
    for (int64_t i = 0; i < tokens; ++i) {
      std::vector<int64_t> wide(ids.begin(), ids.end());
      const Tensor input = at::tensor(wide, at::kLong).unsqueeze(0);
      ForwardOptions options;
      options.loops = loops;
      const Tensor hidden = forward(config, weights, input, options).hidden;
      ids.push_back(
          static_cast<uint32_t>(logits(weights, hidden).select(1, -1).argmax(-1).item<int64_t>()));
    }
    return loaded_.tokenizer->decode(std::span(ids).subspan(begin));
  }

  Scratch scratch_;
  LoadedCheckpoint loaded_;
  TaskScoreOptions options_;
};

TEST_F(TaskScoring, IsExactMatchOfGreedyDecoding) {
  std::vector<TaskRow> rows;
  int64_t exact[2] = {};
  for (int i = 0; rows.size() < 12; ++i) {
    const std::string prompt =
        std::string(static_cast<size_t>(1 + i % 5), static_cast<char>('a' + i)) + "=";
    const std::string shallow = greedy(prompt, 3, 1), deep = greedy(prompt, 3, 3);
    // The name of a special token in a text is no such token.
    if (contains(shallow + deep, "</s>")) continue;
    // A third of the answers is right at 1 loop, a third at 3 loops, a third at neither.
    std::string answer = i % 3 == 0 ? shallow : deep;
    if (i % 3 == 2) answer.back() = answer.back() == 'x' ? 'y' : 'x';
    rows.push_back({prompt, answer, i % 2});
    exact[0] += answer == shallow;
    exact[1] += answer == deep;
  }
  write(rows);
  for (const int64_t batch_size : {0, 1, 5}) {
    options_.batch_size = batch_size;
    const TaskReport report = scored();
    EXPECT_EQ(report.difficulties, (std::vector<int64_t>{0, 1}));
    EXPECT_FALSE(report.stops || report.halts);
    ASSERT_EQ(report.all.size(), 2U);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(report.all[i].loops, options_.loops[i]);
      EXPECT_EQ(report.all[i].rows, 12);
      EXPECT_EQ(report.all[i].exact, exact[i]);
      EXPECT_EQ(report.all[i].exact, report.scores[i].exact + report.scores[2 + i].exact);
      EXPECT_EQ(report.all[i].tokens, 36);
    }
  }
  for (const int64_t count : exact) {
    EXPECT_GE(count, 2);
    EXPECT_LT(count, 12);
  }
}

TEST_F(TaskScoring, TheEndCountsWhereTrainingShowedIt) {
  write({{"ab=", greedy("ab=", 2, 1), 1}});
  options_.loops = {1};
  EXPECT_EQ(scored().all[0].exact, 1);
  loaded_.documents.emplace();
  loaded_.documents->eos = Share::all;
  const TaskReport report = scored();
  EXPECT_TRUE(report.stops);
  EXPECT_EQ(report.all[0].tokens, 3);
  EXPECT_EQ(report.all[0].right_tokens, 2);
  EXPECT_EQ(report.all[0].exact, 0);
}

TEST_F(TaskScoring, CountsTheLoopsThatAnswersRan) {
  write({{"ab=", "cd", 1}, {"abcdef=", "g", 2}});
  options_.loops = {3};
  EXPECT_EQ(scored().all[0].loops_run, 9);
  options_.exit = {ExitRule::latent, 1e9};  // every position stops after its first loop
  const TaskReport report = scored();
  EXPECT_TRUE(report.halts);
  EXPECT_EQ(report.all[0].loops_run, 3);
  EXPECT_EQ(to_json(report)["difficulties"][1]["loops"][0]["mean_loops"], 1.0);
  options_.exit = {ExitRule::kl, 1e9};  // after the second, the first with one to compare with
  EXPECT_EQ(scored().all[0].loops_run, 6);
}

TEST_F(TaskScoring, CountsExpertsOfRealPositions) {
  write({{"ab=", "cd", 1}, {"abcdef=", "g", 2}});
  options_.loops = {2};
  const auto load = scored().all[0].expert_load;
  ASSERT_EQ(load.size(), 1U);
  int64_t sum = 0;
  for (const int64_t count : load[0]) sum += count;
  EXPECT_EQ(sum, (4 + 7) * 2 * loaded_.config.model.n_experts_per_tok);
}

TEST_F(TaskScoring, BadRowsAreNamedByLine) {
  write({{"ab=", "c", 1}, {std::string(80, 'a'), "b", 1}});
  EXPECT_TRUE(contains(error(), "tasks.jsonl:2: prompt and answer need 80 positions"));
  EXPECT_TRUE(contains(error(), "model.max_seq_len = 64"));
  write({{"", "b", 1}});
  EXPECT_TRUE(contains(error(), "tasks.jsonl:1: \"prompt\" is empty"));
  loaded_.tokenizer.reset();
  EXPECT_TRUE(contains(error(), "carries no tokenizer"));
}

TEST_F(TaskScoring, TheTableHasALineForEachDifficulty) {
  TaskReport report;
  report.loops = {1, 4};
  report.difficulties = {1, 12};
  report.scores = {{1, 1, 8, 4, 8, 4, 8},
                   {4, 1, 8, 8, 8, 8, 12},
                   {1, 12, 1000, 1, 1, 1, 1},
                   {4, 12, 1000, 500, 2, 1, 3}};
  report.all = {{1, 0, 1008, 5, 9, 5, 9}, {4, 0, 1008, 508, 10, 9, 15}};
  report.halts = true;
  EXPECT_EQ(task_table(report),
            "exact match\n"
            "difficulty     rows    1 loop   4 loops\n"
            "1                 8     50.0%    100.0%\n"
            "12            1,000      0.1%     50.0%\n"
            "all           1,008      0.5%     50.4%\n"
            "\n"
            "mean loops of the answers' tokens\n"
            "difficulty     rows    1 loop   4 loops\n"
            "1                 8      1.00      1.50\n"
            "12            1,000      1.00      1.50\n"
            "all           1,008      1.00      1.50\n");
}

}  // namespace
}  // namespace mythos
