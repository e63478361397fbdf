#include "model/nonfinite.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "base/strings.h"
#include "device/cpu_simd.h"
#include "model/weights.h"

namespace mythos {
namespace {

constexpr int64_t kBlockValues = 4096;

// How many words are at least `limit` when their sign is left out: in the order of its bits a
// floating-point number's size grows, then come infinity and NaN.
template <class Word>
MYTHOS_INLINE int64_t count_words(const Word* words, int64_t n, Word limit) {
  constexpr auto kMagnitude = static_cast<Word>(std::numeric_limits<Word>::max() >> 1);
  Word any = 0;
  for (int64_t i = 0; i < n; ++i) any |= static_cast<Word>((words[i] & kMagnitude) >= limit);
  if (any == 0) return 0;
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += (words[i] & kMagnitude) >= limit;
  return count;
}

MYTHOS_CLONES int64_t count_block(const uint16_t* words, int64_t n, uint16_t limit) {
  return count_words(words, n, limit);
}
MYTHOS_CLONES int64_t count_block(const uint32_t* words, int64_t n, uint32_t limit) {
  return count_words(words, n, limit);
}
MYTHOS_CLONES int64_t count_block(const uint64_t* words, int64_t n, uint64_t limit) {
  return count_words(words, n, limit);
}

struct Found {
  int64_t count = 0, first = 0;  // first: the place in row-major order
};

template <class Word>
Found search(const at::Tensor& tensor, Word limit) {
  const auto* words = static_cast<const Word*>(tensor.const_data_ptr());
  const int64_t total = tensor.numel();
  std::atomic<int64_t> count = 0, first_block = total;
  at::parallel_for(0, (total + kBlockValues - 1) / kBlockValues, 64,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t b = begin; b < end; ++b) {
                       const int64_t from = b * kBlockValues;
                       const int64_t found =
                           count_block(words + from, std::min(kBlockValues, total - from), limit);
                       if (found == 0) continue;
                       count += found;
                       int64_t known = first_block;
                       while (from < known && !first_block.compare_exchange_weak(known, from)) {
                       }
                     }
                   });
  Found out{count, first_block};
  while (out.count > 0 && count_block(words + out.first, 1, limit) == 0) ++out.first;
  return out;
}

Found search_cpu(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kHalf:
      return search<uint16_t>(tensor, 0x7c00);
    case at::kBFloat16:
      return search<uint16_t>(tensor, 0x7f80);
    case at::kFloat:
      return search<uint32_t>(tensor, 0x7f800000);
    case at::kDouble:
      // Half a unit in the last place above fp32's largest number.
      return search<uint64_t>(tensor, 0x47effffff0000000);
    default:
      return search_cpu(tensor.to(at::kFloat));
  }
}

Found search_device(const at::Tensor& tensor) {
  const at::Tensor bad = at::isfinite(tensor.to(at::kFloat)).logical_not().flatten();
  const auto count = bad.sum().item<int64_t>();
  return {count, count > 0 ? bad.to(at::kByte).argmax().item<int64_t>() : 0};
}

std::vector<int64_t> index_of(int64_t place, at::IntArrayRef shape) {
  std::vector<int64_t> index(shape.size());
  for (size_t i = shape.size(); i-- > 0; place /= shape[i]) index[i] = place % shape[i];
  return index;
}

std::string value_text(double value) {
  return strprintf("%g%s", value, std::isfinite(value) ? " (infinite in fp32)" : "");
}

// " (2 in 'embed.weight', 1 in 'norm.weight')" of several tensors.
std::string counts_text(const std::vector<NonFiniteTensor>& tensors) {
  constexpr size_t kShown = 4;
  if (tensors.size() == 1) return "";
  std::vector<std::string> counts;
  for (const NonFiniteTensor& tensor : tensors) {
    if (counts.size() == kShown) {
      counts.emplace_back("...");
      break;
    }
    counts.push_back(with_commas(tensor.count) + " in '" + shown(tensor.name) + "'");
  }
  return strprintf(" (%s)", join(counts, ", "));
}

}  // namespace

void NonFinite::look_at(const std::string& name, const at::Tensor& tensor) {
  if (!tensor.is_floating_point() || tensor.numel() == 0) return;
  const at::Tensor values = tensor.detach().contiguous();
  const Found found = values.is_cpu() ? search_cpu(values) : search_device(values);
  if (found.count == 0) return;
  const double first = values.flatten()[found.first].item<double>();
  tensors.push_back({name, found.count, index_of(found.first, values.sizes()), first});
}

int64_t NonFinite::count() const {
  int64_t sum = 0;
  for (const NonFiniteTensor& tensor : tensors) sum += tensor.count;
  return sum;
}

std::string NonFinite::text() const {
  if (none()) return "";
  const NonFiniteTensor& first = tensors.front();
  const bool one = count() == 1;
  return strprintf("%s value%s in %u tensor%s %s not finite%s, the first %s in '%s' at %s",
                   with_commas(count()), one ? "" : "s", tensors.size(),
                   tensors.size() == 1 ? "" : "s", one ? "is" : "are", counts_text(tensors),
                   value_text(first.value), shown(first.name), shape_text(first.index));
}

std::string NonFinite::cause() const {
  return none() ? "All weights are finite: 'mythos stability-check' shows what overflows."
                : "Of the weights, " + text() + ".";
}

}  // namespace mythos
