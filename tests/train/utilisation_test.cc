#include "train/utilisation.h"

#include <gtest/gtest.h>

#include "arch/plan.h"
#include "tiny_run.h"

namespace mythos {
namespace {

TEST(Utilisation, IsTheModelsFlopsAgainstThePeakOfAllDevices) {
  Config config = tiny_run();
  config.train.backprop_loops = 2;
  Utilisation share(config, 1e9, 4);
  const std::vector<int64_t> loops = {1, 3, 3, 8};
  share.add(loops);
  const auto flops = [&](int64_t count) { return training_flops(config, count, 16) * 16; };
  const double sum = flops(1) + 2 * flops(3) + flops(8);
  EXPECT_DOUBLE_EQ(share.take(2.0).value(), sum / (2.0 * 4e9));
  EXPECT_EQ(share.take(2.0), 0.0) << "each call begins anew";
  Utilisation unknown(config, {}, 1);
  unknown.add(loops);
  EXPECT_FALSE(unknown.take(1.0));
}

TEST(Utilisation, ThePeakIsTheConfigurationsOrThatOfAKnownGpu) {
  TrainConfig train;
  const std::vector<std::string> names = {"NVIDIA H100 80GB HBM3", "NVIDIA GH200 480GB",
                                          "NVIDIA H100 PCIe", "NVIDIA A100-SXM4-80GB",
                                          "NVIDIA H200"};
  const auto peak = [&](int index, at::ScalarType type) {
    return device_peak(train, at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index)), type,
                       names);
  };
  EXPECT_EQ(peak(0, at::kBFloat16), 989e12);
  EXPECT_EQ(peak(0, at::kHalf), 989e12);
  EXPECT_EQ(peak(3, at::kBFloat16), 312e12);
  EXPECT_EQ(peak(4, at::kBFloat16), 989e12);
  EXPECT_FALSE(peak(0, at::kFloat)) << "the sheets tell the peak of bf16";
  EXPECT_FALSE(peak(1, at::kBFloat16)) << "another GPU";
  EXPECT_FALSE(peak(2, at::kBFloat16)) << "another GPU";
  EXPECT_FALSE(peak(5, at::kBFloat16)) << "no name";
  EXPECT_FALSE(device_peak(train, at::kCPU, at::kBFloat16, {}));
  train.peak_tflops = 0.25;
  EXPECT_EQ(peak(0, at::kFloat), 0.25e12);
  EXPECT_EQ(device_peak(train, at::kCPU, at::kFloat, {}), 0.25e12);
}

}  // namespace
}  // namespace mythos
