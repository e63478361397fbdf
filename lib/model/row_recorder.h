#pragma once
#include "model/row_lane.h"

namespace mythos {

// Scratch memory in use by a Value; it can be used again when the last one lets go.
struct ScratchRows {
  size_t memory = 0;
};

// The verbs as a recorder of steps on rows. Products are divided among the threads by columns and
// attention by heads, into shared memory; norms, sums and choices of experts are computed by every
// thread for itself. A barrier is placed before a step that reads or writes what other threads may
// have written or read since the last one.
class RowRecorder final : public Verbs {
 public:
  RowRecorder(const ModelConfig& config, const Exit& exit);

  // The steps of the text, with the head's product for rows that want logits.
  RecordedSteps finish(const Output& output, const Matrix& head);

  Value embed(const at::Tensor& table) override;
  Value add_embedding(const Value& x, const Value& gate, const Matrix& table) override;
  Value product(const Value& x, const Matrix& w) override;
  Value gated_product(const Value& x, const Matrix& gate_up) override;
  Value relu2_product(const Value& x, const Matrix& up) override;
  Value softcap(const Value& x, double bound) override;
  Value add_low_rank(const Value& x, const at::Tensor& down, const Value& scale,
                     const at::Tensor& up) override;
  Value norm(const Value& x, const at::Tensor& weight, Precision precision) override;
  std::pair<Value, Value> add_norm(const Value& x, const Value& y, const Value& shift,
                                   const at::Tensor& weight) override;
  Value add(const Value& x, const Value& y) override { return sum({{x}, {y}}); }
  Value add_bias(const Value& x, const at::Tensor& bias) override { return sum({{x}, {bias}}); }
  Value sum(const std::vector<Term>& terms) override;
  Value concat(const Value& x, const Value& y) override;
  std::vector<Value> split(const Value& x, const std::vector<int64_t>& widths) override;
  Value narrow(const Value& x) override { return x; }
  Value wide(const Value& x) override { return x; }
  Value zeros_like(const Value& x) override;
  Value random_like(const Value& x) override;
  Value heads(const Value& x, int64_t count) override;
  Value norm_heads(const Value& x, const at::Tensor& weight, double eps) override;
  Value rope(const Value& x) override;
  Value attend_grouped(const Value& q, const Value& k, const Value& v,
                       const LayerId& layer) override;
  Value attend_latent(const Value& q, const Value& latent, const Value& key,
                      const at::Tensor& kv_up, const LayerId& layer) override;
  Routing route(const Value& scores, const at::Tensor& bias, const LayerId& layer) override;
  Value experts(const Value& x, const Routing& routing, const Matrix& gate_up, const Matrix& down,
                const Value& onto) override;
  Value loop_embedding() override;
  Value at_loop(const at::Tensor& table) override;
  Value repeat(Value h, const std::function<Value(const Value&)>& body) override;
  Value running(const Value& x) override { return x; }
  Value merge(const Value&, const Value& some) override { return some; }
  void stop_settled(const Value& before, const Value& after, const Exit& exit) override;
  void stop_agreed(const Value& logits, const Exit& exit) override;
  Value agreed_logits() override { return agreed_; }
  void halt(const Value& h, const HaltingWeights& w) override;
  Value output_if_stopped(const Value& h, const HaltingWeights& w) override;
  Value halted_output() override { return output_; }
  void gate(const Value& h, const HaltingWeights& w) override;
  void leave_state(const Value& h, const at::Tensor& norm) override;
  Value wanted(const Value& x) override { return x; }
  void want_last() override {}
  bool recomputes(Recompute) const override { return false; }
  Value recomputed(const std::vector<Value>&, const std::vector<at::Tensor>&,
                   const Piece&) override;

 private:
  using Run = std::function<void(Lane&)>;

  // Memory for a result: one for all threads, or each thread's own.
  Value shared(int64_t width, int64_t rows = kMaxRows) { return scratch(width, rows, true); }
  Value own(int64_t width, int64_t rows = kMaxRows) { return scratch(width, rows, false); }
  Value scratch(int64_t width, int64_t rows, bool shared);
  Operand operand(const Value& x);
  // What a step does to a value, for emit().
  Access reads(const Value& x, const Sharing& sharing = {}) const;
  Access writes(const Value& x, const Sharing& sharing = {}) const;
  void emit(std::vector<Access> accesses, Run run);
  // Sees to barriers between the end of a loop and its beginning.
  void close_loop();
  static bool conflict(const RecordedStep& step, const std::vector<Access>& pending);
  // The numbers of a vector, and those of a fp32 tensor's rows, kept alive.
  const float* numbers(const at::Tensor& t);
  int64_t cache_of(const LayerId& layer) const;
  // Changes x, which product() made, in place: each thread the columns of every row that it has
  // computed.
  Value change_columns(const Value& x,
                       std::function<void(float* row, int64_t begin, int64_t end)> change);
  // Stores a token's keys: `fill` writes a (and returns b, or null) for a row, into work memory.
  void store(const LayerId& layer, std::vector<Access> reads, int64_t width,
             std::function<const float*(const Lane&, int64_t row, float* a)> fill);

  const ModelConfig& c_;
  Exit exit_;
  RecordedSteps steps_;
  std::vector<RecordedStep>* section_;
  std::vector<Access> pending_;  // those of the steps since the last barrier
  std::vector<size_t> free_;     // scratch memory that no value uses
  Value output_, agreed_;
};

}  // namespace mythos
