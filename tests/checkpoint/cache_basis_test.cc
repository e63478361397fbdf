#include "checkpoint/cache_basis.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../model/sample_model.h"
#include "../scratch.h"
#include "checkpoint/safetensors.h"

namespace mythos {
namespace {

using Tensors = std::map<std::string, Tensor>;

// A basis of two layers that fits small_config() with gqa: 2 loops of keys of 8 numbers, rank 3.
class CacheBasisFile : public testing::Test {
 protected:
  CacheBasisFile() {
    config_.attention = Attention::gqa;
    config_.core_layers = 2;
    at::manual_seed(3);
    embedding_ = at::randn({config_.vocab_size, config_.dim});
    basis_.loops = 2;
    basis_.rank = 3;
    basis_.probe = cross_loop_probe(embedding_);
    for (int64_t i = 0; i < 2; ++i) {
      basis_.layers.push_back({at::randn({1, 16, 3}), at::randn({1, 16, 3})});
    }
    save_cache_basis(path_, basis_);
  }
  std::string refused(const fs::path& path) const {
    return error_of(ErrorKind::data, [&] { load_cache_basis(path, config_, embedding_); });
  }

  const Scratch scratch_;
  const fs::path path_ = scratch_ / "b.basis";
  ModelConfig config_ = small_config();
  Tensor embedding_;
  CrossLoopBasis basis_;
};

TEST_F(CacheBasisFile, ReadsBackEqual) {
  const auto read = load_cache_basis(path_, config_, embedding_);
  EXPECT_EQ(read->loops, 2);
  EXPECT_EQ(read->rank, 3);
  EXPECT_EQ(read->origin, path_.string());
  EXPECT_TRUE(read->probe.equal(basis_.probe));
  ASSERT_EQ(read->layers.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    for (size_t part = 0; part < 2; ++part) {
      EXPECT_TRUE(read->layers[i][part].equal(basis_.layers[i][part]));
    }
  }
}

TEST_F(CacheBasisFile, RefusesWhatIsNone) {
  const std::string none = path_.string() + ": is no basis of a low-rank cache";
  const SafetensorsFile whole = read_safetensors(path_);
  const auto write =
      [&](const std::function<void(Tensors&, std::map<std::string, std::string>&)>& change) {
        Tensors tensors;
        for (const auto& [name, tensor] : whole.tensors) tensors[name] = tensor.clone();
        auto metadata = whole.metadata;
        change(tensors, metadata);
        write_safetensors(path_, {tensors.begin(), tensors.end()}, metadata);
        return refused(path_);
      };
  EXPECT_TRUE(contains(write([](auto&, auto& m) { m["format"] = "mythos.cache-basis/2"; }), none));
  EXPECT_TRUE(contains(write([](auto&, auto& m) { m.clear(); }), none));
  EXPECT_TRUE(contains(write([](auto&, auto& m) { m["rank"] = "0"; }), none));
  EXPECT_TRUE(contains(write([](auto&, auto& m) { m["loops"] = "-2"; }), none));
  EXPECT_TRUE(contains(write([](auto& t, auto&) { t.erase("probe"); }), none));
  EXPECT_TRUE(contains(write([](auto& t, auto&) { t.erase("layer.0.a"); }), none));
  EXPECT_TRUE(contains(write([](auto& t, auto&) { t["more"] = at::ones({1}); }), none));
  EXPECT_TRUE(
      contains(write([](auto& t, auto&) { t["layer.1.b"].select(1, 0).fill_(NAN); }), none));
  EXPECT_TRUE(contains(
      write([](auto& t, auto&) { t["layer.1.b"] = t["layer.1.b"].to(at::kDouble); }), none));
  // Counts and shapes that contradict each other are those of another model.
  EXPECT_TRUE(contains(write([](auto&, auto& m) { m["loops"] = "3"; }),
                       path_.string() + ": is of another model: a layer's basis is [1,16,3], where "
                                        "this one needs [1,24,3]."));
  EXPECT_TRUE(contains(write([](auto& t, auto&) { t.erase("layer.1.a"), t.erase("layer.1.b"); }),
                       "is of a model with 1 core layers; this one has 2."));
  EXPECT_TRUE(contains(write([](auto& t, auto&) { t["probe"] = t["probe"] * 2; }),
                       "was fitted to another model, whose embedding differs from this one's."));
}

TEST_F(CacheBasisFile, RefusesDamage) {
  fs::resize_file(path_, fs::file_size(path_) - 9);
  EXPECT_TRUE(contains(refused(path_), path_.string()));
  fs::resize_file(path_, 5);
  EXPECT_TRUE(contains(refused(path_), path_.string()));
  EXPECT_TRUE(contains(refused(scratch_ / "missing"), "missing"));
}

}  // namespace
}  // namespace mythos
