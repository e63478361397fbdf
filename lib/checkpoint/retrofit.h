#pragma once
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "config/config.h"

// Cuts a plain stack of layers into a looped model, to be trained on: retrofitted recurrence
// (McLeish et al. 2025, arXiv 2511.07384).
namespace mythos {

// Which layers of the stack, counted from 0, serve where. Those that are kept fill prelude, core
// and coda in their order.
struct Retrofit {
  int64_t prelude = 0, core = 1, coda = 0;  // layers
  std::vector<int64_t> dropped;             // layers that are left out, rising
  int64_t loops = 4;                        // model.max_loop_iters
};

// Reads "prelude=P,core=R,coda=C", and layers or ranges of layers such as "3" and "10-14". Fails
// (usage) at anything else, and at a layer that is named twice.
Retrofit parse_retrofit(const std::string& sections, const std::vector<std::string>& dropped);

// The looped model. Fails (data), naming `origin`, unless `plain` is a stack that runs once, as
// config_from_hf() has it, and (usage), with the numbers, unless every layer has its place.
//
// The state begins at 0, and a matrix [D,2D] over [state | output of the prelude], linear
// injection, enters each loop. It begins as [0 | 1], so that the core's input is what the layer
// before it gives, and a model of one loop computes the kept stack; before it is trained, so does
// one of any number of loops. A norm of the injected input or of the state would change the stack,
// so there is none.
Config retrofitted(const Config& plain, const Retrofit& retrofit, const std::string& origin);

// Its tensors, of a retrofit that the function above took, in the order of checkpoints: those of
// the plain model under their new names, sharing memory, and the matrix of the injection.
NamedTensors retrofitted(const ModelConfig& plain, const Retrofit& retrofit,
                         const NamedTensors& tensors);

// "prelude 0-3, core 10-17, coda 18-21; dropped 4-9".
std::string describe(const Retrofit& retrofit);

}  // namespace mythos
