#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#ifdef MYTHOS_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif

#include "base/clock.h"
#include "base/error.h"
#include "base/format.h"
#include "base/plugin.h"
#include "base/signals.h"
#include "base/strings.h"
#include "dist/connect.h"
#include "dist/job_store.h"
#include "dist/nccl_plugin.h"
#include "dist/single_rank.h"

namespace mythos {
namespace {

using Group = c10::intrusive_ptr<c10d::Backend>;
using c10d::Work;

c10::intrusive_ptr<c10d::Store> prefixed(const JobStore& store, const std::string& prefix) {
  return c10::make_intrusive<c10d::PrefixStore>(prefix, store.store());
}

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(1000 * seconds));
}

#ifdef MYTHOS_GLOO

// This machine's address on the way to the machine of rank 0, so that no name of this machine need
// be known to the others.
std::string address_towards(const RankPlace& place) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  std::string address = "127.0.0.1";
  if (getaddrinfo(place.address.c_str(), std::to_string(place.port).c_str(), &hints, &found) != 0) {
    return address;
  }
  for (const addrinfo* it = found; it; it = it->ai_next) {
    const int descriptor = socket(it->ai_family, it->ai_socktype, it->ai_protocol);
    if (descriptor < 0) continue;
    sockaddr_storage own = {};
    socklen_t length = sizeof own;
    char text[NI_MAXHOST] = {};
    const bool known = ::connect(descriptor, it->ai_addr, it->ai_addrlen) == 0 &&
                       getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
                       getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text,
                                   nullptr, 0, NI_NUMERICHOST) == 0;
    close(descriptor);
    if (!known) continue;
    address = text;
    break;
  }
  freeaddrinfo(found);
  return address;
}

// `name` tells the groups of a job apart: that of all ranks, and those that it is split into.
Group make_gloo(const JobStore& store, const RankPlace& place, const std::string& name,
                double timeout_seconds) {
  const auto options = c10d::ProcessGroupGloo::Options::create(milliseconds_of(timeout_seconds));
  const std::optional<std::string> interface = environment_variable("GLOO_SOCKET_IFNAME");
  options->devices.push_back(
      interface ? c10d::ProcessGroupGloo::createDeviceForInterface(split(*interface, ',')[0])
                : c10d::ProcessGroupGloo::createDeviceForHostname(address_towards(place)));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(prefixed(store, "gloo" + name),
                                                     static_cast<int>(place.rank),
                                                     static_cast<int>(place.size), options);
}

#else

Group make_gloo(const JobStore&, const RankPlace&, const std::string&, double) {
  fail(ErrorKind::usage, "this build trains with one process only: it was made without Gloo.",
       "Run ./bootstrap, which installs libgloo-dev, and build again");
}

#endif

Group make_nccl(const JobStore& store, const RankPlace& place, at::Device device,
                const std::string& name, double timeout_seconds) {
  const std::filesystem::path file = find_plugin(kNcclPlugin);
  void* handle = file.empty() ? nullptr : dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* entry = handle ? dlsym(handle, kNcclEntry) : nullptr;
  if (!entry) {
    fail(ErrorKind::usage,
         strprintf("many ranks on CUDA devices need NCCL: %s.",
                   file.empty() ? "this build was made without it, lib" + std::string(kNcclPlugin)
                                : std::string(dlerror())),
         "Build where nccl.h and the CUDA headers are found, or train with --device cpu");
  }
  c10::intrusive_ptr<c10d::Store> own = prefixed(store, "nccl" + name);
  Group group;
  const NcclArguments arguments{&own,
                                static_cast<int>(place.rank),
                                static_cast<int>(place.size),
                                device.index(),
                                timeout_seconds,
                                &group};
  reinterpret_cast<NcclEntry>(entry)(&arguments);
  return group;
}

// What Gloo says without the place in its source.
std::string reason_of(const std::exception& error) {
  std::string text = split(error.what(), '\n')[0];
  const size_t end = text.starts_with("[") ? text.find("] ") : std::string::npos;
  return end == std::string::npos ? text : text.substr(end + 2);
}

class C10dRanks;

class C10dPending final : public Pending {
 public:
  C10dPending(C10dRanks& ranks, c10::intrusive_ptr<Work> work, bool on_host,
              std::vector<at::Tensor> kept)
      : ranks_(ranks), work_(std::move(work)), on_host_(on_host), kept_(std::move(kept)) {}
  void wait() override;

 private:
  C10dRanks& ranks_;
  c10::intrusive_ptr<Work> work_;
  bool on_host_;
  std::vector<at::Tensor> kept_;
  const Clock::time_point begun_ = Clock::now();
};

// A sum of which one part is wanted.
class ShareOfSum final : public Pending {
 public:
  ShareOfSum(std::unique_ptr<Pending> sum, at::Tensor share, at::Tensor part)
      : sum_(std::move(sum)), share_(std::move(share)), part_(std::move(part)) {}
  void wait() override {
    sum_->wait();
    share_.copy_(part_);
  }

 private:
  std::unique_ptr<Pending> sum_;
  at::Tensor share_, part_;
};

class AllPending final : public Pending {
 public:
  explicit AllPending(std::vector<std::unique_ptr<Pending>> all) : all_(std::move(all)) {}
  void wait() override {
    for (const auto& one : all_) one->wait();
  }

 private:
  std::vector<std::unique_ptr<Pending>> all_;
};

// The size of a result on CPUs from which on c10d's all-gather, which takes its size again, costs
// more than one more message for each rank.
constexpr int64_t kBroadcastBytes = 1 << 18;

// What all groups of a job have in common.
struct Job {
  Job(const RankPlace& place, at::Device device, double timeout_seconds)
      : device(device), timeout_seconds(timeout_seconds), store(place, timeout_seconds) {}
  at::Device device;
  double timeout_seconds;
  JobStore store;
  Ranks::Volume volume = {};
};

class C10dRanks final : public Ranks {
 public:
  // `place` is that among the ranks of the group.
  C10dRanks(std::shared_ptr<Job> job, const RankPlace& place, const std::string& name)
      : place_(place), name_(name), job_(std::move(job)) {
    JobStore& store = job_->store;
    try {
      gloo_ = make_gloo(store, place, name, job_->timeout_seconds);
      if (job_->device.is_cuda()) {
        nccl_ = make_nccl(store, place, job_->device, name, job_->timeout_seconds);
      }
    } catch (const Error& error) {
      store.leave(error.message());
      throw;
    } catch (const std::exception& error) {
      store.fail_together("the ranks cannot connect with each other, " + reason_of(error));
    }
  }
  ~C10dRanks() override {
    // A group that waits for a lost rank does so to its time-out.
    if (!job_->store.broken()) return;
    gloo_.release();
    nccl_.release();
  }

  int64_t rank() const override { return place_.rank; }
  int64_t size() const override { return place_.size; }

  std::unique_ptr<Pending> start_sum(at::Tensor& tensor) override {
    job_->volume.sum += 2 * others() * bytes_of(tensor) / size();
    std::vector<at::Tensor> tensors = {tensor.detach()};
    return begin(tensor, tensors, [&](c10d::Backend& group) { return group.allreduce(tensors); });
  }

  std::unique_ptr<Pending> start_reduce_scatter(at::Tensor& share,
                                                const at::Tensor& whole) override {
    job_->volume.reduce_scatter += others() * bytes_of(whole) / size();
    at::Tensor out = share.detach(), in = whole.detach();
    if (!whole.is_cpu()) {
      return begin(share, {out, in},
                   [&](c10d::Backend& group) { return group._reduce_scatter_base(out, in); });
    }
    // Gloo sums all shares anyway, and c10d has it do so in a copy of them.
    std::vector<at::Tensor> tensors = {in};
    auto sum =
        begin(whole, tensors, [&](c10d::Backend& group) { return group.allreduce(tensors); });
    const int64_t length = out.numel();
    return std::make_unique<ShareOfSum>(std::move(sum), out, in.narrow(0, rank() * length, length));
  }

  std::unique_ptr<Pending> start_all_gather(at::Tensor& whole, const at::Tensor& share) override {
    job_->volume.all_gather += others() * bytes_of(share);
    at::Tensor out = as_bytes(whole), in = as_bytes(share);
    if (whole.is_cpu() && out.numel() >= kBroadcastBytes) return start_broadcasts(out, in);
    return begin(whole, {out, in},
                 [&](c10d::Backend& group) { return group._allgather_base(out, in); });
  }

  std::unique_ptr<Pending> start_all_to_all(at::Tensor& out, const at::Tensor& in,
                                            const std::vector<int64_t>& out_rows,
                                            const std::vector<int64_t>& in_rows) override {
    int64_t sent = 0;
    for (int64_t r = 0; r < size(); ++r) {
      if (r != rank()) sent += in_rows[static_cast<size_t>(r)];
    }
    if (in.size(0) > 0) job_->volume.all_to_all += sent * (bytes_of(in) / in.size(0));
    at::Tensor to = rows_as_bytes(out), from = rows_as_bytes(in);
    std::vector<int64_t> out_counts = out_rows, in_counts = in_rows;
    return begin(out, {to, from}, [&](c10d::Backend& group) {
      return group.alltoall_base(to, from, out_counts, in_counts);
    });
  }

  void broadcast(at::Tensor& tensor, int64_t root) override {
    if (rank() == root) job_->volume.broadcast += others() * bytes_of(tensor);
    std::vector<at::Tensor> tensors = {as_bytes(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    begin(tensor, tensors, [&](c10d::Backend& group) {
      return group.broadcast(tensors, options);
    })->wait();
  }

  // By Gloo rather than by the store, which does not see that a rank is gone.
  std::vector<std::string> gather(const std::string& text) override {
    const Volume before = job_->volume;
    at::Tensor sizes = at::zeros({size()}, at::kLong);
    start_all_gather(sizes, at::full({1}, static_cast<int64_t>(text.size()), at::kLong))->wait();
    const int64_t longest = std::max<int64_t>(1, sizes.max().item<int64_t>());
    at::Tensor own = at::zeros({longest}, at::kByte);
    std::memcpy(own.data_ptr(), text.data(), text.size());
    at::Tensor all = at::zeros({size() * longest}, at::kByte);
    start_all_gather(all, own)->wait();
    std::vector<std::string> texts;
    for (int64_t r = 0; r < size(); ++r) {
      const char* begin = static_cast<const char*>(all.const_data_ptr()) + r * longest;
      texts.emplace_back(begin, static_cast<size_t>(sizes[r].item<int64_t>()));
    }
    job_->volume = before;
    return texts;
  }

  std::unique_ptr<Ranks> split(int64_t part) override {
    const std::vector<std::string> parts = gather(std::to_string(part));
    RankPlace place = place_;
    place.size = std::ranges::count(parts, parts[static_cast<size_t>(rank())]);
    place.rank =
        std::count(parts.begin(), parts.begin() + rank(), parts[static_cast<size_t>(rank())]);
    const std::string name = name_ + strprintf("/split%d-%d", ++splits_, part);
    if (place.size == 1) return single_rank();
    auto group = std::make_unique<C10dRanks>(job_, place, name);
    group->gather("");  // A rank that lets go of the group while others connect would fail them.
    return group;
  }

  Volume volume() const override { return job_->volume; }
  void leave(const std::string& why) override { job_->store.leave(why); }
  bool told_elsewhere() const override { return job_->store.told_elsewhere(); }

  // Whether a collective that began then is to be given up.
  bool gives_up(Clock::time_point begun) const {
    return job_->store.alarmed() || seconds_since(begun) > job_->timeout_seconds;
  }
  [[noreturn]] void fail_waiting(const std::exception& error, bool answered) {
    JobStore& store = job_->store;
    store.fail_together(
        store.alarmed() ? "another rank gave up"
        : answered      ? reason_of(error)
                        : strprintf("no answer within %g s (--timeout)", job_->timeout_seconds));
  }

 private:
  int64_t others() const { return size() - 1; }
  static int64_t bytes_of(const at::Tensor& tensor) {
    return tensor.numel() * static_cast<int64_t>(tensor.element_size());
  }
  // Numbers that are only moved, which Gloo then takes of any type.
  static at::Tensor as_bytes(const at::Tensor& tensor) {
    return tensor.detach().view({-1}).view(at::kByte);
  }
  static at::Tensor rows_as_bytes(const at::Tensor& tensor) {
    const int64_t rows = tensor.size(0);
    if (rows == 0) return at::empty({0, 1}, tensor.options().dtype(at::kByte).requires_grad(false));
    return tensor.detach().view({rows, -1}).view(at::kByte);
  }

  // An all-gather by Gloo's broadcasts into their places.
  std::unique_ptr<Pending> start_broadcasts(const at::Tensor& whole, const at::Tensor& share) {
    std::vector<std::unique_ptr<Pending>> all;
    const int64_t length = share.numel();
    whole.narrow(0, rank() * length, length).copy_(share);
    for (int64_t r = 0; r < size(); ++r) {
      std::vector<at::Tensor> tensors = {whole.narrow(0, r * length, length)};
      c10d::BroadcastOptions options;
      options.rootRank = r;
      all.push_back(begin(whole, tensors,
                          [&](c10d::Backend& group) { return group.broadcast(tensors, options); }));
    }
    return std::make_unique<AllPending>(std::move(all));
  }

  template <class F>
  std::unique_ptr<Pending> begin(const at::Tensor& tensor, std::vector<at::Tensor> kept, F start) {
    job_->store.count_collective();
    const bool on_host = tensor.is_cpu();
    c10::intrusive_ptr<Work> work;
    try {
      const at::NoGradGuard no_grad;
      work = start(*(on_host ? gloo_ : nccl_));
    } catch (const std::exception& error) {
      fail_waiting(error, /*answered=*/true);
    }
    return std::make_unique<C10dPending>(*this, std::move(work), on_host, std::move(kept));
  }

  RankPlace place_;
  std::string name_;
  int64_t splits_ = 0;
  Group gloo_, nccl_;
  // Its store goes first, when all ranks are done or rank 0 has given up waiting for them.
  std::shared_ptr<Job> job_;
};

void C10dPending::wait() {
  constexpr std::chrono::milliseconds kSlice{250};
  if (!work_) return;
  while (true) {
    const bool done = on_host_ && work_->isCompleted();
    try {
      on_host_ && !done ? work_->wait(kSlice) : work_->wait();
      break;
    } catch (const std::exception& error) {
      const bool answered = done || !on_host_;
      if (answered || ranks_.gives_up(begun_)) ranks_.fail_waiting(error, answered);
    }
  }
  work_.reset();
  kept_.clear();
}

}  // namespace

std::unique_ptr<Ranks> connect(const RankPlace& place, at::Device device, double timeout_seconds) {
  if (place.size == 1) return single_rank();
  outlive_readers();  // or a message to a rank that is lost would end this one
  return std::make_unique<C10dRanks>(std::make_shared<Job>(place, device, timeout_seconds), place,
                                     "");
}

}  // namespace mythos
