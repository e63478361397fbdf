#pragma once
#include "config/config.h"

namespace mythos {

// A run of 12 steps that takes a fraction of a second, of a model with all that nano has.
inline Config tiny_run() {
  Config config;
  config.model.dim = 32;
  config.model.max_seq_len = 64;
  config.model.max_loop_iters = 2;
  config.model.n_heads = 2;
  config.model.kv_lora_rank = config.model.q_lora_rank = 16;
  config.model.qk_rope_head_dim = 4;
  config.model.qk_nope_head_dim = config.model.v_head_dim = 8;
  config.model.n_experts = 4;
  config.model.expert_dim = 16;
  config.model.lora_rank = 2;
  config.train.steps = 12;
  config.train.batch_size = 2;
  config.train.seq_len = 16;
  config.train.warmup_steps = 2;
  config.train.log_every = 4;
  config.train.val_every = 5;
  config.train.val_tokens = 64;
  config.train.save_every = 6;
  config.train.keep_last = 0;
  return config;
}

}  // namespace mythos
