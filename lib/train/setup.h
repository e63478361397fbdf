#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "data/sample/sampler.h"
#include "model/model.h"
#include "text/tokenizer.h"
#include "train/trainer.h"

namespace mythos {

// What a run begins with: a fresh model, the weights of another checkpoint, or what its own newest
// whole checkpoint holds.
struct TrainSetup {
  Config config;
  std::vector<ShardDirectory> data;
  std::vector<double> weights;  // of the data
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Model> model;
  TensorMap optimizer;                   // empty unless the run is resumed
  nlohmann::json state;                  // of the checkpoint that is resumed, else what a new run
                                         // keeps: where its weights are from
  std::optional<fs::path> resumed_from;  // a step directory

  std::vector<DataSource> sources() const;
  // What the documents of all data begin and end with.
  DocumentEnds document_ends() const;
};

// Fails as train() does.
TrainSetup prepare(const TrainOptions& options, at::Device device);

// What is about to be done, several lines: model, device, data, steps, checkpoints.
std::string describe(const TrainSetup& setup, const TrainOptions& options, at::Device device,
                     at::ScalarType compute_type);

// Bytes of one checkpoint: fp32 weights and two moments of each.
int64_t checkpoint_bytes(const ModelConfig& config);
int64_t trained_parameters(const ModelConfig& config);

}  // namespace mythos
