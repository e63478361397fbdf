#include "checkpoint/openmythos.h"

#include <ATen/ATen.h>
#include <numeric>
#include <set>

#include "arch/tensors.h"
#include "base/error.h"
#include "base/strings.h"
#include "model/weights.h"

namespace mythos {
namespace {

struct Piece {
  std::string name;  // the reference's name
  std::vector<int64_t> shape;
};

// The tensors of the reference from which a native tensor is put together. With `groups` of 1 the
// pieces' rows stand one after the other; with G, the rows of each piece form G equal groups
// (heads), and these are interleaved. With `columns` the pieces' columns stand one after the other.
// A single piece without a shape is the tensor itself.
struct Pieces {
  std::vector<Piece> pieces;  // empty if the reference has no counterpart
  int64_t groups = 1;
  bool columns = false;
};

// A native tensor as a composition of the reference's tensors.
struct PackedTensor : Pieces {
  std::string native;
  std::vector<int64_t> shape;
};

using Layout = ModelTensors<Pieces, Pieces>;
using LayerLayout = LayerTensors<Pieces, Pieces>;

Pieces same(const std::string& name) {
  return {{{name, {}}}};
}

// Lays out the attention of a layer whose names begin with `p`.
void lay_out_attention(const ModelConfig& c, const std::string& p, LayerLayout& layer) {
  const int64_t D = c.dim, H = c.n_heads, query = c.q_lora_rank, rope = c.qk_rope_head_dim;
  auto& mla = layer.mla;
  mla.down = {
      {{p + "q_down.weight", {query, D}}, {p + "kv_down.weight", {c.kv_lora_rank + rope, D}}}};
  mla.q_norm = same(p + "q_norm.weight");
  mla.q_up = {{{p + "q_up_nope.weight", {H * c.qk_nope_head_dim, query}},
               {p + "q_up_rope.weight", {H * rope, query}}},
              H};
  mla.kv_norm = same(p + "kv_norm.weight");
  mla.kv_up = same(p + "kv_up.weight");
  mla.wo = same(p + "wo.weight");
  const int64_t keys = c.n_kv_heads * c.head_dim();
  layer.gqa.qkv = {{{p + "wq.weight", {H * c.head_dim(), D}},
                    {p + "wk.weight", {keys, D}},
                    {p + "wv.weight", {keys, D}}}};
  layer.gqa.wo = same(p + "wo.weight");
}

void lay_out_dense(const ModelConfig& c, const std::string& p, LayerLayout& layer) {
  const int64_t D = c.dim, F = c.dense_ffn_dim();
  layer.dense.gate_up = {{{p + "gate.weight", {F, D}}, {p + "up.weight", {F, D}}}};
  layer.dense.down = {{{p + "down.weight", {D, F}}}};
}

void lay_out_mixture(const ModelConfig& c, const std::string& p, LayerLayout& layer) {
  const int64_t D = c.dim, F = c.expert_dim, Fs = c.expert_dim * c.n_experts_per_tok;
  const auto add = [&](Pieces& to, const char* kind, int64_t expert, const char* projection,
                       std::vector<int64_t> shape) {
    const std::string name = p + kind + "_experts." + std::to_string(expert) + "." + projection;
    to.pieces.push_back({name + ".weight", std::move(shape)});
  };
  auto& moe = layer.moe;
  moe.router = same(p + "router.weight");
  moe.router_bias = same(p + "router_bias");
  for (int64_t e = 0; e < c.n_experts; ++e) {
    add(moe.gate_up, "routed", e, "gate", {F, D});
    add(moe.gate_up, "routed", e, "up", {F, D});
    add(moe.down, "routed", e, "down", {D, F});
  }
  for (const char* projection : {"gate", "up"}) {
    for (int64_t e = 0; e < c.n_shared_experts; ++e) {
      add(moe.shared.gate_up, "shared", e, projection, {Fs, D});
    }
  }
  for (int64_t e = 0; e < c.n_shared_experts; ++e) {
    add(moe.shared.down, "shared", e, "down", {D, Fs});
  }
  moe.shared.down.columns = true;
}

// Lays out a layer without its feed-forward.
LayerLayout lay_out_layer(const ModelConfig& c, const std::string& p) {
  LayerLayout layer;
  layer.attn_norm = same(p + "attn_norm.weight");
  layer.ffn_norm = same(p + "ffn_norm.weight");
  lay_out_attention(c, p + "attn.", layer);
  return layer;
}

// The reference's tensors for each native tensor. The reference has one core layer, a mixture of
// experts, an LTI injection and a tied head; it has no counterpart for tensors that are not named
// here.
Layout openmythos_layout(const ModelConfig& c) {
  Layout layout;
  layout.embed = same("embed.weight");
  layout.norm = same("norm.weight");
  const auto dense_layers = [&](const std::string& section, int64_t count) {
    std::vector<LayerLayout> layers;
    for (int64_t i = 0; i < count; ++i) {
      const std::string p = section + "." + std::to_string(i) + ".";
      layers.push_back(lay_out_layer(c, p));
      lay_out_dense(c, p + "ffn.", layers.back());
    }
    return layers;
  };
  layout.prelude = dense_layers("prelude", c.prelude_layers);
  layout.coda = dense_layers("coda", c.coda_layers);
  auto& core = layout.core;
  core.layers = {lay_out_layer(c, "recurrent.block.")};
  lay_out_mixture(c, "recurrent.block.ffn.", core.layers[0]);
  core.injection.norm = same("recurrent.norm.weight");
  core.injection.log_A = same("recurrent.injection.log_A");
  core.injection.log_dt = same("recurrent.injection.log_dt");
  core.injection.B = same("recurrent.injection.B");
  core.adapter.down = same("recurrent.lora.down.weight");
  core.adapter.scale = same("recurrent.lora.scale.weight");
  core.adapter.up = same("recurrent.lora.B");
  core.halting.weight = same("recurrent.act.halt.weight");
  core.halting.bias = same("recurrent.act.halt.bias");
  return layout;
}

// All native tensors in the order of their declarations. Fails (usage) at the first tensor for
// which the reference has no counterpart.
std::vector<PackedTensor> pack_all(const ModelConfig& config) {
  std::vector<PackedTensor> packed;
  Layout layout = openmythos_layout(config);
  Layout::visit(layout, config, [&](Pieces& from, const TensorDeclaration& native) {
    if (from.pieces.empty()) {
      fail(ErrorKind::usage, "OpenMythos has no counterpart of tensor '" + native.name + "'.",
           "Only models with the reference's mechanisms fit its layout; "
           "use --format safetensors for others.");
    }
    if (from.pieces[0].shape.empty()) from.pieces[0].shape = native.shape;
    packed.push_back({std::move(from), native.name, native.shape});
  });
  return packed;
}

// A piece in the shape [outer, joined, inner], where pieces are joined along the middle dimension.
at::Tensor joinable(const PackedTensor& packing, const Piece& piece, const at::Tensor& tensor) {
  if (packing.columns) return tensor.reshape({piece.shape[0], piece.shape[1], 1});
  return tensor.reshape({packing.groups, piece.shape[0] / packing.groups, -1});
}

void check_names(const std::set<std::string>& known, const TensorMap& reference,
                 const std::string& origin) {
  for (const auto& [name, tensor] : reference) {
    if (known.count(name) || name == "head.weight" || is_openmythos_table(name)) continue;
    fail(ErrorKind::data,
         origin + ": tensor '" + escaped(name) + "' does not belong to this configuration." +
             did_you_mean(name, std::vector<std::string>(known.begin(), known.end())));
  }
}

// Refuses a file whose head is not its embedding, as in the reference: it would silently become
// another model.
void check_head(const TensorMap& reference, const std::string& origin) {
  const auto head = reference.find("head.weight"), embed = reference.find("embed.weight");
  if (head == reference.end() || embed == reference.end()) return;
  // A NaN equals a NaN here, because values that are not finite are another fault.
  const auto same = [](const at::Tensor& a, const at::Tensor& b) {
    if (a.sizes() != b.sizes()) return false;
    return (a.scalar_type() == b.scalar_type() && at::equal(a, b)) ||
           at::allclose(a.to(at::kFloat), b.to(at::kFloat), 0, 0, /*equal_nan=*/true);
  };
  if (!same(head->second, embed->second)) {
    fail(ErrorKind::data, origin +
                              ": tensor 'head.weight' differs from 'embed.weight'; "
                              "the reference ties them.");
  }
}

const at::Tensor& find_piece(const TensorMap& reference, const Piece& piece,
                             const std::string& origin) {
  const auto found = reference.find(piece.name);
  if (found == reference.end()) {
    fail(ErrorKind::data, origin + ": tensor '" + piece.name + "' of shape " +
                              shape_text(piece.shape) + " is missing.");
  }
  if (found->second.sizes() != at::IntArrayRef(piece.shape)) {
    fail(ErrorKind::data, origin + ": tensor '" + piece.name + "' has shape " +
                              shape_text(found->second.sizes()) + "; this configuration expects " +
                              shape_text(piece.shape) + ".");
  }
  return found->second;
}

}  // namespace

bool is_openmythos_table(const std::string& name) {
  return name.starts_with("freqs_cis") || name.find(".freqs_cis") != std::string::npos;
}

TensorMap from_openmythos(const ModelConfig& config, const TensorMap& reference,
                          const std::string& origin) {
  const std::vector<PackedTensor> packings = pack_all(config);
  std::set<std::string> known;
  for (const PackedTensor& packing : packings) {
    for (const Piece& piece : packing.pieces) known.insert(piece.name);
  }
  check_names(known, reference, origin);
  check_head(reference, origin);
  TensorMap native;
  for (const PackedTensor& packing : packings) {
    std::vector<at::Tensor> parts;
    for (const Piece& piece : packing.pieces) {
      parts.push_back(joinable(packing, piece, find_piece(reference, piece, origin)));
    }
    native[packing.native] = at::cat(parts, 1).reshape(packing.shape);
  }
  return native;
}

TensorMap to_openmythos(const ModelConfig& config, const TensorMap& native) {
  TensorMap reference;
  for (const PackedTensor& packing : pack_all(config)) {
    const auto found = native.find(packing.native);
    if (found == native.end()) fail(ErrorKind::internal, "no tensor '" + packing.native + "'");
    std::vector<int64_t> sizes;
    for (const Piece& piece : packing.pieces) {
      sizes.push_back(packing.columns ? piece.shape[1] : piece.shape[0] / packing.groups);
    }
    const int64_t joined = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
    const int64_t outer = packing.columns ? packing.shape[0] : packing.groups;
    const auto parts = found->second.reshape({outer, joined, -1}).split_with_sizes(sizes, 1);
    for (size_t i = 0; i < parts.size(); ++i) {
      // The tensor gets memory of its own, so that nothing is written through a view of another
      // tensor.
      reference[packing.pieces[i].name] =
          parts[i].clone(at::MemoryFormat::Contiguous).reshape(packing.pieces[i].shape);
    }
  }
  return reference;
}

}  // namespace mythos
