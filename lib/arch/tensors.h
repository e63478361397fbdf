#pragma once
#include <type_traits>

#include "arch/attention.h"
#include "arch/feed_forward.h"
#include "arch/halting.h"
#include "arch/injection.h"
#include "arch/loop_adapter.h"

// The whole model as a tree of parts (arch/declaration.h).
namespace mythos {

// One transformer layer; `ffn` tells its kind of feed-forward.
template <class T, class M>
struct LayerTensors {
  T attn_norm, ffn_norm;          // [D]
  T attn_out_norm, ffn_out_norm;  // [D] sandwich
  LatentAttentionTensors<T, M> mla;
  GroupedAttentionTensors<T, M> gqa;
  DenseTensors<T, M> dense;
  MixtureTensors<T, M> moe;

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, FeedForward ffn, F&& f) {
    const auto attention = within(f, "attn.", "attention");
    const auto feed_forward = within(f, "ffn.", "feed-forward");
    const bool mixture = ffn == FeedForward::moe;
    const std::string ffn_part = mixture ? "router" : "feed-forward";
    f(self.attn_norm, {"attn_norm.weight", {c.dim}, Use::vector, Init::ones, "attention"});
    if (c.attention == Attention::mla) {
      LatentAttentionTensors<T, M>::visit(self.mla, c, attention);
    } else {
      GroupedAttentionTensors<T, M>::visit(self.gqa, c, attention);
    }
    const bool sandwich = c.norm_placement == NormPlacement::sandwich;
    if (sandwich) {
      f(self.attn_out_norm,
        {"attn_out_norm.weight", {c.dim}, Use::vector, Init::ones, "attention"});
    }
    f(self.ffn_norm, {"ffn_norm.weight", {c.dim}, Use::vector, Init::ones, ffn_part});
    if (mixture) {
      MixtureTensors<T, M>::visit(self.moe, c, feed_forward);
    } else {
      DenseTensors<T, M>::visit(self.dense, c.dim, c.dense_ffn_dim(), feed_forward);
    }
    if (sandwich) {
      f(self.ffn_out_norm, {"ffn_out_norm.weight", {c.dim}, Use::vector, Init::ones, ffn_part});
    }
  }
};

// The layers of a section, "prelude", "core" or "coda". A `layers` that is not const is first
// given `count` of them.
template <class T, class M, class Layers, class F>
void visit_section(Layers& layers, const std::string& section, int64_t count, const ModelConfig& c,
                   FeedForward ffn, F&& f) {
  if constexpr (!std::is_const_v<Layers>) layers.resize(static_cast<size_t>(count));
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string prefix = section + "." + std::to_string(i) + ".";
    LayerTensors<T, M>::visit(layers[i], c, ffn, [&](auto& member, TensorDeclaration d) {
      d.name = prefix + d.name;
      d.part = section + " " + d.part;
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
    visit_section<T, M>(self.layers, "core", c.core_layers, c, c.ffn, in_loop(f));
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
  T prelude_norm, norm;  // [D] of the injected input; of the output
  M head;                // [V,D]; visited unless it is the embedding

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    const auto norms = within(f, "", "norms");
    f(self.embed, {"embed.weight", {c.vocab_size, c.dim}, Use::lookup, Init::normal, "embedding"});
    visit_section<T, M>(self.prelude, "prelude", c.prelude_layers, c, FeedForward::dense, f);
    CoreTensors<T, M>::visit_layers(self.core, c, f);
    visit_section<T, M>(self.coda, "coda", c.coda_layers, c, FeedForward::dense, f);
    if (c.prelude_norm) {
      norms(self.prelude_norm, {"prelude_norm.weight", {c.dim}, Use::vector, Init::ones});
    }
    CoreTensors<T, M>::visit_rest(self.core, c, f);
    norms(self.norm, {"norm.weight", {c.dim}, Use::vector, Init::ones});
    if (!c.tied_head) {
      f(self.head, {"head.weight", {c.vocab_size, c.dim}, Use::head, Init::normal, "output head"});
    }
  }
};

// All stored tensors of a model, in the order of checkpoints. A tensor's place in this list is the
// stream of random numbers that its initial value comes from.
std::vector<TensorDeclaration> declared_tensors(const ModelConfig& config);

}  // namespace mythos
