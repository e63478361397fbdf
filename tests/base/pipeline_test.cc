#include "base/pipeline.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <new>
#include <system_error>

#include "../scratch.h"
#include "base/error.h"

namespace mythos {
namespace {

struct Item {
  int number = 0;
  int result = 0;
  size_t weight = 1;
};

// Items 0 … count-1 are squared; later ones are ready before earlier ones.
Pipeline<Item> squares(int& next, int count, std::vector<int>& results) {
  Pipeline<Item> steps;
  steps.produce = [&next, count](Item& item) { return (item.number = next++) < count; };
  steps.work = [](Item& item) {
    std::this_thread::sleep_for(std::chrono::microseconds(300 * (3 - item.number % 4)));
    item.result = item.number * item.number;
  };
  steps.consume = [&results](Item& item) {
    results.push_back(item.result);
    return true;
  };
  steps.weight = [](const Item& item) { return item.weight; };
  steps.max_weight = 10;
  return steps;
}

TEST(Pipeline, KeepsTheOrder) {
  for (const size_t threads : {1, 2, 7}) {
    WorkerPool pool(threads);
    for (const int count : {0, 1, 200}) {
      int next = 0;
      std::vector<int> results;
      run_pipeline(squares(next, count, results), pool);
      ASSERT_EQ(results.size(), static_cast<size_t>(count));
      for (int i = 0; i < count; ++i) EXPECT_EQ(results[static_cast<size_t>(i)], i * i);
    }
  }
}

TEST(Pipeline, TheFirstErrorInTheOrderOfTheItemsCounts) {
  WorkerPool pool(3);
  for (int i = 0; i < 20; ++i) {
    int next = 0;
    std::vector<int> results;
    Pipeline<Item> steps = squares(next, 1000, results);
    const auto work = steps.work;
    steps.work = [&](Item& item) {
      work(item);
      if (item.number == 20 || item.number == 23)
        fail(ErrorKind::data, "item " + std::to_string(item.number));
    };
    const auto produce = steps.produce;
    steps.produce = [&](Item& item) {
      if (next == 24) fail(ErrorKind::data, "no item 24");
      return produce(item);
    };
    EXPECT_EQ(error_of(ErrorKind::data, [&] { run_pipeline(steps, pool); }), "item 20");
    EXPECT_EQ(results.size(), 20u) << "what comes before it is consumed";
  }
}

TEST(Pipeline, AnyStepMayEndIt) {
  WorkerPool pool(2);
  int next = 0;
  std::vector<int> results;
  Pipeline<Item> steps = squares(next, 1'000'000, results);
  const auto consume = steps.consume;
  steps.consume = [&](Item& item) { return consume(item) && item.number < 30; };
  run_pipeline(steps, pool);
  EXPECT_EQ(results.size(), 31u);
  EXPECT_LT(next, 100) << "production stopped";
  steps.consume = [](Item&) -> bool { fail(ErrorKind::resources, "full"); };
  EXPECT_EQ(error_of(ErrorKind::resources, [&] { run_pipeline(steps, pool); }), "full");
}

TEST(Pipeline, WhatIsInHandWeighsNoMoreThanAllowed) {
  WorkerPool pool(4);
  std::atomic<int> in_hand = 0, heaviest = 0;
  int next = 0;
  std::vector<int> results;
  Pipeline<Item> steps = squares(next, 200, results);
  const auto produce = steps.produce;
  steps.produce = [&](Item& item) {
    if (!produce(item)) return false;
    item.weight = item.number % 50 == 49 ? 25 : 3;  // the large ones go alone
    return true;
  };
  const auto work = steps.work;
  steps.work = [&](Item& item) {
    const int now = in_hand += static_cast<int>(item.weight);
    if (item.weight <= 10 && now > heaviest) heaviest = now;
    EXPECT_TRUE(item.weight <= 10 || now == 25);
    work(item);
    in_hand -= static_cast<int>(item.weight);
  };
  run_pipeline(steps, pool);
  EXPECT_EQ(results.size(), 200u);
  EXPECT_LE(heaviest, 10);
}

TEST(WorkerPool, UrgentTasksGoFirst) {
  std::vector<int> order;
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  WorkerPool pool(1);
  pool.submit([&] {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return open; });
  });
  const auto note = [&](int number) {
    return [&, number] {
      const std::lock_guard lock(mutex);
      order.push_back(number);
      changed.notify_one();
    };
  };
  for (const int number : {1, 2}) pool.submit(note(number));
  for (const int number : {3, 4}) pool.submit(note(number), true);
  std::unique_lock lock(mutex);
  open = true;
  changed.notify_all();
  changed.wait(lock, [&] { return order.size() == 4; });
  // The task that holds the only thread may not have been taken yet when the urgent ones came.
  EXPECT_EQ(order, (std::vector<int>{3, 4, 1, 2}));
}

struct FifthThrows : Item {
  FifthThrows() {
    if (++made == 5) throw std::bad_alloc();
  }
  static inline int made = 0;
};

TEST(Pipeline, AnItemThatCannotBeMadeEndsTheRun) {
  WorkerPool pool(2);
  Pipeline<FifthThrows> steps;
  int consumed = 0;
  steps.produce = [](FifthThrows&) { return true; };
  steps.work = [](FifthThrows&) {};
  steps.consume = [&](FifthThrows&) { return ++consumed > 0; };
  steps.weight = [](const FifthThrows&) { return size_t{1}; };
  steps.max_weight = 10;
  EXPECT_THROW(run_pipeline(steps, pool), std::bad_alloc);
  EXPECT_EQ(consumed, 4);
}

// 1 GiB of address space more than is in use has room for some stacks of threads, not for all.
void start_too_many_threads() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t bytes = pages * 4096 + (rlim_t{1} << 30);
  const rlimit limit{bytes, bytes};
  setrlimit(RLIMIT_AS, &limit);
  try {
    const WorkerPool pool(10000);
  } catch (const std::system_error&) {
    _exit(4);
  }
}

TEST(WorkerPoolDeathTest, ThreadsThatCannotStartAreAnError) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer itself needs address space without bound";
#endif
  EXPECT_EXIT(start_too_many_threads(), testing::ExitedWithCode(4), "");
}

}  // namespace
}  // namespace mythos
