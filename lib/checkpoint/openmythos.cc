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
  std::string name;  // the reference's
  std::vector<int64_t> shape;
};

// One native tensor as the reference's tensors put together. `groups` of 1: their rows one after
// the other. G: the rows of each piece are in G equal groups (heads), and those are interleaved.
// `columns`: their columns one after the other.
struct PackedTensor {
  std::string native;
  std::vector<int64_t> shape;
  std::vector<Piece> pieces;
  int64_t groups = 1;
  bool columns = false;
};

class Packer {
 public:
  explicit Packer(const ModelConfig& config) : c_(config) {}

  // Every native tensor in the order of parameter_specs. Fails (usage) at the first that the
  // reference has no counterpart of.
  std::vector<PackedTensor> pack_all() const {
    std::vector<PackedTensor> packings;
    for (const TensorDeclaration& spec : declared_tensors(c_)) packings.push_back(pack(spec));
    return packings;
  }

 private:
  PackedTensor pack(const TensorDeclaration& spec) const {
    PackedTensor packing{spec.name, spec.shape, {}};
    const std::string& name = spec.name;
    if (name.starts_with("prelude.") || name.starts_with("coda.")) {
      const size_t end = name.find('.', name.find('.') + 1) + 1;
      pack_layer(packing, name.substr(0, end), name.substr(end));
    } else if (name.starts_with("core.0.")) {
      pack_layer(packing, "recurrent.block.", name.substr(7));
    } else if (name.starts_with("recurrent.halt.")) {
      packing.pieces = {{"recurrent.act." + name.substr(10), spec.shape}};
    } else if (name == "embed.weight" || name == "norm.weight" || is_recurrent(name)) {
      packing.pieces = {{name, spec.shape}};
    } else {
      no_counterpart(name);
    }
    return packing;
  }

  bool is_recurrent(const std::string& name) const {
    if (name.starts_with("recurrent.injection.")) return c_.injection == Injection::lti;
    return name == "recurrent.norm.weight" || name.starts_with("recurrent.lora.");
  }

  [[noreturn]] void no_counterpart(const std::string& name) const {
    fail(ErrorKind::usage, "OpenMythos has no counterpart of tensor '" + name + "'.",
         "Only models with the reference's mechanisms fit its layout; "
         "use --format safetensors for others.");
  }

  void pack_layer(PackedTensor& packing, const std::string& prefix, const std::string& name) const {
    const auto add = [&](const std::string& piece, std::vector<int64_t> shape) {
      packing.pieces.push_back({prefix + piece, std::move(shape)});
    };
    const int64_t D = c_.dim, H = c_.n_heads;
    if (name == "attn_norm.weight" || name == "ffn_norm.weight" || name == "attn.wo.weight" ||
        name == "ffn.router.weight" || name == "ffn.router_bias" ||
        (c_.attention == Attention::mla &&
         (name == "attn.q_norm.weight" || name == "attn.kv_norm.weight" ||
          name == "attn.kv_up.weight"))) {
      add(name, packing.shape);
    } else if (name == "attn.qkv.weight") {
      add("attn.wq.weight", {H * c_.head_dim(), D});
      add("attn.wk.weight", {c_.n_kv_heads * c_.head_dim(), D});
      add("attn.wv.weight", {c_.n_kv_heads * c_.head_dim(), D});
    } else if (name == "attn.down.weight") {
      add("attn.q_down.weight", {c_.q_lora_rank, D});
      add("attn.kv_down.weight", {c_.kv_lora_rank + c_.qk_rope_head_dim, D});
    } else if (name == "attn.q_up.weight") {
      add("attn.q_up_nope.weight", {H * c_.qk_nope_head_dim, c_.q_lora_rank});
      add("attn.q_up_rope.weight", {H * c_.qk_rope_head_dim, c_.q_lora_rank});
      packing.groups = H;
    } else {
      pack_ffn(packing, prefix, name);
    }
  }

  void pack_ffn(PackedTensor& packing, const std::string& prefix, const std::string& name) const {
    const int64_t D = c_.dim, E = c_.n_experts, shared = c_.n_shared_experts;
    const auto add = [&](const std::string& part, int64_t rows, int64_t columns) {
      packing.pieces.push_back({prefix + "ffn." + part + ".weight", {rows, columns}});
    };
    const auto expert = [](const char* kind, int64_t i, const char* projection) {
      return strprintf("%s_experts.%lld.%s", kind, static_cast<long long>(i), projection);
    };
    // In the core of a dense model the names would be the same, but the reference's core is a MoE.
    const bool dense = prefix != "recurrent.block.";
    const int64_t F = c_.dense_ffn_dim(), Fe = c_.expert_dim;
    const int64_t Fs = c_.expert_dim * c_.n_experts_per_tok;
    if (dense && name == "ffn.gate_up.weight") {
      add("gate", F, D);
      add("up", F, D);
    } else if (dense && name == "ffn.down.weight") {
      add("down", D, F);
    } else if (name == "ffn.experts.gate_up") {
      for (int64_t e = 0; e < E; ++e) {
        add(expert("routed", e, "gate"), Fe, D);
        add(expert("routed", e, "up"), Fe, D);
      }
    } else if (name == "ffn.experts.down") {
      for (int64_t e = 0; e < E; ++e) add(expert("routed", e, "down"), D, Fe);
    } else if (name == "ffn.shared.gate_up.weight") {
      for (int64_t s = 0; s < shared; ++s) add(expert("shared", s, "gate"), Fs, D);
      for (int64_t s = 0; s < shared; ++s) add(expert("shared", s, "up"), Fs, D);
    } else if (name == "ffn.shared.down.weight") {
      for (int64_t s = 0; s < shared; ++s) add(expert("shared", s, "down"), D, Fs);
      packing.columns = true;
    } else {
      no_counterpart(packing.native);
    }
  }

  const ModelConfig& c_;
};

// A piece with the dimension along which pieces are joined in the middle: [outer, joined, inner].
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

// The reference's head is its embedding. A file with another head would silently become another
// model.
void check_head(const TensorMap& reference, const std::string& origin) {
  const auto head = reference.find("head.weight"), embed = reference.find("embed.weight");
  if (head == reference.end() || embed == reference.end()) return;
  // A value that is not a number is still the same value, and another fault.
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
  const std::vector<PackedTensor> packings = Packer(config).pack_all();
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
  for (const PackedTensor& packing : Packer(config).pack_all()) {
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
      // A copy of its own, so that nothing is written through a view of another tensor.
      reference[packing.pieces[i].name] =
          parts[i].clone(at::MemoryFormat::Contiguous).reshape(packing.pieces[i].shape);
    }
  }
  return reference;
}

}  // namespace mythos
