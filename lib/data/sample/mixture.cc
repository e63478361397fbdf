#include "data/sample/mixture.h"

#include <limits>
#include <numeric>

namespace mythos {

size_t Mixture::next() const {
  const auto count = static_cast<double>(shares_.size());
  if (shares_.size() == 1) return 0;
  // The turn goes to a source that is behind its share by `enough`: among these, to the one that
  // would be the first to be behind by more than `bound`.
  const double enough = 1 / (2 * count - 2), bound = 1 - enough;
  size_t best = 0;
  double earliest = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < shares_.size(); ++i) {
    const double behind =
        shares_[i] * static_cast<double>(turns_ + 1) - static_cast<double>(taken_[i]);
    if (behind < enough) continue;
    const double time = (bound - behind) / shares_[i];
    if (time < earliest) {
      earliest = time;
      best = i;
    }
  }
  return best;
}

void Mixture::restore(std::vector<uint64_t> taken) {
  taken_ = std::move(taken);
  turns_ = std::accumulate(taken_.begin(), taken_.end(), uint64_t{0});
}

}  // namespace mythos
