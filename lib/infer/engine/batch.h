#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "infer/engine/decoder.h"
#include "infer/engine/generation.h"
#include "infer/terminal/line_reader.h"

namespace mythos {

// One text to generate beside others.
struct BatchRequest {
  uint64_t number = 0;  // of those of the batch, from 0
  std::string prompt;
  GenerateOptions options;
  int64_t loops = 0;           // 0 means the model's max_loop_iters
  bool exits = false;          // at most that many: the decoder's exit rule applies
  std::optional<Error> fault;  // why there is nothing to generate: the source's to tell
};

struct BatchCounts {
  int64_t texts = 0, prompt_tokens = 0, tokens = 0;
  int64_t refused = 0;          // requests that got no text
  int64_t steps = 0, rows = 0;  // passes, and tokens computed in them

  double mean_rows() const;  // of a step
};

// Continuous batching (Yu et al. 2022, "Orca"): many texts take each step together, and one that
// ends makes room for the next prompt at once. Each gets the same tokens as if it were alone.
class BatchGenerator {
 public:
  // Gives the next request if there is one; with `wait` nothing else is left to do.
  using Source = std::function<Arrival(BatchRequest&, bool wait)>;
  using Sink = std::function<void(const BatchRequest&, const Generation&)>;
  // Told of a request that cannot be done: its own fault, or what is wrong with its prompt or
  // options.
  using Refuse = std::function<void(const BatchRequest&, const Error&)>;

  // Decoder and tokenizer must outlive it. At most `batch_size` texts share a step, itself at most
  // Decoder::kMaxRows. Fails (data) when the tokenizer has ids that the model lacks.
  BatchGenerator(Decoder& decoder, const Tokenizer& tokenizer, int64_t batch_size, Source source,
                 Sink sink, Refuse refuse);
  ~BatchGenerator();

  // Until the source has ended and all texts are done, or `cancelled` ends them where they are. A
  // request that fails by its own content (usage, data) is refused, and the others go on. A source
  // that fails, and any other fault, ends the source: what came before is finished, then this
  // fails.
  void run(const std::function<bool()>& cancelled = {});
  const BatchCounts& counts() const { return counts_; }

 private:
  struct Sequence;

  void admit(const std::function<bool()>& cancelled);
  std::unique_ptr<Sequence> start(BatchRequest& request, const std::function<bool()>& cancelled);
  void step();
  void advance(std::unique_ptr<Sequence>& sequence, std::span<const float> logits);
  void finish(std::unique_ptr<Sequence>& sequence);
  void note_fault();
  void refuse(const BatchRequest& request, const Error& error);

  Decoder& decoder_;
  const Tokenizer& tokenizer_;
  size_t batch_size_;
  Source source_;
  Sink sink_;
  Refuse refuse_;
  bool open_ = true;
  std::exception_ptr fault_;  // the first
  std::vector<std::unique_ptr<Sequence>> active_;
  std::vector<Decoder::Row> rows_;
  std::vector<float> logits_;  // [batch_size,V]
  BatchCounts counts_;
};

}  // namespace mythos
