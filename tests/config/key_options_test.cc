#include "config/key_options.h"

#include <CLI/CLI.hpp>

#include "../scratch.h"
#include "base/strings.h"

namespace mythos {
namespace {

// A command line, parsed; the arguments stand in the order of main()'s.
template <class Options, class Declare>
Options parsed(std::vector<std::string> arguments, Declare&& declare) {
  CLI::App app;
  Options options;
  declare(app, options);
  std::ranges::reverse(arguments);  // as CLI11 takes a vector
  app.parse(arguments);
  return options;
}

DecodeOptions decode_options(const std::vector<std::string>& arguments,
                             const std::vector<std::string_view>& keys = {}) {
  return parsed<DecodeOptions>(
      arguments, [&](CLI::App& app, DecodeOptions& options) { options.declare(app, keys); });
}

TEST(KeyOptions, BecomeAssignmentsInTheOrderOfTheCommandLine) {
  const auto options = parsed<KeyOptions>(
      {"--loops-at-most", "6", "--lr", "1e-3"}, [](CLI::App& app, KeyOptions& to) {
        to.declare(app, "train.lr");
        to.declare(app, "model.max_loop_iters", "--loops-at-most");
      });
  EXPECT_EQ(join(options.assignments(), " "), "train.lr=1e-3 model.max_loop_iters=6");
  EXPECT_TRUE(options.given("train.lr"));
  EXPECT_FALSE(options.given("train.l"));
}

TEST(KeyOptions, HelpComesFromTheKey) {
  CLI::App app;
  KeyOptions options;
  options.declare(app, "train.schedule");
  options.declare(app, "decode.cache_type");
  options.declare(app, "decode.prefill_chunk");
  const auto text = [&](const char* name) {
    const CLI::Option* option = app.get_option(name);
    return option->get_type_name() + " " + option->get_description();
  };
  EXPECT_EQ(text("--schedule"),
            "NAME Learning-rate schedule: cosine, linear-cooldown, constant, wsd or inverse-sqrt "
            "(train.schedule)");
  EXPECT_EQ(text("--cache-type"),
            "NAME How keys and values are held (auto is as dtype): auto, fp32, bf16, int8 or "
            "int4; default: auto (decode.cache_type)");
  EXPECT_EQ(text("--prefill-chunk"),
            "N Prompt tokens of one forward pass; default: 512 (decode.prefill_chunk)");
}

TEST(KeyOptions, AWrongValueIsToldWithTheNameOfTheOption) {
  const auto error = [](const std::string& option, const std::string& value) {
    return error_of(ErrorKind::usage, [&] { decode_options({option, value}); });
  };
  EXPECT_EQ(error("--weights", "int2"),
            "--weights = \"int2\": expected one of plain, int8, int4. Did you mean 'int8'?");
  EXPECT_EQ(error("--weights", "8"), "--weights = 8: expected one of plain, int8, int4.");
  EXPECT_EQ(error("--prefill-chunk", "0"),
            "--prefill-chunk = 0: out of range; allowed: 1 to 1073741824");
  EXPECT_EQ(error("--exit-threshold", "-2"),
            "--exit-threshold = -2: out of range; allowed: -1 to 1000000000");
}

TEST(DecodeOptions, EveryKeyHasAnOption) {
  CLI::App app;
  DecodeOptions options;
  options.declare(app);
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) names.push_back(option->get_name());
  EXPECT_EQ(join(names, " "),
            "--help --config --dtype --weights --cache-type --cache-sharing --cache-modulo "
            "--cache-basis --exit --exit-threshold --exit-quantile --warm-start --state-seed "
            "--state-scale "
            "--latent-steps --prefill-chunk");
}

TEST(DecodeOptions, AVerbOffersTheKeysThatItNames) {
  CLI::App app;
  DecodeOptions options;
  options.declare(app, {"weights", "exit"});
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) names.push_back(option->get_name());
  EXPECT_EQ(join(names, " "), "--help --config --weights --exit");
}

TEST(DecodeOptions, WinOverTheFileAndTheFileOverTheCheckpoint) {
  const Scratch scratch;
  write_file_atomic(scratch / "serve.toml",
                    "[decode]\nweights = \"int8\"\ncache_type = \"bf16\"\n");
  const std::string file = (scratch / "serve.toml").string();
  DecodeConfig checkpoint;
  checkpoint.weights = WeightFormat::int4;
  checkpoint.prefill_chunk = 7;

  EXPECT_EQ(decode_options({}).resolve(checkpoint), checkpoint);
  DecodeConfig expected = checkpoint;
  expected.cache.sharing = CacheSharing::average;
  EXPECT_EQ(decode_options({"--cache-sharing", "average"}).resolve(checkpoint), expected);
  expected = {};
  expected.weights = WeightFormat::int8;
  expected.cache.type = CacheType::fp32;
  EXPECT_EQ(decode_options({"--cache-type", "fp32", "--config", file}).resolve(checkpoint),
            expected);
}

TEST(DecodeOptions, ABooleanKeyIsAFlag) {
  EXPECT_TRUE(decode_options({"--warm-start"}).resolve({}).warm_start);
  DecodeConfig checkpoint;
  checkpoint.warm_start = true;
  EXPECT_FALSE(decode_options({"--warm-start=false"}).resolve(checkpoint).warm_start);
  EXPECT_TRUE(decode_options({}).resolve(checkpoint).warm_start);
}

TEST(DecodeOptions, AModulusNeedsLoopsThatShareByIt) {
  const auto options = decode_options({"--cache-modulo", "2"});
  EXPECT_EQ(error_of(ErrorKind::usage, [&] { options.resolve({}); }),
            "--cache-modulo belongs to --cache-sharing modulo");
  EXPECT_EQ(decode_options({"--cache-sharing", "modulo", "--cache-modulo", "2"})
                .resolve({})
                .cache.own_loops(5),
            2);
  DecodeConfig checkpoint;
  checkpoint.cache.sharing = CacheSharing::modulo;
  EXPECT_EQ(options.resolve(checkpoint).cache.modulo, 2);
}

TEST(DecodeOptions, ALowRankCacheNeedsItsBasisAndABasisThatCache) {
  const auto options = decode_options({"--cache-basis", "b.safetensors"});
  EXPECT_EQ(error_of(ErrorKind::usage, [&] { options.resolve({}); }),
            "--cache-basis belongs to --cache-sharing low-rank");
  EXPECT_EQ(error_of(ErrorKind::usage,
                     [&] {
                       decode_options({"--cache-sharing", "low-rank"}).resolve({});
                     }),
            "decode.cache_sharing = \"low-rank\": only with decode.cache_basis, a file that mythos "
            "fit-cache writes");
  DecodeConfig checkpoint;
  checkpoint.cache.sharing = CacheSharing::low_rank;
  EXPECT_EQ(options.resolve(checkpoint).cache.basis, "b.safetensors");
}

TEST(DecodeConfig, LoopsWithKeysOfTheirOwn) {
  const auto own = [](CacheSharing sharing, int64_t loops) {
    return CacheOptions{sharing, CacheType::automatic, 4, {}}.own_loops(loops);
  };
  EXPECT_EQ(own(CacheSharing::per_loop, 7), 7);
  EXPECT_EQ(own(CacheSharing::modulo, 7), 4);
  EXPECT_EQ(own(CacheSharing::modulo, 3), 3);
  EXPECT_EQ(own(CacheSharing::last_loop, 7), 1);
  EXPECT_EQ(own(CacheSharing::average, 7), 1);
  EXPECT_EQ(own(CacheSharing::low_rank, 7), 1);
}

TEST(DecodeConfig, AWarmStartHasNoLatentSteps) {
  const auto options = decode_options({"--warm-start", "--latent-steps", "2"});
  EXPECT_EQ(error_of(ErrorKind::usage, [&] { options.resolve({}); }),
            "decode.warm_start = true: not with decode.latent_steps, whose passes have no token "
            "before them");
}

TEST(DecodeOptions, AFileThatIsNotThereIsNamed) {
  const auto options = decode_options({"--config", "/nowhere/x.toml"});
  EXPECT_EQ(error_of(ErrorKind::usage, [&] { options.resolve({}); }),
            "--config /nowhere/x.toml: there is no such file");
}

TEST(DecodeOptions, KnowWhetherTheySayHowToDecode) {
  EXPECT_FALSE(decode_options({}).any_given());
  EXPECT_FALSE(decode_options({"--dtype", "bf16"}).any_given());
  EXPECT_TRUE(decode_options({"--dtype", "bf16", "--weights", "plain"}).any_given());
  EXPECT_TRUE(decode_options({"--config", "x.toml"}).any_given());
}

TEST(DecodeConfig, ThresholdIsTheRulesOwnUnlessGiven) {
  DecodeConfig config;
  config.exit = ExitRule::latent;
  EXPECT_EQ(config.threshold(), 0.05);
  config.exit = ExitRule::kl;
  EXPECT_EQ(config.threshold(), 0.001);
  // As Huginn's code has them.
  const std::pair<ExitRule, double> published[] = {
      {ExitRule::entropy_diff, 1e-3}, {ExitRule::latent_diff, 0.03},
      {ExitRule::cosine, 1e-3},       {ExitRule::huginn_kl, 1e-3},
      {ExitRule::minp_kl, 1e-5},      {ExitRule::argmax_stability, 5}};
  for (const auto& [rule, threshold] : published) {
    config.exit = rule;
    EXPECT_EQ(config.threshold(), threshold) << enum_name(rule);
    EXPECT_TRUE(config.has_threshold()) << enum_name(rule);
  }
  config.exit_threshold = 0;  // never ends a token's loops
  EXPECT_EQ(config.threshold(), 0);
  config.exit = ExitRule::gate;
  config.exit_quantile = 0.7;
  EXPECT_EQ(config.threshold(), 0.7);
  EXPECT_FALSE(config.has_threshold());
}

TEST(DecodeConfig, TheHaltingHeadTakesNoThreshold) {
  const auto options = decode_options({"--exit", "halting", "--exit-threshold", "0.1"});
  EXPECT_EQ(error_of(ErrorKind::usage, [&] { options.resolve({}); }),
            "decode.exit_threshold = 0.1: not with decode.exit = \"halting\", whose threshold is "
            "model.act_threshold, nor with \"gate\", whose threshold is decode.exit_quantile");
}

}  // namespace
}  // namespace mythos
