#include "infer/engine/session.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <string>

#include "../device.h"
#include "fixture.h"

namespace mythos {
namespace {

Session::Options fp32(int64_t loops = 0, int64_t chunk = 512) {
  Session::Options options;
  options.loops = loops;
  options.compute_type = ComputeType::fp32;
  options.prefill_chunk = chunk;
  return options;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-4) << "logit " << i;
}

std::string error_of(ErrorKind kind, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

// Logits of the last position from one pass over everything, without a cache.
std::vector<float> full_forward(const Model& model, const std::vector<uint32_t>& ids,
                                int64_t loops) {
  const at::NoGradGuard no_grad;
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  Tensor input = at::empty({1, static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), input.data_ptr<int64_t>());
  ForwardOptions options;
  options.loops = loops;
  const Tensor hidden =
      forward(model.config, weights, input.to(weights.embed.device()), options).hidden;
  const Tensor scores = logits(weights, hidden.select(1, hidden.size(1) - 1)).cpu().contiguous();
  return {scores.data_ptr<float>(), scores.data_ptr<float>() + scores.numel()};
}

class SessionOf : public OnDeviceTest<Attention> {};

TEST_P(SessionOf, StepsEqualTheFullForwardAtSeveralLoopCounts) {
  const Model model = small_model(value(), device_);
  const std::vector<uint32_t> ids = small_prompt(13);
  for (const int64_t loops : {1, 3, 5}) {
    Session session(model, fp32(loops));
    std::vector<float> logits = session.feed(std::span(ids).first(9));
    for (size_t i = 9; i < ids.size(); ++i) logits = session.feed(std::span(ids).subspan(i, 1));
    EXPECT_EQ(session.length(), 13);
    expect_near(logits, full_forward(model, ids, loops));
  }
}

TEST_P(SessionOf, ChunkedPrefillEqualsOnePass) {
  const Model model = small_model(value(), device_);
  const std::vector<uint32_t> ids = small_prompt(23);
  const std::vector<float> whole = Session(model, fp32()).feed(ids);
  for (const int64_t chunk : {1, 5, 22, 23}) {
    expect_near(Session(model, fp32(0, chunk)).feed(ids), whole);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Attention, SessionOf,
    testing::ValuesIn(on_each_device(std::vector{Attention::gqa, Attention::mla})),
    [](const auto& info) {
      return info.param.device + "_" + std::string(enum_name(info.param.value));
    });

class SessionOn : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, SessionOn, testing::ValuesIn(test_devices()), device_name);

TEST_P(SessionOn, TruncateForgets) {
  const Model model = small_model(Attention::mla, device_);
  const std::vector<uint32_t> ids = small_prompt(12);
  Session session(model, fp32());
  session.feed(std::span(ids).first(6));
  const std::vector<float> once = session.feed(std::span(ids).subspan(6));
  session.truncate(6);
  EXPECT_EQ(session.length(), 6);
  expect_near(session.feed(std::span(ids).subspan(6)), once);
}

TEST_P(SessionOn, LoopsDefaultToTheModelsAndCanChange) {
  const Model model = small_model(Attention::mla, device_);
  const std::vector<uint32_t> ids = small_prompt(6);
  Session session(model, fp32());
  EXPECT_EQ(session.loops(), 3);
  const std::vector<float> three = session.feed(ids);
  session.set_loops(1);
  EXPECT_EQ(session.length(), 0);
  const std::vector<float> one = session.feed(ids);
  EXPECT_NE(one, three);
  session.set_loops(3);
  expect_near(session.feed(ids), three);
  EXPECT_NE(error_of(ErrorKind::usage, [&] { session.set_loops(-2); }).find("loops is -2"),
            std::string::npos);
}

TEST(Session, APromptBeyondTheContextNamesBothLengths) {
  const Model model = small_model();
  Session session(model, fp32());
  session.feed(small_prompt(48));
  session.truncate(0);
  const std::string error = error_of(ErrorKind::data, [&] { session.feed(small_prompt(50)); });
  EXPECT_EQ(error,
            "the prompt has 50 tokens, but the model's context holds 48 (max_seq_len).\n"
            "Shorten the prompt by 2 tokens, or use a model with a longer max_seq_len");
  EXPECT_EQ(session.length(), 0);
}

TEST(Session, AnIdOutsideTheVocabularyIsAnError) {
  const Model model = small_model();
  Session session(model, fp32());
  const std::vector<uint32_t> ids = {5, 258};
  EXPECT_NE(error_of(ErrorKind::data, [&] { session.feed(ids); }).find("258"), std::string::npos);
}

TEST_P(SessionOn, CancellingBetweenChunksLeavesItAsBefore) {
  const Model model = small_model(Attention::mla, device_);
  Session session(model, fp32(0, 4));
  session.feed(small_prompt(3));
  int asked = 0;
  EXPECT_TRUE(session.feed(small_prompt(20), [&] { return ++asked == 3; }).empty());
  EXPECT_EQ(session.length(), 3);
}

}  // namespace
}  // namespace mythos
