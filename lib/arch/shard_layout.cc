#include "arch/shard_layout.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "arch/expert_share.h"
#include "arch/plan.h"
#include "arch/tensors.h"

namespace mythos {
namespace {

size_t least(const std::vector<int64_t>& loads) {
  return static_cast<size_t>(std::ranges::min_element(loads) - loads.begin());
}

// Gives each rank a run of the tensor's units, so many that all ranks have about equally much.
void place_units(const std::vector<ShardedTensor>& tensors, size_t i, std::vector<int64_t>& loads,
                 std::vector<ShardPiece>& pieces) {
  const ShardedTensor& tensor = tensors[i];
  std::vector<int64_t> taken(loads.size(), 0);
  std::vector<int64_t> after = loads;
  for (int64_t unit = 0; unit < tensor.numel / tensor.unit; ++unit) {
    const size_t rank = least(after);
    taken[rank] += tensor.unit;
    after[rank] += tensor.unit;
  }
  int64_t begin = 0;
  for (size_t rank = 0; rank < loads.size(); ++rank) {
    if (taken[rank] == 0) continue;
    pieces.push_back({i, begin, taken[rank], static_cast<int64_t>(rank), loads[rank]});
    begin += taken[rank];
  }
  loads = std::move(after);
}

// The place of a block in the forward pass: "", prelude, core or coda.
int section_place(const std::string& block) {
  if (block.empty()) return 0;
  return block.starts_with("prelude.") ? 1 : block == "core" ? 2 : 3;
}

}  // namespace

ShardLayout divide(const std::vector<ShardedTensor>& tensors, int64_t ranks) {
  std::vector<int64_t> loads(static_cast<size_t>(ranks), 0);
  std::vector<size_t> in_units;
  int64_t total = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    total += tensors[i].numel;
    if (tensors[i].unit > 1) in_units.push_back(i);
  }
  std::ranges::stable_sort(in_units,
                           [&](size_t a, size_t b) { return tensors[a].unit > tensors[b].unit; });
  ShardLayout layout;
  for (const size_t i : in_units) place_units(tensors, i, loads, layout.pieces);
  layout.share = std::max(*std::ranges::max_element(loads), (total + ranks - 1) / ranks);
  size_t rank = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    for (int64_t begin = 0; tensors[i].unit == 1 && begin < tensors[i].numel;) {
      while (loads[rank] == layout.share) ++rank;
      const int64_t count = std::min(tensors[i].numel - begin, layout.share - loads[rank]);
      layout.pieces.push_back({i, begin, count, static_cast<int64_t>(rank), loads[rank]});
      begin += count;
      loads[rank] += count;
    }
  }
  return layout;
}

int64_t shard_unit(const TensorDeclaration& tensor, const TrainConfig& config) {
  if (config.optimizer != Optimizer::muon || !is_hidden_matrix(tensor)) return 1;
  const size_t dims = tensor.shape.size();
  return tensor.shape[dims - 2] * tensor.shape[dims - 1];
}

std::string block_of(const std::string& tensor) {
  if (tensor.starts_with("core.") || tensor.starts_with("recurrent.")) return "core";
  if (!tensor.starts_with("prelude.") && !tensor.starts_with("coda.")) return "";
  return tensor.substr(0, tensor.find('.', tensor.find('.') + 1));
}

std::string block_of(const LayerId& layer) {
  if (layer.section == Section::core) return "core";
  return (layer.section == Section::prelude ? "prelude." : "coda.") + std::to_string(layer.index);
}

std::vector<ShardedBlock> blocks_of(const std::vector<std::string>& tensors) {
  std::vector<ShardedBlock> blocks;
  const auto block_named = [&](const std::string& name) -> ShardedBlock& {
    const auto found = std::ranges::find(blocks, name, &ShardedBlock::name);
    if (found != blocks.end()) return *found;
    blocks.push_back({name, {}});
    return blocks.back();
  };
  block_named("");
  for (size_t i = 0; i < tensors.size(); ++i) {
    block_named(block_of(tensors[i])).tensors.push_back(i);
  }
  std::erase_if(blocks, [](const ShardedBlock& block) { return block.tensors.empty(); });
  // Layers of the core may be frozen, and what else belongs to it comes behind the coda.
  std::ranges::stable_sort(blocks, {}, [](const auto& block) { return section_place(block.name); });
  return blocks;
}

DividedBlocks divided_blocks(const Config& config, int64_t ranks) {
  DividedBlocks out;
  out.trained = declared_trained(config.model);
  std::vector<std::string> names;
  for (const TensorDeclaration& tensor : out.trained) names.push_back(tensor.name);
  out.blocks = blocks_of(names);
  for (const ShardedBlock& block : out.blocks) {
    std::map<int64_t, std::vector<size_t>> held;  // by the number of ranks
    for (const size_t i : block.tensors) {
      held[holders_of(config, out.trained[i], ranks).ranks].push_back(i);
    }
    std::vector<BlockPart>& parts = out.parts.emplace_back();
    for (const auto& [holders, places] : held) {
      std::vector<ShardedTensor> tensors;
      for (const size_t i : places) {
        tensors.push_back({names[i], holders_of(config, out.trained[i], ranks).numel,
                           shard_unit(out.trained[i], config.train)});
      }
      BlockPart& part = parts.emplace_back(BlockPart{holders, divide(tensors, holders)});
      for (ShardPiece& piece : part.layout.pieces) piece.tensor = places[piece.tensor];
    }
  }
  return out;
}

std::vector<bool> gathered_again(const std::vector<ShardedBlock>& blocks, const Config& config) {
  const bool none = gathers_at_once(config.train) || config.model.latent_token >= 0 ||
                    config.objectives.next_token <= 0;
  const int last_section = wants_loop_outputs(config.objectives) ? 1 : 3;
  std::vector<bool> again;
  for (const ShardedBlock& block : blocks) {
    const int place = section_place(block.name);
    again.push_back(!none && place > 0 && place <= last_section && &block != &blocks.back());
  }
  return again;
}

std::vector<BlockCall> block_calls(const std::vector<ShardedBlock>& blocks, const Config& config) {
  std::vector<BlockCall> calls;
  for (size_t i = 0; i < blocks.size(); ++i) calls.push_back({true, i});
  const std::vector<bool> again = gathered_again(blocks, config);
  size_t gathered = blocks.size();  // the last one that was gathered again
  for (size_t i = blocks.size(); i-- > 0;) {
    size_t next = i;  // one behind the next that is to be gathered again
    while (next > 0 && !again[next - 1]) --next;
    if (next > 0 && next - 1 < gathered) {
      gathered = next - 1;
      calls.push_back({true, gathered});
    }
    calls.push_back({false, i});
  }
  return calls;
}

std::vector<size_t> backward_order(const std::vector<std::string>& tensors) {
  const auto turn = [&](size_t i) {
    const std::string& name = tensors[i];
    if (block_of(name) == "core") return 1;
    const bool behind = name.starts_with("coda.") || name.starts_with("norm.") ||
                        name.starts_with("readout.") || name.starts_with("head.");
    return behind ? 0 : 2;
  };
  std::vector<size_t> order(tensors.size());
  std::iota(order.rbegin(), order.rend(), size_t{0});
  std::ranges::stable_sort(order, {}, turn);
  return order;
}

}  // namespace mythos
