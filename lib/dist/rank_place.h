#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace mythos {

// Where a process stands among those of a job, as its launcher says.
struct RankPlace {
  int64_t rank = 0, size = 1;
  int64_t local_rank = 0;  // among the job's processes on this machine
  std::string address;     // of the machine of rank 0: a host name or number
  int64_t port = 0;        // on it, where the ranks meet
  // Whether the launcher keeps the meeting place, as torchrun does, so that rank 0 need not.
  bool hosted = false;
  int64_t restarts = 0;  // times that the launcher began the job again after a failure
  std::string launcher;  // "torchrun", "srun", "mpirun" or "--nproc", for messages
};

// The value of an environment variable, or nothing.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> environment_variable(const char* name);

// Reads the variables of
//   torchrun  RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT; any launcher may set these
//   mpirun    OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE (Open MPI)
//   srun      SLURM_PROCID, SLURM_STEP_NUM_TASKS or SLURM_NTASKS, SLURM_LOCALID,
//             SLURM_STEP_NODELIST; only in a step, not in the batch script itself
// in this order. MASTER_ADDR and MASTER_PORT always say where the ranks meet; without them that is
// the first machine of the step, or this one if it has all processes, and a port derived from the
// job's number. A process that no launcher started has size 1. Fails (usage), naming the variables,
// where one is missing, no number or out of its range, or where two launchers contradict each
// other.
RankPlace rank_place(const Environment& get = environment_variable);

// The first machine of a Slurm list such as "gpu[003-010,12],login1".
std::string first_host(const std::string& list);

}  // namespace mythos
