#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "dist/connect.h"
#include "model/divided_experts.h"

namespace mythos {

// The options of a program that several processes may run together, and what they do.
struct RankOptions {
  int64_t nproc = 1, expert_ranks = 1;
  double timeout_seconds = kRankTimeoutSeconds;

  // `verb` is what the processes do: "Train".
  void declare(CLI::App& app, const std::string& verb);
  // Adds --expert-ranks, for programs that do not train.
  void declare_expert_ranks(CLI::App& app);
  // Fails (usage) unless as many processes run the program as are to divide experts; before
  // start().
  void require_expert_ranks() const;
  // Runs the program again in `nproc` processes, and otherwise body(). Returns the exit status.
  int start(char** argv, const std::function<int()>& body) const;
  // The ranks of the job that this process belongs to; null where it is alone. Gives `device`, as
  // --device has it, this process's own CUDA device where a machine has several, and silences all
  // ranks but the first. Fails (usage) where nproc contradicts a launcher.
  Ranks* join(const RankPlace& place, std::string& device) const;
  // The part of a model that each of these ranks loads, and what then computes with it; null where
  // experts are not divided. Fails (data) where ranks have loaded different checkpoints of a run.
  ExpertDivision division(const Ranks* ranks) const;
  std::unique_ptr<DividedExperts> divide(const LoadedCheckpoint& loaded, Ranks* ranks) const;
};

// body() between join() and the end of the job; if it fails, the other ranks learn why.
void run_together(const std::function<void()>& body);
// The exit status at the end of main(). After a failure it ends the process: connections to lost
// ranks would end late.
int end_of_ranks(int status);

}  // namespace mythos
