#include "infer/engine/speculate.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"

namespace mythos {
namespace {

// Counters of the random numbers beside those of sample_token(), which are positions.
constexpr uint64_t kAccept = uint64_t{1} << 62, kRedraw = uint64_t{1} << 63;

double probability_of(uint32_t id, const std::vector<TokenProbability>& tokens) {
  const auto at =
      std::lower_bound(tokens.begin(), tokens.end(), id,
                       [](const TokenProbability& t, uint32_t id) { return t.id < id; });
  return at != tokens.end() && at->id == id ? at->probability : 0;
}

// max(0, full − draft), renormalised; `full` where nothing is left, which only rounding can do.
std::vector<TokenProbability> residual(const std::vector<TokenProbability>& full,
                                       const std::vector<TokenProbability>& draft) {
  std::vector<TokenProbability> left;
  double sum = 0;
  for (const TokenProbability& token : full) {
    const double more = token.probability - probability_of(token.id, draft);
    if (more <= 0) continue;
    left.push_back({token.id, more});
    sum += more;
  }
  if (left.empty()) return full;
  for (TokenProbability& token : left) token.probability /= sum;
  return left;
}

}  // namespace

double SpeculationCounts::acceptance_rate() const {
  return drafted > 0 ? static_cast<double>(accepted) / static_cast<double>(drafted) : 0;
}

double SpeculationCounts::tokens_per_verification() const {
  return verifications > 0
             ? static_cast<double>(accepted + verifications) / static_cast<double>(verifications)
             : 0;
}

uint32_t verified(uint32_t id, const std::vector<TokenProbability>& draft,
                  const std::vector<TokenProbability>& full, double accept_uniform,
                  double redraw_uniform) {
  if (accept_uniform * probability_of(id, draft) < probability_of(id, full)) return id;
  return pick(residual(full, draft), redraw_uniform);
}

void check_speculation(const Decoder& decoder, const SpeculationOptions& options, int64_t loops,
                       bool exits) {
  if (options.draft_loops >= loops) {
    fail(ErrorKind::usage, strprintf("draft-loops is %d; allowed: fewer than the %d loops that "
                                     "verify",
                                     options.draft_loops, loops));
  }
  if (options.draft_tokens < 1 || options.draft_tokens >= Decoder::kMaxRows) {
    fail(ErrorKind::usage, strprintf("draft-tokens is %d; allowed: 1 to %d", options.draft_tokens,
                                     Decoder::kMaxRows - 1));
  }
  if (exits) {
    fail(ErrorKind::usage,
         "drafts are verified at a fixed depth: give --draft-loops a number of "
         "--loops, not auto");
  }
  if (decoder.options().warm_start) {
    fail(ErrorKind::usage,
         "draft-loops does not go with warm-start, where a token starts from the last state of the "
         "token before: tokens that are verified together have none");
  }
  // With a shared slot a token verified beside others would see the last loop's keys of some.
  if (decoder.options().cache.sharing != CacheSharing::per_loop) {
    fail(ErrorKind::usage,
         "draft-loops needs keys and values of every loop: choose --cache-sharing per-loop");
  }
}

Speculator::Speculator(Decoder& decoder, KvCache& cache, const SpeculationOptions& options,
                       const SamplingOptions& sampling, uint64_t stream, int64_t drawable_tokens)
    : decoder_(decoder),
      cache_(cache),
      options_(options),
      sampling_(sampling),
      stream_(stream),
      drawable_(static_cast<size_t>(drawable_tokens)) {}

void Speculator::feed(std::span<const uint32_t> ids, int64_t loops) {
  const auto vocab = static_cast<size_t>(decoder_.config().vocab_size);
  rows_.clear();
  for (size_t i = 0; i < ids.size(); ++i) {
    rows_.push_back({&cache_, ids[i], loops, logits_.data() + i * vocab, 0, true});
  }
  decoder_.step(rows_);
  const int64_t latent = decoder_.config().latent_token;  // an input alone: no text holds it
  for (size_t i = 0; i < ids.size() && latent >= 0; ++i) {
    logits_[i * vocab + static_cast<size_t>(latent)] = -std::numeric_limits<float>::infinity();
  }
}

std::vector<TokenProbability> Speculator::distribution(std::span<const float> logits) const {
  return next_token_distribution(logits.first(drawable_), sampling_);
}

void Speculator::draft(uint32_t id, uint64_t position, int64_t count) {
  fed_.assign(1, id);
  drafts_.clear();
  const int64_t before = cache_.length();
  for (int64_t i = 0; i < count; ++i) {
    feed({&fed_.back(), 1}, options_.draft_loops);
    drafts_.push_back(distribution(logits_));
    // The random number of the plain path: the two draw the same where the depths agree.
    const double uniform =
        Rng(sampling_.seed, stream_, position + static_cast<uint64_t>(i)).uniform();
    fed_.push_back(pick(drafts_.back(), uniform));
  }
  cache_.truncate(before);
}

std::span<const uint32_t> Speculator::next(uint32_t id, uint64_t position, int64_t most) {
  const auto vocab = static_cast<size_t>(decoder_.config().vocab_size);
  const int64_t count = std::min(options_.draft_tokens, most - 1), before = cache_.length();
  logits_.resize(vocab * static_cast<size_t>(count + 1));
  draft(id, position, count);
  feed(fed_, 0);
  drawn_.clear();
  for (size_t i = 0; i < fed_.size(); ++i, ++position) {
    const auto full = distribution(std::span(logits_).subspan(i * vocab, vocab));
    if (i == drafts_.size()) {
      drawn_.push_back(pick(full, Rng(sampling_.seed, stream_, position).uniform()));
      break;
    }
    drawn_.push_back(verified(fed_[i + 1], drafts_[i], full,
                              Rng(sampling_.seed, stream_, position | kAccept).uniform(),
                              Rng(sampling_.seed, stream_, position | kRedraw).uniform()));
    if (drawn_.back() != fed_[i + 1]) break;
  }
  const auto kept = static_cast<int64_t>(drawn_.size());
  cache_.truncate(before + kept);
  ++counts_.verifications;
  counts_.drafted += count;
  counts_.accepted += kept - 1;
  return drawn_;
}

}  // namespace mythos
