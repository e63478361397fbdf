#include "data/sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"
#include "data/sample/mixture.h"
#include "data/sample/sequences.h"

namespace mythos {
namespace {

using nlohmann::json;
using Split = ShardDirectory::Split;

// A checksum that tells two data sets of equal size apart.
std::string data_checksum(const ShardDirectory& data, Split split) {
  const ShardManifest& manifest = data.manifest();
  std::string all;
  for (const ShardFileInfo& file : (split == Split::train ? manifest.train : manifest.val).files) {
    all += file.checksum + file.mask.checksum;
  }
  return checksum(all);
}

std::vector<double> shares(const std::vector<DataSource>& sources) {
  double sum = 0;
  for (const DataSource& source : sources) {
    if (!(source.weight > 0) || !std::isfinite(source.weight)) {
      fail(ErrorKind::usage, strprintf("%s: weight %g; a weight is a number above 0",
                                       source.shards->path(), source.weight));
    }
    sum += source.weight;
  }
  std::vector<double> shares;
  for (const DataSource& source : sources) shares.push_back(source.weight / sum);
  return shares;
}

std::unique_ptr<SequenceOrder> make_order(const DataSource& source, Split split,
                                          const Sampler::Options& options) {
  return options.packing == Packing::contiguous ? contiguous_order(*source.shards, split, options)
                                                : best_fit_order(*source.shards, split, options);
}

Batch make_batch(int64_t batch_size, int64_t seq_len, bool document_begins) {
  const auto size = static_cast<size_t>(batch_size * seq_len);
  return {std::vector<int64_t>(size, 0), std::vector<int64_t>(size, -1),
          std::vector<int32_t>(document_begins ? size : 0, 0), batch_size, seq_len};
}

SequenceRow row_of(Batch& batch, int64_t row) {
  const auto begin = static_cast<size_t>(row * batch.seq_len);
  const auto part = [&](auto& values) {
    return values.empty() ? std::span(values)
                          : std::span(values).subspan(begin, static_cast<size_t>(batch.seq_len));
  };
  return {part(batch.inputs), part(batch.targets), part(batch.document_begins)};
}

// The name of the packing. With best fit it includes the mask, which decides what fits into a
// sequence.
std::string packing_name(const Sampler::Options& options) {
  const std::string name(enum_name(options.packing));
  return options.packing == Packing::best_fit && options.document_begins ? name + "-masked" : name;
}

bool is_count(const json& value) {
  return value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0);
}

// Rewrites a cursor from before there were several sources in today's form.
json modern(const json& cursor) {
  if (!cursor.is_object() || !cursor.contains("windows")) return cursor;
  const auto number = [&](const char* key) {
    const json value = cursor.value(key, json());
    return is_count(value) ? value.get<uint64_t>() : 0;
  };
  const uint64_t windows = number("windows");
  const auto length = static_cast<int64_t>(std::clamp<uint64_t>(number("seq_len"), 1, 1 << 30));
  const uint64_t per_epoch = std::max<uint64_t>(1, count_windows(number("tokens"), length));
  json source = {{"data", cursor.value("data", json())},
                 {"tokens", cursor.value("tokens", json())},
                 {"weight", 1.0},
                 {"sequences", cursor["windows"]},
                 {"epoch", windows / per_epoch},
                 {"group", uint64_t{0}},
                 {"index", windows % per_epoch}};
  return {{"sequences", cursor["windows"]},
          {"seed", cursor.value("seed", json())},
          {"seq_len", cursor.value("seq_len", json())},
          {"packing", "contiguous"},
          {"shuffle", true},
          {"sources", json::array({std::move(source)})}};
}

}  // namespace

void require_one_tokenizer(const std::vector<DataSource>& sources) {
  const ShardDirectory& first = *sources.at(0).shards;
  for (const DataSource& source : sources) {
    const ShardDirectory& other = *source.shards;
    if (other.manifest().tokenizer_fingerprint == first.manifest().tokenizer_fingerprint) continue;
    fail(ErrorKind::data,
         strprintf("mixed tokenizers in one --data list: %s was made with tokenizer %s, %s with "
                   "%s.",
                   first.path(), first.manifest().tokenizer_fingerprint, other.path(),
                   other.manifest().tokenizer_fingerprint),
         "Make all with one: mythos tokenize --tokenizer TOK --output DIR FILE");
  }
}

struct Sampler::State {
  std::vector<DataSource> sources;
  Split split;
  Options options;
  Mixture mixture;
  std::vector<std::unique_ptr<SequenceOrder>> orders;

  json source_identity(size_t i) const {
    return {{"data", data_checksum(*sources[i].shards, split)},
            {"tokens", sources[i].shards->tokens(split)},
            {"weight", mixture.shares()[i]}};
  }
  // Everything but the sources that the order depends on.
  json identity() const {
    return {{"seed", options.seed},
            {"seq_len", options.seq_len},
            {"packing", packing_name(options)},
            {"shuffle", options.shuffle}};
  }
  [[noreturn]] void refuse(size_t source, const std::string& what,
                           ErrorKind kind = ErrorKind::data) const {
    fail(kind,
         sources[source].shards->path().string() +
             ": the saved place in the data does not fit: " + what + ".",
         "Resume with the data and settings that the run was started with.");
  }
  void require_equal(size_t source, const json& mine, const json& saved) const;
  uint64_t number(size_t source, const json& saved, const char* key) const;
};

Sampler::Sampler(std::vector<DataSource> sources, Split split, const Options& options) {
  if (sources.empty() || options.batch_size < 1 || options.seq_len < 1 || options.world < 1 ||
      options.rank < 0 || options.rank >= options.world) {
    fail(ErrorKind::internal, "Sampler: no source, or batch, sequence, rank or world out of range");
  }
  require_one_tokenizer(sources);
  for (const DataSource& source : sources) source.shards->require_counted(split);
  Mixture mixture(shares(sources));
  state_.reset(new State{std::move(sources), split, options, std::move(mixture), {}});
  for (size_t i = 0; i < state_->sources.size(); ++i) {
    Options own = options;
    if (i > 0) own.seed = Rng(options.seed, i).next();
    state_->orders.push_back(make_order(state_->sources[i], split, own));
  }
}

Sampler::~Sampler() = default;
Sampler::Sampler(Sampler&&) noexcept = default;
Sampler& Sampler::operator=(Sampler&&) noexcept = default;

Batch Sampler::next() {
  State& s = *state_;
  Batch batch = make_batch(s.options.batch_size, s.options.seq_len, s.options.document_begins);
  for (int64_t i = 0; i < s.options.batch_size * s.options.world; ++i) {
    const size_t source = s.mixture.next();
    SequenceOrder& order = *s.orders[source];
    if (i % s.options.world == s.options.rank) order.read(row_of(batch, i / s.options.world));
    order.advance();
    s.mixture.take(source);
  }
  return batch;
}

json Sampler::cursor() const {
  const State& s = *state_;
  json cursor = s.identity();
  cursor["sequences"] = s.mixture.turns();
  for (size_t i = 0; i < s.sources.size(); ++i) {
    json source = s.source_identity(i);
    const SequenceId next = s.orders[i]->current();
    source["sequences"] = s.mixture.taken()[i];
    source["epoch"] = next.epoch;
    source["group"] = next.group;
    source["index"] = next.index;
    cursor["sources"].push_back(std::move(source));
  }
  return cursor;
}

void Sampler::State::require_equal(size_t source, const json& mine, const json& saved) const {
  for (const auto& [key, value] : mine.items()) {
    const json was = saved.value(key, json());
    if (was == value) continue;
    // The contents of the data cannot be chosen by an option, unlike everything else.
    const bool contents = key == "data" || key == "tokens" || was.is_null();
    refuse(source, "'" + key + "' was " + was.dump() + " and is " + value.dump(),
           contents ? ErrorKind::data : ErrorKind::usage);
  }
}

uint64_t Sampler::State::number(size_t source, const json& saved, const char* key) const {
  const json value = saved.value(key, json());
  if (!is_count(value)) refuse(source, std::string("it has no count '") + key + "'");
  return value.get<uint64_t>();
}

void Sampler::restore(const json& cursor) {
  State& s = *state_;
  const json saved = modern(cursor);
  if (!saved.is_object()) s.refuse(0, "it is not an object");
  s.require_equal(0, s.identity(), saved);
  const json parts = saved.value("sources", json());
  if (!parts.is_array()) s.refuse(0, "it has no 'sources'");
  if (parts.size() != s.sources.size()) {
    s.refuse(0,
             strprintf("the run was started with %u sources of data, not %u", parts.size(),
                       s.sources.size()),
             ErrorKind::usage);
  }
  std::vector<uint64_t> taken;
  uint64_t sum = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].is_object()) s.refuse(i, "its source is not an object");
    s.require_equal(i, s.source_identity(i), parts[i]);
    const SequenceId id = {s.number(i, parts[i], "epoch"), s.number(i, parts[i], "group"),
                           s.number(i, parts[i], "index")};
    if (!s.orders[i]->seek(id)) s.refuse(i, "there is no such place as " + parts[i].dump());
    sum += taken.emplace_back(s.number(i, parts[i], "sequences"));
  }
  if (s.number(0, saved, "sequences") != sum) {
    s.refuse(0, "its counts of sequences contradict each other");
  }
  s.mixture.restore(std::move(taken));
}

double Sampler::epoch() const {
  double most = 0;
  for (const auto& order : state_->orders) most = std::max(most, order->epoch());
  return most;
}

Batch sequential_batch(const ShardDirectory& data, Split split, uint64_t first_window,
                       int64_t batch_size, int64_t seq_len, int64_t stride, bool document_begins) {
  const auto length = static_cast<uint64_t>(seq_len);
  const uint64_t step = stride > 0 ? static_cast<uint64_t>(stride) : length;
  const uint64_t tokens = data.tokens(split);
  const uint64_t windows = count_windows(tokens, seq_len, stride);
  if (first_window >= windows) return {{}, {}, {}, 0, seq_len};
  const auto rows = static_cast<int64_t>(
      std::min<uint64_t>(static_cast<uint64_t>(batch_size), windows - first_window));
  Batch batch = make_batch(rows, seq_len, document_begins);
  std::vector<uint32_t> buffer;
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t window = first_window + static_cast<uint64_t>(row);
    const uint64_t first = window * step, known = window == 0 ? 0 : length - step;
    buffer.resize(std::min(length + 1, tokens - first));
    data.read(split, first, buffer);
    const SequenceRow to = row_of(batch, row);
    std::copy(buffer.begin(), buffer.end() - 1, to.inputs.begin());
    std::copy(buffer.begin() + 1, buffer.end(), to.targets.begin());
    if (data.masked()) {
      const auto mask = std::span(buffer).first(buffer.size() - 1);
      data.read_mask(split, first + 1, mask);
      leave_out_uncounted(to.targets.first(mask.size()), mask);
    }
    std::fill_n(to.targets.begin(), known, -1);
    if (document_begins) write_document_begins(data, split, first, to.document_begins);
  }
  return batch;
}

}  // namespace mythos
