#pragma once
#include <utility>
#include <vector>

#include "infer/engine/engine.h"

namespace mythos {

inline Decoder::Options fp32() {
  Decoder::Options options;
  options.compute_type = ComputeType::fp32;
  return options;
}

// One text at a time, each computed without regard to the one before.
class Alone {
 public:
  // Both must outlive it. `loops` and `exits` are those of Request.
  Alone(const Model& model, const Tokenizer& tokenizer, const Decoder::Options& options = fp32(),
        int64_t loops = 0, bool exits = false)
      : decoder_(model, options), tokenizer_(tokenizer), loops_(loops), exits_(exits) {}

  Generation generate(std::vector<uint32_t> ids, const GenerateOptions& options,
                      std::function<void(std::string_view)> text = {}, StopToken stop = {}) {
    Engine engine(decoder_, tokenizer_, 1);
    return engine.complete(
        {std::move(ids), options, loops_, exits_, stop, std::move(text), {}, {}});
  }
  Decoder& decoder() { return decoder_; }
  void set_loops(int64_t loops, bool exits = false) {
    loops_ = loops;
    exits_ = exits;
  }

 private:
  Decoder decoder_;
  const Tokenizer& tokenizer_;
  int64_t loops_;
  bool exits_;
};

}  // namespace mythos
