#include "train/across_ranks.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "base/strings.h"
#include "base/version.h"
#include "device/device.h"

namespace mythos {
namespace {

// The batch size next to `batch_size` with which `ranks` divide the sequences of a step.
int64_t nearest_batch_size(int64_t batch_size, int64_t grad_accum, int64_t ranks) {
  for (int64_t distance = 1;; ++distance) {
    for (const int64_t size : {batch_size - distance, batch_size + distance}) {
      if (size > 0 && size * grad_accum % ranks == 0) return size;
    }
  }
}

// All that ranks must have in common, a line each.
std::string run_text(const TrainSetup& setup, at::Device device, at::ScalarType compute_type) {
  std::string text = version_text("mythos-train") + "\n" + to_toml(setup.config);
  for (size_t i = 0; i < setup.data.size(); ++i) {
    text += strprintf("\ndata %d = weight %.17g", i + 1, setup.weights[i]);
    const ShardManifest& manifest = setup.data[i].manifest();
    text += ", tokenizer " + manifest.tokenizer_fingerprint + ", files";
    for (const ShardFileInfo& file : manifest.train.files) text += " " + file.checksum;
    for (const ShardFileInfo& file : manifest.val.files) text += " " + file.checksum;
  }
  text += strprintf("\ndevice = %s, %s", c10::DeviceTypeName(device.type()),
                    compute_type_name(compute_type));
  text += "\nfirst step = " + std::to_string(setup.state.value("step", int64_t{0}));
  return text;
}

std::string line_of(const std::vector<std::string>& lines, size_t i) {
  return i < lines.size() && !lines[i].empty() ? lines[i] : "nothing";
}

}  // namespace

RankShare rank_share(const TrainConfig& config, int64_t ranks) {
  if (config.grad_accum % ranks == 0) return {config.batch_size, config.grad_accum / ranks};
  const int64_t sequences = config.batch_size * config.grad_accum;
  if (sequences % ranks != 0) {
    fail(ErrorKind::usage,
         strprintf("%d ranks do not divide the %d sequences of a step (train.batch_size = %d, "
                   "train.grad_accum = %d).",
                   ranks, sequences, config.batch_size, config.grad_accum),
         strprintf("The nearest batch size that they divide is train.batch_size=%d",
                   nearest_batch_size(config.batch_size, config.grad_accum, ranks)));
  }
  const int64_t own = sequences / ranks;
  int64_t batch_size = std::min(config.batch_size, own);
  while (own % batch_size != 0) --batch_size;
  return {batch_size, own / batch_size};
}

void agree_on_step(Ranks& ranks, TargetCount& count, Wishes& wishes) {
  Tensor numbers =
      at::tensor({count.targets, count.bytes, static_cast<int64_t>(wishes.save),
                  static_cast<int64_t>(wishes.stop), static_cast<int64_t>(wishes.out_of_time)},
                 at::kLong);
  ranks.start_sum(numbers)->wait();
  const int64_t* sums = numbers.const_data_ptr<int64_t>();
  count = {sums[0], sums[1]};
  wishes = {sums[2] > 0, sums[3] > 0, sums[4] > 0};
}

void sum_over_ranks(Ranks& ranks, StepResult& step) {
  std::vector<Tensor> parts = {step.nats.reshape(1), step.terms, step.depth, step.depth_run};
  for (const Tensor& load : step.expert_load) parts.push_back(load);
  std::vector<int64_t> sizes;
  for (const Tensor& part : parts) sizes.push_back(part.numel());
  Tensor sums = at::cat(parts);
  ranks.start_sum(sums)->wait();
  std::vector<Tensor> summed = sums.split_with_sizes(sizes);
  step.nats = summed[0].squeeze(0);
  step.terms = summed[1];
  step.depth = summed[2];
  step.depth_run = summed[3];
  for (size_t i = 0; i < step.expert_load.size(); ++i) step.expert_load[i] = summed[4 + i];
}

void require_equal_starts(Ranks& ranks, const fs::path& run, bool goes_on) {
  const std::vector<std::string> texts = ranks.gather(goes_on ? "goes on with" : "begins");
  for (size_t rank = 1; rank < texts.size(); ++rank) {
    if (texts[rank] == texts[0]) continue;
    fail(ErrorKind::usage,
         strprintf("rank 0 %s %s, rank %d %s it.", texts[0], run, rank, texts[rank]),
         "Give all ranks the same options, and a run directory on a file system that they share");
  }
}

void require_equal_runs(Ranks& ranks, const TrainSetup& setup, at::Device device,
                        at::ScalarType compute_type) {
  const std::vector<std::string> texts = ranks.gather(run_text(setup, device, compute_type));
  const std::vector<std::string> first = split(texts[0], '\n');
  for (size_t rank = 1; rank < texts.size(); ++rank) {
    if (texts[rank] == texts[0]) continue;
    const std::vector<std::string> other = split(texts[rank], '\n');
    size_t line = 0;
    while (line < first.size() && line < other.size() && first[line] == other[line]) ++line;
    fail(ErrorKind::usage,
         strprintf("rank %d does not train what rank 0 trains: rank 0 has \"%s\", rank %d \"%s\".",
                   rank, line_of(first, line), rank, line_of(other, line)),
         "Give all ranks the same program, options, configuration, data and run directory");
  }
}

}  // namespace mythos
