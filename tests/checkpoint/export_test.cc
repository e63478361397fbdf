#include "checkpoint/export.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "../scratch.h"
#include "base/strings.h"
#include "sample.h"

namespace mythos {
namespace {

class Export : public testing::Test {
 protected:
  Export() {
    checkpoint_.config.model = sample_config();
    checkpoint_.model = std::make_unique<Model>(sample_config());
    checkpoint_.model->parameters.initialize(sample_config(), 3);
    options_.output = scratch_ / "out";
  }
  std::string refusal() const {
    return error_of(ErrorKind::usage, [&] { check_export_output(options_); });
  }

  Scratch scratch_;
  LoadedCheckpoint checkpoint_;
  ExportOptions options_;
};

TEST_F(Export, ReadsBackEqualAndReplacesItself) {
  check_export_output(options_);
  const ExportResult result = export_model(checkpoint_, options_);
  EXPECT_EQ(result.parity.largest_difference, 0);
  EXPECT_EQ(result.rounding, 0);
  for (const std::string& file : result.files) EXPECT_TRUE(fs::exists(options_.output / file));
  EXPECT_TRUE(refusal().ends_with("out exists; --force replaces an earlier export."));
  options_.replace = true;
  check_export_output(options_);
  write_file_atomic(options_.output / "thesis.txt", "years of work");
  EXPECT_TRUE(contains(refusal(), "not a directory with the files of an export alone"));
}

TEST_F(Export, TellsWhatRoundingChanges) {
  options_.dtype = at::kBFloat16;
  const ExportResult result = export_model(checkpoint_, options_);
  EXPECT_EQ(result.parity.largest_difference, 0);
  EXPECT_GT(result.rounding, 0);
}

TEST_F(Export, WritesNothingWhereRoundingMakesWeightsInfinite) {
  {
    const at::NoGradGuard no_grad;
    checkpoint_.model->parameters.at("embed.weight").fill_(3.4e38);
  }
  options_.dtype = at::kBFloat16;
  EXPECT_TRUE(
      contains(error_of(ErrorKind::check_failed, [&] { export_model(checkpoint_, options_); }),
               "rounded to bf16, "));
  EXPECT_FALSE(fs::exists(options_.output));
}

}  // namespace
}  // namespace mythos
