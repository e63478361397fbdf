#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>

#include "../ranks.h"
#include "base/clock.h"
#include "base/rng.h"
#include "tiny_run.h"
#include "train/gradient_sum.h"
#include "train/sharding.h"
#include "train/step.h"

namespace mythos {
namespace {

// Spans of time of one rank, in seconds since it was made.
class Trace {
 public:
  struct Span {
    std::string name;
    double begin = 0, end = 0;
    bool core_done = false;  // whether the core had a gradient at its begin
  };

  // Asks whether the core has a gradient.
  std::function<bool()> core_done = [] { return false; };

  double now() const { return seconds_since(begin_); }
  size_t begin(const std::string& name) {
    const std::lock_guard lock(mutex_);
    spans_.push_back({name, now(), 0, core_done()});
    return spans_.size() - 1;
  }
  void end(size_t span) {
    const std::lock_guard lock(mutex_);
    spans_[span].end = now();
  }
  std::vector<Span> named(const std::string& name) const {
    std::vector<Span> found;
    for (const Span& span : spans_) {
      if (span.name == name) found.push_back(span);
    }
    return found;
  }

  // The trace as the trace viewers of browsers read it (chrome://tracing), a row for each name.
  void write(const fs::path& path, int64_t rank) const {
    nlohmann::json events = nlohmann::json::array();
    for (const Span& span : spans_) {
      events.push_back({{"name", span.name},
                        {"ph", "X"},
                        {"pid", rank},
                        {"tid", span.name},
                        {"ts", span.begin * 1e6},
                        {"dur", (span.end - span.begin) * 1e6}});
    }
    write_file_atomic(path, nlohmann::json{{"traceEvents", events}}.dump());
  }

 private:
  Clock::time_point begin_ = Clock::now();
  std::mutex mutex_;
  std::vector<Span> spans_;
};

// Ranks whose sums of gradients are traced: from their start to the end of the wait for them.
class TracedRanks final : public Ranks {
 public:
  TracedRanks(Ranks& ranks, Trace& trace) : ranks_(ranks), trace_(trace) {}
  int64_t rank() const override { return ranks_.rank(); }
  int64_t size() const override { return ranks_.size(); }
  std::unique_ptr<Pending> start_sum(at::Tensor& tensor) override {
    const size_t span = trace_.begin("sum");
    return std::make_unique<Traced>(ranks_.start_sum(tensor), trace_, span);
  }
  std::unique_ptr<Pending> start_reduce_scatter(at::Tensor& share,
                                                const at::Tensor& whole) override {
    const size_t span = trace_.begin("sum");
    return std::make_unique<Traced>(ranks_.start_reduce_scatter(share, whole), trace_, span);
  }
  std::unique_ptr<Pending> start_all_gather(at::Tensor& whole, const at::Tensor& share) override {
    return ranks_.start_all_gather(whole, share);
  }
  std::unique_ptr<Pending> start_all_to_all(at::Tensor& out, const at::Tensor& in,
                                            const std::vector<int64_t>& out_rows,
                                            const std::vector<int64_t>& in_rows) override {
    return ranks_.start_all_to_all(out, in, out_rows, in_rows);
  }
  void broadcast(at::Tensor& tensor, int64_t root) override { ranks_.broadcast(tensor, root); }
  std::vector<std::string> gather(const std::string& text) override { return ranks_.gather(text); }
  std::unique_ptr<Ranks> split(int64_t part) override { return ranks_.split(part); }
  Volume volume() const override { return ranks_.volume(); }

 private:
  class Traced final : public Pending {
   public:
    Traced(std::unique_ptr<Pending> pending, Trace& trace, size_t span)
        : pending_(std::move(pending)), trace_(trace), span_(span) {}
    void wait() override {
      const size_t waiting = trace_.begin("wait");
      pending_->wait();
      trace_.end(waiting);
      trace_.end(span_);
    }

   private:
    std::unique_ptr<Pending> pending_;
    Trace& trace_;
    size_t span_;
  };

  Ranks& ranks_;
  Trace& trace_;
};

std::vector<DepthGroup> random_groups(const Config& config, uint64_t seed) {
  std::vector<DepthGroup> groups;
  Rng rng(seed);
  for (int64_t i = 0; i < config.train.grad_accum; ++i) {
    Batch batch;
    batch.batch_size = config.train.batch_size;
    batch.seq_len = config.train.seq_len;
    for (int64_t place = 0; place < batch.batch_size * batch.seq_len; ++place) {
      batch.inputs.push_back(static_cast<int64_t>(rng.below(256)));
      batch.targets.push_back(static_cast<int64_t>(rng.below(256)));
    }
    groups.push_back({batch, config.model.max_loop_iters, {}});
  }
  return groups;
}

// Traces a step of one pass.
void trace_step(Ranks& ranks, Trace& trace, const Config& config) {
  at::set_num_threads(1);
  Parameters parameters(config.model, at::kCPU);
  parameters.initialize(config.model, 1);
  const Tensor of_core = parameters.at("core.0.ffn_norm.weight");
  trace.core_done = [&] { return of_core.grad().defined(); };
  TracedRanks traced(ranks, trace);
  Sharding sharding(config, parameters, traced);
  std::optional<GradientSum> sum;
  if (!sharding.shares_optimizer()) {
    sum.emplace(parameters, traced, config.train.bucket_bytes);
  }
  const auto groups = random_groups(config, static_cast<uint64_t>(ranks.rank()));
  size_t backward = 0;
  const auto before_last = [&] {
    backward = trace.begin("backward");
    sum ? sum->begin_last_pass() : sharding.begin_last_backward();
  };
  sharding.begin_step(groups.size());
  forward_backward(config, parameters, groups, config.train.tokens_per_step(), at::kFloat, {},
                   before_last);
  trace.end(backward);
  sum ? sum->finish() : sharding.finish_gradients();
  trace.core_done = [] { return false; };
}

class Overlap : public testing::TestWithParam<Layout> {};

TEST_P(Overlap, gradients_are_summed_while_the_backward_pass_goes_on) {
  on_ranks(2, [](Ranks& ranks) {
    Config config = tiny_run();
    config.model.vocab_size = 300;
    config.model.dim = 128;
    config.model.max_loop_iters = 4;
    config.model.prelude_layers = 2;
    config.train.batch_size = 8;
    config.train.seq_len = 64;
    config.train.bucket_bytes = 50'000;
    config.train.layout = GetParam();
    Trace trace;
    trace_step(ranks, trace, config);
    const std::vector<Trace::Span> backward = trace.named("backward"), sums = trace.named("sum");
    ASSERT_EQ(backward.size(), 1u);
    ASSERT_GT(sums.size(), 2u);
    // The coda's sum begins before the loops have gone through their backward pass.
    EXPECT_FALSE(sums.front().core_done);
    EXPECT_TRUE(sums.back().core_done || GetParam() == Layout::sharded_optimizer);
    int64_t beside = 0;
    for (const Trace::Span& sum : sums) {
      EXPECT_GT(sum.begin, backward[0].begin);
      beside += sum.begin < backward[0].end ? 1 : 0;
    }
    EXPECT_GE(2 * beside, std::ssize(sums));
    if (const char* directory = std::getenv("MYTHOS_TRACE")) {  // to look at
      trace.write(fs::path(directory) / strprintf("rank%d.json", ranks.rank()), ranks.rank());
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Layouts, Overlap,
                         testing::Values(Layout::replicated, Layout::sharded_optimizer),
                         [](const auto& info) {
                           return info.param == Layout::replicated ? "replicated" : "sharded";
                         });

}  // namespace
}  // namespace mythos
