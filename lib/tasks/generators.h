#pragma once
#include <numeric>
#include <vector>

#include "base/rng.h"
#include "tasks/task.h"

// The tasks behind make_task_row(); each fills prompt and completion of a row of that difficulty.
namespace mythos {

constexpr std::string_view kTaskLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr int64_t kTaskNames = 26;  // people in i-gsm

TaskRow make_p_hop(const TaskOptions& options, int64_t hops, Rng& rng);
TaskRow make_addition(const TaskOptions& options, int64_t digits, Rng& rng);
TaskRow make_modular(const TaskOptions& options, int64_t operations, Rng& rng);
TaskRow make_pointer(const TaskOptions& options, int64_t steps, Rng& rng);
TaskRow make_parity(int64_t bits, Rng& rng);
TaskRow make_i_gsm(const TaskOptions& options, int64_t operations, Rng& rng);

// A whole number below n, as what it indexes.
inline size_t draw_index(Rng& rng, size_t n) {
  return static_cast<size_t>(rng.below(n));
}

// Puts the elements in random order (Fisher and Yates).
template <class T>
void shuffle_elements(std::vector<T>& elements, Rng& rng) {
  for (size_t i = elements.size(); i > 1; --i) {
    std::swap(elements[i - 1], elements[draw_index(rng, i)]);
  }
}

// 0 … n-1 in random order.
inline std::vector<size_t> random_order(size_t n, Rng& rng) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  shuffle_elements(order, rng);
  return order;
}

}  // namespace mythos
