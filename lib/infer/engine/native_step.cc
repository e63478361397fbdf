#include "infer/engine/native_step.h"

#include <algorithm>
#include <cmath>

namespace mythos {
namespace {

constexpr int64_t kRows = Decoder::kMaxRows;

int64_t attention_work(const ModelConfig& c) {
  if (c.attention == Attention::mla) {
    const int64_t width = c.kv_lora_rank + c.qk_rope_head_dim,
                  heads = std::min<int64_t>(8, c.n_heads);
    return heads * (width + c.kv_lora_rank) +
           cpu::attention_work_floats(heads, width, c.kv_lora_rank);
  }
  const int64_t heads = c.n_heads / c.n_kv_heads, d = c.head_dim();
  return heads * d + cpu::attention_work_floats(heads, d, d) + c.n_kv_heads * d;
}

void copy(const float* from, int64_t width, float* to) {
  std::copy_n(from, width, to);
}

// log softmax at the largest logit and the log of the sum.
double log_sum(const float* logits, int64_t count) {
  const float most = *std::max_element(logits, logits + count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(logits[i] - most));
  return most + std::log(sum);
}

// KL(softmax p ‖ softmax q) in nats.
double divergence(const float* p, const float* q, int64_t count) {
  const double p_sum = log_sum(p, count), q_sum = log_sum(q, count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum += std::exp(p[i] - p_sum) * ((p[i] - p_sum) - (q[i] - q_sum));
  }
  return sum;
}

}  // namespace

StepBuffers::StepBuffers(const ModelConfig& c, const Decoder::Options& options) {
  const bool mla = c.attention == Attention::mla;
  const int64_t kv = mla ? c.kv_lora_rank + c.qk_rope_head_dim : c.n_kv_heads * c.head_dim();
  down = FloatRows(kRows, mla ? c.q_lora_rank + kv : c.n_heads * c.head_dim() + 2 * kv);
  if (mla) q = FloatRows(kRows, c.n_heads * c.qk_head_dim());
  heads = FloatRows(kRows, c.n_heads * c.value_head_dim());
  mixed = FloatRows(kRows, c.dim);
  const bool moe = c.ffn == FeedForward::moe;
  hidden = FloatRows(kRows, std::max(c.dense_ffn_dim(), moe ? c.shared_ffn_dim() : 0));
  if (moe) {
    router = FloatRows(kRows, c.n_experts);
    experts = FloatRows(kRows * c.n_experts_per_tok, c.expert_dim);
  }
  entry = FloatRows(kRows, c.dim);
  if (options.exit == ExitRule::kl) {
    logits = FloatRows(kRows, c.vocab_size);
    last_logits = FloatRows(kRows, c.vocab_size);
  }
  if (options.cache.sharing == CacheSharing::average) {
    for (int64_t i = 0; i < c.core_layers; ++i) sums.emplace_back(kRows, 2 * kv);
  }
}

StepLane::StepLane(const ModelConfig& c)
    : x(kRows, c.dim),
      h(kRows, c.dim),
      e(kRows, c.dim),
      output(kRows, c.dim),
      normed(kRows, c.dim),
      latent(kRows, c.q_lora_rank),
      pair(kRows, 2 * c.dim),
      work(static_cast<size_t>(attention_work(c))),
      position(kRows),
      cumulative(kRows),
      change(kRows),
      stopped(kRows) {
  const bool moe = c.ffn == FeedForward::moe;
  part = FloatRows(kRows,
                   std::max({c.dim, c.dense_ffn_dim(),
                             moe ? std::max(c.expert_dim, c.shared_ffn_dim()) : 0, c.lora_rank}));
  active.reserve(kRows);
  const auto places = static_cast<size_t>(kRows * (moe ? c.n_experts_per_tok : 0));
  expert.resize(places);
  order.resize(places);
  weight.resize(places);
}

NativeStep::NativeStep(const NativeModel& model, const Decoder::Options& options,
                       std::span<Decoder::Row> rows, StepBuffers& shared, StepLane& lane,
                       const Team::Member& member)
    : m_(model),
      c_(model.config),
      options_(options),
      rows_(rows),
      shared_(shared),
      lane_(lane),
      member_(member) {
  by_kl_ = options.exit == ExitRule::kl &&
           std::any_of(rows.begin(), rows.end(), [](const auto& row) { return !row.full_depth; });
}

int64_t NativeStep::loops_of(int64_t row) const {
  const Decoder::Row& of = rows_[static_cast<size_t>(row)];
  return of.loops > 0 ? of.loops : of.cache->loops();
}

ExitRule NativeStep::exit_of(int64_t row) const {
  return rows_[static_cast<size_t>(row)].full_depth ? ExitRule::none : options_.exit;
}

void NativeStep::run() {
  begin();
  for (size_t i = 0; i < m_.prelude.size(); ++i) {
    layer(m_.prelude[i], {Place::prelude, 0, static_cast<int64_t>(i)});
  }
  loops();
  if (!by_kl_) {
    for (const int64_t row : lane_.active) {
      copy(c_.halting == Halting::none ? lane_.h[row] : lane_.output[row], c_.dim, lane_.x[row]);
    }
    coda();
  }
  finish();
}

// Positions and embeddings.
void NativeStep::begin() {
  lane_.active.clear();
  const KvCache* last = nullptr;
  int64_t next = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Decoder::Row& row = rows_[i];
    next = row.cache == last ? next + 1 : row.cache->length();
    last = row.cache;
    lane_.position[i] = next;
    lane_.active.push_back(static_cast<int64_t>(i));
    m_.embedding(row.id, lane_.x[static_cast<int64_t>(i)]);
  }
}

void NativeStep::loops() {
  int64_t most = 0;
  for (const int64_t row : lane_.active) {
    float* e = lane_.e[row];
    if (m_.prelude_norm) {
      cpu::norm_row(lane_.x[row], m_.prelude_norm, c_.dim, c_.norm_eps, e);
    } else {
      copy(lane_.x[row], c_.dim, e);
    }
    if (c_.initial_state == InitialState::input) {
      copy(e, c_.dim, lane_.h[row]);
    } else {
      std::fill_n(lane_.h[row], c_.dim, 0.0f);
    }
    std::fill_n(lane_.output[row], c_.dim, 0.0f);
    lane_.cumulative[static_cast<size_t>(row)] = 0;
    lane_.stopped[static_cast<size_t>(row)] = 0;
    most = std::max(most, loops_of(row));
  }
  if (c_.injection == Injection::zoh) {
    product(m_.injection_B, lane_.e, shared_.entry);
    member_.barrier();
  }
  for (int64_t t = 0; t < most; ++t) {
    std::erase_if(lane_.active, [&](int64_t row) {
      return lane_.stopped[static_cast<size_t>(row)] || t >= loops_of(row);
    });
    if (lane_.active.empty()) break;
    enter(t);
    core(t);
    leave(t);
    if (by_kl_) exit_by_kl(t);
    end_loop(t);
  }
  lane_.active.clear();
  for (size_t i = 0; i < rows_.size(); ++i) lane_.active.push_back(static_cast<int64_t>(i));
}

// x ← what the core layers get in this loop (recurrence.cc's Step).
void NativeStep::enter(int64_t loop) {
  const float* mark = m_.mark(loop);
  for (const int64_t row : lane_.active) {
    const float *h = lane_.h[row], *e = lane_.e[row];
    float* x = lane_.x[row];
    switch (c_.injection) {
      case Injection::lti:
      case Injection::add:
        for (int64_t i = 0; i < c_.dim; ++i) x[i] = h[i] + e[i];
        break;
      case Injection::zoh:
        for (int64_t i = 0; i < c_.dim; ++i) {
          x[i] = shared_.entry[row][i] * m_.gain[static_cast<size_t>(i)] +
                 h[i] * m_.A[static_cast<size_t>(i)];
        }
        break;
      case Injection::linear:
      case Injection::none:
        copy(h, c_.dim, x);
        break;
    }
    if (mark) cpu::add_scaled(x, 1, mark, c_.dim);
    if (c_.injection == Injection::lti) cpu::norm_row(x, m_.core_norm, c_.dim, c_.norm_eps, x);
    if (c_.injection == Injection::linear) {
      copy(x, c_.dim, lane_.pair[row]);
      copy(e, c_.dim, lane_.pair[row] + c_.dim);
    }
  }
  if (c_.injection != Injection::linear) return;
  product(m_.injection, lane_.pair, shared_.entry);
  member_.barrier();
  for (const int64_t row : lane_.active) copy(shared_.entry[row], c_.dim, lane_.x[row]);
}

// The core layers and the depth-wise LoRA.
void NativeStep::core(int64_t loop) {
  for (size_t i = 0; i < m_.core.size(); ++i) {
    layer(m_.core[i], {Place::core, loop, static_cast<int64_t>(i)});
  }
  if (!m_.lora_down.defined()) return;
  const float* scale = m_.lora_scale[std::min(loop, c_.max_loop_iters - 1)];
  float low[1024];
  for (const int64_t row : lane_.active) {
    const float* x = lane_.x[row];
    for (int64_t begin = 0; begin < c_.lora_rank; begin += 1024) {
      const int64_t end = std::min<int64_t>(begin + 1024, c_.lora_rank);
      float* to = low - begin;
      cpu::row_products(m_.lora_down, begin, end, &x, 1, &to);
      for (int64_t r = begin; r < end; ++r) to[r] *= scale[r];
      cpu::column_products(m_.lora_up, begin, end, low, lane_.part[0]);
      cpu::add_scaled(lane_.x[row], 1, lane_.part[0], c_.dim);
    }
  }
}

// h ← the state after the loop.
void NativeStep::leave(int64_t loop) {
  for (const int64_t row : lane_.active) {
    float *x = lane_.x[row], *h = lane_.h[row];
    const float* e = lane_.e[row];
    if (c_.injection == Injection::lti) {
      for (int64_t i = 0; i < c_.dim; ++i) {
        const auto at = static_cast<size_t>(i);
        x[i] = m_.A[at] * h[i] + m_.B[at] * e[i] + x[i];
      }
    } else if (c_.injection == Injection::linear) {
      cpu::norm_row(x, m_.core_norm, c_.dim, c_.norm_eps, x);
    }
    if (options_.exit == ExitRule::latent) {
      const float before = cpu::dot(h, h, c_.dim);
      cpu::add_scaled(h, -1, x, c_.dim);
      lane_.change[static_cast<size_t>(row)] =
          std::sqrt(cpu::dot(h, h, c_.dim) / std::max(before, 1e-30f));
    }
    copy(x, c_.dim, h);
    rows_[static_cast<size_t>(row)].loops_run = loop + 1;
  }
}

// Whether the row computes no further loop. Takes its state into the output where the model halts
// (halting.cc).
bool NativeStep::stops(int64_t row, int64_t loop) {
  const auto at = static_cast<size_t>(row);
  const ExitRule rule = exit_of(row);
  const bool stop = loop + 1 == loops_of(row) || lane_.stopped[at] ||
                    (rule == ExitRule::latent && lane_.change[at] < options_.exit_threshold);
  if (c_.halting == Halting::none) return stop;
  const Halt halt = this->halt(row, loop, stop);
  cpu::add_scaled(lane_.output[row], halt.share, lane_.h[row], c_.dim);
  lane_.cumulative[at] = halt.cumulative;
  // The public reference's halted positions go on changing what others attend to.
  const bool may = c_.halting == Halting::act || rule == ExitRule::halting;
  return stop || (may && halt.cumulative >= static_cast<float>(c_.act_threshold));
}

// What the state after the loop adds to the row's output when the row stops there or not.
NativeStep::Halt NativeStep::halt(int64_t row, int64_t loop, bool stop) const {
  const float cumulative = lane_.cumulative[static_cast<size_t>(row)];
  const auto threshold = static_cast<float>(c_.act_threshold);
  if (cumulative >= threshold) return {0, cumulative};
  const float dot = cpu::dot(m_.halt_weight, lane_.h[row], c_.dim);
  const float p = 1 / (1 + std::exp(-(dot + m_.halt_bias)));
  // A row that stops for another reason gives what is left to its last state, as act does.
  const bool last = loop + 1 == loops_of(row);
  const bool ends = cumulative + p >= threshold || (stop && (c_.halting == Halting::act || !last));
  return {ends ? std::max(1 - cumulative, 0.0f) : p, cumulative + p};
}

void NativeStep::end_loop(int64_t loop) {
  for (const int64_t row : lane_.active) {
    if (!stops(row, loop)) continue;
    lane_.stopped[static_cast<size_t>(row)] = 1;
    if (mine(row)) close_keys(row, loop);
  }
}

// The keys of the loop in which a row stops serve the later loops; means are taken.
void NativeStep::close_keys(int64_t row, int64_t loop) {
  KvCache& to = cache(row);
  const int64_t at = position(row);
  const auto repeat = [&](const KvCache::Store& from, const KvCache::Store& into) {
    for (const auto& [a, b] :
         {std::pair(&from.numbers, &into.numbers), {&from.scales, &into.scales}}) {
      if (!a->defined()) continue;
      const auto bytes = static_cast<size_t>(a->size(2)) * a->element_size();
      const auto offset = static_cast<size_t>(at) * bytes;
      std::memcpy(static_cast<char*>(b->data_ptr()) + offset,
                  static_cast<const char*>(a->data_ptr()) + offset, bytes);
    }
  };
  for (int64_t layer = 0; layer < c_.core_layers; ++layer) {
    const KvCache::Slot& last = to.slot(to.core_slot(loop, layer));
    if (to.sharing() == CacheSharing::per_loop) {
      for (int64_t t = loop + 1; t < loops_of(row); ++t) {
        const KvCache::Slot& later = to.slot(to.core_slot(t, layer));
        repeat(last.a, later.a);
        if (last.b.numbers.defined()) repeat(last.b, later.b);
      }
    } else if (to.sharing() == CacheSharing::average) {
      float* sum = shared_.sums[static_cast<size_t>(layer)][row];
      const int64_t width = last.a.numbers.size(2);
      for (int64_t i = 0; i < 2 * width; ++i) sum[i] /= static_cast<float>(loop + 1);
      cpu::store_row(sum, cached_rows(last.a, 0, width, 0, width), to.widths().data(), at);
      if (!last.b.numbers.defined()) continue;
      cpu::store_row(sum + width, cached_rows(last.b, 0, width, 0, width), to.widths().data(), at);
    }
  }
}

// x → its normalised output, in normed.
void NativeStep::coda() {
  for (size_t i = 0; i < m_.coda.size(); ++i) {
    layer(m_.coda[i], {Place::coda, 0, static_cast<int64_t>(i)});
  }
  for (const int64_t row : lane_.active) {
    cpu::norm_row(lane_.x[row], m_.norm, c_.dim, c_.norm_eps, lane_.normed[row]);
  }
}

// Goes on to the next-token distribution after every loop.
void NativeStep::exit_by_kl(int64_t loop) {
  for (const int64_t row : lane_.active) {
    const float* h = lane_.h[row];
    copy(c_.halting == Halting::none ? h : lane_.output[row], c_.dim, lane_.x[row]);
    if (c_.halting == Halting::none) continue;
    cpu::add_scaled(lane_.x[row], halt(row, loop, true).share, h, c_.dim);
  }
  coda();
  product(m_.head, lane_.normed, shared_.logits);
  member_.barrier();
  for (const int64_t row : lane_.active) {
    lane_.stopped[static_cast<size_t>(row)] =
        exit_of(row) == ExitRule::kl && loop > 0 &&
        divergence(shared_.logits[row], shared_.last_logits[row], c_.vocab_size) <
            options_.exit_threshold;
  }
  member_.barrier();
  for (const int64_t row : lane_.active) {
    if (mine(row)) copy(shared_.logits[row], c_.vocab_size, shared_.last_logits[row]);
  }
}

void NativeStep::finish() {
  Pointers from{};
  Targets to{};
  int64_t wanted = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (!rows_[i].logits) continue;
    const auto row = static_cast<int64_t>(i), at = wanted++;
    from[static_cast<size_t>(at)] = lane_.normed[row];
    to[static_cast<size_t>(at)] = rows_[i].logits;
    if (by_kl_ && mine(row)) {
      copy(shared_.last_logits[row], c_.vocab_size, rows_[i].logits);
    }
  }
  if (by_kl_) return;
  const auto [begin, end] = member_.share(m_.head.rows, 4);
  cpu::row_products(m_.head, begin, end, from.data(), wanted, to.data());
}

}  // namespace mythos
