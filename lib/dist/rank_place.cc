#include "dist/rank_place.h"

#include <charconv>
#include <cstdlib>

#include "base/error.h"
#include "base/format.h"

namespace mythos {
namespace {

constexpr int64_t kDefaultPort = 29500;
constexpr int64_t kMostRanks = 1 << 20;

// Reads variables as numbers.
class Variables {
 public:
  explicit Variables(const Environment& get) : get_(get) {}

  std::optional<std::string> text(const char* name) const {
    std::optional<std::string> value = get_(name);
    if (value && value->empty()) value.reset();
    return value;
  }

  std::optional<int64_t> number(const char* name, int64_t least, int64_t most) const {
    const std::optional<std::string> value = text(name);
    if (!value) return {};
    int64_t number = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
    if (error != std::errc() || end != value->data() + value->size() || number < least ||
        number > most) {
      fail(ErrorKind::usage, strprintf("the environment variable %s is '%s', expected a number "
                                       "from %d to %d",
                                       name, *value, least, most));
    }
    return number;
  }

 private:
  const Environment& get_;
};

// A launcher's variables for rank, size and the rank on the machine.
struct Names {
  const char *launcher, *rank, *size, *local_rank;
};
constexpr Names kTorchrun{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"};
constexpr Names kMpirun{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                        "OMPI_COMM_WORLD_LOCAL_RANK"};
constexpr Names kSrun{"srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"};

std::optional<RankPlace> read(const Variables& variables, const Names& names) {
  const auto rank = variables.number(names.rank, 0, kMostRanks - 1);
  const auto size = variables.number(names.size, 1, kMostRanks);
  const auto local = variables.number(names.local_rank, 0, kMostRanks - 1);
  if (!rank && !size) return {};
  if (!rank || !size) {
    fail(ErrorKind::usage,
         strprintf("the environment sets %s but not %s.", rank ? names.rank : names.size,
                   rank ? names.size : names.rank),
         "Set both, or unset both to train with one process");
  }
  if (*rank >= *size) {
    fail(ErrorKind::usage, strprintf("%s=%d contradicts %s=%d: ranks count from 0 to %d",
                                     names.rank, *rank, names.size, *size, *size - 1));
  }
  if (local && *local > *rank && *local >= *size) {
    fail(ErrorKind::usage,
         strprintf("%s=%d contradicts %s=%d: a machine has no more ranks than the job",
                   names.local_rank, *local, names.size, *size));
  }
  RankPlace place;
  place.rank = *rank;
  place.size = *size;
  place.local_rank = local.value_or(0);
  place.launcher = names.launcher;
  return place;
}

// The step of srun that this process belongs to; a batch script has some of the variables, but is
// no step.
std::optional<RankPlace> read_srun(const Variables& variables) {
  if (!variables.text("SLURM_STEP_ID") && !variables.text("SLURM_STEPID")) return {};
  Names names = kSrun;
  if (variables.text("SLURM_STEP_NUM_TASKS")) names.size = "SLURM_STEP_NUM_TASKS";
  if (!variables.text(names.rank)) return {};
  return read(variables, names);
}

// Fails where two launchers say different things of this process. torchrun and --nproc are
// themselves started by srun or mpirun, once for each machine.
void require_agreement(const Variables& variables, const RankPlace& inner,
                       const std::optional<RankPlace>& outer, const Names& names) {
  if (!outer || outer->size == 1 || variables.text("TORCHELASTIC_RUN_ID") ||
      variables.text("MYTHOS_NPROC")) {
    return;
  }
  if (outer->rank == inner.rank && outer->size == inner.size) return;
  fail(ErrorKind::usage,
       strprintf("RANK=%d of WORLD_SIZE=%d contradicts %s, which says rank %d of %d (%s, %s).",
                 inner.rank, inner.size, outer->launcher, outer->rank, outer->size, names.rank,
                 names.size),
       "Unset RANK and WORLD_SIZE, or make them agree");
}

void find_meeting_place(const Variables& variables, RankPlace& place) {
  place.address = variables.text("MASTER_ADDR").value_or("");
  place.port = variables.number("MASTER_PORT", 1, 65535).value_or(0);
  if (place.port == 0) {
    const auto job = variables.number("SLURM_JOB_ID", 0, int64_t{1} << 62);
    const auto step = variables.number("SLURM_STEP_ID", 0, int64_t{1} << 62);
    place.port = place.launcher == "srun" && job ? 20000 + (*job * 7 + step.value_or(0)) % 10000
                                                 : kDefaultPort;
  }
  if (!place.address.empty()) return;
  if (place.launcher == "srun") {
    std::optional<std::string> hosts = variables.text("SLURM_STEP_NODELIST");
    if (!hosts) hosts = variables.text("SLURM_JOB_NODELIST");
    if (!hosts) hosts = variables.text("SLURM_NODELIST");
    if (hosts) place.address = first_host(*hosts);
  } else if (place.launcher == "mpirun") {
    const auto here = variables.number("OMPI_COMM_WORLD_LOCAL_SIZE", 1, kMostRanks);
    if (here == place.size) place.address = "127.0.0.1";
  }
  if (!place.address.empty()) return;
  fail(ErrorKind::usage,
       strprintf("%s started %d processes, but the environment does not say where they meet: "
                 "MASTER_ADDR is not set.",
                 place.launcher, place.size),
       "Set MASTER_ADDR to the machine of rank 0 and MASTER_PORT to a free port on it");
}

}  // namespace

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::string first_host(const std::string& list) {
  const size_t bracket = list.find('['), comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
  const size_t end = list.find_first_of("],-", bracket);
  if (end == std::string::npos) return list.substr(0, bracket);
  const size_t close = list.find(']', bracket);
  // A name may go on behind the bracket: "rack[1-2]node5" or "rack[1-2]node[3-4]".
  const std::string head = list.substr(0, bracket) + list.substr(bracket + 1, end - bracket - 1);
  const std::string rest = close == std::string::npos ? "" : list.substr(close + 1);
  return first_host(head + rest);
}

RankPlace rank_place(const Environment& get) {
  const Variables variables(get);
  const std::optional<RankPlace> torchrun = read(variables, kTorchrun);
  const std::optional<RankPlace> mpirun = read(variables, kMpirun);
  const std::optional<RankPlace> srun = read_srun(variables);
  RankPlace place;
  if (torchrun) {
    place = *torchrun;
    require_agreement(variables, place, mpirun, kMpirun);
    require_agreement(variables, place, srun, kSrun);
  } else if (mpirun) {
    place = *mpirun;
  } else if (srun) {
    place = *srun;
  }
  if (variables.text("MYTHOS_NPROC")) place.launcher = "--nproc";
  place.restarts = variables.number("TORCHELASTIC_RESTART_COUNT", 0, 1 << 30).value_or(0);
  place.hosted = variables.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  if (place.size > 1) find_meeting_place(variables, place);
  return place;
}

}  // namespace mythos
