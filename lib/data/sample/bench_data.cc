#include "data/sample/bench_data.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mythos {
namespace {

std::vector<ShardDirectory> open_all(const DataBench& options) {
  std::vector<ShardDirectory> shards;
  for (const DataEntry& entry : options.data) shards.emplace_back(entry.directory);
  return shards;
}

Sampler make_sampler(const std::vector<ShardDirectory>& shards, const DataBench& options,
                     Packing packing, bool shuffle) {
  std::vector<DataSource> sources;
  for (size_t i = 0; i < shards.size(); ++i) {
    const auto tokens = static_cast<double>(shards[i].tokens(options.split));
    sources.push_back({&shards[i], options.data[i].weight.value_or(std::max(1.0, tokens))});
  }
  Sampler::Options sampling;
  sampling.batch_size = options.batch_size;
  sampling.seq_len = options.seq_len;
  sampling.seed = options.seed;
  sampling.packing = packing;
  sampling.document_begins = packing == Packing::best_fit;
  sampling.shuffle = shuffle;
  return Sampler(std::move(sources), options.split, sampling);
}

uint64_t batches_of(const DataBench& options) {
  const auto batch_tokens = static_cast<uint64_t>(options.batch_size * options.seq_len);
  return (options.tokens + batch_tokens - 1) / batch_tokens;
}

// Times drawing from a source that has next(); each sample goes on where the last one stopped.
template <typename Source>
Measurement draw(const std::string& name, const DataBench& options, Source& source) {
  const uint64_t batches = batches_of(options);
  const auto tokens =
      static_cast<double>(batches * static_cast<uint64_t>(options.batch_size * options.seq_len));
  return {name,
          measure(options.warmup, options.repeat,
                  [&] {
                    for (uint64_t i = 0; i < batches; ++i) source.next();
                  }),
          {{"tokens", tokens}}};
}

}  // namespace

BenchResult bench_data(const DataBench& options) {
  const std::vector<ShardDirectory> shards = open_all(options);
  BenchResult result{"data", machine_facts(), {}};
  uint64_t tokens = 0, documents = 0;
  for (const ShardDirectory& directory : shards) {
    tokens += directory.tokens(options.split);
    documents += directory.documents(options.split);
  }
  result.facts["directories"] = options.data.size();
  result.facts["tokens"] = tokens;
  result.facts["documents"] = documents;
  result.facts["seq_len"] = options.seq_len;
  result.facts["batch_size"] = options.batch_size;
  result.facts["tokens_per_sample"] =
      batches_of(options) * static_cast<uint64_t>(options.batch_size * options.seq_len);
  std::vector<Measurement>& rows = result.measurements;
  rows.push_back({"open", measure(options.warmup, options.repeat, [&] { open_all(options); }), {}});
  for (const Packing packing : {Packing::contiguous, Packing::best_fit}) {
    const std::string suffix = packing == Packing::contiguous ? ", contiguous" : ", best-fit";
    const auto first_batch = [&] {
      const std::vector<ShardDirectory> opened = open_all(options);
      make_sampler(opened, options, packing, true).next();
    };
    rows.push_back(
        {"first batch" + suffix, measure(options.warmup, options.repeat, first_batch), {}});
    for (const bool shuffle : {false, true}) {
      const std::string name = (shuffle ? "shuffled" : "in order") + suffix;
      Sampler sampler = make_sampler(shards, options, packing, shuffle);
      rows.push_back(draw(name, options, sampler));
      Prefetcher prefetcher(make_sampler(shards, options, packing, shuffle));
      rows.push_back(draw(name + ", prefetched", options, prefetcher));
    }
  }
  result.facts["peak_memory_bytes"] = peak_memory_bytes();
  return result;
}

}  // namespace mythos
