#pragma once
#include "base/timing.h"
#include "data/sample/data_list.h"
#include "data/sample/sampler.h"

namespace mythos {

struct DataBench {
  std::vector<DataEntry> data;  // shards; a weight is the share of a source's sequences
  ShardDirectory::Split split = ShardDirectory::Split::train;
  int64_t seq_len = 1024, batch_size = 8;
  uint64_t seed = 1;
  uint64_t tokens = 4'000'000;  // drawn for one sample, rounded up to whole batches
  int repeat = 5, warmup = 1;
};

// "mythos bench data": the times to open shards, to their first batch, and to draw batches, in
// stream order and shuffled, for each packing, on this thread and prefetched by another.
BenchResult bench_data(const DataBench& options);

}  // namespace mythos
