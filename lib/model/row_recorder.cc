#include "model/row_recorder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/exit_criteria.h"

namespace mythos {
namespace {

void copy_row(const float* from, int64_t width, float* to) {
  std::copy_n(from, width, to);
}

// bound · tanh(x / bound) of the numbers begin … end-1.
void cap_row(float* x, int64_t begin, int64_t end, float bound) {
  for (int64_t i = begin; i < end; ++i) x[i] = bound * std::tanh(x[i] / bound);
}

// One row of a table in any format.
void read_row(cpu::RowMatrix table, int64_t index, float* to) {
  using Kind = cpu::RowMatrix::Kind;
  table.values += index * table.row_bytes;
  if (table.scales) table.scales += index * table.row_scales;
  if (table.kind == Kind::int8 || table.kind == Kind::int4) {
    cpu::expand_rows(table, 0, 1, to);
  } else {
    const float one = 1;
    cpu::column_products(table, 0, 1, &one, to);
  }
}

// The halting head's numbers and what they do to a row.
struct HaltingHead {
  const float* weight;
  float bias, threshold;
  int64_t width, min_loops;
  bool closes_last;  // a row that has not halted gives the rest to its last loop

  // The probability of halting after this loop.
  float probability(const Lane& lane, const float* h) const {
    if (lane.loop + 1 < min_loops) return 0;
    return 1 / (1 + std::exp(-(cpu::dot(weight, h, width) + bias)));
  }
  // A halting model's share of the state in the output, and the probability of having halted.
  struct Halt {
    float share, cumulative;
  };
  Halt operator()(const Lane& lane, int64_t row, const float* h, bool stop) const {
    const float cumulative = lane.cumulative[static_cast<size_t>(row)];
    if (cumulative >= threshold) return {0, cumulative};
    const float p = probability(lane, h);
    // A row that stops for another reason gives what is left to its last state, as act does.
    const bool last = lane.loop + 1 == lane.loops_of(row);
    const bool ends = cumulative + p >= threshold || (stop && (closes_last || !last));
    return {ends ? std::max(1 - cumulative, 0.0f) : p, cumulative + p};
  }
};

HaltingHead halting_head(const ModelConfig& c, const float* weight, const HaltingWeights& w) {
  return {weight, w.bias.item<float>(), static_cast<float>(c.act_threshold),
          c.dim,  c.min_halt_loops,     c.halting == Halting::act};
}

}  // namespace

RowRecorder::RowRecorder(const ModelConfig& config, const Exit& exit)
    : c_(config), exit_(exit), section_(&steps_.before) {}

RecordedSteps record_rows(const ModelConfig& config, const Weights& weights, const Exit& exit) {
  RowRecorder recorder(config, exit);
  return recorder.finish(transformer(recorder, config, weights, exit), weights.head);
}

Value RowRecorder::scratch(int64_t width, int64_t rows, bool shared) {
  const auto in_use = [&](size_t memory) {
    return std::any_of(pending_.begin(), pending_.end(), [&](const Access& access) {
      return access.what == static_cast<int64_t>(memory);
    });
  };
  const auto found = std::find_if(free_.begin(), free_.end(), [&](size_t i) {
    const ScratchMemory& memory = steps_.memory[i];
    return memory.shared == shared && memory.rows == rows && memory.width == width && !in_use(i);
  });
  size_t memory = steps_.memory.size();
  if (found != free_.end()) {
    memory = *found;
    free_.erase(found);
  } else {
    steps_.memory.push_back({rows, width, shared});
  }
  Value value;
  value.rows =
      std::shared_ptr<const ScratchRows>(new ScratchRows{memory}, [this](const ScratchRows* rows) {
        free_.push_back(rows->memory);
        delete rows;
      });
  value.width = width;
  return value;
}

Operand RowRecorder::operand(const Value& x) {
  Operand out;
  out.defined = x.defined();
  out.table = x.table;
  if (x.tensor.defined()) out.vector = numbers(x.tensor);
  if (x.rows) out.memory = x.rows->memory;
  out.first = x.first;
  return out;
}

Access RowRecorder::reads(const Value& x, const Sharing& sharing) const {
  const bool shared = x.rows && steps_.memory[x.rows->memory].shared;
  return {shared ? static_cast<int64_t>(x.rows->memory) : kOwnMemory, false, sharing};
}

Access RowRecorder::writes(const Value& x, const Sharing& sharing) const {
  Access access = reads(x, sharing);
  access.writes = true;
  return access;
}

bool RowRecorder::conflict(const RecordedStep& step, const std::vector<Access>& pending) {
  for (const Access& a : step.accesses) {
    for (const Access& b : pending) {
      if (a.what != b.what || !(a.writes || b.writes)) continue;
      if (a.sharing.any() || !(a.sharing == b.sharing)) return true;
    }
  }
  return false;
}

void RowRecorder::emit(std::vector<Access> accesses, Run run) {
  std::erase_if(accesses, [](const Access& access) { return access.what == kOwnMemory; });
  RecordedStep step{std::move(run), std::move(accesses)};
  step.barrier = conflict(step, pending_);
  if (step.barrier) pending_.clear();
  pending_.insert(pending_.end(), step.accesses.begin(), step.accesses.end());
  section_->push_back(std::move(step));
}

void RowRecorder::close_loop() {
  std::vector<Access> pending = pending_;
  for (RecordedStep& step : steps_.loop) {
    if (step.barrier) break;
    if (conflict(step, pending)) {
      step.barrier = true;
      break;
    }
    pending.insert(pending.end(), step.accesses.begin(), step.accesses.end());
  }
}

const float* RowRecorder::numbers(const at::Tensor& t) {
  steps_.constants.push_back(t.to(at::kFloat).contiguous());
  return steps_.constants.back().data_ptr<float>();
}

Value RowRecorder::embed(const at::Tensor& table) {
  const Value out = own(c_.dim);
  const Operand to = operand(out);
  const int64_t width = c_.dim;
  const bool wide = table.scalar_type() == at::kFloat;
  const void* numbers = table.data_ptr();
  const auto scale = static_cast<float>(c_.embedding_scale);
  emit({}, [=](Lane& lane) {
    for (const int64_t row : lane.active) {
      const int64_t begin = static_cast<int64_t>(lane.row(row).id) * width;
      float* out = lane.at(to, row);
      if (const float* input = lane.row(row).input) {
        copy_row(input, width, out);
        continue;
      }
      if (wide) {
        std::copy_n(static_cast<const float*>(numbers) + begin, width, out);
      } else {
        std::copy_n(static_cast<const at::BFloat16*>(numbers) + begin, width, out);
      }
      if (scale == 1) continue;
      for (int64_t i = 0; i < width; ++i) out[i] *= scale;
    }
  });
  return out;
}

Value RowRecorder::add_embedding(const Value& x, const Value& gate, const Matrix& table) {
  const cpu::RowMatrix rows(table);
  const int64_t heads = x.heads, width = x.width / x.heads;
  Value out = own(x.width);
  const Value part = own(x.width);
  emit({reads(x), reads(gate)}, [=, from = operand(x), factors = operand(gate), to = operand(out),
                                 found = operand(part)](Lane& lane) {
    for (const int64_t row : lane.active) {
      float *sum = lane.at(to, row), *added = lane.at(found, row);
      read_row(rows, lane.row(row).id, added);
      copy_row(lane.at(from, row), heads * width, sum);
      for (int64_t head = 0; head < heads; ++head) {
        const float factor = 2 / (1 + std::exp(-lane.at(factors, row)[head]));
        cpu::add_scaled(sum + head * width, factor, added + head * width, width);
      }
    }
  });
  out.heads = heads;
  return out;
}

Value RowRecorder::product(const Value& x, const Matrix& w) {
  const cpu::RowMatrix matrix(w);
  const Value out = shared(matrix.rows);
  const Operand from = operand(x), to = operand(out);
  emit({reads(x), writes(out, Sharing::columns(matrix.rows, 4))}, [=](Lane& lane) {
    const auto [begin, end] = lane.member->share(matrix.rows, 4);
    cpu::row_products(matrix, begin, end, lane.lines(from).data(), lane.active_rows(),
                      lane.targets(to).data());
  });
  return out;
}

Value RowRecorder::gated_product(const Value& x, const Matrix& gate_up) {
  const cpu::RowMatrix matrix(gate_up);
  const int64_t width = matrix.rows / 2;
  const Value out = shared(width), part = own(width);
  const Operand from = operand(x), to = operand(out), up = operand(part);
  emit({reads(x), writes(out, Sharing::columns(width, 16))}, [=](Lane& lane) {
    gated_rows(lane, matrix, lane.lines(from).data(), lane.active_rows(), lane.targets(to).data(),
               up);
  });
  return out;
}

Value RowRecorder::relu2_product(const Value& x, const Matrix& up) {
  return change_columns(product(x, up), [](float* y, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float positive = std::max(y[i], 0.0f);
      y[i] = 0.5f * positive * positive;
    }
  });
}

Value RowRecorder::softcap(const Value& x, double bound) {
  return change_columns(x,
                        [bound = static_cast<float>(bound)](float* y, int64_t begin, int64_t end) {
                          cap_row(y, begin, end, bound);
                        });
}

Value RowRecorder::change_columns(
    const Value& x, std::function<void(float* row, int64_t begin, int64_t end)> change) {
  emit({writes(x, Sharing::columns(x.width, 4))},
       [width = x.width, at = operand(x), change = std::move(change)](Lane& lane) {
         const auto [begin, end] = lane.member->share(width, 4);
         for (const int64_t row : lane.active) change(lane.at(at, row), begin, end);
       });
  return x;
}

Value RowRecorder::add_low_rank(const Value& x, const at::Tensor& down, const Value& scale,
                                const at::Tensor& up) {
  const cpu::RowMatrix low{Matrix(down)}, high{Matrix(up)};  // both [r,D]
  const Value out = own(c_.dim), part = own(c_.dim);
  const Operand from = operand(x), to = operand(out), product = operand(part),
                factors = operand(scale);
  emit({reads(x)}, [=, width = c_.dim](Lane& lane) {
    constexpr int64_t kPiece = 1024;
    float middle[kPiece];
    for (const int64_t row : lane.active) {
      const float *in = lane.at(from, row), *factor = lane.read(factors, row);
      float *sum = lane.at(to, row), *added = lane.at(product, row);
      copy_row(in, width, sum);
      for (int64_t begin = 0; begin < low.rows; begin += kPiece) {
        const int64_t end = std::min(begin + kPiece, low.rows);
        float* to = middle - begin;
        const float* input = sum;
        cpu::row_products(low, begin, end, &input, 1, &to);
        for (int64_t r = begin; r < end; ++r) to[r] *= factor[r];
        cpu::column_products(high, begin, end, middle, added);
        cpu::add_scaled(sum, 1, added, width);
      }
    }
  });
  return out;
}

Value RowRecorder::norm(const Value& x, const at::Tensor& weight, Precision) {
  if (x.heads > 0) return norm_heads(x, weight, c_.norm_eps);
  const float* factors = numbers(weight);
  const Value out = own(x.width);
  const Operand from = operand(x), to = operand(out);
  emit({reads(x)}, [=, width = x.width, eps = c_.norm_eps](Lane& lane) {
    for (const int64_t row : lane.active) {
      cpu::norm_row(lane.at(from, row), factors, width, eps, lane.at(to, row));
    }
  });
  return out;
}

std::pair<Value, Value> RowRecorder::add_norm(const Value& x, const Value& y, const Value& shift,
                                              const at::Tensor& weight) {
  const Value added = sum({{x}, {y}, {shift}});
  return {added, norm(added, weight, Precision::compute)};
}

Value RowRecorder::sum(const std::vector<Term>& terms) {
  struct Part {
    Operand value, scale;
  };
  std::vector<Part> parts;
  std::vector<Access> accesses;
  Value only;
  int64_t width = 0;
  for (const Term& term : terms) {
    if (!term.value.defined()) continue;
    parts.push_back({operand(term.value), operand(term.scale)});
    accesses.push_back(reads(term.value));
    only = term.value;
    width = std::max(width, only.width);
  }
  if (parts.size() == 1 && !parts[0].scale.defined) return only;
  const Value out = own(width);
  const Operand to = operand(out);
  emit(std::move(accesses), [=](Lane& lane) {
    for (const int64_t row : lane.active) {
      float* sum = lane.at(to, row);
      bool first = true;
      for (const Part& part : parts) {
        const float* x = lane.read(part.value, row);
        const float* scale = part.scale.defined ? lane.read(part.scale, row) : nullptr;
        if (first && scale) {
          for (int64_t i = 0; i < width; ++i) sum[i] = x[i] * scale[i];
        } else if (first) {
          copy_row(x, width, sum);
        } else if (scale) {
          for (int64_t i = 0; i < width; ++i) sum[i] += x[i] * scale[i];
        } else {
          for (int64_t i = 0; i < width; ++i) sum[i] += x[i];
        }
        first = false;
      }
    }
  });
  return out;
}

Value RowRecorder::concat(const Value& x, const Value& y) {
  const Value out = own(x.width + y.width);
  const Operand first = operand(x), second = operand(y), to = operand(out);
  emit({reads(x), reads(y)}, [=, width = x.width, rest = y.width](Lane& lane) {
    for (const int64_t row : lane.active) {
      copy_row(lane.at(first, row), width, lane.at(to, row));
      copy_row(lane.at(second, row), rest, lane.at(to, row) + width);
    }
  });
  return out;
}

std::vector<Value> RowRecorder::split(const Value& x, const std::vector<int64_t>& widths) {
  std::vector<Value> out;
  int64_t first = x.first;
  for (const int64_t width : widths) {
    out.push_back(x);
    out.back().first = first;
    out.back().width = width;
    first += width;
  }
  return out;
}

Value RowRecorder::zeros_like(const Value& x) {
  const Value out = own(x.width);
  emit({}, [to = operand(out), width = x.width](Lane& lane) {
    for (const int64_t row : lane.active) std::fill_n(lane.at(to, row), width, 0.0f);
  });
  return out;
}

Value RowRecorder::random_like(const Value& x) {
  const Value out = own(x.width);
  emit({}, [to = operand(out), width = x.width](Lane& lane) {
    for (const int64_t row : lane.active) {
      copy_row((*lane.first_states)[row], width, lane.at(to, row));
    }
  });
  return out;
}

Value RowRecorder::heads(const Value& x, int64_t count) {
  Value out = x;
  out.heads = count;
  return out;
}

Value RowRecorder::norm_heads(const Value& x, const at::Tensor& weight, double eps) {
  Value out = x;
  out.norm_weight = numbers(weight.defined() ? weight : at::ones({x.width / x.heads}));
  out.norm_eps = eps;
  return out;
}

Value RowRecorder::rope(const Value& x) {
  Value out = x;
  out.rotated = true;
  return out;
}

Value RowRecorder::loop_embedding() {
  Value out;
  if (c_.loop_embedding == LoopEmbedding::none) return out;
  if (!steps_.embedding) {
    steps_.tables.push_back(std::make_unique<LoopTable>());
    steps_.embedding = steps_.tables.back().get();
  }
  out.table = steps_.embedding;
  out.width = c_.dim;
  return out;
}

Value RowRecorder::at_loop(const at::Tensor& table) {
  const int64_t count = table.size(0), width = table.size(1);
  const float* from = numbers(table);
  auto made = std::make_unique<LoopTable>();
  made->rows = FloatRows(count, width);
  made->count = count;
  for (int64_t t = 0; t < count; ++t) copy_row(from + t * width, width, made->rows[t]);
  Value out;
  out.table = made.get();
  out.width = width;
  steps_.tables.push_back(std::move(made));
  return out;
}

Value RowRecorder::repeat(Value h, const std::function<Value(const Value&)>& body) {
  const Value state = own(h.width);
  const auto copy_state = [&](const Value& x, bool first) {
    emit({reads(x)}, [=, from = operand(x), to = operand(state), width = x.width](Lane& lane) {
      for (const int64_t row : lane.active) {
        const float* given = first ? lane.row(row).first_state : nullptr;
        copy_row(given ? given : lane.at(from, row), width, lane.at(to, row));
      }
    });
  };
  copy_state(h, true);
  h = {};
  if (mixes_states(c_)) output_ = zeros_like(state);
  section_ = &steps_.loop;
  copy_state(body(state), false);
  std::vector<Access> caches;
  for (int64_t layer = 0; layer < c_.core_layers; ++layer) {
    caches.push_back({cache_of({Section::core, layer}), true, Sharing::own_rows()});
  }
  emit(std::move(caches), [](Lane& lane) {
    for (const int64_t row : lane.active) {
      const int64_t loops = lane.loops_of(row), run = lane.loop + 1;
      bool& stops = lane.stops[static_cast<size_t>(row)];
      stops = stops || run == loops;
      if (!lane.mine(row)) continue;
      DecodeRow& of = lane.row(row);
      of.loops_run = run;
      if (stops) of.cache->settle(lane.position_of(row), run, loops);
    }
  });
  close_loop();
  section_ = &steps_.after;
  return state;
}

void RowRecorder::stop_settled(const Value& before, const Value& after, const Exit& exit) {
  const Value difference = own(before.width);
  const Operand from = operand(before), to = operand(after), between = operand(difference);
  emit({reads(before), reads(after)}, [=, width = before.width](Lane& lane) {
    for (const int64_t row : lane.active) {
      if (lane.row(row).full_depth) continue;
      const double value = state_criterion(exit.rule, lane.at(from, row), lane.at(to, row), width,
                                           lane.at(between, row));
      lane.stops[static_cast<size_t>(row)] = meets(exit.rule, value, exit.threshold);
    }
  });
}

void RowRecorder::stop_agreed(const Value& logits, const Exit& exit) {
  agreed_ = shared(logits.width);
  const Operand now = operand(logits), last = operand(agreed_);
  const int64_t count = logits.width;
  emit({reads(logits), reads(agreed_)}, [=](Lane& lane) {
    for (const int64_t row : lane.active) {
      if (lane.row(row).full_depth) continue;
      const float* before = lane.loop == 0 ? nullptr : lane.at(last, row);
      double& value = lane.criterion[static_cast<size_t>(row)];
      value = output_criterion(exit.rule, before, lane.at(now, row), count, value);
      lane.stops[static_cast<size_t>(row)] = meets(exit.rule, value, exit.threshold);
    }
  });
  emit({reads(logits, Sharing::own_rows()), writes(agreed_, Sharing::own_rows())}, [=](Lane& lane) {
    for (const int64_t row : lane.active) {
      if (lane.mine(row)) copy_row(lane.at(now, row), count, lane.at(last, row));
    }
  });
}

void RowRecorder::leave_state(const Value& h, const at::Tensor& norm) {
  const float* factors = norm.defined() ? numbers(norm) : nullptr;
  emit({reads(h)}, [=, from = operand(h), width = h.width, eps = c_.norm_eps](Lane& lane) {
    for (const int64_t row : lane.active) {
      float* to = lane.row(row).last_state;
      if (!to || !lane.mine(row)) continue;
      if (factors) {
        cpu::norm_row(lane.at(from, row), factors, width, eps, to);
      } else {
        copy_row(lane.at(from, row), width, to);
      }
    }
  });
}

void RowRecorder::halt(const Value& h, const HaltingWeights& w) {
  const HaltingHead head = halting_head(c_, numbers(w.weight), w);
  const bool always = c_.halting == Halting::act, by_rule = exit_.rule == ExitRule::halting;
  emit({reads(h)}, [=, from = operand(h), to = operand(output_)](Lane& lane) {
    for (const int64_t row : lane.active) {
      const auto at = static_cast<size_t>(row);
      const float* state = lane.at(from, row);
      const bool stop = lane.stops[at] || lane.loop + 1 == lane.loops_of(row);
      const HaltingHead::Halt halt = head(lane, row, state, stop);
      cpu::add_scaled(lane.at(to, row), halt.share, state, head.width);
      lane.cumulative[at] = halt.cumulative;
      // The public reference's halted positions go on changing what others attend to.
      const bool may = always || (by_rule && !lane.row(row).full_depth);
      lane.stops[at] = lane.stops[at] || (may && halt.cumulative >= head.threshold);
    }
  });
}

void RowRecorder::gate(const Value& h, const HaltingWeights& w) {
  const bool by_quantile = exit_.rule == ExitRule::gate;
  if (!by_quantile && exit_.rule != ExitRule::halting) return;
  HaltingHead head = halting_head(c_, numbers(w.weight), w);
  if (by_quantile) head.threshold = static_cast<float>(exit_.threshold);
  if (by_quantile && head.threshold >= 1) return;
  emit({reads(h)}, [=, from = operand(h)](Lane& lane) {
    for (const int64_t row : lane.active) {
      const auto at = static_cast<size_t>(row);
      // What is cumulative is the probability of having left: P + (1 − P) λ.
      float& left = lane.cumulative[at];
      left += (1 - left) * head.probability(lane, lane.at(from, row));
      const bool may = lane.loop + 1 >= head.min_loops && !lane.row(row).full_depth;
      lane.stops[at] = lane.stops[at] || (may && left >= head.threshold);
    }
  });
}

Value RowRecorder::output_if_stopped(const Value& h, const HaltingWeights& w) {
  const HaltingHead head = halting_head(c_, numbers(w.weight), w);
  const Value out = own(h.width);
  emit({reads(h)},
       [=, from = operand(h), gathered = operand(output_), to = operand(out)](Lane& lane) {
         for (const int64_t row : lane.active) {
           const float* state = lane.at(from, row);
           copy_row(lane.at(gathered, row), head.width, lane.at(to, row));
           cpu::add_scaled(lane.at(to, row), head(lane, row, state, true).share, state, head.width);
         }
       });
  return out;
}

Value RowRecorder::recomputed(const std::vector<Value>&, const std::vector<at::Tensor>&,
                              const Piece&) {
  fail(ErrorKind::internal, "a program of rows has no backward pass");
}

RecordedSteps RowRecorder::finish(const Output& output, const Matrix& head) {
  if (output.logits.defined()) {
    emit({reads(output.logits, Sharing::own_rows())},
         [from = operand(output.logits), count = output.logits.width](Lane& lane) {
           for (const int64_t row : lane.active) {
             float* to = lane.row(row).logits;
             if (to && lane.mine(row)) copy_row(lane.at(from, row), count, to);
           }
         });
    return std::move(steps_);
  }
  const cpu::RowMatrix matrix(head);
  const auto bound = static_cast<float>(c_.logit_softcap);
  emit({reads(output.hidden)}, [matrix, bound, from = operand(output.hidden)](Lane& lane) {
    Lane::Pointers x{};
    Lane::Targets to{};
    int64_t wanted = 0;
    for (const int64_t row : lane.active) {
      float* hidden = lane.row(row).hidden;
      if (hidden && lane.mine(row)) copy_row(lane.at(from, row), matrix.columns, hidden);
      if (!lane.row(row).logits) continue;
      x[static_cast<size_t>(wanted)] = lane.at(from, row);
      to[static_cast<size_t>(wanted++)] = lane.row(row).logits;
    }
    const auto [begin, end] = lane.member->share(matrix.rows, 4);
    cpu::row_products(matrix, begin, end, x.data(), wanted, to.data());
    for (int64_t i = 0; bound > 0 && i < wanted; ++i) {
      cap_row(to[static_cast<size_t>(i)], begin, end, bound);
    }
  });
  return std::move(steps_);
}

}  // namespace mythos
