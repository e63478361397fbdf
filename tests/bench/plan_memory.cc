// Plans the memory of training steps and measures it: a line of JSON for each micro-batch, number
// of loops and kind of recomputation of one preset, in one layout. Started as one rank of several
// by plan_memory.py.
//
//   plan_memory PRESET LAYOUT SEQ_LEN BATCH_SIZES LOOPS     BATCH_SIZES and LOOPS as 1,2,4
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "../small_data.h"
#include "../train/run_memory.h"
#include "dist/connect.h"

using namespace mythos;

namespace {

void print_row(const RunMemory& memory, const Config& config, int64_t ranks, int64_t loops) {
  const nlohmann::ordered_json row = {{"ranks", ranks},
                                      {"layout", enum_name(config.train.layout)},
                                      {"batch_size", config.train.batch_size / ranks},
                                      {"loops", loops},
                                      {"recompute", enum_name(config.train.recompute)},
                                      {"planned", memory.planned},
                                      {"measured", memory.measured},
                                      {"ratio", memory.ratio()}};
  std::printf("%s\n", row.dump().c_str());
  std::fflush(stdout);
}

void measure_all(char** arguments, Ranks& ranks) {
  const Scratch scratch;
  write_small_shards(scratch / "shards", 400);
  Config config = load_preset(arguments[0]);
  set_value(config, std::string("train.layout=") + arguments[1]);
  set_value(config, std::string("train.seq_len=") + arguments[2]);
  config.train.compute_type = ComputeType::fp32;
  config.train.grad_accum = 1;
  for (const int64_t batch_size : parse_int_list(arguments[3], "BATCH_SIZES")) {
    config.train.batch_size = batch_size * ranks.size();
    for (const int64_t loops : parse_int_list(arguments[4], "LOOPS")) {
      for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
        config.train.recompute = recompute;
        const RunMemory memory = run_memory(scratch.path(), config, loops, &ranks);
        if (ranks.rank() == 0) print_row(memory, config, ranks.size(), loops);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: plan_memory PRESET LAYOUT SEQ_LEN BATCH_SIZES LOOPS\n");
    return 2;
  }
  try {
    const auto ranks = connect(rank_place(), at::Device(at::kCPU));
    measure_all(argv + 1, *ranks);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "plan_memory: %s\n", error.what());
    return 1;
  }
  return 0;
}
