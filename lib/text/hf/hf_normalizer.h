#pragma once
#include "text/hf/hf_json.h"
#include "text/stages/normalizer.h"

namespace mythos {

// The steps of a tokenizer.json's member "normalizer"; no steps for null. Fails (data) on kinds and
// settings that are not supported.
Normalizer read_hf_normalizer(const HfJson& normalizer);

}  // namespace mythos
