#include "eval/likelihood.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "../scratch.h"
#include "../small_data.h"
#include "arch/plan.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;

ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 300;
  config.dim = 16;
  config.max_seq_len = 64;
  config.n_heads = 2;
  config.kv_lora_rank = config.q_lora_rank = 8;
  config.qk_rope_head_dim = 4;
  config.qk_nope_head_dim = config.v_head_dim = 4;
  config.n_experts = 4;
  config.expert_dim = 8;
  config.max_loop_iters = 2;
  config.lora_rank = 2;
  config.init_std = 0.3;
  return config;
}

class LikelihoodTest : public testing::Test {
 protected:
  LikelihoodTest() {
    at::set_num_threads(1);
    write_small_shards(scratch_ / "shards", 12);
    data_ = std::make_unique<ShardDirectory>(scratch_ / "shards");
    tokenizer_ = load_carried_tokenizer(scratch_ / "shards");
    model_.parameters.initialize(model_.config, 3);
    weights_ = make_weights(model_.config, model_.parameters, at::kFloat);
    options_.seq_len = 16;
  }
  Likelihood evaluate_model() {
    return evaluate(model_.config, weights_, *data_, tokenizer_->byte_lengths(), options_);
  }
  std::vector<int64_t> stream(Split split) {
    std::vector<uint32_t> ids(data_->tokens(split));
    data_->read(split, 0, ids);
    return {ids.begin(), ids.end()};
  }

  Scratch scratch_;
  std::unique_ptr<ShardDirectory> data_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Model model_{small_config()};
  Weights weights_;
  LikelihoodOptions options_;
};

TEST_F(LikelihoodTest, EqualsTheCrossEntropyByHand) {
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> ids = stream(Split::val);
  ForwardOptions forward_options;
  forward_options.loops = 3;
  double nats = 0;
  int64_t bytes = 0;
  for (size_t first = 0; first + 1 < ids.size(); first += 16) {
    const size_t length = std::min<size_t>(16, ids.size() - 1 - first);
    const Tensor window =
        at::tensor(std::vector<int64_t>(ids.begin() + first, ids.begin() + first + length))
            .unsqueeze(0);
    const Tensor scores =
        logits(weights_, forward(model_.config, weights_, window, forward_options).hidden)[0]
            .to(at::kDouble)
            .log_softmax(-1);
    for (size_t i = 0; i < length; ++i) {
      const int64_t target = ids[first + i + 1];
      nats -= scores[static_cast<int64_t>(i)][target].item<double>();
      bytes += static_cast<int64_t>(tokenizer_->token_bytes(static_cast<uint32_t>(target)).size());
    }
  }
  options_.loops = 3;
  const Likelihood found = evaluate_model();
  EXPECT_EQ(found.loops, 3);
  EXPECT_EQ(found.tokens, static_cast<int64_t>(ids.size()) - 1);
  EXPECT_EQ(found.bytes, bytes);
  EXPECT_NEAR(found.nats, nats, 1e-5 * nats);
  EXPECT_DOUBLE_EQ(found.loss(), found.nats / static_cast<double>(found.tokens));
  EXPECT_DOUBLE_EQ(found.perplexity(), std::exp(found.loss()));
  EXPECT_NEAR(found.bits_per_byte(), found.nats / std::log(2.0) / static_cast<double>(bytes), 1e-9);
}

// With overlap each target counts once, in the first window that has it, whatever the batch; with a
// limit too.
TEST_F(LikelihoodTest, OverlappingWindowsByHand) {
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> ids = stream(Split::val);
  ForwardOptions forward_options;
  forward_options.loops = 2;
  for (const auto& [stride, targets] :
       {std::pair<int64_t, size_t>{4, ids.size() - 1}, {5, ids.size() - 1}, {1, 40}, {16, 50}}) {
    double nats = 0;
    size_t done = 0;
    for (size_t first = 0; done < targets; first += static_cast<size_t>(stride)) {
      const size_t length = std::min<size_t>(16, ids.size() - 1 - first);
      const auto begin = ids.begin() + static_cast<ptrdiff_t>(first);
      const Tensor window =
          at::tensor(std::vector<int64_t>(begin, begin + static_cast<ptrdiff_t>(length)))
              .unsqueeze(0);
      const Tensor scores =
          logits(weights_, forward(model_.config, weights_, window, forward_options).hidden)[0]
              .to(at::kDouble)
              .log_softmax(-1);
      for (; done < targets && done < first + length; ++done) {
        if (first > 0) {
          EXPECT_GE(done - first, static_cast<size_t>(16 - stride));
        }
        nats -= scores[static_cast<int64_t>(done - first)][ids[done + 1]].item<double>();
      }
    }
    options_.stride = stride;
    options_.loops = 2;
    options_.max_tokens = static_cast<int64_t>(targets);
    for (const int64_t batch_size : {1, 3, 0}) {
      options_.batch_size = batch_size;
      const Likelihood found = evaluate_model();
      EXPECT_EQ(found.tokens, static_cast<int64_t>(targets));
      EXPECT_NEAR(found.nats, nats, 1e-5 * nats) << "stride " << stride;
    }
  }
}

// Each document by itself, whatever stands beside it in a row.
TEST_F(LikelihoodTest, DocumentsApartByHand) {
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> ids = stream(Split::val);
  ForwardOptions forward_options;
  forward_options.loops = options_.loops = 2;
  options_.packing = Packing::best_fit;
  options_.masks_documents = true;
  for (const size_t limit : {ids.size(), size_t{60}}) {
    double nats = 0;
    int64_t tokens = 0;
    for (uint64_t document = 0; document < data_->documents(Split::val); ++document) {
      const auto begin = static_cast<size_t>(data_->document_begin(Split::val, document));
      const auto end = std::min<size_t>(data_->document_begin(Split::val, document + 1), limit);
      for (size_t first = begin; first + 1 < end; first += 16) {
        const size_t length = std::min<size_t>(16, end - 1 - first);
        const auto from = ids.begin() + static_cast<ptrdiff_t>(first);
        const auto to = from + static_cast<ptrdiff_t>(length);
        const Tensor window = at::tensor(std::vector<int64_t>(from, to)).unsqueeze(0);
        const Tensor targets = at::tensor(std::vector<int64_t>(from + 1, to + 1)).unsqueeze(0);
        nats +=
            token_losses(weights_, forward(model_.config, weights_, window, forward_options).hidden,
                         targets)
                .sum(at::kDouble)
                .item<double>();
        tokens += static_cast<int64_t>(length);
      }
    }
    options_.max_tokens = limit == ids.size() ? 0 : static_cast<int64_t>(limit) - 1;
    for (const int64_t batch_size : {0, 1, 3}) {
      options_.batch_size = batch_size;
      const Likelihood found = evaluate_model();
      EXPECT_EQ(found.tokens, tokens);
      EXPECT_NEAR(found.nats, nats, 1e-5 * nats);
    }
  }
}

TEST_F(LikelihoodTest, DoesNotDependOnTheBatch) {
  const Likelihood whole = evaluate_model();
  for (const int64_t batch_size : {1, 3}) {
    options_.batch_size = batch_size;
    const Likelihood found = evaluate_model();
    EXPECT_EQ(found.tokens, whole.tokens);
    EXPECT_EQ(found.bytes, whole.bytes);
    EXPECT_NEAR(found.nats, whole.nats, 1e-5 * whole.nats);
  }
}

TEST_F(LikelihoodTest, TheSameTwice) {
  EXPECT_EQ(evaluate_model().nats, evaluate_model().nats);
}

TEST_F(LikelihoodTest, StopsAtExactlyMaxTokens) {
  options_.max_tokens = 21;
  options_.batch_size = 4;
  const Likelihood cut = evaluate_model();
  EXPECT_EQ(cut.tokens, 21);
  options_.batch_size = 1;
  EXPECT_NEAR(evaluate_model().nats, cut.nats, 1e-5 * cut.nats);
  options_.max_tokens = 22;
  EXPECT_GT(evaluate_model().nats, cut.nats);
  int64_t bytes = 0;
  const auto ids = stream(Split::val);
  for (size_t i = 1; i <= 21; ++i) bytes += tokenizer_->byte_lengths()[static_cast<size_t>(ids[i])];
  EXPECT_EQ(cut.bytes, bytes);
}

TEST_F(LikelihoodTest, ReportsProgressUpToTheEnd) {
  int64_t last = 0;
  options_.batch_size = 2;
  options_.on_progress = [&](int64_t tokens) {
    EXPECT_GT(tokens, last);
    last = tokens;
  };
  EXPECT_EQ(evaluate_model().tokens, last);
}

// The counts are those of every window by itself, and the saved share is that of the plan.
TEST_F(LikelihoodTest, CountsLoopsRunAndFlopsSaved) {
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(evaluate_model().loops_run.empty());
  ModelConfig config = small_config();
  config.halting = Halting::act;
  Model model(config);
  model.parameters.initialize(config, 3);
  Tensor(model.parameters.at("recurrent.halt.weight")).mul_(4);
  const Weights weights = make_weights(config, model.parameters, at::kFloat);
  options_.loops = 5;
  options_.max_tokens = 100;  // the last window is cut
  options_.batch_size = 3;
  const Likelihood found = evaluate(config, weights, *data_, tokenizer_->byte_lengths(), options_);
  std::vector<int64_t> want(5);
  const std::vector<int64_t> ids = stream(Split::val);
  ForwardOptions forward_options;
  forward_options.loops = 5;
  forward_options.skip_halted = false;
  for (int64_t first = 0; first < 100; first += 16) {
    const Tensor window = at::tensor(ids).slice(0, first, std::min<int64_t>(first + 16, 100));
    const Tensor loops_run =
        forward(config, weights, window.unsqueeze(0), forward_options).loops_run[0];
    for (int64_t i = 0; i < window.numel(); ++i) ++want[loops_run[i].item<int64_t>() - 1];
  }
  EXPECT_EQ(found.loops_run, want);
  EXPECT_GE(std::count_if(want.begin(), want.end(), [](int64_t n) { return n > 0; }), 3);
  // Every token computes prelude, coda and head, and as many loops as it ran.
  const auto macs = [&](int64_t loops) {
    const Plan plan = make_plan(config, loops, options_.seq_len);
    return static_cast<double>(plan.matrix_macs_per_token + plan.attention_macs_per_token);
  };
  double done = 0;
  for (int64_t n = 1; n <= 5; ++n) done += static_cast<double>(want[n - 1]) * macs(n);
  EXPECT_NEAR(found.flops_saved, 1 - done / (100 * macs(5)), 1e-9);
  EXPECT_GT(found.flops_saved, 0.05);
}

TEST_F(LikelihoodTest, UnigramBaselineByHand) {
  std::vector<double> counts(300, 1);
  const auto train = stream(Split::train);
  for (const int64_t id : train) ++counts[static_cast<size_t>(id)];
  const double total = static_cast<double>(train.size()) + 300;
  const auto val = stream(Split::val);
  double nats = 0;
  for (size_t i = 1; i < val.size(); ++i) {
    nats -= std::log(counts[static_cast<size_t>(val[i])] / total);
  }
  const Likelihood found = unigram_baseline(*data_, tokenizer_->byte_lengths(), Split::val, 0);
  EXPECT_EQ(found.tokens, static_cast<int64_t>(val.size()) - 1);
  EXPECT_EQ(found.bytes, evaluate_model().bytes);
  EXPECT_NEAR(found.nats, nats, 1e-9 * nats);
  EXPECT_EQ(unigram_baseline(*data_, tokenizer_->byte_lengths(), Split::val, 7).tokens, 7);
}

TEST_F(LikelihoodTest, AnEmptySplitIsAnError) {
  write_small_shards(scratch_ / "no-val", 2);
  const ShardDirectory data(scratch_ / "no-val");
  const std::string message = error_of(ErrorKind::data, [&] {
    evaluate(model_.config, weights_, data, tokenizer_->byte_lengths(), options_);
  });
  EXPECT_TRUE(contains(message, "validation split has 0 tokens")) << message;
}

}  // namespace
}  // namespace mythos
