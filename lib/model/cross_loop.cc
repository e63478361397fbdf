#include "model/cross_loop.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <tuple>

#include "base/error.h"
#include "base/strings.h"
#include "model/weights.h"
#include "ops/attention/rope.h"

namespace mythos {
namespace {

size_t place(int64_t index) {
  return static_cast<size_t>(index);
}

// The orthogonal matrix [n,n] fp64 of the discrete cosine transform (type 2). Coordinates by
// singular vectors differ in size by orders of magnitude; turned by it they do not, and a scale
// that several of them share rounds all as finely.
Tensor cosines(int64_t n, at::Device device) {
  const auto fp64 = at::TensorOptions().dtype(at::kDouble).device(device);
  const Tensor frequency = at::arange(n, fp64), place = at::arange(n, fp64) + 0.5;
  const auto size = static_cast<double>(n);
  const Tensor scale = at::full({n, 1}, std::sqrt(2 / size), fp64);
  scale[0].fill_(std::sqrt(1 / size));
  const Tensor waves = at::cos(at::outer(frequency, place) * (std::numbers::pi / size));
  return waves * scale;
}

// Which of the two parts a core layer has.
std::vector<size_t> cross_loop_parts(const ModelConfig& config) {
  if (config.attention == Attention::mla) return {0};
  return {0, 1};
}

}  // namespace

CrossLoopShape::CrossLoopShape(const ModelConfig& config) {
  const CacheLayout layout(config, Section::core);
  units = layout.b.empty() ? 1 : static_cast<int64_t>(layout.b.size());
  width = layout.width_a() / units;
}

Tensor cross_loop_probe(const Tensor& embedding) {
  constexpr int64_t kRows = 64, kChannels = 16;
  const int64_t rows = std::min(kRows, embedding.size(0));
  const Tensor index =
      at::arange(rows, embedding.options().dtype(at::kLong)) * (embedding.size(0) / rows);
  return embedding.narrow(1, 0, std::min(kChannels, embedding.size(1)))
      .index_select(0, index)
      .detach()
      .to(at::kCPU, at::kFloat);
}

void check_cross_loop(const CrossLoopBasis& basis, const ModelConfig& config,
                      const Tensor& embedding) {
  const auto refuse = [&](const std::string& what) {
    fail(ErrorKind::data, basis.origin + ": " + what,
         "Fit one to this model: mythos fit-cache --checkpoint RUN --data DIR --rank R --output " +
             basis.origin);
  };
  if (static_cast<int64_t>(basis.layers.size()) != config.core_layers) {
    refuse(strprintf("is of a model with %d core layers; this one has %d.", basis.layers.size(),
                     config.core_layers));
  }
  const CrossLoopShape shape(config);
  const std::vector<int64_t> sizes = {shape.units, basis.loops * shape.width, basis.rank};
  for (const auto& layer : basis.layers) {
    const bool pair = cross_loop_parts(config).size() == 2;
    if (layer[1].defined() != pair) {
      refuse(strprintf("is of a model with another attention than this one's %s.",
                       enum_name(config.attention)));
    }
    for (const size_t part : cross_loop_parts(config)) {
      if (layer[part].sizes() == at::IntArrayRef(sizes)) continue;
      refuse(strprintf("is of another model: a layer's basis is %s, where this one needs %s.",
                       shape_text(layer[part].sizes()), shape_text(sizes)));
    }
  }
  const Tensor own = cross_loop_probe(embedding);
  // Rounding to bf16 changes a number by 2⁻⁹ of it at most.
  const bool alike =
      own.sizes() == basis.probe.sizes() &&
      (own - basis.probe).norm().item<double>() <= 0.01 * basis.probe.norm().item<double>();
  if (!alike) refuse("was fitted to another model, whose embedding differs from this one's.");
}

void require_loops(const CrossLoopBasis& basis, int64_t loops) {
  if (loops <= basis.loops) return;
  fail(ErrorKind::usage,
       strprintf("%s was fitted for %d loops; %d are asked for.", basis.origin, basis.loops, loops),
       strprintf("Fit one for so many: mythos fit-cache --loops %d", loops));
}

KeyTurner::KeyTurner(const ModelConfig& config, at::Device device)
    : rope_dim_(config.rope_dim()), theta_(config.rope_theta), pairing_(config.rope_pairing) {
  std::tie(cos_, sin_) = rope_table(0, 1, rope_dim_, theta_, device);
}

Tensor KeyTurner::turn(const Tensor& x, int64_t first, double direction) {
  const int64_t end = first + x.size(1);
  if (cos_.size(0) < end) {
    std::tie(cos_, sin_) =
        rope_table(0, std::max(end, 2 * cos_.size(0)), rope_dim_, theta_, cos_.device());
  }
  return rope(x, cos_.narrow(0, first, x.size(1)), sin_.narrow(0, first, x.size(1)) * direction,
              pairing_);
}

CrossLoopPass::CrossLoopPass(const ModelConfig& config, int64_t loops, at::Device device)
    : shape_(config), loops_(loops), turner_(config, device), tokens_(place(config.core_layers)) {}

void CrossLoopPass::add(const CacheSlot& slot, size_t part, const Tensor& x, int64_t first) {
  std::vector<Tensor>& loops = tokens_[place(slot.layer)][part];
  if (slot.loop == 0) loops.clear();
  loops.resize(place(slot.loop + 1));
  const Tensor units = x.detach().reshape({x.size(0), x.size(1), shape_.units, shape_.width});
  // What is given here may be changed in place by the next loop.
  const Tensor copy = units.to(units.options().dtype(at::kFloat), /*non_blocking=*/false,
                               /*copy=*/true);
  loops[place(slot.loop)] = part == 0 ? turner_.back(copy, first) : copy;
}

Tensor CrossLoopPass::take(int64_t layer, size_t part) {
  std::vector<Tensor> loops;
  std::swap(loops, tokens_[place(layer)][part]);
  if (loops.empty()) return {};
  loops.resize(place(loops_), loops.back());
  return at::cat(loops, 3);
}

CrossLoopCoder::CrossLoopCoder(const ModelConfig& config, const CrossLoopBasis& basis,
                               at::Device device)
    : shape_(config),
      rank_(basis.rank),
      groups_(place(shape_.units), basis.rank),
      pass_(config, basis.loops, device) {
  for (const auto& layer : basis.layers) {
    auto& to = basis_.emplace_back();
    for (const size_t part : cross_loop_parts(config)) to[part] = layer[part].to(device);
  }
}

Tensor CrossLoopCoder::join(const CacheSlot& slot, size_t part, const Tensor& coordinates,
                            const Tensor& fresh) {
  const int64_t past = coordinates.size(1);
  pass_.add(slot, part, fresh, past);
  if (past == 0) return fresh;
  const Tensor rows = basis_[place(slot.layer)][part].narrow(1, slot.loop * shape_.width,
                                                             shape_.width);  // [U,W,R]
  const Tensor parts = coordinates.unflatten(2, {shape_.units, rank_});
  Tensor before = at::einsum("bpur,uwr->bpuw", {parts, rows});
  if (part == 0) before = pass_.turner().forth(before, 0);
  std::vector<int64_t> sizes = fresh.sizes().vec();
  sizes[1] = past;
  return at::cat({before.reshape(sizes).to(fresh.scalar_type()), fresh}, 1);
}

Tensor CrossLoopCoder::coordinates(int64_t layer, size_t part) {
  const Tensor tokens = pass_.take(layer, part);
  if (!tokens.defined()) return {};
  return at::einsum("bsun,unr->bsur", {tokens, basis_[place(layer)][part]}).flatten(2);
}

CrossLoopFit::CrossLoopFit(const ModelConfig& config, int64_t loops, at::Device device)
    : loops_(loops), pass_(config, loops, device), moments_(place(config.core_layers)) {
  const CrossLoopShape shape(config);
  const int64_t width = loops * shape.width;
  const auto fp64 = at::TensorOptions().dtype(at::kDouble).device(device);
  for (auto& layer : moments_) {
    for (const size_t part : cross_loop_parts(config)) {
      layer[part] = at::zeros({shape.units, width, width}, fp64);
    }
  }
}

double CrossLoopFit::most_bytes(const ModelConfig& config, int64_t loops, int64_t rank,
                                int64_t pass_tokens) {
  const CrossLoopShape shape(config);
  const auto parts = static_cast<double>(cross_loop_parts(config).size());
  const double all = parts * static_cast<double>(config.core_layers);  // of all layers
  const double width = static_cast<double>(loops) * static_cast<double>(shape.width);
  const double rows = width * static_cast<double>(shape.units);
  const auto tokens = static_cast<double>(pass_tokens), columns = static_cast<double>(rank);
  // Keys and values of a pass in fp32, and those of one layer in fp64.
  const double pass = tokens * rows * (4 * all + 8);
  // Bases in fp32 and all vectors in fp64, beside what LAPACK needs for one unit, or those of the
  // basis in order and turned.
  const double solved =
      4 * (all - 1) * rows * columns +
      8 * (rows * width + std::max(2 * width * width, (2 * rows + columns) * columns));
  return 8 * all * rows * width + std::max(pass, solved);
}

std::pair<Tensor, Tensor> CrossLoopFit::append(const CacheSlot& slot, const Tensor& a,
                                               const Tensor& b, const Tensor&) {
  if (slot.section == Section::core) {
    pass_.add(slot, 0, a, 0);
    if (b.defined()) pass_.add(slot, 1, b, 0);
  }
  return {a, b};
}

void CrossLoopFit::advance(int64_t) {
  for (size_t layer = 0; layer < moments_.size(); ++layer) {
    for (size_t part = 0; part < 2; ++part) {
      const Tensor tokens = pass_.take(static_cast<int64_t>(layer), part);
      if (!tokens.defined()) continue;
      const Tensor x = tokens.flatten(0, 1).transpose(0, 1).to(at::kDouble);  // [U,B·S,T·W]
      moments_[layer][part].baddbmm_(x.transpose(1, 2), x);
    }
  }
}

CrossLoopFit::Result CrossLoopFit::fit(int64_t rank) const {
  Result result;
  result.basis.loops = loops_;
  result.basis.rank = rank;
  const at::Device device = moments_.front()[0].device();
  for (const auto& layer : moments_) {
    auto& basis = result.basis.layers.emplace_back();
    auto& kept = result.kept.emplace_back();
    for (size_t part = 0; part < 2; ++part) {
      const Tensor moments = layer[part];
      if (!moments.defined()) continue;
      if (!moments.isfinite().all().item<bool>()) {
        fail(ErrorKind::data, "keys or values of the core are not finite numbers.",
             "Look at the model: mythos stability-check RUN");
      }
      const auto [squares, vectors] = at::linalg_eigh(moments);  // ascending
      const Tensor energy = squares.clamp_min(0);
      const int64_t first = energy.size(1) - rank;
      const double all = energy.sum().item<double>();
      kept[part] = all > 0 ? energy.narrow(1, first, rank).sum().item<double>() / all : 1;
      const Tensor turned =
          at::matmul(vectors.narrow(2, first, rank).flip(2), cosines(rank, device));
      basis[part] = turned.to(at::kCPU, at::kFloat).contiguous();
    }
  }
  return result;
}

}  // namespace mythos
