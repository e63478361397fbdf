#include "infer/engine/engine.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "base/memory.h"
#include "base/strings.h"

namespace mythos {
namespace {

// A latent token is an input alone: no text holds it.
void forbid_latent(const ModelConfig& config, std::span<float> logits) {
  if (config.latent_token < 0) return;
  logits[static_cast<size_t>(config.latent_token)] = -std::numeric_limits<float>::infinity();
}

// Room for an answer before a cache has to grow.
constexpr int64_t kSpareTokens = 256;

}  // namespace

struct Engine::Sequence {
  Request request;
  Continuation text;
  int64_t prompt_tokens;
  std::unique_ptr<KvCache> cache = {};  // null until the prompt begins to enter
  std::vector<float> prompt_logits =
      {};                                // [V] behind the prompt; empty until all of it has entered
  std::vector<float> prompt_state = {};  // [D] at its last token, where latent thoughts follow it
  std::vector<float> thought = {};       // [D], the input of the next latent step
  int64_t latent_steps = 0;              // that are still to come
  std::optional<Speculator> speculator = {};
  uint32_t last = 0;  // drawn, and not fed yet
  Clock::time_point start = {};
  // [D], where the decoder's warm_start applies: what the token behind the prompt and what the
  // next token start from.
  std::vector<float> warm_prompt_state = {}, warm_state = {};

  std::vector<uint32_t> answer = {};  // drawn; known once the text has ended

  bool has_entered() const { return !prompt_logits.empty(); }
  int64_t entered_tokens() const { return cache ? std::min(cache->length(), prompt_tokens) : 0; }
  // Whether each position of the cache is a token of prompt and answer.
  bool text_is_cached() const { return cache && has_entered() && prompt_state.empty(); }
  // The tokens of prompt and answer that the cache of an ended text holds.
  int64_t known_tokens() const {
    return std::min(cache->length(), prompt_tokens + static_cast<int64_t>(answer.size()));
  }
  uint32_t known_token(int64_t place) const {
    return place < prompt_tokens ? request.ids[static_cast<size_t>(place)]
                                 : answer[static_cast<size_t>(place - prompt_tokens)];
  }
};

double EngineCounts::mean_rows() const {
  return steps > 0 ? static_cast<double>(rows) / static_cast<double>(steps) : 0;
}

void check_prompt(const ModelConfig& config, std::span<const uint32_t> ids, int64_t latent_steps) {
  if (ids.empty()) fail(ErrorKind::data, "the prompt has no tokens");
  const auto count = static_cast<int64_t>(ids.size());
  if (count > config.max_seq_len) {
    fail(ErrorKind::data,
         strprintf("the prompt has %s tokens, but the model's context holds %s (max_seq_len).",
                   with_commas(count), with_commas(config.max_seq_len)),
         strprintf("Shorten the prompt by %s tokens, or use a model with a longer max_seq_len",
                   with_commas(count - config.max_seq_len)));
  }
  if (count + latent_steps > config.max_seq_len) {
    fail(
        ErrorKind::data,
        strprintf("the prompt has %s tokens and %s latent steps follow it, but the model's context "
                  "holds %s (max_seq_len).",
                  with_commas(count), with_commas(latent_steps), with_commas(config.max_seq_len)),
        "Shorten the prompt, or ask for fewer --latent-steps");
  }
  for (const uint32_t id : ids) {
    if (config.latent_token == static_cast<int64_t>(id)) {
      fail(ErrorKind::data,
           strprintf("the prompt holds the latent token, id %u (model.latent_token).", id),
           "Latent thoughts follow a prompt: leave the token out and give --latent-steps N");
    }
    if (id >= config.vocab_size) {
      fail(ErrorKind::data, strprintf("token id %u is outside the model's vocabulary of %s tokens; "
                                      "is this the tokenizer it was trained with?",
                                      id, with_commas(config.vocab_size)));
    }
  }
}

Engine::Engine(Decoder& decoder, const Tokenizer& tokenizer, int64_t batch_size)
    : decoder_(decoder),
      tokenizer_(tokenizer),
      batch_size_(static_cast<size_t>(batch_size)),
      logits_(batch_size_ * static_cast<size_t>(decoder.config().vocab_size)) {
  if (batch_size < 1 || batch_size > Decoder::kMaxRows) {
    fail(ErrorKind::usage,
         strprintf("batch-size is %d; allowed: 1 to %d", batch_size, Decoder::kMaxRows));
  }
  check_tokenizer(tokenizer, decoder.config().vocab_size);
}

Engine::~Engine() = default;

int64_t Engine::requests() const {
  return static_cast<int64_t>(waiting_.size() + entering_.size() + active_.size());
}

void Engine::submit(Request request) {
  const ModelConfig& config = decoder_.config();
  if (request.loops == 0) request.loops = config.max_loop_iters;
  try {
    if (request.loops < 0 || request.loops > kMaxLoops) {
      fail(ErrorKind::usage, strprintf("loops is %d; allowed: 1 to %d", request.loops, kMaxLoops));
    }
    decoder_.check_loops(request.loops);
    request.options.validate();
    if (request.options.speculation.draft_loops > 0) {
      check_speculation(decoder_, request.options.speculation, request.loops, request.exits);
    }
    check_prompt(config, request.ids, decoder_.options().latent_steps);
  } catch (const Error& error) {
    ++counts_.failed;
    if (request.failed) request.failed(error);
    return;
  }
  const auto count = static_cast<int64_t>(request.ids.size());
  const int64_t latent_steps = decoder_.options().latent_steps;
  Continuation text(tokenizer_, request.options, count, config.max_seq_len - latent_steps,
                    request.text);
  text.result().loops = request.loops;
  text.result().exits = request.exits;
  text.result().latent_steps = latent_steps;
  waiting_.push_back(std::make_unique<Sequence>(Sequence{.request = std::move(request),
                                                         .text = std::move(text),
                                                         .prompt_tokens = count,
                                                         .latent_steps = latent_steps}));
}

Generation Engine::complete(Request request) {
  std::optional<Generation> result;
  std::optional<Error> failure;
  request.done = [&](const Generation& generation) { result = generation; };
  request.failed = [&](const Error& error) { failure = error; };
  submit(std::move(request));
  while (!result && !failure) step();
  if (failure) throw *failure;
  return std::move(*result);
}

bool Engine::step() {
  const c10::InferenceMode guard;
  end_stopped();
  while (!waiting_.empty() && entering_.size() + active_.size() < batch_size_) {
    entering_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  enter_prompts();
  think();
  decode();
  return requests() > 0;
}

template <class Work>
void Engine::on_behalf(SequencePointer& sequence, Work work) {
  std::optional<Generation> result;
  try {
    if (!work(*sequence)) result = sequence->text.finish();
  } catch (const Error& error) {
    // Without a lost process no request has a text.
    if (error.kind() == ErrorKind::resources && decoder_.options().experts) throw;
    return fail_request(sequence, error);
  } catch (const std::exception& error) {
    const std::string fault = memory_fault(error);
    if (fault.empty()) throw;
    const Sequence& of = *sequence;
    return fail_request(
        sequence, Error(ErrorKind::data, strprintf("%s for a prompt of %d tokens at %d loops",
                                                   fault, of.prompt_tokens, of.request.loops)));
  }
  if (result) finish(sequence, *result);
}

void Engine::end_stopped() {
  const auto end = [this](auto& sequences) {
    for (size_t i = 0; i < sequences.size(); ++i) {  // a sink may submit another request
      if (!sequences[i]->request.stop.stop_requested()) continue;
      on_behalf(sequences[i], [](Sequence& sequence) {
        sequence.text.interrupt();
        return false;
      });
    }
    std::erase(sequences, nullptr);
  };
  end(waiting_);
  end(entering_);
  end(active_);
}

// Prompts take turns, a chunk each. As results must not depend on how a prompt was cut, chunks
// begin at multiples of prefill_chunk in every prompt, and one that does not fit into what is left
// of this step waits for the next.
void Engine::enter_prompts() {
  int64_t left = decoder_.options().prefill_chunk;
  for (size_t turns = entering_.size(); turns > 0 && left > 0; --turns) {
    SequencePointer sequence = std::move(entering_.front());
    entering_.pop_front();
    bool waits = false;
    on_behalf(sequence, [&](Sequence& s) {
      take_prefix(s);
      const int64_t tokens =
          std::min(decoder_.options().prefill_chunk, s.prompt_tokens - s.entered_tokens());
      waits = tokens > left;
      if (waits) return true;
      left -= tokens;
      return enter(s, tokens);
    });
    if (waits) return entering_.push_front(std::move(sequence));
    if (sequence && sequence->has_entered()) {
      active_.push_back(std::move(sequence));
    } else if (sequence) {
      entering_.push_back(std::move(sequence));
    }
  }
}

// The tokens at the beginning of a prompt that another sequence has computed in the same way: whole
// chunks, or all of the prompt where the logits behind it are known too.
int64_t Engine::shared_tokens(const Sequence& to, const Sequence& from) const {
  if (from.request.loops != to.request.loops) return 0;
  if (to.request.continues && &from == ended_.get() && from.text_is_cached()) {
    const int64_t known = std::min(from.known_tokens(), to.prompt_tokens - 1);
    int64_t common = 0;
    while (common < known &&
           from.known_token(common) == to.request.ids[static_cast<size_t>(common)]) {
      ++common;
    }
    return common;
  }
  const auto end = from.request.ids.begin() + from.entered_tokens();
  const auto differ =
      std::mismatch(from.request.ids.begin(), end, to.request.ids.begin(), to.request.ids.end());
  const int64_t common = differ.first - from.request.ids.begin();
  const bool is_all = common == to.prompt_tokens && common == from.prompt_tokens;
  if (is_all && from.has_entered()) return common;
  const int64_t chunk = decoder_.options().prefill_chunk;
  return std::min(common, to.prompt_tokens - 1) / chunk * chunk;
}

// Gives a sequence a cache, and the beginning of its prompt from the sequence that shares most of
// it. This is asked before each chunk, so that of two prompts that enter together either takes what
// the other has computed.
void Engine::take_prefix(Sequence& to) {
  const auto start = Clock::now();
  Sequence* from = nullptr;
  int64_t most = to.entered_tokens();
  const auto consider = [&](const SequencePointer& other) {
    const int64_t shared = other ? shared_tokens(to, *other) : 0;
    if (shared <= most) return;
    most = shared;
    from = other.get();
  };
  std::for_each(active_.begin(), active_.end(), consider);
  std::for_each(entering_.begin(), entering_.end(), consider);
  consider(ended_);
  if (from && most == to.prompt_tokens) {
    to.prompt_logits = from->prompt_logits;
    to.prompt_state = from->prompt_state;
    to.warm_prompt_state = from->warm_prompt_state;
  }
  if (!to.cache) {
    if (from && from == ended_.get()) {
      to.cache = std::move(ended_->cache);
      to.cache->truncate(most);
      from = nullptr;
    }
    ended_.reset();
  }
  if (!to.cache) {
    const int64_t capacity =
        std::min(decoder_.config().max_seq_len, to.prompt_tokens + to.latent_steps + kSpareTokens);
    to.cache = decoder_.make_cache(to.request.loops, capacity);
  }
  if (from) to.cache->copy_prefix(*from->cache, most);
  to.text.result().cache_bytes_per_token = to.cache->bytes_per_token();
  to.text.result().prefill_seconds += seconds_since(start);
}

// Computes the next tokens of a prompt; behind the last one the text begins.
bool Engine::enter(Sequence& sequence, int64_t tokens) {
  Generation& out = sequence.text.result();
  if (tokens > 0) {
    const auto start = Clock::now();
    const int64_t before = sequence.cache->length();
    const bool is_last = before + tokens == sequence.prompt_tokens;
    const ModelConfig& config = decoder_.config();
    std::vector<float> logits(is_last ? static_cast<size_t>(config.vocab_size) : 0);
    const bool thinks = is_last && sequence.latent_steps > 0;
    const bool warms = is_last && decoder_.options().warm_start;
    sequence.prompt_state.resize(thinks ? static_cast<size_t>(config.dim) : 0);
    sequence.warm_prompt_state.resize(warms ? static_cast<size_t>(config.dim) : 0);
    decoder_.prefill(*sequence.cache,
                     std::span(sequence.request.ids)
                         .subspan(static_cast<size_t>(before), static_cast<size_t>(tokens)),
                     is_last ? logits.data() : nullptr,
                     thinks ? sequence.prompt_state.data() : nullptr,
                     warms ? sequence.warm_prompt_state.data() : nullptr);
    sequence.prompt_logits = std::move(logits);
    out.prefill_seconds += seconds_since(start);
    out.computed_prompt_tokens += tokens;
    counts_.computed_prompt_tokens += tokens;
    if (!is_last) return true;
  }
  counts_.prompt_tokens += sequence.prompt_tokens;
  sequence.thought = sequence.prompt_state;
  sequence.warm_state = sequence.warm_prompt_state;
  if (sequence.latent_steps > 0) return true;
  std::vector<float> logits = sequence.prompt_logits;
  return begin_text(sequence, logits);
}

// Draws the first token from the logits before it. False when the text ends with it.
bool Engine::begin_text(Sequence& sequence, std::span<float> logits) const {
  sequence.start = Clock::now();
  const Request& request = sequence.request;
  if (request.options.speculation.draft_loops > 0) {
    sequence.speculator.emplace(decoder_, *sequence.cache, request.options.speculation,
                                request.options.sampling, request.options.stream,
                                tokenizer_.vocab_size());
  }
  return advance(sequence, logits);
}

// Makes room for the next token of every text.
void Engine::reserve_next() {
  for (SequencePointer& sequence : active_) {
    on_behalf(sequence, [](Sequence& s) {
      s.cache->reserve(s.cache->length() + 1);
      return true;
    });
  }
  std::erase(active_, nullptr);
  rows_.clear();
}

// Where the logits of a row of this step go, [V].
std::span<float> Engine::next_logits(size_t row) {
  const auto vocab = static_cast<size_t>(decoder_.config().vocab_size);
  return std::span(logits_).subspan(row * vocab, vocab);
}

// One latent step of every text that has some to come; behind the last one the text begins.
void Engine::think() {
  const auto thinks = [](const SequencePointer& s) { return s->latent_steps > 0; };
  if (std::none_of(active_.begin(), active_.end(), thinks)) return;
  reserve_next();
  for (const SequencePointer& sequence : active_) {
    if (!thinks(sequence)) continue;
    float* logits = sequence->latent_steps == 1 ? next_logits(rows_.size()).data() : nullptr;
    float* thought = sequence->thought.data();
    rows_.push_back({sequence->cache.get(), 0, 0, logits, 0, true, thought, thought});
  }
  if (!rows_.empty()) decoder_.step(rows_);
  size_t row = 0;
  for (SequencePointer& sequence : active_) {
    if (!thinks(sequence)) continue;
    on_behalf(sequence, [&](Sequence& s) {
      const std::span<float> logits = next_logits(row++);
      return --s.latent_steps > 0 || begin_text(s, logits);
    });
  }
  std::erase(active_, nullptr);
}

void Engine::decode() {
  reserve_next();
  const auto draws = [](const Sequence& s) { return !s.speculator && s.latent_steps == 0; };
  for (const SequencePointer& sequence : active_) {
    if (!draws(*sequence)) continue;
    float* to = next_logits(rows_.size()).data();
    rows_.push_back({sequence->cache.get(), sequence->last, 0, to, 0, !sequence->request.exits});
    if (sequence->warm_state.empty()) continue;
    rows_.back().first_state = rows_.back().last_state = sequence->warm_state.data();
  }
  if (!rows_.empty()) {
    decoder_.step(rows_);
    ++counts_.steps;
    counts_.rows += static_cast<int64_t>(rows_.size());
  }
  size_t row = 0;
  for (SequencePointer& sequence : active_) {
    on_behalf(sequence, [&](Sequence& s) {
      if (s.speculator) return speculate(s);
      if (!draws(s)) return true;
      s.text.result().loops_run += rows_[row].loops_run;
      return advance(s, next_logits(row++));
    });
  }
  std::erase(active_, nullptr);
}

// Draws a token. False when the text ends with it.
bool Engine::advance(Sequence& sequence, std::span<float> logits) const {
  forbid_latent(decoder_.config(), logits);
  const GenerateOptions& options = sequence.request.options;
  if (options.confidence && options.speculation.draft_loops == 0) {
    sequence.text.result().confidence.add(logits);
  }
  sequence.last = sequence.text.sample(logits);
  return sequence.text.push(sequence.last);
}

// Draws the tokens of one verification. False when the text ends with one of them.
bool Engine::speculate(Sequence& sequence) const {
  Continuation& text = sequence.text;
  const auto tokens =
      sequence.speculator->next(sequence.last, static_cast<uint64_t>(text.length()), text.left());
  text.result().speculation = sequence.speculator->counts();
  for (const uint32_t id : tokens) {
    if (!text.push(id)) return false;
  }
  sequence.last = tokens.back();
  return true;
}

void Engine::finish(SequencePointer& sequence, Generation& result) {
  if (sequence->has_entered()) result.decode_seconds = seconds_since(sequence->start);
  ++counts_.texts;
  counts_.tokens += static_cast<int64_t>(result.ids.size());
  const auto done = std::move(sequence->request.done);
  sequence->speculator.reset();
  sequence->answer = result.ids;
  if (sequence->cache) ended_ = std::move(sequence);
  sequence.reset();
  if (done) done(result);
}

void Engine::fail_request(SequencePointer& sequence, const Error& error) {
  ++counts_.failed;
  const auto failed = std::move(sequence->request.failed);
  sequence.reset();
  if (failed) failed(error);
}

}  // namespace mythos
