#include "rank_options.h"

#include <unistd.h>

#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "device/device.h"
#include "dist/spawn.h"

namespace mythos {
namespace {

// They outlive a failure, since connections to a lost rank do not end in time.
std::unique_ptr<Ranks> joined_ranks;

// The device of a process among those of a machine: one CUDA device for each where there are
// several.
std::string own_device(const std::string& device, const RankPlace& place) {
  if (place.size == 1 || (device != "auto" && device != "cuda")) return device;
  const auto count = static_cast<int64_t>(cuda_architectures().size());
  if (count == 0 || (count == 1 && place.local_rank > 0 && device == "auto")) return device;
  return count == 1 ? "cuda:0" : strprintf("cuda:%d", place.local_rank);
}

void leave(const std::string& why) {
  if (!joined_ranks) return;
  joined_ranks->leave(why);
  if (joined_ranks->told_elsewhere()) set_log_level(LogLevel::off);
}

}  // namespace

void RankOptions::declare(CLI::App& app, const std::string& verb) {
  app.add_option("--nproc", nproc,
                 verb +
                     " with N processes on this machine; torchrun, srun and mpirun start them "
                     "otherwise")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}));
  app.add_option("--timeout", timeout_seconds,
                 strprintf("Seconds that one of many processes waits for another before all end; "
                           "default: %g",
                           timeout_seconds))
      ->type_name("F")
      ->check(CLI::Range(1.0, 1e7));
}

void RankOptions::declare_expert_ranks(CLI::App& app) {
  app.add_option("--expert-ranks", expert_ranks,
                 "Divide the model's routed experts among this many processes, all there are, for "
                 "models that no device holds; default: 1")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}));
}

void RankOptions::require_expert_ranks() const {
  if (expert_ranks == 1) return;
  const RankPlace place = rank_place();
  const int64_t processes = place.size > 1 ? place.size : nproc;
  if (processes == expert_ranks) return;
  fail(ErrorKind::usage,
       strprintf("--expert-ranks %d needs as many processes; %s.", expert_ranks,
                 processes == 1 ? "there is one" : strprintf("there are %d", processes)),
       strprintf("Start them with --nproc %d, torchrun, srun or mpirun", expert_ranks));
}

int RankOptions::start(char** argv, const std::function<int()>& body) const {
  const bool alone = !is_spawned() && rank_place().size == 1;
  return nproc > 1 && alone ? spawn_ranks(nproc, argv, timeout_seconds) : body();
}

Ranks* RankOptions::join(const RankPlace& place, std::string& device) const {
  if (nproc > 1 && place.size > 1 && !is_spawned()) {
    fail(ErrorKind::usage,
         strprintf("--nproc %d contradicts %s, which has started %d processes.", nproc,
                   place.launcher, place.size),
         "Leave --nproc out under a launcher");
  }
  device = own_device(device, place);
  if (place.size == 1) return nullptr;
  if (place.rank != 0) set_log_level(LogLevel::error);  // the first tells of all
  joined_ranks = connect(place, resolve_device(device), timeout_seconds);
  return joined_ranks.get();
}

ExpertDivision RankOptions::division(const Ranks* ranks) const {
  return expert_ranks > 1 ? ExpertDivision{expert_ranks, ranks->rank()} : ExpertDivision{};
}

std::unique_ptr<DividedExperts> RankOptions::divide(const LoadedCheckpoint& loaded,
                                                    Ranks* ranks) const {
  if (expert_ranks == 1) return nullptr;
  const std::vector<std::string> steps = ranks->gather(loaded.path.filename().string());
  for (size_t rank = 1; rank < steps.size(); ++rank) {
    if (steps[rank] == steps[0]) continue;
    fail(ErrorKind::data,
         strprintf("%s: rank 0 has loaded %s and rank %d %s.", loaded.path.parent_path(), steps[0],
                   rank, steps[rank]),
         "The run goes on: give --checkpoint the folder of one step");
  }
  return std::make_unique<DividedExperts>(loaded.config.model,
                                          expert_share(loaded.config.model, division(ranks)),
                                          *ranks, timeout_seconds);
}

void run_together(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    leave(error.message());
    throw;
  } catch (const std::exception& error) {
    leave(split(error.what(), '\n')[0]);
    throw;
  }
  joined_ranks.reset();
}

int end_of_ranks(int status) {
  if (!joined_ranks) return status;
  std::fflush(nullptr);
  _exit(status);
}

}  // namespace mythos
