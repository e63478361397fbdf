#pragma once
#include <c10/util/intrusive_ptr.h>

#include <memory>
#include <string>
#include <vector>

#include "dist/rank_place.h"

namespace c10d {
class Store;
}

namespace mythos {

// The table of texts through which the ranks of a job meet, agree on small things and tell each
// other of failures: c10d's TCPStore, kept by rank 0 or by torchrun. A thread of each rank looks
// twice a second whether another one has failed.
class JobStore {
 public:
  // Waits until all ranks have come. Fails (usage) if the address has no meaning, and (resources)
  // if the port is in use, if a rank does not come in time, naming it, or if two processes say that
  // they are the same rank or do not agree on the number of ranks.
  JobStore(const RankPlace& place, double timeout_seconds);
  ~JobStore();
  JobStore(const JobStore&) = delete;
  JobStore& operator=(const JobStore&) = delete;

  // For process groups, which prefix their keys.
  c10::intrusive_ptr<c10d::Store> store() const;

  // Counts a collective that this rank begins; by that number others see which rank hangs.
  void count_collective();
  // Whether another rank has said that it failed.
  bool alarmed() const;
  // Tells the others that a collective failed on this rank, finds out which rank is to blame, and
  // fails (resources). `what` is what went wrong here.
  [[noreturn]] void fail_together(const std::string& what);
  // Tells the others that this rank ends, and why.
  void leave(const std::string& why);
  // Whether any of the two was called.
  bool broken() const { return broken_; }
  // Whether rank 0 lives on to tell of the failure, or has left with the same words.
  bool told_elsewhere() const { return told_elsewhere_; }

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with threads that may never come back
  RankPlace place_;
  bool broken_ = false, told_elsewhere_ = false;
};

}  // namespace mythos
