#pragma once
#include <string>
#include <vector>

#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"
#include "config/train_config.h"
#include "model/weights.h"

// What a run trains: train.freeze and train.tune_rank choose.
namespace mythos {

// A tensor that the optimizer updates, with its name and use.
using TrainedTensor = Parameters::Item;

// Decides what is trained. The tensors that train.freeze names have no gradient any more. With
// train.tune_rank nothing has one but low-rank updates of the hidden matrices [N,K] that
// train.tune_matrices names (stacks of experts have none): a [r,K] is drawn from N(0, 1/K) by
// train.seed, b [N,r] is 0, so that the model is what it was, and their product counts
// tune_alpha/r. Fails (usage), with the nearest pattern, where a pattern names nothing, and where
// nothing is left to train.
void choose_trained(Parameters& parameters, const TrainConfig& config);

// The tensors with a gradient, in the order of their declarations; of a matrix with a low-rank
// update its factors, "NAME.lora_a" and "NAME.lora_b". These decay as matrices do, so that the
// model is drawn towards what it was.
std::vector<TrainedTensor> trained_tensors(const Parameters& parameters);

// NAME of "exp_avg.NAME", a tensor of the optimizer's state.
std::string tensor_of_state(const std::string& name);

// What a checkpoint needs beside the merged matrices to go on exactly: "NAME.lora_base",
// "NAME.lora_a" and "NAME.lora_b" of each matrix with a low-rank update.
NamedTensors update_state(const Parameters& parameters);
// Restores these and takes them out of `state`. Fails (data), naming the tensor and `origin`, if
// one is missing or its shape differs.
void restore_updates(Parameters& parameters, TensorMap& state, const std::string& origin);

}  // namespace mythos
