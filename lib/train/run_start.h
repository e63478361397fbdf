#pragma once
#include "dist/ranks.h"
#include "train/setup.h"

namespace mythos {

// What a run says and writes before its first step.

// The sequences of this rank in their order; a resumed run goes on where it was.
Sampler training_sampler(const TrainSetup& setup, const Ranks& ranks);

// Logs what the run is, and what may be unexpected: data without a validation split, a disk with
// little space. Returns the description.
std::string announce(const TrainSetup& setup, const TrainOptions& options, at::Device device,
                     at::ScalarType compute_type, const Ranks& ranks);

// What RUN/run.json tells of this process, beside what record_session() adds.
nlohmann::ordered_json session_of(const TrainSetup& setup, at::Device device,
                                  at::ScalarType compute_type, const Ranks& ranks);

// RUN/train.log while a run goes on: all messages, after the run's description.
class RunLog {
 public:
  RunLog(const fs::path& path, bool fresh, const std::string& description);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;
};

}  // namespace mythos
