#include "model/latent.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "ops/embed/embed.h"

namespace mythos {
namespace {

// The k-th latent thought of every document that has so many.
struct Thoughts {
  std::vector<int64_t> places;  // among the B·S positions
  int64_t end = 0;              // positions of a sequence that come before the last of them
};

[[noreturn]] void fail_beginning(int64_t row, int64_t position) {
  fail(ErrorKind::data,
       strprintf("sequence %d of the batch has a latent token (model.latent_token) at position %d, "
                 "where a %s begins: there is no state to continue.",
                 row, position, position > 0 ? "document" : "sequence"),
       "Latent tokens belong behind a prompt; keep documents whole with train.packing best-fit and "
       "a train.seq_len that holds the longest");
}

// Both on the CPU and contiguous: is_latent [B,S] bool, document_begins [B,S] int32 or undefined.
std::vector<Thoughts> find_thoughts(const Tensor& is_latent, const Tensor& document_begins) {
  std::vector<Thoughts> thoughts;
  const int64_t length = is_latent.size(1);
  const bool* latent = is_latent.data_ptr<bool>();
  const int32_t* begins = document_begins.defined() ? document_begins.data_ptr<int32_t>() : nullptr;
  size_t count = 0;  // of the document so far
  for (int64_t place = 0; place < is_latent.numel(); ++place) {
    const int64_t position = place % length;
    const bool is_first = position == 0 || (begins && begins[place] == position);
    if (is_first) count = 0;
    if (!latent[place]) continue;
    if (is_first) fail_beginning(place / length, position);
    if (count == thoughts.size()) thoughts.emplace_back();
    Thoughts& those = thoughts[count++];
    those.places.push_back(place);
    those.end = std::max(those.end, position);
  }
  return thoughts;
}

Tensor to_index(const std::vector<int64_t>& places, at::Device device) {
  return at::tensor(places, at::kLong).to(device);
}

// The options of a pass whose hidden states alone are wanted, at full depth.
ForwardOptions thinking(const ForwardOptions& options) {
  ForwardOptions out;
  out.loops = options.loops;
  out.skip_halted = options.skip_halted;
  out.recompute = options.recompute;
  out.grad_loops = options.grad_loops;
  out.state_seeds = options.state_seeds;
  out.state_seed = options.state_seed;
  out.state_scale = options.state_scale;
  out.blocks = options.blocks;
  return out;
}

}  // namespace

Tensor latent_inputs(const ModelConfig& config, const Weights& weights, const Tensor& ids,
                     const ForwardOptions& options) {
  const Tensor is_latent = ids.eq(config.latent_token).to(at::kCPU).contiguous();
  const Tensor begins = options.document_begins.defined()
                            ? options.document_begins.to(at::kCPU).contiguous()
                            : Tensor();
  const std::vector<Thoughts> thoughts = find_thoughts(is_latent, begins);
  if (thoughts.empty()) return {};
  const int64_t length = ids.size(1);
  Tensor inputs = scaled_embedding(config, embed(weights.embed, ids).to(weights.compute_type));
  for (const Thoughts& those : thoughts) {
    const auto before = [&](const Tensor& x) { return x.narrow(1, 0, those.end).contiguous(); };
    ForwardOptions pass = thinking(options);
    pass.inputs = before(inputs);
    if (options.document_begins.defined()) pass.document_begins = before(options.document_begins);
    const Tensor hidden = forward(config, weights, before(ids), pass).hidden;
    std::vector<int64_t> from;  // the positions before, among the B·end of the pass
    for (const int64_t place : those.places) {
      from.push_back(place / length * those.end + place % length - 1);
    }
    const Tensor states = hidden.flatten(0, 1).index_select(0, to_index(from, ids.device()));
    inputs = inputs.flatten(0, 1)
                 .index_copy(0, to_index(those.places, ids.device()), states.to(inputs.dtype()))
                 .view(inputs.sizes());
  }
  return inputs;
}

}  // namespace mythos
