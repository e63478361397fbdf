#include "model/nonfinite.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "../device.h"

namespace mythos {
namespace {

constexpr at::ScalarType kTypes[] = {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble};

class NonFiniteOn : public DeviceTest {
 protected:
  NonFinite find(const at::Tensor& tensor) const {
    NonFinite found;
    found.look_at("x", tensor.to(device_));
    return found;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, NonFiniteOn, testing::ValuesIn(test_devices()), device_name);

TEST_P(NonFiniteOn, FindsEachKindInEachTypeAtItsPlace) {
  for (const at::ScalarType type : kTypes) {
    for (const double value : {NAN, -NAN, INFINITY, -INFINITY}) {
      // Beyond one block and one thread's share, and not a multiple of either.
      const at::Tensor x = at::ones({3, 100'003}, type);
      x[1][70'000] = value;
      x[2][100'002] = value;
      const NonFinite found = find(x);
      ASSERT_EQ(found.tensors.size(), 1u) << type << " " << value;
      EXPECT_EQ(found.count(), 2) << type << " " << value;
      EXPECT_EQ(found.tensors[0].index, (std::vector<int64_t>{1, 70'000})) << type;
      EXPECT_EQ(std::isnan(found.tensors[0].value), std::isnan(value)) << type;
    }
  }
}

TEST_P(NonFiniteOn, LargestAndSmallestNumbersAreFinite) {
  for (const at::ScalarType type : kTypes) {
    const double largest = type == at::kHalf       ? 65504
                           : type == at::kBFloat16 ? 0x1.fep127
                                                   : static_cast<double>(FLT_MAX);
    const at::Tensor x = at::tensor({largest, -largest, 0.0, -0.0, 1e-40}, at::kDouble).to(type);
    EXPECT_TRUE(find(x).none()) << type;
  }
}

TEST_P(NonFiniteOn, DoublesCountAsFp32TakesThem) {
  // Half a unit above fp32's largest number rounds to infinity, just less does not.
  const at::Tensor x = at::tensor({0x1.fffffefffffffp127, -0x1.ffffffp127, 1e300}, at::kDouble);
  EXPECT_TRUE(at::equal(at::isfinite(x.to(at::kFloat)).to(at::kInt), at::tensor({1, 0, 0})));
  EXPECT_EQ(find(x).count(), 2);
  EXPECT_EQ(find(x).tensors.at(0).index, std::vector<int64_t>{1});
  EXPECT_EQ(find(x.slice(0, 2, 3)).text(),
            "1 value in 1 tensor is not finite, the first 1e+300 (infinite in fp32) in 'x' at [0]");
}

TEST_P(NonFiniteOn, ScalarsEmptyTensorsViewsAndWholeNumbers) {
  EXPECT_EQ(find(at::tensor(NAN)[0]).tensors.at(0).index, std::vector<int64_t>{});
  EXPECT_TRUE(find(at::zeros({3, 0})).none());
  EXPECT_TRUE(find(at::full({4}, -1, at::kInt)).none());
  const at::Tensor x = at::zeros({2, 5});
  x[1][3] = NAN;
  EXPECT_EQ(find(x.t()).tensors.at(0).index, (std::vector<int64_t>{3, 1}));
}

TEST(NonFinite, TextCountsValuesAndTensors) {
  const at::Tensor x = at::ones({2, 3});
  const std::vector<std::pair<std::string, at::Tensor>> whole = {{"a", x}, {"b", x}};
  EXPECT_TRUE(find_nonfinite(whole).none());
  EXPECT_EQ(find_nonfinite(whole).text(), "");
  const at::Tensor bad = at::full({2, 3}, -INFINITY);
  const std::vector<std::pair<std::string, at::Tensor>> some = {{"a", x}, {"b", bad}, {"c", bad}};
  EXPECT_EQ(find_nonfinite(some).text(),
            "12 values in 2 tensors are not finite (6 in 'b', 6 in 'c'), the first -inf in 'b' at "
            "[0,0]");
}

}  // namespace
}  // namespace mythos
