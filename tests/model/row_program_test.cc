#include "model/row_program.h"

#include <gtest/gtest.h>

#include "sample_model.h"

namespace mythos {
namespace {

RowProgram::Barriers barriers_of(const ModelConfig& config, const Exit& exit = {}) {
  const Model model = sample_model(config);
  const Weights weights = make_weights(config, model.parameters, at::kFloat);
  return RowProgram(config, weights, exit).barriers();
}

// One before each step that reads what other threads have written: a dense layer needs them before
// its keys are stored, attention, the output product, its sum, the second product of the SwiGLU and
// its sum; a mixture one more, between its experts' products.
TEST(RowProgram, HasNoBarrierThatItDoesNotNeed) {
  for (const NamedConfig& named : all_mechanisms()) {
    const ModelConfig& c = named.config;
    const RowProgram::Barriers got = barriers_of(c);
    const int64_t dense = 6, layer = c.ffn == FeedForward::moe ? dense + 1 : dense;
    EXPECT_EQ(got.before, c.prelude_layers * dense + (c.injection == Injection::zoh)) << named.name;
    EXPECT_EQ(got.loop, c.core_layers * layer + (c.injection == Injection::linear)) << named.name;
    EXPECT_EQ(got.after, c.coda_layers * dense + c.readout) << named.name;
  }
}

}  // namespace
}  // namespace mythos
