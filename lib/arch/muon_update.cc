#include "arch/muon_update.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "arch/declaration.h"
#include "arch/expert_share.h"
#include "arch/shard_layout.h"
#include "arch/tensors.h"
#include "base/whole.h"

namespace mythos {

namespace {

using Shape = std::pair<int64_t, int64_t>;  // rows and columns
using Matrices = std::map<Shape, int64_t>;  // how many there are

// The matrices of so many matrices of a stack.
void add_matrices(const TensorDeclaration& tensor, int64_t stacked, Matrices& matrices) {
  const size_t last = tensor.shape.size() - 1;
  const int64_t rows = tensor.shape[last - 1], columns = tensor.shape[last];
  int64_t block = 0;
  for (const int64_t part : tensor.parts) block += part;
  if (block == 0) matrices[{rows, columns}] += stacked;
  for (const int64_t part : tensor.parts) {
    if (part > 0) matrices[{rows / block * part, columns}] += stacked;
  }
}

// The matrices that each of `ranks` ranks updates: all, or those of its shares (shard_layout.h).
std::vector<Matrices> matrices_of_ranks(const Config& config, int64_t ranks) {
  std::vector<TensorDeclaration> trained = declared_tensors(config.model);
  std::erase_if(trained, [](const TensorDeclaration& tensor) { return !is_trained(tensor.use); });
  const auto updated = [](const TensorDeclaration& tensor) { return is_hidden_matrix(tensor); };
  if (ranks == 1 || config.train.layout == Layout::replicated) {
    std::vector<Matrices> all(1);
    for (const TensorDeclaration& tensor : trained) {
      const int64_t held = holders_of(config, tensor, ranks).numel;
      if (updated(tensor)) add_matrices(tensor, held / shard_unit(tensor, config.train), all[0]);
    }
    return all;
  }
  std::vector<std::string> names;
  for (const TensorDeclaration& tensor : trained) names.push_back(tensor.name);
  std::vector<Matrices> of_ranks(static_cast<size_t>(ranks));
  for (const ShardedBlock& block : blocks_of(names)) {
    std::map<int64_t, std::vector<size_t>> parts;  // by the ranks that hold the tensors
    for (const size_t i : block.tensors) {
      parts[holders_of(config, trained[i], ranks).ranks].push_back(i);
    }
    for (const auto& [holders, tensors] : parts) {
      std::vector<ShardedTensor> divided;
      for (const size_t i : tensors) {
        divided.push_back({trained[i].name, holders_of(config, trained[i], ranks).numel,
                           shard_unit(trained[i], config.train)});
      }
      for (const ShardPiece& piece : divide(divided, holders).pieces) {
        const TensorDeclaration& tensor = trained[tensors[piece.tensor]];
        if (!updated(tensor)) continue;
        // Other holders have as much.
        add_matrices(tensor, piece.count / shard_unit(tensor, config.train),
                     of_ranks[static_cast<size_t>(piece.rank * (ranks / holders))]);
      }
    }
  }
  return of_ranks;
}

// What the largest stack takes.
Whole stack_bytes(const Matrices& matrices) {
  Whole most = 0;
  for (const auto& [shape, count] : matrices) {
    const Whole rows = shape.first, columns = shape.second;
    const Whole numbers = rows * columns, side = std::min(rows, columns);
    const int64_t stack = std::clamp<int64_t>(kMuonStackNumbers / numbers.value(), 1, count);
    most = std::max(most, 2 * kFloatBytes * Whole(stack) * (numbers + side * side));
  }
  return most;
}

}  // namespace

int64_t muon_update_bytes(const Config& config, int64_t ranks) {
  if (config.train.optimizer != Optimizer::muon) return 0;
  Whole most = 0;
  for (const Matrices& matrices : matrices_of_ranks(config, ranks)) {
    most = std::max(most, stack_bytes(matrices));
  }
  return most.value();
}

}  // namespace mythos
