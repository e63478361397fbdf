#include <algorithm>
#include <map>

#include "arch/plan.h"
#include "arch/tensors.h"
#include "base/whole.h"

// What the operators of lib/ops and lib/model keep for their backward passes, added up. Sizes are
// bytes of one token where nothing else is said; `c_` is that of a number in the compute type.
namespace mythos {
namespace {

constexpr int64_t kFloat = 4, kIndex = 8;
// Rows of an expert are brought to a multiple of 32 (ops/moe/moe_cpu.h): half of that is added.
constexpr int64_t kPaddingRows = 16;
// Formed at a time on a CPU (rows_at_a_time() of ops/loss/linear_cross_entropy.h).
constexpr int64_t kLogits = 1 << 24;
constexpr int64_t kOneDnnNumbers = 1 << 19;  // of the largest such sum (ops/linear/linear.cc)

// A part of the forward pass, in bytes of the whole micro-batch.
struct Piece {
  Whole kept;           // until its backward pass is done
  Whole work = 0;       // that its backward pass holds beside that
  Whole gradients = 0;  // of its weights, which that leaves
};

class StepMemory {
 public:
  StepMemory(const ModelConfig& config, const StepShape& shape);

  // The most that is held at once beside weights and optimizer state, less all gradients unless
  // those of earlier micro-batches are there already.
  Whole beside_gradients() const;

 private:
  bool narrow() const { return shape_.bytes_per_number < kFloat; }
  Whole state() const { return D_ * kFloat; }
  bool recomputes(Recompute what) const { return shape_.recompute == what; }
  Whole gradients(const std::string& part) const;

  Whole attention_kept() const;
  Whole attention_work() const;
  Whole ffn_kept(FeedForward ffn) const;
  Whole ffn_work(FeedForward ffn) const;
  Whole expert_padding() const;  // of the micro-batch
  Whole loop_kept() const;       // beside the layers
  Whole loop_work() const;
  Whole halting_keys() const;

  Piece embedding() const;
  Piece layer(const std::string& part, FeedForward ffn) const;
  Piece input() const;
  std::vector<Piece> loop() const;
  Piece loss() const;

  const ModelConfig& m_;
  const StepShape& shape_;
  const int64_t loops_;
  const Whole tokens_, c_, D_;
  // Bytes of gradients of "embed", "prelude.0", …: names up to the second dot where it is a layer.
  std::map<std::string, Whole> gradients_;
  Whole all_gradients_ = 0;
};

// The part of the model that a parameter belongs to.
std::string part_of(const std::string& name) {
  const size_t dot = name.find('.');
  const std::string head = name.substr(0, dot);
  const bool layer = head == "prelude" || head == "core" || head == "coda";
  return layer ? name.substr(0, name.find('.', dot + 1)) : head;
}

StepMemory::StepMemory(const ModelConfig& config, const StepShape& shape)
    : m_(config),
      shape_(shape),
      loops_(shape.loops > 0 ? shape.loops : config.max_loop_iters),
      tokens_(Whole(shape.batch_size) * shape.seq_len),
      c_(shape.bytes_per_number),
      D_(config.dim) {
  for (const TensorDeclaration& spec : declared_tensors(config)) {
    if (!is_trained(spec.use)) continue;
    const Whole bytes = Whole(spec.numel()) * kFloat;
    gradients_[part_of(spec.name)] += bytes;
    all_gradients_ += bytes;
  }
}

Whole StepMemory::gradients(const std::string& part) const {
  const auto found = gradients_.find(part);
  return found == gradients_.end() ? Whole(0) : found->second;
}

// Normalised input; queries, keys and values as attention reads them, with what they are views of;
// the heads' output. In fp32: a number for each norm and for each head's softmax.
Whole StepMemory::attention_kept() const {
  const Whole H = m_.n_heads, K = m_.n_kv_heads, d = m_.qk_head_dim();
  const Whole output = H * m_.value_head_dim();
  if (m_.attention == Attention::gqa) {
    const Whole qkv = (H + 2 * K) * d, rotated = (H + K) * d;
    const Whole norms = 1 + (m_.qk_norm ? H + K : Whole(0));
    return (D_ + qkv + rotated + output) * c_ + (H + norms) * kFloat;
  }
  const Whole latents = Whole(m_.q_lora_rank) + m_.kv_lora_rank;
  const Whole expanded = H * (Whole(m_.qk_nope_head_dim) + m_.v_head_dim);
  return (D_ + 2 * latents + m_.qk_rope_head_dim + 2 * H * d + expanded + output) * c_ +
         (H + 3) * kFloat;
}

// The residual sum and its norm; gate, up and their product. A mixture keeps scores and places of
// its experts, gate and up of the chosen ones, and a copy for the router where it is not in fp32.
Whole StepMemory::ffn_kept(FeedForward ffn) const {
  const Whole norm = 2 * D_ * c_ + kFloat;
  if (ffn == FeedForward::dense) return norm + 3 * Whole(m_.dense_ffn_dim()) * c_;
  const Whole k = m_.n_experts_per_tok;
  const Whole router = (m_.n_experts + 3 * k + 1) * kFloat + 4 * k * kIndex;
  return norm + router + (narrow() ? state() : Whole(0)) + 2 * k * m_.expert_dim * c_ +
         3 * Whole(m_.shared_ffn_dim()) * c_;
}

Whole StepMemory::expert_padding() const {
  if (tokens_ * m_.n_experts_per_tok < Whole(m_.n_experts) * kPaddingRows) return 0;
  return Whole(m_.n_experts) * kPaddingRows * 2 * m_.expert_dim * c_;
}

// The gradients of the sum, of gate and up, and of the input.
Whole StepMemory::ffn_work(FeedForward ffn) const {
  if (ffn == FeedForward::dense) return (D_ + 2 * Whole(m_.dense_ffn_dim())) * c_;
  const Whole k = m_.n_experts_per_tok, shared = m_.shared_ffn_dim();
  // Rows of the experts, their gradients and those of their inputs; beside them one expert's own.
  const Whole expert = (4 * k * m_.expert_dim).value() / m_.n_experts;
  const Whole routed = (3 + 3 * k) * D_ + expert - 3 * shared;
  return std::max(routed, D_ + 2 * shared) * c_;
}

// Gradients of the sum, of the heads' output, of queries, keys and values.
Whole StepMemory::attention_work() const {
  const Whole H = m_.n_heads;
  const Whole keys = m_.attention == Attention::gqa ? Whole(m_.n_kv_heads) : H;
  return (D_ + H * m_.qk_head_dim() + keys * (Whole(m_.qk_head_dim()) + m_.value_head_dim())) * c_;
}

// The layer's input, which its first norm keeps, and its two halves; when attention's turn comes in
// the backward pass, the feed-forward has let go of its own.
Piece StepMemory::layer(const std::string& part, FeedForward ffn) const {
  const Whole input = D_ * c_;
  const Whole padding = ffn == FeedForward::moe ? expert_padding() : Whole(0);
  const Whole kept = tokens_ * (input + attention_kept() + ffn_kept(ffn)) + padding;
  const Whole work = tokens_ * std::max(ffn_work(ffn), attention_work() - ffn_kept(ffn));
  if (!recomputes(Recompute::block)) return {kept, work, gradients(part)};
  return {tokens_ * input, kept + work, gradients(part)};
}

// The injection's state, sum or mix; the LoRA's input and its two narrow products; the state that
// halting weighs.
Whole StepMemory::loop_kept() const {
  Whole kept = 0;
  switch (m_.injection) {
    case Injection::lti:
      kept = 2 * state() + kFloat;
      break;
    case Injection::zoh:
      kept = state();
      break;
    case Injection::linear:
      kept = 2 * D_ * c_ + state() + kFloat;
      break;
    case Injection::add:
    case Injection::none:
      break;
  }
  if (m_.lora_rank > 0) kept += (D_ + 2 * Whole(m_.lora_rank)) * c_;
  const bool state_kept = m_.injection == Injection::lti || m_.injection == Injection::zoh;
  if (m_.halting != Halting::none) kept += 12 * kFloat + (state_kept ? Whole(0) : state());
  return kept;
}

// Gradients of the state and of the injected input, which is summed over the loops; with halting
// also that of the output.
Whole StepMemory::loop_work() const {
  Whole states = 1;
  if (m_.injection != Injection::none) states += 1;
  if (m_.halting != Halting::none) states += 2;
  return states * state();
}

// Keys of halted positions, which go from loop to loop.
Whole StepMemory::halting_keys() const {
  if (m_.halting != Halting::act) return 0;
  const Whole numbers = m_.attention == Attention::mla
                            ? Whole(m_.kv_lora_rank) + m_.qk_rope_head_dim
                            : 2 * Whole(m_.n_kv_heads) * m_.head_dim();
  return m_.core_layers * numbers * c_;
}

// Ids and targets, places of documents; the final hidden state, which the caller holds.
Piece StepMemory::embedding() const {
  return {tokens_ * (2 * kIndex + kFloat + 1 + D_ * c_), narrow() ? tokens_ * state() : Whole(0),
          m_.tied_head ? Whole(0) : gradients("embed")};
}

// What the core is given: the prelude's output that was normalised, the injected input where the
// first state is not the same, and the drive of a zero-order hold before its gain.
Piece StepMemory::input() const {
  Whole kept = m_.prelude_norm ? D_ * c_ + kFloat : Whole(0);
  const bool segment = recomputes(Recompute::loop);
  const bool first_state = m_.initial_state == InitialState::input;
  const bool injected = m_.injection == Injection::lti || m_.injection == Injection::zoh;
  if ((injected || segment) && !first_state) kept += state();
  if (m_.injection == Injection::zoh) {
    kept += state() + (narrow() ? D_ * c_ : Whole(0)) + (segment ? state() : Whole(0));
  }
  return {tokens_ * kept, tokens_ * (state() + D_ * c_), gradients("prelude_norm")};
}

// The pieces of one loop. Recomputed as a whole it keeps its first state, and all that its pieces
// keep is there again while its backward pass runs.
std::vector<Piece> StepMemory::loop() const {
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < m_.core_layers; ++i) {
    pieces.push_back(layer("core." + std::to_string(i), m_.ffn));
    pieces.back().work += tokens_ * loop_work();
  }
  pieces.push_back({tokens_ * loop_kept(), tokens_ * loop_work(), gradients("recurrent")});
  if (!recomputes(Recompute::loop)) return pieces;
  Piece whole = {tokens_ * (state() + halting_keys())};
  for (const Piece& piece : pieces) {
    whole.work += piece.kept;
    whole.gradients += piece.gradients;
  }
  whole.work += std::ranges::max(pieces, {}, &Piece::work).work;
  return {whole};
}

// The last layer's output, which the final norm keeps; a block of logits, the gradient of the
// hidden state, and a narrow copy of the head's; a copy of the logits where oneDNN sums the head's
// gradient, which it does on CPUs that are not Intel's.
Piece StepMemory::loss() const {
  const Whole rows = std::min(tokens_, Whole(std::max<int64_t>(1, kLogits / m_.vocab_size)));
  const Whole numbers = Whole(m_.vocab_size) * D_;
  const Whole head = narrow() ? numbers * c_ : Whole(0);
  const bool copies = !narrow() && numbers <= kOneDnnNumbers;
  const Whole beside = copies ? std::max(Whole(m_.vocab_size), D_) : D_;
  return {tokens_ * (D_ * c_ + kFloat),
          rows * (m_.vocab_size + beside) * c_ + tokens_ * D_ * c_ + head,
          gradients(m_.tied_head ? "embed" : "head") + gradients("norm")};
}

// The backward pass goes through the pieces from the last to the first.
class BackwardWalk {
 public:
  explicit BackwardWalk(Whole kept) : kept_(kept) {}

  void pass(const std::vector<Piece>& pieces, bool first_time = true) {
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
      if (first_time) gradients_ += piece->gradients;
      most_ = std::max(most_, kept_ + piece->work + gradients_);
      kept_ -= piece->kept;
    }
  }
  void drop(Whole kept) { kept_ -= kept; }
  Whole most() const { return most_; }

 private:
  Whole kept_, gradients_ = 0, most_ = 0;
};

Whole sum_kept(const std::vector<Piece>& pieces) {
  Whole sum = 0;
  for (const Piece& piece : pieces) sum += piece.kept;
  return sum;
}

Whole StepMemory::beside_gradients() const {
  std::vector<Piece> before = {embedding()}, after;
  for (int64_t i = 0; i < m_.prelude_layers; ++i) {
    before.push_back(layer("prelude." + std::to_string(i), FeedForward::dense));
  }
  before.push_back(input());
  const std::vector<Piece> loop = this->loop();
  for (int64_t i = 0; i < m_.coda_layers; ++i) {
    after.push_back(layer("coda." + std::to_string(i), FeedForward::dense));
  }
  after.push_back(loss());
  BackwardWalk walk(sum_kept(before) + loops_ * sum_kept(loop) + sum_kept(after));
  walk.pass(after);
  walk.pass(loop);
  // The loop before finds the core's gradients there; those before it find less.
  if (loops_ > 1) walk.pass(loop, /*first_time=*/false);
  if (loops_ > 2) walk.drop((loops_ - 2) * sum_kept(loop));
  walk.pass(before);
  return shape_.accumulates ? walk.most() : walk.most() - all_gradients_;
}

}  // namespace

int64_t activation_bytes(const ModelConfig& config, const StepShape& shape) {
  return StepMemory(config, shape).beside_gradients().value();
}

}  // namespace mythos
