#include "dist/ranks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "../ranks.h"
#include "base/clock.h"
#include "base/error.h"
#include "dist/single_rank.h"

namespace mythos {
namespace {

at::Tensor numbers(std::vector<double> values, at::ScalarType type = at::kFloat) {
  return at::tensor(values, at::kDouble).to(type);
}

void check_collectives(Ranks& ranks) {
  const auto n = static_cast<double>(ranks.size()), r = static_cast<double>(ranks.rank());
  const double ranks_sum = n * (n - 1) / 2;
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kLong}) {
    at::Tensor sum = numbers({r, 1, -2 * r}, type);
    ranks.start_sum(sum)->wait();
    EXPECT_TRUE(sum.equal(numbers({ranks_sum, n, -2 * ranks_sum}, type))) << type << sum;

    at::Tensor whole = at::zeros({2 * ranks.size()}, type);
    ranks.start_all_gather(whole, numbers({r, r + 10}, type))->wait();
    for (int64_t i = 0; i < ranks.size(); ++i) {
      EXPECT_EQ(whole[2 * i].item<double>(), static_cast<double>(i));
      EXPECT_EQ(whole[2 * i + 1].item<double>(), static_cast<double>(i + 10));
    }

    at::Tensor share = at::zeros({2}, type);
    const at::Tensor all = at::arange(2 * ranks.size(), at::kDouble).add(r).to(type);
    ranks.start_reduce_scatter(share, all)->wait();
    EXPECT_TRUE(share.equal(numbers({n * (2 * r) + ranks_sum, n * (2 * r + 1) + ranks_sum}, type)))
        << type << share;

    at::Tensor root = numbers({r, r}, type);
    ranks.broadcast(root, ranks.size() - 1);
    EXPECT_EQ(root[0].item<double>(), n - 1);
  }
}

// Rank r sends r+q rows of [r, q] to rank q.
void check_all_to_all(Ranks& ranks) {
  const int64_t n = ranks.size(), r = ranks.rank();
  std::vector<int64_t> in_rows, out_rows;
  std::vector<at::Tensor> pieces = {at::zeros({0, 2})};
  for (int64_t q = 0; q < n; ++q) {
    in_rows.push_back(r + q);
    out_rows.push_back(q + r);
    const at::Tensor row = numbers({static_cast<double>(r), static_cast<double>(q)});
    pieces.push_back(row.expand({r + q, 2}));
  }
  int64_t rows = 0;
  for (const int64_t count : out_rows) rows += count;
  at::Tensor out = at::zeros({rows, 2});
  ranks.start_all_to_all(out, at::cat(pieces), out_rows, in_rows)->wait();
  int64_t at = 0;
  for (int64_t q = 0; q < n; ++q) {
    for (int64_t i = 0; i < out_rows[static_cast<size_t>(q)]; ++i, ++at) {
      EXPECT_EQ(out[at][0].item<double>(), static_cast<double>(q));
      EXPECT_EQ(out[at][1].item<double>(), static_cast<double>(r));
    }
  }
}

void check_texts(Ranks& ranks) {
  for (int turn = 0; turn < 3; ++turn) {
    const auto texts = ranks.gather("rank " + std::to_string(ranks.rank()));
    ASSERT_EQ(texts.size(), static_cast<size_t>(ranks.size()));
    for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], "rank " + std::to_string(i));
  }
}

void check_all(Ranks& ranks) {
  check_collectives(ranks);
  check_all_to_all(ranks);
  check_texts(ranks);
}

// Neighbours in twos, and every other rank; then these again, at the same time as all ranks.
void check_split(Ranks& ranks) {
  const int64_t n = ranks.size(), r = ranks.rank();
  const auto pairs = ranks.split(r / 2), others = ranks.split(r % 2);
  EXPECT_EQ(pairs->size(), std::min<int64_t>(2, n));
  EXPECT_EQ(pairs->rank(), r % 2);
  EXPECT_EQ(others->size(), (n + 1 - r % 2) / 2);
  EXPECT_EQ(others->rank(), r / 2);
  check_all(*pairs);
  check_all(*others);
  check_all(*pairs->split(0));
  at::Tensor of_all = numbers({1}), of_pair = numbers({static_cast<double>(r)});
  const auto all_pending = ranks.start_sum(of_all);
  const auto pair_pending = pairs->start_sum(of_pair);
  all_pending->wait();
  pair_pending->wait();
  EXPECT_EQ(of_all[0].item<double>(), static_cast<double>(n));
  const auto first = static_cast<double>(r - r % 2);
  EXPECT_EQ(of_pair[0].item<double>(), n == 1 ? 0 : 2 * first + 1);
  EXPECT_EQ(ranks.volume().all_to_all, pairs->volume().all_to_all);
}

// Ranks of which some send and some get nothing.
void check_empty_rows(Ranks& ranks) {
  const int64_t n = ranks.size(), r = ranks.rank();
  std::vector<int64_t> in_rows(static_cast<size_t>(n), 0), out_rows = in_rows;
  in_rows[static_cast<size_t>(n - 1)] = r;  // rank 0 has none to send
  if (r == n - 1) {
    for (int64_t q = 0; q < n; ++q) out_rows[static_cast<size_t>(q)] = q;
  }
  const int64_t rows = r == n - 1 ? n * (n - 1) / 2 : 0;
  at::Tensor out = at::zeros({rows, 3});
  const at::Tensor in = at::full({r, 3}, static_cast<double>(r));
  ranks.start_all_to_all(out, in, out_rows, in_rows)->wait();
  double sum = 0;
  for (int64_t q = 0; q < n; ++q) sum += static_cast<double>(q * q);
  EXPECT_EQ(out.sum().item<double>(), rows > 0 ? 3 * sum : 0);
}

TEST(Ranks, one_rank_by_itself) {
  check_all(*single_rank());
}
TEST(Ranks, two_ranks) {
  on_ranks(2, check_all);
}
TEST(Ranks, four_ranks) {
  on_ranks(4, check_all);
}

TEST(Ranks, split_ranks_are_ranks) {
  check_split(*single_rank());
  on_ranks(2, check_split);
  on_ranks(4, check_split);
}

TEST(Ranks, some_ranks_exchange_no_rows) {
  check_empty_rows(*single_rank());
  on_ranks(3, check_empty_rows);
}

TEST(Ranks, volume_is_what_a_ring_sends) {
  on_ranks(4, [](Ranks& ranks) {
    at::Tensor x = at::zeros({1000}), share = at::zeros({250});
    ranks.start_sum(x)->wait();
    ranks.start_reduce_scatter(share, x)->wait();
    ranks.start_all_gather(x, share)->wait();
    ranks.broadcast(x, 1);
    EXPECT_EQ(ranks.volume().sum, 6000);
    EXPECT_EQ(ranks.volume().reduce_scatter, 3000);
    EXPECT_EQ(ranks.volume().all_gather, 3000);
    EXPECT_EQ(ranks.volume().broadcast, ranks.rank() == 1 ? 12000 : 0);
  });
}

std::string failure_of(Ranks& ranks) {
  try {
    at::Tensor x = at::zeros({1000});
    for (int i = 0; i < 3; ++i) ranks.start_sum(x)->wait();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::resources);
    return error.message();
  }
  return "";
}

TEST(Ranks, a_killed_rank_is_named) {
  on_ranks(4, [](Ranks& ranks) {
    at::Tensor x = at::zeros({10});
    ranks.start_sum(x)->wait();
    if (ranks.rank() == 2) _exit(0);
    const std::string text = failure_of(ranks);
    EXPECT_NE(text.find("rank 2 is lost"), std::string::npos) << text;
  });
}

TEST(Ranks, a_killed_first_rank_is_named) {
  on_ranks(3, [](Ranks& ranks) {
    at::Tensor x = at::zeros({10});
    ranks.start_sum(x)->wait();
    if (ranks.rank() == 0) _exit(0);
    const std::string text = failure_of(ranks);
    EXPECT_NE(text.find("rank 0 is lost"), std::string::npos) << text;
  });
}

TEST(Ranks, a_rank_that_hangs_is_named_within_the_time_out) {
  on_ranks(
      3,
      [](Ranks& ranks) {
        at::Tensor x = at::zeros({10});
        ranks.start_sum(x)->wait();
        if (ranks.rank() == 1) {
          std::this_thread::sleep_for(std::chrono::seconds(9));
          _exit(0);
        }
        const Clock::time_point begin = Clock::now();
        const std::string text = failure_of(ranks);
        EXPECT_NE(text.find("rank 1 hangs"), std::string::npos) << text;
        EXPECT_LT(seconds_since(begin), 9);
      },
      /*timeout_seconds=*/2);
}

TEST(Ranks, a_rank_that_leaves_says_why) {
  on_ranks(3, [](Ranks& ranks) {
    if (ranks.rank() == 1) {
      ranks.leave("its disk is full");
      return;
    }
    const std::string text = failure_of(ranks);
    EXPECT_EQ(text, "rank 1 has ended: its disk is full.");
  });
}

TEST(Ranks, missing_ranks_are_named) {
  RankPlace place;
  place.size = 3;
  place.address = "127.0.0.1";
  place.port = free_port();
  try {
    connect(place, at::Device(at::kCPU), 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("of 3 ranks 1 have come"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("missing: ranks 1, 2"), std::string::npos) << error.message();
  }
}

TEST(Ranks, a_port_in_use_is_one_clear_error) {
  const int descriptor = socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_any;
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(descriptor, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(descriptor, 1), 0);
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length);
  RankPlace place;
  place.size = 2;
  place.address = "127.0.0.1";
  place.port = ntohs(address.sin6_port);
  try {
    connect(place, at::Device(at::kCPU), 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("rank 0 cannot listen on port"), std::string::npos)
        << error.message();
  }
  close(descriptor);
}

TEST(Ranks, an_unknown_address_is_one_clear_error) {
  RankPlace place;
  place.size = 2;
  place.address = "no-such-machine.invalid";
  place.port = 29500;
  try {
    connect(place, at::Device(at::kCPU), 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(error.message().find("cannot be resolved"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace mythos
