#pragma once
#include "base/timing.h"
#include "data/sample/data_list.h"
#include "data/sample/sampler.h"

namespace mythos {

struct DataBench {
  std::vector<DataEntry> data;  // the shards and the shares of their sequences
  ShardDirectory::Split split = ShardDirectory::Split::train;
  int64_t seq_len = 1024, batch_size = 8;
  uint64_t seed = 1;
  uint64_t tokens = 4'000'000;  // drawn for each sample, rounded up to whole batches
  int repeat = 5, warmup = 1;
};

// Does "mythos bench data": measures the time to open shards, the time to their first batch, and
// the time to draw batches for each packing, in stream order and shuffled, on this thread and
// prefetched by another.
BenchResult bench_data(const DataBench& options);

}  // namespace mythos
