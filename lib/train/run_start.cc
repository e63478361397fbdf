#include "train/run_start.h"

#include <ATen/Parallel.h>

#include "base/log.h"
#include "base/log_file.h"
#include "base/strings.h"
#include "device/device.h"
#include "train/across_ranks.h"
#include "train/validation.h"

namespace mythos {
namespace {

void warn_of_little_space(const fs::path& run, const Config& config) {
  std::error_code status;
  const auto free = static_cast<double>(fs::space(run, status).available);
  // The newest checkpoint is written before the oldest is removed.
  const auto needed = static_cast<double>((config.train.keep_last + 1) * checkpoint_bytes(config));
  if (status || free >= needed) return;
  log_warning(strprintf("%s has %s free; the checkpoints kept take about %s", run,
                        human_bytes(free), human_bytes(needed)));
}

}  // namespace

Sampler training_sampler(const TrainSetup& setup, const Ranks& ranks) {
  const TrainConfig& train = setup.config.train;
  Sampler::Options options;
  options.batch_size = rank_share(train, ranks.size()).batch_size;
  options.seq_len = train.seq_len;
  options.rank = ranks.rank();
  options.world = ranks.size();
  options.seed = static_cast<uint64_t>(train.seed);
  options.packing = train.packing;
  options.document_begins = train.masks_documents();
  Sampler sampler(setup.sources(), ShardDirectory::Split::train, options);
  if (setup.resumed_from) sampler.restore(setup.state.at("cursor"));
  return sampler;
}

std::string announce(const TrainSetup& setup, const TrainOptions& options, at::Device device,
                     at::ScalarType compute_type, const Ranks& ranks) {
  const TrainConfig& train = setup.config.train;
  const std::string description = describe(setup, options, device, compute_type);
  for (const std::string& line : split(description, '\n')) log_info(line);
  if (ranks.size() > 1) {
    const RankShare share = rank_share(train, ranks.size());
    log_info(strprintf("ranks   %d, layout %s; each has %d micro-batches of %d sequences",
                       ranks.size(), enum_name(train.layout), share.grad_accum, share.batch_size));
  }
  if (setup.resumed_from) log_info("resuming from " + setup.resumed_from->string());
  for (const ShardDirectory& data : setup.data) {
    if (has_validation_split(data)) continue;
    log_warning(data.path().string() + " has no validation split: " +
                (setup.data.size() > 1 ? "it is not validated" : "nothing is validated") +
                "; 'mythos shards split --val-fraction' makes one");
  }
  if (ranks.rank() == 0) warn_of_little_space(options.run, setup.config);
  return description;
}

nlohmann::ordered_json session_of(const TrainSetup& setup, at::Device device,
                                  at::ScalarType compute_type, const Ranks& ranks) {
  nlohmann::ordered_json data = nlohmann::ordered_json::array();
  for (const ShardDirectory& shards : setup.data) data.push_back(shards.path().string());
  return {{"device", device.str()},
          {"compute_type", std::string(compute_type_name(compute_type))},
          {"threads", at::get_num_threads()},
          {"ranks", ranks.size()},
          {"first_step", setup.state.value("step", int64_t{0})},
          {"data", std::move(data)}};
}

RunLog::RunLog(const fs::path& path, bool fresh, const std::string& description) {
  if (fresh) fs::remove(path);
  log_to_file(path);
  for (const std::string& line : split(description, '\n')) log_file_line(line);
}

RunLog::~RunLog() {
  end_log_file();
}

}  // namespace mythos
