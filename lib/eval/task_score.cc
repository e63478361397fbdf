#include "eval/task_score.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/progress.h"
#include "base/strings.h"
#include "config/loop_distribution.h"
#include "device/device.h"
#include "eval/loop_counts.h"
#include "model/exit_criteria.h"
#include "tasks/task_file.h"

namespace mythos {
namespace {

constexpr int64_t kTaskBatchTokens = 8192;

struct EncodedRow {
  std::vector<int64_t> ids;
  int64_t prompt = 0;  // tokens before the answer
  int64_t difficulty = 0;

  int64_t size() const { return static_cast<int64_t>(ids.size()); }
};

bool taught(const LoadedCheckpoint& loaded, Share DocumentEnds::*end) {
  return loaded.documents && (*loaded.documents).*end == Share::all;
}

// Encodes rows as `mythos tokenize --rows completion` does.
class RowEncoder {
 public:
  explicit RowEncoder(const LoadedCheckpoint& loaded) : tokenizer_(*loaded.tokenizer) {
    if (taught(loaded, &DocumentEnds::bos)) bos_ = tokenizer_.bos_id();
    if (taught(loaded, &DocumentEnds::eos)) eos_ = tokenizer_.eos_id();
    longest_ = loaded.config.model.max_seq_len;
  }
  bool stops() const { return eos_.has_value(); }

  EncodedRow encode(const TaskRow& row, const std::string& where) const {
    std::vector<uint32_t> ids;
    if (bos_) ids.push_back(*bos_);
    tokenizer_.encode(row.prompt, ids, Specials::as_text);
    EncodedRow out;
    out.difficulty = row.difficulty;
    out.prompt = static_cast<int64_t>(ids.size());
    tokenizer_.encode(row.completion, ids, Specials::as_text);
    if (eos_) ids.push_back(*eos_);
    out.ids.assign(ids.begin(), ids.end());
    if (out.prompt == 0) {
      fail(ErrorKind::data, where + ": \"prompt\" is empty, so nothing comes before the answer");
    }
    if (out.size() - 1 > longest_) {
      fail(ErrorKind::data, strprintf("%s: prompt and answer need %d positions, more than "
                                      "model.max_seq_len = %d",
                                      where, out.size() - 1, longest_));
    }
    return out;
  }

 private:
  const Tokenizer& tokenizer_;
  std::optional<uint32_t> bos_, eos_;
  int64_t longest_ = 0;
};

std::vector<EncodedRow> encode_rows(const RowEncoder& encoder, const std::string& path) {
  std::vector<int64_t> lines;
  const std::vector<TaskRow> rows = read_task_file(path, &lines);
  std::vector<EncodedRow> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    out.push_back(encoder.encode(rows[i], path + ":" + std::to_string(lines[i])));
  }
  std::ranges::stable_sort(out, {}, &EncodedRow::size);
  return out;
}

// Rows side by side, with zeros behind the shorter ones: what follows a position does not change
// it.
struct TaskBatch {
  Tensor inputs, targets;  // [B,S] int64; targets are -1 outside the answers
  Tensor real;             // [B,S] bool: no padding
};

TaskBatch make_batch(std::span<const EncodedRow> rows, at::Device device) {
  const auto count = static_cast<int64_t>(rows.size()), length = rows.back().size() - 1;
  const Tensor inputs = at::zeros({count, length}, at::kLong);
  const Tensor targets = at::full({count, length}, -1, at::kLong);
  const Tensor real = at::zeros({count, length}, at::kBool);
  for (int64_t i = 0; i < count; ++i) {
    const EncodedRow& row = rows[static_cast<size_t>(i)];
    std::copy(row.ids.begin(), row.ids.end() - 1, inputs.data_ptr<int64_t>() + i * length);
    std::copy(row.ids.begin() + row.prompt, row.ids.end(),
              targets.data_ptr<int64_t>() + i * length + row.prompt - 1);
    std::fill_n(real.data_ptr<bool>() + i * length, row.size() - 1, true);
  }
  return {inputs.to(device), targets.to(device), real.to(device)};
}

// What a pass said of a batch's rows, on the host.
struct RowResults {
  Tensor right, answers, loops_run;  // [B] int64: right tokens, tokens, loops of the answer
};

RowResults judge(const Weights& weights, const TaskBatch& batch, const ForwardResult& result) {
  const Tensor scored = batch.targets.ge(0);
  const Tensor likeliest = result.logits.defined()
                               ? result.logits.index({scored}).argmax(-1)
                               : logits(weights, result.hidden.index({scored})).argmax(-1);
  Tensor right = at::zeros_like(batch.targets);
  right.index_put_({scored}, likeliest.eq(batch.targets.index({scored})).to(at::kLong));
  RowResults out;
  out.right = right.sum(1).to(at::kCPU);
  out.answers = scored.sum(1).to(at::kCPU);
  if (result.loops_run.defined()) {
    out.loops_run = result.loops_run.masked_fill(scored.logical_not(), 0).sum(1).to(at::kCPU);
  }
  return out;
}

// Adds what a pass counted in each core layer.
void add_counts(std::vector<std::vector<int64_t>>& all, const std::vector<Tensor>& counted) {
  all.resize(counted.size());
  for (size_t layer = 0; layer < counted.size(); ++layer) {
    if (!counted[layer].defined()) continue;
    const Tensor counts = counted[layer].to(at::kCPU, at::kLong).contiguous();
    auto& sums = all[layer];
    sums.resize(static_cast<size_t>(counts.numel()));
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += counts.data_ptr<int64_t>()[i];
  }
}

// Adds one row of a batch to a score.
void add_row(TaskScore& score, const RowResults& results, int64_t row) {
  const int64_t right = results.right.data_ptr<int64_t>()[row];
  const int64_t tokens = results.answers.data_ptr<int64_t>()[row];
  ++score.rows;
  score.exact += right == tokens;
  score.tokens += tokens;
  score.right_tokens += right;
  score.loops_run += results.loops_run.defined() ? results.loops_run.data_ptr<int64_t>()[row]
                                                 : tokens * score.loops;
}

// Scores all rows at one loop count: by difficulty into `by_difficulty`, and together.
TaskScore score_rows(const Model& model, const Weights& weights, std::span<const EncodedRow> rows,
                     const TaskScoreOptions& options, int64_t loops,
                     std::map<int64_t, TaskScore>& by_difficulty) {
  TaskScore all;
  all.loops = loops;
  ForwardOptions forward_options;
  forward_options.loops = loops;
  forward_options.exit = options.exit;
  forward_options.state_seed = options.state.seed;
  forward_options.state_scale = options.state.scale;
  forward_options.experts = options.experts;
  forward_options.count_experts = forward_options.count_repeats =
      model.config.ffn == FeedForward::moe;
  Progress progress(strprintf("%d loops:", loops), static_cast<int64_t>(rows.size()), "rows");
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    const auto most = [&](const EncodedRow& longest) {
      return options.batch_size > 0 ? options.batch_size
                                    : std::max<int64_t>(1, kTaskBatchTokens / longest.size());
    };
    while (end < rows.size() && static_cast<int64_t>(end - begin) < most(rows[end])) ++end;
    const auto part = rows.subspan(begin, end - begin);
    const TaskBatch batch = make_batch(part, weights.embed.device());
    forward_options.counted = batch.real;
    const ForwardResult result = forward(model.config, weights, batch.inputs, forward_options);
    const RowResults results = judge(weights, batch, result);
    for (size_t i = 0; i < part.size(); ++i) {
      TaskScore& score = by_difficulty[part[i].difficulty];
      score.loops = loops;
      score.difficulty = part[i].difficulty;
      add_row(score, results, static_cast<int64_t>(i));
      add_row(all, results, static_cast<int64_t>(i));
    }
    add_counts(all.expert_load, result.expert_load);
    add_counts(all.expert_repeats, result.expert_repeats);
    progress.update(static_cast<int64_t>(end));
  }
  return all;
}

}  // namespace

TaskReport score_tasks(const LoadedCheckpoint& loaded, at::Device device,
                       const TaskScoreOptions& options) {
  if (!loaded.tokenizer) {
    fail(ErrorKind::data,
         loaded.path.string() + ": carries no tokenizer, so tasks cannot be encoded for it.",
         "Import the model again with --tokenizer TOK");
  }
  const at::NoGradGuard no_grad;
  const RowEncoder encoder(loaded);
  const std::vector<EncodedRow> rows = encode_rows(encoder, options.tasks);
  const ModelConfig& config = loaded.config.model;
  check_exit(config, options.exit.rule);
  const at::ScalarType type = resolve_compute_type(options.compute_type, device);
  const Weights weights = make_weights(config, loaded.model->parameters, type, {},
                                       stored_bf16(options.compute_type, device));

  TaskReport report;
  report.checkpoint = loaded.path.string();
  report.tasks = options.tasks;
  report.device = device.str();
  report.compute_type = compute_type_name(type);
  report.step = loaded.state.value("step", int64_t{0});
  report.stops = encoder.stops();
  report.halts = options.exit.rule != ExitRule::none || config.halting == Halting::act;
  report.loops = options.loops.empty() ? doubling_loops(config.max_loop_iters) : options.loops;
  DepthWarning depth(loaded.config.train, config, loaded.was_trained());
  std::vector<std::map<int64_t, TaskScore>> columns;
  const auto score = [&] {
    for (const int64_t loops : report.loops) {
      columns.emplace_back();
      report.all.push_back(
          score_rows(*loaded.model, weights, rows, options, loops, columns.back()));
    }
  };
  for (const int64_t loops : report.loops) {
    options.loops.empty() ? depth.check_most(loops) : depth.check(loops);
  }
  run_with(options.experts, weights, score);
  if (columns.empty()) return report;  // of a rank that only computed its experts' share
  for (const auto& first : columns.front()) {
    report.difficulties.push_back(first.first);
    for (const auto& column : columns) report.scores.push_back(column.at(first.first));
  }
  return report;
}

}  // namespace mythos
