#include "dist/job_store.h"

#include <netdb.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/format.h"
#include "base/host.h"
#include "base/strings.h"

C10_DECLARE_int(caffe2_log_level);

namespace mythos {
namespace {

using Store = c10::intrusive_ptr<c10d::Store>;
using std::chrono::milliseconds;

constexpr milliseconds kLook{500};        // between two looks for failures
constexpr double kPatienceSeconds = 4;    // for the others' answers after a failure
constexpr double kFarewellSeconds = 1.5;  // that rank 0 keeps the table for others to read
constexpr const char* kAlarm = "alarm";

std::string key_of(const char* what, int64_t rank) {
  return strprintf("%s/%d", what, rank);
}

std::vector<uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}
std::string text_of(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

std::string first_line(const std::exception& error) {
  return split(error.what(), '\n')[0];
}

// Runs `work` on a thread of its own and waits for it up to a time: a table whose host is stopped
// never answers. Nothing comes back from a thread that was given up.
template <class F>
auto within(double seconds, F work) -> std::optional<decltype(work())> {
  std::packaged_task<decltype(work())()> task(std::move(work));
  auto result = task.get_future();
  std::thread(std::move(task)).detach();
  const Clock::time_point begin = Clock::now();
  while (result.wait_for(milliseconds(50)) != std::future_status::ready) {
    if (seconds_since(begin) > seconds) return {};
  }
  return result.get();
}

void require_address(const RankPlace& place) {
  addrinfo* found = nullptr;
  const int status = getaddrinfo(place.address.c_str(), nullptr, nullptr, &found);
  if (found) freeaddrinfo(found);
  if (status == 0) return;
  fail(ErrorKind::usage,
       strprintf("the ranks are to meet at '%s' (MASTER_ADDR), which cannot be resolved: %s.",
                 place.address, gai_strerror(status)),
       "Set MASTER_ADDR to a name or number of the machine of rank 0 that every machine knows");
}

c10::intrusive_ptr<c10d::TCPStore> meet(const RankPlace& place, double timeout_seconds) {
  require_address(place);
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place.port);
  options.isServer = place.rank == 0 && !place.hosted;
  options.numWorkers = static_cast<size_t>(place.size);
  options.waitWorkers = false;
  options.timeout = milliseconds(static_cast<int64_t>(1000 * timeout_seconds));
  try {
    return c10::make_intrusive<c10d::TCPStore>(place.address, options);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    if (text.find("EADDRINUSE") != std::string::npos) {
      fail(ErrorKind::resources,
           strprintf("rank 0 cannot listen on port %d: another program uses it.", place.port),
           "Set MASTER_PORT to a free port, on all ranks alike");
    }
    if (options.isServer) {
      fail(ErrorKind::resources,
           strprintf("rank 0 cannot listen on port %d of %s: %s.", place.port, place.address,
                     first_line(error)),
           "MASTER_ADDR must be an address of the machine of rank 0");
    }
    fail(ErrorKind::resources,
         strprintf("rank %d of %d cannot reach rank 0 at %s, port %d, within %g s.", place.rank,
                   place.size, place.address, place.port, timeout_seconds),
         "See whether rank 0 runs, and whether MASTER_ADDR and MASTER_PORT are its own");
  }
}

// "4 node1 pid 77": the number of ranks that a process knows of, and who it is.
std::string claim_of(const RankPlace& place) {
  return strprintf("%d %s, process %d", place.size, host_name(), getpid());
}

std::string ranks_text(const std::vector<int64_t>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size() && i < 8; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(ranks[i]);
  }
  return ranks.size() > 8 ? text + strprintf(" and %d more", ranks.size() - 8) : text;
}

// Each rank says that it is there, and sees that the others are and agree on their number.
void claim(c10d::Store& store, const RankPlace& place, double timeout_seconds) {
  const std::string mine = claim_of(place);
  const std::string held =
      text_of(store.compareSet(key_of("claim", place.rank), {}, bytes_of(mine)));
  const auto who = [](const std::string& text) { return text.substr(text.find(' ') + 1); };
  if (held != mine) {
    fail(ErrorKind::resources,
         strprintf("two processes are rank %d: %s and %s.", place.rank, who(held), who(mine)),
         "Either the launcher numbers them wrongly, or two jobs meet at one MASTER_PORT");
  }
  std::vector<int64_t> missing;
  for (int64_t r = 0; r < place.size; ++r) missing.push_back(r);
  const Clock::time_point begin = Clock::now();
  while (true) {
    std::erase_if(missing, [&](int64_t r) {
      const std::string key = key_of("claim", r);
      if (!store.check({key})) return false;
      const std::string other = text_of(store.get(key));
      if (std::stoll(other) != place.size) {
        fail(ErrorKind::usage,
             strprintf("rank %d (%s) counts %d ranks, rank %d (%s) counts %d.", place.rank,
                       who(mine), place.size, r, who(other), std::stoll(other)),
             "Give WORLD_SIZE the same value everywhere");
      }
      return true;
    });
    if (missing.empty()) return;
    if (seconds_since(begin) > timeout_seconds) break;
    std::this_thread::sleep_for(milliseconds(20));
  }
  fail(ErrorKind::resources,
       strprintf("of %d ranks %d have come to %s, port %d, within %g s; missing: %s.", place.size,
                 place.size - static_cast<int64_t>(missing.size()), place.address, place.port,
                 timeout_seconds, ranks_text(missing)),
       "See whether they were started, and their messages; --timeout sets how long ranks wait");
}

// What a rank has said of itself after a failure.
struct Word {
  enum { silent, waits, ended } kind = silent;
  int64_t collectives = 0;  // begun by a rank that waits
  std::string why;          // of one that ended
};

Word word_of(c10d::Store& store, int64_t rank) {
  if (store.check({key_of("left", rank)})) {
    return {Word::ended, 0, text_of(store.get(key_of("left", rank)))};
  }
  if (store.check({key_of("waits", rank)})) {
    return {Word::waits, std::stoll(text_of(store.get(key_of("waits", rank)))), ""};
  }
  return {};
}

// The words of all other ranks, as far as they come in time.
std::vector<Word> ask_all(c10d::Store& store, const RankPlace& place, double seconds) {
  std::vector<Word> words(static_cast<size_t>(place.size));
  words[static_cast<size_t>(place.rank)].kind = Word::waits;
  const Clock::time_point begin = Clock::now();
  while (seconds_since(begin) < seconds) {
    bool complete = true;
    for (int64_t r = 0; r < place.size; ++r) {
      Word& word = words[static_cast<size_t>(r)];
      if (word.kind == Word::silent) word = word_of(store, r);
      complete = complete && word.kind != Word::silent;
    }
    if (complete) break;
    std::this_thread::sleep_for(milliseconds(50));
  }
  return words;
}

// Keeps the table for ranks that noticed a failure later.
void linger() {
  std::this_thread::sleep_for(std::chrono::duration<double>(kFarewellSeconds));
}

// Who is to blame, from the words of all ranks.
std::string blame(const std::vector<Word>& words, const RankPlace& place, int64_t collectives,
                  const std::string& what) {
  std::vector<int64_t> silent, behind;
  for (int64_t r = 0; r < place.size; ++r) {
    const Word& word = words[static_cast<size_t>(r)];
    if (word.kind == Word::ended && r != place.rank) {
      return strprintf("rank %d has ended: %s", r, word.why.empty() ? "it was done" : word.why);
    }
    if (word.kind == Word::silent) silent.push_back(r);
    if (word.kind == Word::waits && r != place.rank && word.collectives < collectives) {
      behind.push_back(r);
    }
  }
  if (!silent.empty()) {
    return strprintf("%s %s lost: %s", ranks_text(silent), silent.size() == 1 ? "is" : "are", what);
  }
  if (!behind.empty()) {
    return strprintf("%s %s behind the others: %s", ranks_text(behind),
                     behind.size() == 1 ? "hangs" : "hang", what);
  }
  return "the ranks lost touch: " + what;
}

}  // namespace

struct JobStore::State {
  Store store;    // of the rank's own calls
  Store watched;  // of the thread that looks for failures: a connection of its own
  Store asked;    // of the rank's last questions
  std::atomic<int64_t> collectives = 0;
  std::atomic<bool> alarmed = false, gone = false;
  std::mutex mutex;
  std::condition_variable wakes;
  bool stops = false, stopped = false;

  void watch(int64_t rank);
  void answer(int64_t rank);
};

// Says how far this rank is, so that others can tell one that hangs or is gone.
void JobStore::State::answer(int64_t rank) {
  watched->set(key_of("waits", rank), bytes_of(std::to_string(collectives.load())));
  alarmed = true;
}

void JobStore::State::watch(int64_t rank) {
  std::unique_lock<std::mutex> lock(mutex);
  while (!stops) {
    lock.unlock();
    try {
      if (watched->check({kAlarm}) && !alarmed) answer(rank);
    } catch (const std::exception&) {
      gone = true;  // the host has ended, or the network has
    }
    lock.lock();
    if (gone) break;
    wakes.wait_for(lock, kLook, [&] { return stops; });
  }
  stopped = true;
  wakes.notify_all();
}

JobStore::JobStore(const RankPlace& place, double timeout_seconds)
    : state_(std::make_shared<State>()), place_(place) {
  // c10d would tell of every lost connection; failures are told once, by fail_together().
  if (!std::getenv("TORCH_CPP_LOG_LEVEL")) FLAGS_caffe2_log_level = 3;
  const c10::intrusive_ptr<c10d::TCPStore> store = meet(place, timeout_seconds);
  const std::string prefix = strprintf("mythos/%d", place.restarts);
  const auto prefixed = [&](const Store& base) -> Store {
    return c10::make_intrusive<c10d::PrefixStore>(prefix, base);
  };
  state_->store = prefixed(store);
  claim(*state_->store, place, timeout_seconds);
  state_->watched = prefixed(store->clone());
  state_->asked = prefixed(store->clone());
  std::thread([state = state_, rank = place.rank] { state->watch(rank); }).detach();
}

JobStore::~JobStore() {
  State& state = *state_;
  {
    std::unique_lock<std::mutex> lock(state.mutex);
    state.stops = true;
    state.wakes.notify_all();
    state.wakes.wait_for(lock, milliseconds(2000), [&] { return state.stopped; });
  }
  if (broken_ || state.gone) return;
  // Rank 0 keeps the table until the others are done with it.
  within(2 * kPatienceSeconds, [state = state_, place = place_] {
    try {
      state->asked->set(key_of("left", place.rank), bytes_of(""));
      if (place.rank == 0 && !place.hosted) ask_all(*state->asked, place, kPatienceSeconds);
    } catch (const std::exception&) {
    }
    return true;
  });
}

Store JobStore::store() const {
  return state_->store;
}

void JobStore::count_collective() {
  ++state_->collectives;
}

bool JobStore::alarmed() const {
  return state_->alarmed;
}

void JobStore::fail_together(const std::string& what) {
  broken_ = true;
  const int64_t collectives = state_->collectives;
  const auto words = within(
      2 * kPatienceSeconds,
      [state = state_, place = place_, collectives]() -> std::optional<std::vector<Word>> {
        try {
          state->asked->set(key_of("waits", place.rank), bytes_of(std::to_string(collectives)));
          state->asked->set(kAlarm, bytes_of("1"));
          std::vector<Word> words = ask_all(*state->asked, place, kPatienceSeconds);
          if (place.rank == 0 && !place.hosted) linger();
          return words;
        } catch (const std::exception&) {
          return {};
        }
      });
  std::string text;
  if (words && *words) {
    text = blame(**words, place_, collectives, what);
    told_elsewhere_ = place_.rank != 0 && (*words)->front().kind != Word::silent;
  } else {
    text = place_.hosted ? "the launcher is lost: " + what : "rank 0 is lost: " + what;
  }
  fail(ErrorKind::resources, text + ".",
       "All ranks end. A training run goes on from its last checkpoint with --resume");
}

void JobStore::leave(const std::string& why) {
  if (broken_) return;
  broken_ = true;
  const auto told = within(2 * kPatienceSeconds, [state = state_, place = place_, why] {
    bool same = false;
    try {
      state->asked->set(key_of("left", place.rank), bytes_of(why));
      state->asked->set(kAlarm, bytes_of("1"));
      if (place.rank == 0 && !place.hosted) {
        ask_all(*state->asked, place, kPatienceSeconds);
        linger();
      } else if (place.rank != 0) {
        const std::string key = key_of("left", 0);
        state->asked->wait({key}, milliseconds(static_cast<int64_t>(1000 * kFarewellSeconds)));
        same = text_of(state->asked->get(key)) == why;
      }
    } catch (const std::exception&) {
    }
    return same;
  });
  told_elsewhere_ = told.value_or(false);
}

}  // namespace mythos
