#include "config/config.h"

#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "base/strings.h"
#include "config/config_stages.h"

namespace mythos {
namespace {

// A valid configuration that differs from the defaults in every field that has another value beside
// the others here.
Config unusual() {
  Config c;
  c.model.vocab_size = 77;
  c.model.dim = 48;
  c.model.max_seq_len = 300;
  c.model.max_output_tokens = 12;
  c.model.prelude_layers = 0;
  c.model.core_layers = 3;
  c.model.coda_layers = 4;
  c.model.max_loop_iters = 5;
  c.model.attention = Attention::gqa;
  c.model.n_heads = 6;
  c.model.n_kv_heads = 3;
  c.model.kv_lora_rank = 9;
  c.model.q_lora_rank = 10;
  c.model.qk_rope_head_dim = 12;
  c.model.qk_nope_head_dim = 13;
  c.model.v_head_dim = 14;
  c.model.rope_theta = 12345.678;
  c.model.head_width = 10;
  c.model.core_kv_heads = 2;
  c.model.rope_pairing = RopePairing::halves;
  c.model.attention_bias = AttentionBias::qkv;
  c.model.value_embeddings = "0,4";
  c.model.qk_norm = true;
  c.model.qk_norm_weight = false;
  c.model.qk_norm_eps = 0.25;
  c.model.ffn = FeedForward::dense;
  c.model.ffn_dim = 15;
  c.model.n_experts = 16;
  c.model.n_shared_experts = 0;
  c.model.n_experts_per_tok = 3;
  c.model.expert_dim = 17;
  c.model.core_ffn_dim = 14;
  c.model.activation = Activation::relu2;
  c.model.injection = Injection::linear;
  c.model.injection_norm = false;
  c.model.readout = true;
  c.model.final_norm = FinalNorm::loop;
  c.model.embedding_scale = 4.5;
  c.model.logit_softcap = 30;
  c.model.initial_state = InitialState::zero;
  c.model.prelude_norm = false;
  c.model.norm_placement = NormPlacement::sandwich;
  c.model.loop_embedding = LoopEmbedding::none;
  c.model.loop_embedding_dim = 18;
  c.model.lora_rank = 0;
  c.model.halting = Halting::gate;
  c.model.halt_loops = 2.5;
  c.model.min_halt_loops = 2;
  c.model.act_threshold = 1.0 / 3;
  c.model.tied_head = false;
  c.model.norm_eps = 1e-5;
  c.model.init_std = 0.1;
  c.train.steps = 0;
  c.train.batch_size = 3;
  c.train.seq_len = 33;
  c.train.grad_accum = 2;
  c.train.packing = Packing::best_fit;
  c.train.document_mask = DocumentMask::off;
  c.train.recompute = Recompute::block;
  c.train.lr = 1e-300;
  c.train.min_lr_ratio = 0;
  c.train.warmup_steps = 1;
  c.train.schedule = Schedule::linear_cooldown;
  c.train.cooldown_fraction = 0.25;
  c.train.beta1 = 0.8;
  c.train.beta2 = 0.99;
  c.train.adam_eps = 1e-15;
  c.train.weight_decay = 0;
  c.train.clip_norm = 0;
  c.train.on_blow_up = OnBlowUp::warn;
  c.train.loop_sampling = LoopSampling::uniform;
  c.train.mean_loops = 3.5;
  c.train.max_sampled_loops = 9;
  c.train.balance_rate = 0;
  c.objectives.next_token = 0.5;
  c.objectives.per_loop = 0.25;
  c.objectives.gate = 1;
  c.objectives.gate_entropy = 0.1;
  c.objectives.gate_gain = 1;
  c.objectives.gate_gain_slope = 40;
  c.objectives.gate_gain_threshold = -0.5;
  c.objectives.ponder = 1;
  c.objectives.ponder_kl = 0.02;
  c.objectives.ponder_prior_loops = 3;
  c.objectives.ponder_cost = 0.01;
  c.objectives.fixed_point = 0.1;
  c.objectives.jacobian = 0.1;
  c.train.compute_type = ComputeType::fp16;
  c.train.loss_scale = 1024;
  c.train.loss_scale_growth = 1.5;
  c.train.loss_scale_backoff = 0.25;
  c.train.loss_scale_interval = 100;
  c.train.seed = 9'000'000'000'000'000;
  c.train.log_every = 1;
  c.train.val_every = 0;
  c.train.val_tokens = 0;
  c.train.save_every = 0;
  c.train.keep_last = 0;
  c.decode.compute_type = ComputeType::bf16;
  c.decode.weights = WeightFormat::int4;
  c.decode.cache = {CacheSharing::average, CacheType::int8, 4, {}};
  c.decode.exit = ExitRule::kl;
  c.decode.exit_threshold = 0.5;
  c.decode.prefill_chunk = 64;
  return c;
}

// Depths, which gradients of some loops alone and a set of counts leave no choice of.
Config unusual_depths() {
  Config c;
  c.model.initial_state = InitialState::random;
  c.model.state_std = 0.4;
  c.model.injection = Injection::zoh;
  c.model.zoh_gain = ZohGain::euler;
  c.model.embedding_std = 0.3;
  c.decode.state_seed = 9;
  c.decode.state_scale = 0.5;
  c.decode.cache = {CacheSharing::low_rank, CacheType::int4, 3, "basis.safetensors"};
  c.train.loop_sampling = LoopSampling::set;
  c.train.loop_sigma = 0.25;
  c.train.loop_set = "1 2 4";
  c.train.loops_per = LoopsPer::sequence;
  c.train.backprop_loops = 2;
  c.train.loop_curriculum = LoopCurriculum::one_minus_sqrt;
  c.train.loop_curriculum_fraction = 0.75;
  c.objectives.balance = 0.01;
  c.objectives.router_z = 0.001;
  c.decode.prefill_chunk = 64;
  return c;
}

// First values, guards and what is trained.
Config unusual_tuning() {
  Config c;
  c.model.matrix_init = MatrixInit::orthogonal;
  c.model.residual_init = ResidualInit::scaled;
  c.train.skip_steps = 3;
  c.train.skip_deviations = 6.5;
  c.train.rollbacks = 2;
  c.train.rollback_lr_factor = 0.25;
  c.train.freeze = "embed.* core.?.attn.*";
  c.train.tune_rank = 4;
  c.train.tune_alpha = 8;
  c.train.tune_matrices = "*.wo.weight";
  c.train.expert_ranks = 4;
  c.decode.cache = {CacheSharing::modulo, CacheType::int4, 3, {}};
  c.decode.exit = ExitRule::gate;
  c.decode.exit_quantile = 0.75;
  c.decode.warm_start = true;
  c.decode.prefill_chunk = 64;
  return c;
}

// The optimizer, the length of the run and latent thought.
Config unusual_updates() {
  Config c;
  c.model.latent_token = 3;
  c.train.length = "10Mt";
  c.train.optimizer = Optimizer::muon;
  c.train.muon_lr = 0.015;
  c.train.muon_momentum = 0.9;
  c.train.lr_base_width = 128;
  c.train.param_groups = "embed.* lr=0.5 decay=0; core.* schedule=wsd warmup=9 min=0";
  c.train.cautious_decay = true;
  c.train.ema_decay = 0.999;
  c.train.layout = Layout::fully_sharded;
  c.train.bucket_bytes = 1 << 20;
  c.train.keep_every = 1000;
  c.train.max_hours = 23.5;
  c.train.tensorboard = true;
  c.train.prometheus = true;
  c.train.peak_tflops = 1.25;
  c.decode.latent_steps = 2;
  return c;
}

std::vector<Config> unusual_ones() {
  return {unusual(), unusual_depths(), unusual_tuning(), unusual_updates()};
}

TEST(Config, UnusualOnesDifferFromTheDefaultsEverywhere) {
  Config written;
  written.decode.prefill_chunk = 65;  // [decode] is left out where it has the defaults alone
  const std::vector<std::string> usual = split(to_toml(written), '\n');
  std::vector<bool> differs(usual.size());
  for (const Config& config : unusual_ones()) {
    const std::vector<std::string> other = split(to_toml(config), '\n');
    ASSERT_EQ(usual.size(), other.size());
    for (size_t i = 0; i < usual.size(); ++i) {
      if (usual[i] != other[i]) differs[i] = true;
    }
  }
  for (size_t i = 0; i < usual.size(); ++i) {
    if (contains(usual[i], " = ")) {
      EXPECT_TRUE(differs[i]) << usual[i];
    }
  }
}

TEST(Config, TomlReadsBackEqual) {
  std::vector<Config> configs = unusual_ones();
  configs.emplace_back();
  for (const Config& config : configs) {
    EXPECT_EQ(parse_config(to_toml(config), "x.toml"), config);
    EXPECT_EQ(parse_config(to_toml(config, true), "x.toml"), config);
  }
}

// So presets and checkpoints read as before there was such a table, and by programs of that time.
TEST(Config, DecodeIsWrittenWhereItDiffersFromTheDefaults) {
  Config config;
  EXPECT_FALSE(contains(to_toml(config, true), "decode"));
  set_value(config, "cache_type=int8");
  EXPECT_TRUE(contains(to_toml(config),
                       "\n[decode]\ndtype = \"auto\"\nweights = \"plain\"\n"
                       "cache_type = \"int8\"\n"));
}

TEST(Config, JsonReadsBackEqual) {
  for (const ModelConfig& model : {ModelConfig(), unusual().model}) {
    const auto text = to_json(model).dump();
    EXPECT_EQ(model_config_from_json(nlohmann::json::parse(text), "x.json"), model);
  }
}

TEST(Config, StagesTellTheSourcesOfValues) {
  std::vector<ConfigStage> stages(3);
  stages[0].source = "preset \n x";
  stages[0].config.model.dim = 64;
  stages[0].config.train.lr = 0.5;
  stages[1] = stages[2] = stages[0];
  stages[1].source = "command line";
  stages[1].config.train.lr = stages[2].config.train.lr = Config().train.lr;
  stages[2].source = "data";
  const std::string text = to_toml(stages);
  EXPECT_EQ(parse_config(text, "x.toml"), stages[2].config);
  const auto line_of = [&](const std::string& key) {
    const size_t begin = text.find("\n" + key + " = ") + 1;
    return text.substr(begin, text.find('\n', begin) - begin);
  };
  EXPECT_TRUE(contains(line_of("dim"), "# ") && line_of("dim").ends_with("[preset \\n x]"));
  EXPECT_TRUE(line_of("lr").ends_with("[command line]"));
  EXPECT_FALSE(line_of("seed").ends_with("]"));
  EXPECT_FALSE(contains(text, "[data]"));
  EXPECT_TRUE(contains(text, "\n[decode]\ndtype = \"auto\""));
  for (const Config& config : unusual_ones()) {
    EXPECT_EQ(parse_config(to_toml(std::vector<ConfigStage>{{"a", config}}), "x.toml"), config);
  }
}

TEST(Config, TomlNamesEveryValueAndCommentsExplain) {
  const std::string text = to_toml(Config(), true);
  EXPECT_TRUE(contains(text, "attention = \"mla\""));
  EXPECT_TRUE(contains(text, "norm_eps = 1e-06"));
  EXPECT_TRUE(contains(text, "rope_theta = 500000.0"));
  EXPECT_TRUE(contains(text, "lti, zoh, linear, gated, add, none"));
}

TEST(Config, WholeNumbersAreAcceptedForReals) {
  EXPECT_EQ(parse_config("[model]\nrope_theta = 10000\n", "x.toml").model.rope_theta, 10000);
}

struct BadText {
  const char* toml;
  std::vector<std::string> parts;
};

std::ostream& operator<<(std::ostream& out, const BadText& bad) {
  return out << escaped(bad.toml);
}

class BadToml : public testing::TestWithParam<BadText> {};

TEST_P(BadToml, IsNamedWithItsPlace) {
  const std::string message =
      error_of(ErrorKind::usage, [] { parse_config(GetParam().toml, "my.toml"); });
  for (const std::string& part : GetParam().parts) {
    EXPECT_TRUE(contains(message, part)) << "no '" << part << "' in: " << message;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Errors, BadToml,
    testing::Values(
        BadText{"[model]\n\ndimm = 64\n",
                {"my.toml:3: ", "unknown key 'model.dimm'.", "Did you mean 'model.dim'?"}},
        BadText{"[model]\nbatch_size = 64\n",
                {"my.toml:2: ", "unknown key 'model.batch_size'.", "'train.batch_size'?"}},
        BadText{"[modle]\ndim = 64\n",
                {"my.toml:2: ", "unknown table 'modle'", "Did you mean 'model'?"}},
        BadText{"[trian]\n", {"my.toml:1: ", "unknown table 'trian'", "Did you mean 'train'?"}},
        BadText{"dimm = 64\n", {"my.toml:1: ", "unknown key 'dimm'. Did you mean 'dim'?"}},
        BadText{"dim = 64\n", {"my.toml:1: ", "unknown key 'dim'.", "Did you mean 'model.dim'?"}},
        BadText{"[model]\ndim = 1\n",
                {"my.toml:2: model.dim = 1: out of range; allowed: 2 to 1048576"}},
        BadText{"[model]\nact_threshold = 1.5\n",
                {"my.toml:2: model.act_threshold = 1.5: out of range; allowed: 0 to 1"}},
        BadText{"[train]\nlr = nan\n", {"my.toml:2: train.lr = nan: out of range"}},
        BadText{"[train]\nlr = inf\n", {"my.toml:2: train.lr = inf: out of range"}},
        BadText{"[model]\ndim = \"wide\"\n",
                {"my.toml:2: model.dim = \"wide\": expected a whole number, 2 to 1048576"}},
        BadText{"[model]\ndim = 64.5\n", {"model.dim = 64.5: expected a whole number"}},
        BadText{"[model]\ntied_head = 1\n", {"model.tied_head = 1: expected true or false"}},
        BadText{"[train]\nlr = \"fast\"\n", {"train.lr = \"fast\": expected a number, 0 to 10"}},
        BadText{"[model]\nattention = \"gqaa\"\n",
                {"my.toml:2: model.attention = \"gqaa\": expected one of gqa, mla.",
                 "Did you mean 'gqa'?"}},
        BadText{"[model]\nattention = 3\n", {"model.attention = 3: expected one of gqa, mla."}},
        BadText{"[model]\ndim = [1, 2]\n",
                {"my.toml:2: model.dim: expected a number, true, false or a name, got a list"}},
        BadText{"[model.dim]\nx = 1\n", {"model.dim: expected", "got a table"}},
        BadText{"[model]\ndim = 64\ndim = 65\n", {"my.toml:3:", "not TOML"}},
        BadText{"[model\n", {"my.toml:1:", "not TOML"}},
        BadText{"[model]\ndim = 99999999999999999999\n", {"my.toml:2:"}}));

struct BadConfig {
  const char* assignments;  // separated by blanks
  const char* message;
};

std::ostream& operator<<(std::ostream& out, const BadConfig& bad) {
  return out << bad.assignments;
}

class BadCombination : public testing::TestWithParam<BadConfig> {};

TEST_P(BadCombination, IsNamedWithTheRule) {
  Config config;
  for (const std::string& assignment : split(GetParam().assignments, ' ')) {
    set_value(config, assignment);
  }
  const std::string message = error_of(ErrorKind::usage, [&] { config.validate(); });
  EXPECT_TRUE(contains(message, GetParam().message)) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Rules, BadCombination,
    testing::Values(
        BadConfig{"attention=gqa n_heads=3", "model.n_heads = 3: must divide model.dim = 256"},
        BadConfig{"attention=gqa n_kv_heads=3", "model.n_kv_heads = 3: must divide model.n_heads"},
        BadConfig{"attention=gqa n_heads=256 n_kv_heads=256", "dim/n_heads = 1 channels"},
        BadConfig{"qk_rope_head_dim=15", "model.qk_rope_head_dim = 15: must be even"},
        BadConfig{"qk_norm=true", "model.qk_norm = true: only with model.attention = \"gqa\""},
        BadConfig{"head_dim=64", "model.head_dim = 64: only with model.attention = \"gqa\""},
        BadConfig{"core_kv_heads=1", "model.core_kv_heads = 1: only with model.attention"},
        BadConfig{"attention_bias=qk", "model.attention_bias = \"qk\": only with"},
        BadConfig{"value_embeddings=0", "model.value_embeddings = \"0\": only with"},
        BadConfig{"attention=gqa head_dim=63", "model.head_dim = 63: must be even"},
        BadConfig{"attention=gqa core_kv_heads=3",
                  "model.core_kv_heads = 3: must divide model.n_heads = 4"},
        BadConfig{"attention=gqa value_embeddings=1,x",
                  "model.value_embeddings = \"1,x\": \"x\" is not the next layer"},
        BadConfig{"attention=gqa value_embeddings=2,1",
                  "model.value_embeddings = \"2,1\": \"1\" is not the next layer"},
        BadConfig{"attention=gqa value_embeddings=-1", "\"-1\" is not the next layer"},
        BadConfig{"attention=gqa value_embeddings=0,3",
                  "there is no layer 3; prelude, core and coda have the layers 0 to 2"},
        BadConfig{"n_experts_per_tok=9",
                  "model.n_experts_per_tok = 9: at most model.n_experts = 8"},
        BadConfig{"loop_embedding_dim=257",
                  "model.loop_embedding_dim = 257: at most model.dim = 256"},
        BadConfig{"dim=4", "model.loop_embedding_dim = 0: means dim/8 = 0 channels"},
        BadConfig{"injection=none initial_state=zero", "model.initial_state = \"zero\""},
        BadConfig{"seq_len=1025", "train.seq_len = 1025: at most model.max_seq_len = 1024"},
        BadConfig{"mean_loops=0.5", "train.mean_loops = 0.5"},
        BadConfig{"max_sampled_loops=7", "train.max_sampled_loops = 7"},
        BadConfig{"loop_sampling=set", "train.loop_set = \"\": with train.loop_sampling = \"set\""},
        BadConfig{"loop_set=4", "train.loop_set = \"4\": only with train.loop_sampling = \"set\""},
        BadConfig{"loop_sampling=set loop_set=0", "\"0\" is not a loop count"},
        BadConfig{"loop_sampling=set loop_set=2.5", "\"2.5\" is not a loop count"},
        BadConfig{"loop_sampling=set loop_set=\"1,2\"", "\"1,2\" is not a loop count"},
        BadConfig{"loop_sampling=set loop_set=4 mean_loops=4", "train.mean_loops = 4.0: 0 with"},
        BadConfig{"loop_sampling=set loop_set=4 max_sampled_loops=4",
                  "train.max_sampled_loops = 4: 0 with"},
        BadConfig{"backprop_loops=2 halting=act",
                  "train.backprop_loops = 2: 0 (all) with model.halting = \"act\""},
        BadConfig{"backprop_loops=2 injection=none", "train.backprop_loops = 2: 0 (all) with"},
        BadConfig{"injection=none initial_state=random", "model.initial_state = \"random\""},
        BadConfig{"skip_deviations=6", "train.skip_deviations = 6.0: 0 unless train.skip_steps"},
        BadConfig{"rollbacks=1", "train.rollbacks = 1: 0 unless train.skip_steps"},
        BadConfig{"rollback_lr_factor=0", "train.rollback_lr_factor = 0.0: above 0"},
        BadConfig{"residual_init=zero norm_placement=sandwich",
                  "model.residual_init = \"zero\": \"normal\" with model.norm_placement"},
        BadConfig{"residual_init=scaled norm_placement=residual",
                  "model.residual_init = \"scaled\": \"normal\" with model.norm_placement = "
                  "\"residual\""},
        BadConfig{"core_ffn_dim=64", "model.core_ffn_dim = 64: only with model.ffn = \"dense\""},
        BadConfig{"injection_norm=false", "model.injection_norm = false: true unless"},
        BadConfig{"zoh_gain=euler", "model.zoh_gain = \"euler\": only with model.injection"},
        BadConfig{"embedding_scale=0", "model.embedding_scale = 0.0: above 0"},
        BadConfig{"ponder_cost=0.1", "objectives.ponder_cost = 0.1: only with model.halting"},
        BadConfig{"next_token=0", "objectives.next_token = 0.0: as all other weights"},
        BadConfig{"objectives.gate=1 halting=act",
                  "objectives.gate = 1.0: only with model.halting = \"gate\""},
        BadConfig{"ponder=1", "objectives.ponder = 1.0: only with model.halting = \"gate\""},
        BadConfig{"gate_gain=1", "objectives.gate_gain = 1.0: only with model.halting = \"gate\""},
        BadConfig{"balance=0.1 ffn=dense", "objectives.balance = 0.1: only with model.ffn"},
        BadConfig{"router_z=0.1 recompute=loop",
                  "objectives.router_z = 0.1: only with train.recompute = \"none\""},
        BadConfig{"halt_loops=3", "model.halt_loops = 3.0: only with model.halting"},
        BadConfig{"halting=gate halt_loops=8",
                  "model.halt_loops = 8.0: 0, or above model.min_halt_loops = 1 and below "
                  "model.max_loop_iters = 8"},
        BadConfig{"halting=act min_halt_loops=9", "model.min_halt_loops = 9: at most model.max"}));

TEST(Config, RulesOfOneMechanismDoNotBindAnother) {
  Config config;
  for (const char* assignment : {"n_heads=3", "ffn=dense", "n_experts_per_tok=9"}) {
    set_value(config, assignment);
  }
  EXPECT_NO_THROW(config.validate());
}

TEST(Config, ValidateFindsAValueSetInCode) {
  Config config;
  config.model.dim = 1;
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { config.validate(); }),
                       "model.dim = 1: out of range; allowed: 2 to 1048576"));
}

TEST(Config, AFileIsValidatedAsAWhole) {
  const std::string message =
      error_of(ErrorKind::usage, [] { parse_config("[train]\nseq_len = 4096\n", "my.toml"); });
  EXPECT_TRUE(contains(message, "my.toml: train.seq_len = 4096: at most")) << message;
}

TEST(SetValue, ChangesOneKey) {
  Config config;
  set_value(config, "model.dim=64");
  set_value(config, "train.lr = 1e-3");
  set_value(config, "batch_size=2");
  set_value(config, "injection=zoh");
  set_value(config, "halting=\"act-reference\"");
  set_value(config, "tied_head=false");
  EXPECT_EQ(config.model.dim, 64);
  EXPECT_EQ(config.train.lr, 1e-3);
  EXPECT_EQ(config.train.batch_size, 2);
  EXPECT_EQ(config.model.injection, Injection::zoh);
  EXPECT_EQ(config.model.halting, Halting::act_reference);
  EXPECT_FALSE(config.model.tied_head);
}

TEST(SetValue, NamesWhatIsWrong) {
  Config config;
  const auto message = [&](const char* assignment) {
    return error_of(ErrorKind::usage, [&] { set_value(config, assignment); });
  };
  EXPECT_TRUE(contains(message("dim"), "--set dim: expected key=value"));
  EXPECT_TRUE(contains(message("=3"), "expected key=value"));
  EXPECT_TRUE(contains(message("model.=3"), "unknown key"));
  EXPECT_TRUE(contains(message("dimm=3"), "--set: unknown key 'dimm'. Did you mean 'dim'?"));
  EXPECT_TRUE(contains(message("train.dim=3"), "Did you mean 'model.dim'?"));
  EXPECT_TRUE(contains(message("objectives.gat=1"),
                       "unknown key 'objectives.gat'. Did you mean 'objectives.gate'?"));
  EXPECT_TRUE(contains(message("modl.dim=3"), "unknown table 'modl'"));
  EXPECT_TRUE(contains(message("dim=0"), "--set: model.dim = 0: out of range"));
  EXPECT_TRUE(contains(message("dim="), "model.dim = \"\": expected a whole number"));
  EXPECT_TRUE(contains(message("injection=ltu"), "Did you mean 'lti'?"));
  EXPECT_EQ(config, Config());
}

TEST(Json, NamesWhatIsWrong) {
  const auto message = [](const char* text) {
    return error_of(ErrorKind::usage,
                    [&] { model_config_from_json(nlohmann::json::parse(text), "c.json"); });
  };
  EXPECT_TRUE(contains(message("[]"), "c.json: a model configuration must be a JSON object"));
  EXPECT_TRUE(contains(message(R"({"dimm": 3})"), "c.json: unknown key 'model.dimm'"));
  EXPECT_TRUE(contains(message(R"({"dim": null})"), "c.json: dim: expected a number"));
  EXPECT_TRUE(contains(message(R"({"dim": 1})"), "c.json: model.dim = 1: out of range"));
  EXPECT_TRUE(
      contains(message(R"({"qk_rope_head_dim": 3})"), "c.json: model.qk_rope_head_dim = 3"));
}

}  // namespace
}  // namespace mythos
