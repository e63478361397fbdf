#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/row_recorder.h"

// What the recorder makes of attention and of experts.
namespace mythos {
namespace {

// Heads of one row as attention reads them: normalised and rotated.
struct HeadReader {
  Operand from;
  int64_t width = 0;  // of a head
  const float* norm_weight = nullptr;
  double eps = 0;
  int64_t rope = 0;  // channels at the end that are rotated
  RopePairing pairing;

  HeadReader(const Operand& from, const Value& x, const ModelConfig& c)
      : from(from),
        width(x.width / x.heads),
        norm_weight(x.norm_weight),
        eps(x.norm_eps),
        rope(x.rotated ? c.rope_dim() : 0),
        pairing(c.rope_pairing) {}

  void read(const Lane& lane, int64_t row, int64_t head, float* to) const {
    const float* x = lane.at(from, row) + head * width;
    if (norm_weight) {
      cpu::norm_row(x, norm_weight, width, eps, to);
    } else {
      std::copy_n(x, width, to);
    }
    if (rope == 0) return;
    cpu::rope_row(to + width - rope, lane.cos(row), lane.sin(row), rope, pairing);
  }
};

// The best k of a row's experts by logit plus bias, and the softmax of their logits.
void choose_experts(const float* logits, const float* bias, int64_t experts, int64_t k,
                    int64_t* chosen, float* weight) {
  int64_t found = 0;
  const auto score = [&](int64_t e) { return logits[e] + bias[e]; };
  for (int64_t e = 0; e < experts; ++e) {
    if (found == k && !(score(e) > score(chosen[k - 1]))) continue;
    int64_t at = found < k ? found++ : k - 1;
    for (; at > 0 && score(e) > score(chosen[at - 1]); --at) chosen[at] = chosen[at - 1];
    chosen[at] = e;
  }
  float most = logits[chosen[0]], sum = 0;
  for (int64_t j = 1; j < k; ++j) most = std::max(most, logits[chosen[j]]);
  for (int64_t j = 0; j < k; ++j) sum += weight[j] = std::exp(logits[chosen[j]] - most);
  for (int64_t j = 0; j < k; ++j) weight[j] /= sum;
}

// f(expert, choices of it, their number) for each expert that some row has chosen.
template <class F>
void for_experts(const Lane& lane, int64_t k, const F& f) {
  const int64_t choices = lane.active_rows() * k;
  const auto expert_at = [&](int64_t i) {
    return lane.expert[static_cast<size_t>(lane.order[static_cast<size_t>(i)])];
  };
  for (int64_t first = 0, last = 0; first < choices; first = last) {
    while (last < choices && expert_at(last) == expert_at(first)) ++last;
    f(expert_at(first), &lane.order[static_cast<size_t>(first)], last - first);
  }
}

CacheSlot slot_of(const LayerId& layer, const Lane& lane) {
  return {layer.section, layer.index, layer.section == Section::core ? lane.loop : 0};
}

}  // namespace

int64_t RowRecorder::cache_of(const LayerId& layer) const {
  return kCache + static_cast<int64_t>(layer.section) * (int64_t{1} << 32) + layer.index;
}

void RowRecorder::store(const LayerId& layer, std::vector<Access> accesses, int64_t width,
                        std::function<const float*(const Lane&, int64_t, float*)> fill) {
  accesses.push_back({cache_of(layer), true, Sharing::own_rows()});
  steps_.work_floats = std::max(steps_.work_floats, width);
  emit(std::move(accesses), [=](Lane& lane) {
    for (const int64_t row : lane.active) {
      if (!lane.mine(row)) continue;
      float* a = lane.work.data();
      const float* b = fill(lane, row, a);
      lane.row(row).cache->store(slot_of(layer, lane), lane.position_of(row), a, b);
    }
  });
}

// Every row with a key head and the query heads that read it is a task.
Value RowRecorder::attend_grouped(const Value& q, const Value& k, const Value& v,
                                  const LayerId& layer) {
  const int64_t K = k.heads, d = k.width / K, heads = q.heads / K;
  const HeadReader queries(operand(q), q, c_), keys(operand(k), k, c_);
  store(layer, {reads(k), reads(v)}, K * d,
        [=, values = operand(v)](const Lane& lane, int64_t row, float* a) {
          for (int64_t head = 0; head < K; ++head) keys.read(lane, row, head, a + head * d);
          return static_cast<const float*>(lane.at(values, row));
        });
  const Value out = shared(q.width);
  steps_.work_floats =
      std::max(steps_.work_floats, heads * d + cpu::attention_work_floats(heads, d, d));
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  emit({reads(q), {cache_of(layer)}, writes(out)}, [=, to = operand(out)](Lane& lane) {
    float* query = lane.work.data();
    const int64_t tasks = lane.active_rows() * K, threads = lane.member->count();
    for (int64_t task = lane.member->index(); task < tasks; task += threads) {
      const int64_t row = lane.active[static_cast<size_t>(task / K)], head = task % K;
      for (int64_t i = 0; i < heads; ++i) {
        queries.read(lane, row, head * heads + i, query + i * d);
      }
      for (int64_t i = 0; i < heads * d; ++i) query[i] *= scale;
      lane.row(row).cache->attend(slot_of(layer, lane), head, query, heads,
                                  lane.position_of(row) + 1, lane.at(to, row) + head * heads * d,
                                  query + heads * d);
    }
  });
  return out;
}

// Scores and values in the latent space: kv_up is folded into queries and output (DeepSeek-V2,
// section 2.1.2), so the cache is never expanded. Every row with some heads is a task.
Value RowRecorder::attend_latent(const Value& q, const Value& latent, const Value& key,
                                 const at::Tensor& kv_up, const LayerId& layer) {
  constexpr int64_t kTogether = 8;  // heads of a task at most
  const int64_t H = q.heads, rank = latent.width, rope = key.width, width = rank + rope;
  const int64_t nope = q.width / H - rope, v = c_.v_head_dim;
  const HeadReader queries(operand(q), q, c_), latents(operand(latent), latent, c_),
      keys(operand(key), key, c_);
  store(layer, {reads(latent), reads(key)}, width,
        [=](const Lane& lane, int64_t row, float* a) -> const float* {
          latents.read(lane, row, 0, a);
          keys.read(lane, row, 0, a + rank);
          return nullptr;
        });
  const Value out = shared(H * v);
  const int64_t most = std::min(kTogether, H);
  steps_.work_floats =
      std::max(steps_.work_floats,
               most * (width + rank) + nope + rope + cpu::attention_work_floats(most, width, rank));
  const float scale = 1.0f / std::sqrt(static_cast<float>(nope + rope));
  const cpu::RowMatrix up{Matrix(kv_up)};
  const auto task = [=, to = operand(out)](Lane& lane, int64_t row, int64_t head, int64_t heads) {
    float* query = lane.work.data();
    float* values = query + heads * width;
    float* one = values + heads * rank;
    float* work = one + nope + rope;
    for (int64_t i = 0; i < heads; ++i) {
      const int64_t first = (head + i) * (nope + v);
      float* folded = query + i * width;
      queries.read(lane, row, head + i, one);
      cpu::column_products(up, first, first + nope, one, folded);
      std::copy_n(one + nope, rope, folded + rank);
      for (int64_t c = 0; c < width; ++c) folded[c] *= scale;
    }
    lane.row(row).cache->attend(slot_of(layer, lane), 0, query, heads, lane.position_of(row) + 1,
                                values, work);
    for (int64_t i = 0; i < heads; ++i) {
      const int64_t first = (head + i) * (nope + v) + nope;
      const float* from = values + i * rank;
      float* result = lane.at(to, row) + (head + i) * v - first;
      cpu::row_products(up, first, first + v, &from, 1, &result);
    }
  };
  emit({reads(q), {cache_of(layer)}, writes(out)}, [=](Lane& lane) {
    const int64_t threads = lane.member->count();
    const int64_t together = std::clamp<int64_t>(lane.active_rows() * H / threads, 1, kTogether);
    const int64_t groups = (H + together - 1) / together;
    for (int64_t i = lane.member->index(); i < lane.active_rows() * groups; i += threads) {
      const int64_t head = i % groups * together;
      task(lane, lane.active[static_cast<size_t>(i / groups)], head, std::min(together, H - head));
    }
  });
  return out;
}

Routing RowRecorder::route(const Value& scores, const at::Tensor& bias, const LayerId&) {
  const float* biases = numbers(bias);
  const int64_t k = c_.n_experts_per_tok, experts = c_.n_experts;
  emit({reads(scores)}, [=, from = operand(scores)](Lane& lane) {
    const int64_t rows = lane.active_rows();
    for (int64_t i = 0; i < rows; ++i) {
      const auto first = static_cast<size_t>(i * k);
      choose_experts(lane.at(from, lane.active[static_cast<size_t>(i)]), biases, experts, k,
                     &lane.expert[first], &lane.weight[first]);
    }
    const auto first = lane.order.begin();
    std::iota(first, first + rows * k, 0);
    std::sort(first, first + rows * k, [&](int64_t a, int64_t b) {
      const int64_t of_a = lane.expert[static_cast<size_t>(a)];
      const int64_t of_b = lane.expert[static_cast<size_t>(b)];
      return of_a != of_b ? of_a < of_b : a < b;
    });
  });
  return {};
}

Value RowRecorder::experts(const Value& x, const Routing&, const Matrix& gate_up,
                           const Matrix& down, const Value& onto) {
  const cpu::RowMatrices in(gate_up), back(down);
  const int64_t k = c_.n_experts_per_tok, width = back.first.rows;
  const Value hidden = shared(back.first.columns, kMaxRows * k);
  const Value gate = own(back.first.columns);
  const auto row_of = [k](const Lane& lane, int64_t choice) {
    return lane.active[static_cast<size_t>(choice / k)];
  };
  emit({reads(x), writes(hidden, Sharing::columns(back.first.columns, 16))},
       [=, from = operand(x), to = operand(hidden), part = operand(gate)](Lane& lane) {
         for_experts(lane, k, [&](int64_t expert, const int64_t* choices, int64_t count) {
           Lane::Pointers input{};
           Lane::Targets output{};
           for (int64_t i = 0; i < count; ++i) {
             input[static_cast<size_t>(i)] = lane.at(from, row_of(lane, choices[i]));
             output[static_cast<size_t>(i)] = lane.at(to, choices[i]);
           }
           gated_rows(lane, in[expert], input.data(), count, output.data(), part);
         });
       });
  const Value out = onto.defined() ? onto : shared(width), part = own(width);
  const bool fresh = !onto.defined();
  emit({reads(hidden), writes(out, Sharing::columns(width, 4))},
       [=, from = operand(hidden), to = operand(out), product = operand(part)](Lane& lane) {
         const auto share = lane.member->share(width, 4);
         const int64_t begin = share.first, end = share.second;
         for (const int64_t row : lane.active) {
           if (fresh) std::fill(lane.at(to, row) + begin, lane.at(to, row) + end, 0.0f);
         }
         for_experts(lane, k, [&](int64_t expert, const int64_t* choices, int64_t count) {
           Lane::Pointers input{};
           Lane::Targets output{};
           for (int64_t i = 0; i < count; ++i) {
             input[static_cast<size_t>(i)] = lane.at(from, choices[i]);
             output[static_cast<size_t>(i)] = lane.at(product, i);
           }
           cpu::row_products(back[expert], begin, end, input.data(), count, output.data());
           for (int64_t i = 0; i < count; ++i) {
             cpu::add_scaled(lane.at(to, row_of(lane, choices[i])) + begin,
                             lane.weight[static_cast<size_t>(choices[i])],
                             lane.at(product, i) + begin, end - begin);
           }
         });
       });
  return out;
}

}  // namespace mythos
