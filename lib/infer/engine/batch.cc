#include "infer/engine/batch.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/strings.h"
#include "infer/engine/session.h"

namespace mythos {

struct BatchGenerator::Sequence {
  BatchRequest request;
  Continuation text;
  std::unique_ptr<KvCache> cache;
  uint32_t last = 0;  // drawn, and not fed yet
  Clock::time_point start;
};

double BatchCounts::mean_rows() const {
  return steps > 0 ? static_cast<double>(rows) / static_cast<double>(steps) : 0;
}

BatchGenerator::BatchGenerator(Decoder& decoder, const Tokenizer& tokenizer, int64_t batch_size,
                               Source source, Sink sink, Refuse refuse)
    : decoder_(decoder),
      tokenizer_(tokenizer),
      batch_size_(static_cast<size_t>(batch_size)),
      source_(std::move(source)),
      sink_(std::move(sink)),
      refuse_(std::move(refuse)),
      logits_(batch_size_ * static_cast<size_t>(decoder.config().vocab_size)) {
  if (batch_size < 1 || batch_size > Decoder::kMaxRows) {
    fail(ErrorKind::usage,
         strprintf("batch-size is %d; allowed: 1 to %d", batch_size, Decoder::kMaxRows));
  }
  check_tokenizer(tokenizer, decoder.config().vocab_size);
}

BatchGenerator::~BatchGenerator() = default;

void BatchGenerator::run(const std::function<bool()>& cancelled) {
  while (true) {
    admit(cancelled);
    if (!active_.empty()) {
      step();
    } else if (!open_) {
      break;
    }
  }
  if (fault_) std::rethrow_exception(fault_);
}

// At most as many requests as share a step, so that texts go on beside any number that are refused.
void BatchGenerator::admit(const std::function<bool()>& cancelled) {
  for (size_t i = 0; open_ && i < batch_size_ && active_.size() < batch_size_; ++i) {
    BatchRequest request;
    try {
      const Arrival arrival =
          cancelled && cancelled() ? Arrival::ended : source_(request, active_.empty());
      if (arrival == Arrival::not_yet) return;
      open_ = arrival == Arrival::here;
      if (!open_) return;
    } catch (const Error&) {
      note_fault();
      return;
    }
    try {
      if (request.fault) throw *request.fault;
      if (auto sequence = start(request, cancelled)) active_.push_back(std::move(sequence));
    } catch (const Error& error) {
      refuse(request, error);
    }
  }
}

// Called where an Error is caught.
void BatchGenerator::note_fault() {
  open_ = false;
  if (!fault_) fault_ = std::current_exception();
}

// Called where `error` is caught.
void BatchGenerator::refuse(const BatchRequest& request, const Error& error) {
  if (error.kind() != ErrorKind::usage && error.kind() != ErrorKind::data) {
    note_fault();
    return;
  }
  ++counts_.refused;
  refuse_(request, error);
}

// Computes the prompt and draws the first token. Null when the text ends with that already, or when
// it was cancelled.
std::unique_ptr<BatchGenerator::Sequence> BatchGenerator::start(
    BatchRequest& request, const std::function<bool()>& cancelled) {
  const ModelConfig& config = decoder_.config();
  if (request.loops == 0) request.loops = config.max_loop_iters;
  if (cancelled) request.options.cancelled = cancelled;
  check_exits(decoder_, request.exits);
  const auto start = Clock::now();
  const std::vector<uint32_t> ids =
      prompt_ids(tokenizer_, request.prompt, request.options.documents);
  check_tokens(config, 0, ids);
  const auto count = static_cast<int64_t>(ids.size());
  auto sequence = std::make_unique<Sequence>(Sequence{
      {}, Continuation(tokenizer_, request.options, count, config.max_seq_len), {}, 0, {}});
  const std::span<float> logits = std::span(logits_).first(static_cast<size_t>(config.vocab_size));
  try {
    sequence->cache = make_sequence_cache(decoder_, request.loops, count);
    if (!decoder_.prefill(*sequence->cache, ids, logits.data(), cancelled)) return nullptr;
  } catch (const std::exception& error) {
    // What one request asks for must not cost the others.
    const std::string fault = memory_fault(error);
    if (fault.empty()) throw;
    fail(ErrorKind::data,
         strprintf("%s for a prompt of %d tokens at %d loops", fault, count, request.loops));
  }
  Generation& out = sequence->text.result();
  out.prefill_seconds = seconds_since(start);
  out.loops = request.loops;
  out.exits = request.exits;
  out.cache_bytes_per_token = sequence->cache->bytes_per_token();
  sequence->request = request;
  sequence->start = Clock::now();
  counts_.prompt_tokens += count;
  advance(sequence, logits);
  return sequence;
}

void BatchGenerator::step() {
  const auto vocab = static_cast<size_t>(decoder_.config().vocab_size);
  rows_.clear();
  for (const auto& sequence : active_) {
    float* to = logits_.data() + rows_.size() * vocab;
    rows_.push_back({sequence->cache.get(), sequence->last, 0, to, 0, !sequence->request.exits});
  }
  decoder_.step(rows_);
  ++counts_.steps;
  counts_.rows += static_cast<int64_t>(rows_.size());
  for (size_t i = 0; i < active_.size(); ++i) {
    active_[i]->text.result().loops_run += rows_[i].loops_run;
    try {
      advance(active_[i], std::span(logits_).subspan(i * vocab, vocab));
    } catch (const Error& error) {
      refuse(active_[i]->request, error);
      active_[i].reset();
    }
  }
  std::erase(active_, nullptr);
}

// Draws a token; a text that ends with it is given away.
void BatchGenerator::advance(std::unique_ptr<Sequence>& sequence, std::span<const float> logits) {
  sequence->last = sequence->text.sample(logits);
  if (!sequence->text.push(sequence->last)) finish(sequence);
}

void BatchGenerator::finish(std::unique_ptr<Sequence>& sequence) {
  Generation done = sequence->text.finish();
  done.decode_seconds = seconds_since(sequence->start);
  ++counts_.texts;
  counts_.tokens += static_cast<int64_t>(done.ids.size());
  sink_(sequence->request, done);
  sequence.reset();
}

}  // namespace mythos
