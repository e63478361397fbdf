#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mythos {

// A collective that is under way; its tensors must live until wait() returns.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual void wait() = 0;
};

// The processes that train one model together, each with one device. All ranks call the same
// collectives in the same order with tensors of the same shapes and types, on the device that the
// ranks were made for or on the CPU. A single process has size 1, for which every call is a copy or
// nothing. A rank that is lost, or that does not answer within the time-out, is an error
// (resources) that names it where it is known.
class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual int64_t rank() const = 0;  // 0 … size()-1
  virtual int64_t size() const = 0;

  // tensor := Σ over ranks.
  virtual std::unique_ptr<Pending> start_sum(at::Tensor& tensor) = 0;
  // share := this rank's 1/size() of Σ over ranks of whole, a vector whose length is a multiple of
  // size(); its numbers are lost.
  virtual std::unique_ptr<Pending> start_reduce_scatter(at::Tensor& share,
                                                        const at::Tensor& whole) = 0;
  // whole := the shares of all ranks, one behind another.
  virtual std::unique_ptr<Pending> start_all_gather(at::Tensor& whole, const at::Tensor& share) = 0;
  // Sends in_rows[r] rows of `in` to rank r, and takes out_rows[r] rows from it, in rank order.
  virtual std::unique_ptr<Pending> start_all_to_all(at::Tensor& out, const at::Tensor& in,
                                                    const std::vector<int64_t>& out_rows,
                                                    const std::vector<int64_t>& in_rows) = 0;
  // tensor := that of rank `root`.
  virtual void broadcast(at::Tensor& tensor, int64_t root) = 0;
  // The texts of all ranks, by rank; for small things such as agreeing on a configuration.
  virtual std::vector<std::string> gather(const std::string& text) = 0;

  // The ranks that give the same number as this one, in their order, as ranks of their own. All
  // ranks call it, and what they get must not outlive them.
  virtual std::unique_ptr<Ranks> split(int64_t part) = 0;

  // The bytes that this rank has sent by each collective so far, those of split() ranks among them,
  // for tests and metrics.
  struct Volume {
    int64_t sum = 0, reduce_scatter = 0, all_gather = 0, all_to_all = 0, broadcast = 0;
  };
  virtual Volume volume() const = 0;

  // Tells the other ranks that this one ends before the job does, and why; they fail with that text
  // instead of waiting.
  virtual void leave(const std::string& why) { (void)why; }
  // After a failure: whether rank 0 tells people of it, so that this rank need not.
  virtual bool told_elsewhere() const { return false; }
};

}  // namespace mythos
