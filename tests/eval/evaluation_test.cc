#include "eval/evaluation.h"

#include <ATen/Parallel.h>

#include "../model/sample_model.h"
#include "../scratch.h"
#include "../small_data.h"
#include "base/strings.h"
#include "checkpoint/cache_basis.h"
#include "eval/cache_fit.h"

namespace mythos {
namespace {

// A checkpoint as it is loaded, of a model that was not trained, and shards of its tokenizer.
class Evaluation : public testing::Test {
 protected:
  Evaluation() {
    at::set_num_threads(1);
    write_small_shards(scratch_ / "shards", 12);
    options_.data = (scratch_ / "shards").string();
    options_.max_tokens = 40;
    loaded_.path = "runs/x/step-000007";
    loaded_.state["step"] = 7;
    loaded_.tokenizer = load_carried_tokenizer(options_.data);
    loaded_.config.model = small_config();
    loaded_.config.model.vocab_size = 300;
    loaded_.config.model.max_loop_iters = 3;
    loaded_.config.model.max_seq_len = 32;
    loaded_.config.train.seq_len = 16;
    loaded_.model = std::make_unique<Model>(sample_model(loaded_.config.model));
  }
  EvalReport evaluated() const { return evaluate_checkpoint(loaded_, at::kCPU, options_); }
  std::string error(ErrorKind kind) const {
    return error_of(kind, [&] { evaluated(); });
  }
  static std::vector<int64_t> counts(const std::vector<Likelihood>& rows) {
    std::vector<int64_t> loops;
    for (const Likelihood& row : rows) loops.push_back(row.loops);
    return loops;
  }

  Scratch scratch_;
  LoadedCheckpoint loaded_;
  EvalOptions options_;
};

TEST_F(Evaluation, TellsWhatWasMeasured) {
  const EvalReport report = evaluated();
  EXPECT_EQ(report.checkpoint, "runs/x/step-000007");
  EXPECT_EQ(report.step, 7);
  EXPECT_EQ(report.split, "val");
  EXPECT_EQ(report.device, "cpu");
  EXPECT_EQ(report.compute_type, "fp32");
  EXPECT_EQ(report.seq_len, 16);
  EXPECT_EQ(report.loops.front().tokens, 40);
  EXPECT_FALSE(report.decode || report.unigram || report.untrained);
  EXPECT_EQ(report.stride, 0);
}

// Documents stand as in training unless something else is asked for.
TEST_F(Evaluation, DocumentsStandAsInTraining) {
  options_.loops = {2};
  options_.max_tokens = 0;
  loaded_.config.model.max_seq_len = options_.seq_len = 256;  // more than one document
  loaded_.model = std::make_unique<Model>(sample_model(loaded_.config.model));
  options_.baseline = true;
  const EvalReport stream = evaluated();
  EXPECT_EQ(stream.packing, Packing::contiguous);
  options_.packing = Packing::best_fit;
  const EvalReport asked = evaluated();
  EXPECT_EQ(asked.packing, Packing::best_fit);
  const ShardDirectory data(options_.data);
  const auto split = ShardDirectory::Split::val;
  EXPECT_EQ(asked.loops[0].tokens,
            static_cast<int64_t>(data.tokens(split) - data.documents(split)));
  EXPECT_EQ(asked.unigram->tokens, asked.loops[0].tokens);
  EXPECT_NE(asked.loops[0].loss(), stream.loops[0].loss());
  options_.packing.reset();
  loaded_.config.train.packing = Packing::best_fit;
  EXPECT_EQ(evaluated().loops[0].nats, asked.loops[0].nats);
  // A document sees those before it unless masked.
  loaded_.config.train.document_mask = DocumentMask::off;
  EXPECT_NE(evaluated().loops[0].nats, asked.loops[0].nats);
  EXPECT_EQ(evaluated().loops[0].tokens, asked.loops[0].tokens);
  options_.packing = Packing::contiguous;
  EXPECT_EQ(evaluated().loops[0].nats, stream.loops[0].nats);
  loaded_.config.train.document_mask = DocumentMask::on;
  const EvalReport masked = evaluated();
  EXPECT_EQ(masked.loops[0].tokens, stream.loops[0].tokens);
  EXPECT_NE(masked.loops[0].nats, stream.loops[0].nats);
}

TEST_F(Evaluation, LoopsDoubleUpToTheModelsOwnUnlessGiven) {
  EXPECT_EQ(counts(evaluated().loops), (std::vector<int64_t>{1, 2, 3}));
  options_.loops = {5, 2};
  EXPECT_EQ(counts(evaluated().loops), (std::vector<int64_t>{5, 2}));
}

TEST_F(Evaluation, AddsTheRowsThatAreAskedFor) {
  options_.loops = {2};
  options_.stride = 8;
  options_.baseline = options_.untrained = true;
  const EvalReport report = evaluated();
  EXPECT_EQ(report.stride, 8);
  EXPECT_EQ(counts(report.sliding), (std::vector<int64_t>{2}));
  EXPECT_NE(report.sliding[0].nats, report.loops[0].nats);
  ASSERT_TRUE(report.untrained && report.unigram);
  EXPECT_EQ(report.untrained->loops, 3);
  EXPECT_NE(report.untrained->nats, report.loops[0].nats);
  EXPECT_EQ(report.unigram->tokens, 40);
}

TEST_F(Evaluation, DecodesAsTold) {
  options_.loops = {2};
  const double exact = evaluated().loops[0].nats;
  options_.decode.emplace();
  EXPECT_NEAR(evaluated().loops[0].nats, exact, 1e-3);
  options_.decode->weights = WeightFormat::int4;
  const EvalReport report = evaluated();
  EXPECT_EQ(report.decode->weights, WeightFormat::int4);
  EXPECT_GT(report.weight_bytes, 0);
  EXPECT_GT(std::abs(report.loops[0].nats - exact), 1e-3);
}

// Fresh weights are measured with keys of each loop: a basis fits the weights that it is made for.
TEST_F(Evaluation, TheUntrainedRowLeavesOutTheBasis) {
  CacheFitOptions fit;
  fit.data = options_.data;
  fit.rank = 1;
  const fs::path file = scratch_ / "some.basis";
  save_cache_basis(file, fit_cache(loaded_, at::kCPU, fit).result.basis);
  options_.loops = {3};
  options_.untrained = true;
  options_.decode.emplace();
  const EvalReport exact = evaluated();
  options_.decode->cache.sharing = CacheSharing::low_rank;
  options_.decode->cache.basis = file.string();
  const EvalReport some = evaluated();
  EXPECT_EQ(some.decode->cache.sharing, CacheSharing::low_rank);
  EXPECT_GT(std::abs(some.loops[0].nats - exact.loops[0].nats), 1e-4);
  ASSERT_TRUE(some.untrained && exact.untrained);
  EXPECT_EQ(some.untrained->nats, exact.untrained->nats);
}

TEST_F(Evaluation, FittingABasisNeedsRoomForItsSums) {
  CacheFitOptions fit;
  fit.data = options_.data;
  fit.rank = fit.batch_size = 1;
  fit.loops = 100;
  const double needed = CrossLoopFit::most_bytes(loaded_.config.model, 100, 1, 16);
  const std::string said =
      error_of(ErrorKind::resources, [&] { fit_cache(loaded_, at::kCPU, fit, needed - 1); });
  EXPECT_TRUE(contains(said, "fitting to keys of 100 loops takes " + human_bytes(needed))) << said;
  EXPECT_EQ(fit_cache(loaded_, at::kCPU, fit, needed).result.basis.loops, 100);
}

TEST_F(Evaluation, TheComputeTypeIsThatOfDecoding) {
  options_.loops = {1};
  options_.compute_type = ComputeType::bf16;
  EXPECT_EQ(evaluated().compute_type, "bf16");
  options_.decode.emplace().compute_type = ComputeType::fp32;
  EXPECT_EQ(evaluated().compute_type, "fp32");
}

TEST_F(Evaluation, WindowsFitTheModel) {
  options_.seq_len = 33;
  EXPECT_EQ(error(ErrorKind::usage), "--seq-len 33: at most model.max_seq_len = 32");
  options_.seq_len = 20;
  options_.stride = 21;
  EXPECT_EQ(error(ErrorKind::usage), "--stride 21: at most the window, --seq-len = 20");
}

TEST_F(Evaluation, ShardsAreOfTheCheckpointsTokenizer) {
  write_small_shards(scratch_ / "others", 12, "quite another vocabulary zzz");
  options_.data = (scratch_ / "others").string();
  EXPECT_TRUE(contains(error(ErrorKind::data), "the checkpoint runs/x/step-000007"));
  loaded_.tokenizer.reset();
  EXPECT_TRUE(contains(error(ErrorKind::data), "carries no tokenizer"));
}

}  // namespace
}  // namespace mythos
