#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/stop.h"
#include "infer/engine/decoder.h"
#include "infer/engine/generation.h"

namespace mythos {

// Most loops that can be asked for: a bound against typing errors, far beyond any use.
constexpr int64_t kMaxLoops = 1 << 20;

// One text to generate.
struct Request {
  std::vector<uint32_t> ids;  // of the prompt
  GenerateOptions options;
  int64_t loops = 0;   // 0 means the model's max_loop_iters
  bool exits = false;  // the decoder's exit rule may end a token's loops earlier
  StopToken stop;      // ends this text where it is
  // Takes text as soon as it is certain.
  std::function<void(std::string_view)> text;
  // One of these two is called once, as the last of the request. A request that fails costs no
  // other its text.
  std::function<void(const Generation&)> done;
  std::function<void(const Error&)> failed;
  // The prompt goes on behind the text that ended last and keeps all of its cache that it begins
  // with, the tokens drawn included.
  bool continues = false;
};

struct EngineCounts {
  int64_t texts = 0, tokens = 0, failed = 0;
  int64_t prompt_tokens = 0;           // of prompts that are in their caches
  int64_t computed_prompt_tokens = 0;  // without those copied from another sequence's cache
  int64_t steps = 0, rows = 0;         // passes that continue texts, and tokens computed in them

  double mean_rows() const;  // of a step
};

// Fails (data) when the prompt is empty, a token is not in the vocabulary or is the latent token,
// or the tokens and the latent steps behind them exceed the context, stating both lengths.
void check_prompt(const ModelConfig& config, std::span<const uint32_t> ids,
                  int64_t latent_steps = 0);

// Generates any number of texts with one model. Texts take each step together, and one that ends
// makes room for the next request at once (continuous batching: Yu et al. 2022, "Orca"). A long
// prompt enters in pieces between the steps (chunked prefill: Agrawal et al. 2023, "Sarathi"), so
// that texts under way wait for one piece at most. A beginning that two prompts share is computed
// once and copied. A text has the same tokens whatever else is generated beside it. Between prompt
// and text come the decoder's latent_steps: passes whose input is the last hidden state of the
// position before (COCONUT; model/latent.h), at full depth.
class Engine {
 public:
  // Decoder and tokenizer must outlive it. At most `batch_size` texts share a step, itself at most
  // Decoder::kMaxRows. Fails (data) when the tokenizer has ids that the model lacks.
  Engine(Decoder& decoder, const Tokenizer& tokenizer, int64_t batch_size);
  ~Engine();

  // Takes a request, which waits for room. One that cannot be done (usage: its options, loops or
  // exits are not allowed; data: as check_prompt()) fails at once.
  void submit(Request request);
  // Ends the texts whose stop is requested, computes up to Decoder::Options::prefill_chunk tokens
  // of prompts and then a token of each text under way. False when no request is left. An Error, or
  // memory that runs out, while one request is computed is its own failure. Anything else that is
  // thrown ends the engine's use.
  bool step();
  // Submits a request and makes steps until it is done. Fails as the request does; its own `done`
  // and `failed` are not called.
  Generation complete(Request request);

  // Requests that are not done.
  int64_t requests() const;
  int64_t batch_size() const { return static_cast<int64_t>(batch_size_); }
  const EngineCounts& counts() const { return counts_; }
  Decoder& decoder() { return decoder_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  struct Sequence;
  using SequencePointer = std::unique_ptr<Sequence>;

  void end_stopped();
  void enter_prompts();
  void take_prefix(Sequence& sequence);
  int64_t shared_tokens(const Sequence& to, const Sequence& from) const;
  bool enter(Sequence& sequence, int64_t tokens);
  void reserve_next();
  std::span<float> next_logits(size_t row);
  void think();
  void decode();
  bool begin_text(Sequence& sequence, std::span<float> logits) const;
  bool advance(Sequence& sequence, std::span<float> logits) const;
  bool speculate(Sequence& sequence) const;
  // Does work on behalf of one sequence that says whether its text goes on. Where it does not, and
  // where the work fails, the sequence is given away and the pointer null.
  template <class Work>
  void on_behalf(SequencePointer& sequence, Work work);
  void finish(SequencePointer& sequence, Generation& result);
  void fail_request(SequencePointer& sequence, const Error& error);

  Decoder& decoder_;
  const Tokenizer& tokenizer_;
  size_t batch_size_;
  std::deque<SequencePointer> waiting_, entering_;  // for room; their prompts in turn
  std::vector<SequencePointer> active_;             // whose texts are under way
  // The sequence that ended last, for its cache, until the next cache is made: no more than
  // batch_size are held.
  SequencePointer ended_;
  std::vector<Decoder::Row> rows_;
  std::vector<float> logits_;  // [batch_size,V]
  EngineCounts counts_;
};

}  // namespace mythos
