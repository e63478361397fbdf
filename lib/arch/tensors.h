#pragma once
#include <array>
#include <type_traits>

#include "arch/attention.h"
#include "arch/feed_forward.h"
#include "arch/halting.h"
#include "arch/injection.h"
#include "arch/loop_adapter.h"

// The whole model as a tree of parts (arch/declaration.h).
namespace mythos {

// One transformer layer.
template <class T, class M>
struct LayerTensors {
  T attn_norm, ffn_norm;          // [D]
  T attn_out_norm, ffn_out_norm;  // [D] sandwich: of the sublayers' outputs; residual: of the sums
  LatentAttentionTensors<T, M> mla;
  GroupedAttentionTensors<T, M> gqa;
  M value_embed;  // [V, K·head_dim], a row for each token (Parcae)
  T value_gate;   // [K, value_gate_channels()]
  DenseTensors<T, M> dense;
  MixtureTensors<T, M> moe;

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, const LayerId& layer, F&& f) {
    const auto attention = within(f, "attn.", "attention");
    const auto feed_forward = within(f, "ffn.", "feed-forward");
    const bool mixture = feed_forward_of(c, layer.section) == FeedForward::moe;
    const std::string ffn_part = mixture ? "router" : "feed-forward";
    f(self.attn_norm, {"attn_norm.weight", {c.dim}, Use::vector, Init::ones, "attention"});
    if (c.attention == Attention::mla) {
      LatentAttentionTensors<T, M>::visit(self.mla, c, attention);
    } else {
      GroupedAttentionTensors<T, M>::visit(self.gqa, c, layer.section, attention);
    }
    if (has_value_embedding(c, layer)) {
      const int64_t keys = key_heads_of(c, layer.section);
      const auto values = within(f, "", "value embeddings");
      values(self.value_embed,
             {"value_embed.weight", {c.vocab_size, keys * c.head_dim()}, Use::table});
      values(self.value_gate,
             {"value_gate.weight", {keys, value_gate_channels(c)}, Use::fp32_product, Init::zeros});
    }
    const bool out_norms = c.norm_placement != NormPlacement::pre;
    if (out_norms) {
      f(self.attn_out_norm,
        {"attn_out_norm.weight", {c.dim}, Use::vector, Init::ones, "attention"});
    }
    f(self.ffn_norm, {"ffn_norm.weight", {c.dim}, Use::vector, Init::ones, ffn_part});
    if (mixture) {
      MixtureTensors<T, M>::visit(self.moe, c, feed_forward);
    } else {
      DenseTensors<T, M>::visit(self.dense, c.activation, c.dim, ffn_width_of(c, layer.section),
                                feed_forward);
    }
    if (out_norms) {
      f(self.ffn_out_norm, {"ffn_out_norm.weight", {c.dim}, Use::vector, Init::ones, ffn_part});
    }
  }
};

// The layers of a section. A `layers` that is not const is first given `count` of them.
template <class T, class M, class Layers, class F>
void visit_section(Layers& layers, Section section, int64_t count, const ModelConfig& c, F&& f) {
  constexpr std::array<const char*, 3> kNames = {"prelude", "core", "coda"};
  const std::string name = kNames[static_cast<size_t>(section)];
  if constexpr (!std::is_const_v<Layers>) layers.resize(static_cast<size_t>(count));
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string prefix = name + "." + std::to_string(i) + ".";
    const LayerId layer{section, static_cast<int64_t>(i)};
    LayerTensors<T, M>::visit(layers[i], c, layer, [&](auto& member, TensorDeclaration d) {
      d.name = prefix + d.name;
      d.part = name + " " + d.part;
      f(member, std::move(d));
    });
  }
}

// f for members that every loop reads.
template <class F>
auto in_loop(F& f) {
  return [&f](auto& member, TensorDeclaration declaration) {
    declaration.in_loop = true;
    f(member, std::move(declaration));
  };
}

// The recurrent core: all that a loop reads. In checkpoints the layers stand before the coda and
// the rest after it.
template <class T, class M>
struct CoreTensors {
  std::vector<LayerTensors<T, M>> layers;
  InjectionTensors<T, M> injection;
  LoopAdapterTensors<T, M> adapter;
  HaltingTensors<T, M> halting;

  template <class Self, class F>
  static void visit_layers(Self& self, const ModelConfig& c, F&& f) {
    visit_section<T, M>(self.layers, Section::core, c.core_layers, c, in_loop(f));
  }
  template <class Self, class F>
  static void visit_rest(Self& self, const ModelConfig& c, F&& f) {
    const auto looped = in_loop(f);
    InjectionTensors<T, M>::visit(self.injection, c, within(looped, "recurrent.", "injection"));
    LoopAdapterTensors<T, M>::visit(self.adapter, c,
                                    within(looped, "recurrent.lora.", "loop LoRA"));
    HaltingTensors<T, M>::visit(self.halting, c, within(looped, "recurrent.halt.", "halting"));
  }
  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    visit_layers(self, c, f);
    visit_rest(self, c, f);
  }
};

template <class T, class M>
struct ModelTensors {
  T embed;  // [V,D]
  std::vector<LayerTensors<T, M>> prelude, coda;
  CoreTensors<T, M> core;
  T prelude_norm, norm;  // [D] of the injected input; of what model.final_norm says
  T readout;             // [D,D] of the last state
  M head;                // [V,D]; visited unless it is the embedding

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    const auto norms = within(f, "", "norms");
    f(self.embed, {"embed.weight", {c.vocab_size, c.dim}, Use::lookup, Init::normal, "embedding"});
    visit_section<T, M>(self.prelude, Section::prelude, c.prelude_layers, c, f);
    CoreTensors<T, M>::visit_layers(self.core, c, f);
    visit_section<T, M>(self.coda, Section::coda, c.coda_layers, c, f);
    if (c.prelude_norm) {
      norms(self.prelude_norm, {"prelude_norm.weight", {c.dim}, Use::vector, Init::ones});
    }
    CoreTensors<T, M>::visit_rest(self.core, c, f);
    if (c.readout) {
      f(self.readout,
        {"readout.weight", {c.dim, c.dim}, Use::exact_product, Init::identity_tail, "read-out"});
    }
    norms(self.norm, {"norm.weight", {c.dim}, Use::vector, Init::ones});
    if (!c.tied_head) {
      f(self.head, {"head.weight", {c.vocab_size, c.dim}, Use::head, Init::normal, "output head"});
    }
  }
};

// All stored tensors of a model, in the order of checkpoints. A tensor's place in this list is the
// stream of random numbers that its initial value comes from.
std::vector<TensorDeclaration> declared_tensors(const ModelConfig& config);
// The declarations that are trained.
std::vector<TensorDeclaration> declared_trained(const ModelConfig& config);

}  // namespace mythos
