#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "config/config_stages.h"
#include "data/sample/sampler.h"
#include "model/model.h"
#include "text/tokenizer.h"
#include "train/trainer.h"

namespace mythos {

// Everything that a run begins with: a new model, the weights of another checkpoint, or the
// contents of the run's newest whole checkpoint.
struct TrainSetup {
  Config config;
  std::vector<ShardDirectory> data;
  std::vector<double> weights;  // shares of the data's sequences
  std::unique_ptr<Tokenizer> tokenizer;
  Parameters values;                     // what the model's tensors are to hold, made one by one
  std::unique_ptr<Model> model;          // whose tensors have no memory yet
  TensorMap optimizer;                   // empty unless the run is resumed
  nlohmann::json state;                  // of the checkpoint that is resumed, else what a new run
                                         // keeps: where its weights are from
  std::optional<fs::path> resumed_from;  // a step directory
  ModelFiles model_files;                // of the published model that the weights are from

  std::vector<DataSource> sources() const;
  // Whether all documents of the data begin with BOS and end with EOS.
  DocumentEnds document_ends() const;
};

// Prepares a run; all ranks call it. Fails as train() does.
TrainSetup prepare(const TrainOptions& options, at::Device device, Ranks& ranks);

// The configuration that prepare() would train with, by the sources that it comes from, without a
// model; `source` names that of options.config. Data and run directory may be left out: then the
// vocabulary stays as it is. Fails as train() does.
std::vector<ConfigStage> effective_config(const TrainOptions& options, const std::string& source);

// Describes the run in several lines: model, device, data, steps, checkpoints.
std::string describe(const TrainSetup& setup, const TrainOptions& options, at::Device device,
                     at::ScalarType compute_type);

// The size of a checkpoint in bytes: fp32 weights and the optimizer's state.
int64_t checkpoint_bytes(const Config& config);
int64_t trained_parameters(const ModelConfig& config);

}  // namespace mythos
