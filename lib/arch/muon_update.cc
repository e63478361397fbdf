#include "arch/muon_update.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "arch/declaration.h"
#include "arch/expert_share.h"
#include "arch/shard_layout.h"
#include "arch/tensors.h"
#include "base/whole.h"

namespace mythos {
namespace {

// How many matrices there are, by rows and columns.
using Matrices = std::map<std::pair<int64_t, int64_t>, int64_t>;

// Adds those that so many numbers of a tensor are; none where Muon does not update it.
void add_matrices(const TensorDeclaration& tensor, int64_t numbers, const TrainConfig& train,
                  Matrices& matrices) {
  if (!is_hidden_matrix(tensor)) return;
  const int64_t stacked = numbers / shard_unit(tensor, train);
  const size_t last = tensor.shape.size() - 1;
  const int64_t rows = tensor.shape[last - 1], columns = tensor.shape[last];
  int64_t block = 0;
  for (const int64_t part : tensor.parts) block += part;
  if (block == 0) matrices[{rows, columns}] += stacked;
  for (const int64_t part : tensor.parts) {
    if (part > 0) matrices[{rows / block * part, columns}] += stacked;
  }
}

// The matrices that each of `ranks` ranks updates: all that it holds, or those of its shares.
std::vector<Matrices> matrices_of_ranks(const Config& config, int64_t ranks) {
  if (ranks == 1 || config.train.layout == Layout::replicated) {
    std::vector<Matrices> all(1);
    for (const TensorDeclaration& tensor : declared_trained(config.model)) {
      const int64_t held = holders_of(config, tensor, ranks).numel;
      add_matrices(tensor, held, config.train, all[0]);
    }
    return all;
  }
  std::vector<Matrices> of_ranks(static_cast<size_t>(ranks));
  const DividedBlocks divided = divided_blocks(config, ranks);
  for (const std::vector<BlockPart>& parts : divided.parts) {
    for (const BlockPart& part : parts) {
      for (const ShardPiece& piece : part.layout.pieces) {
        // Other holders have as much.
        const int64_t rank = piece.rank * (ranks / part.ranks);
        add_matrices(divided.trained[piece.tensor], piece.count, config.train,
                     of_ranks[static_cast<size_t>(rank)]);
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
