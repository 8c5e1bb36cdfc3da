#include <hlip/distributed/agreement.hpp>
#include <hlip/distributed/thread_group.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>

using namespace hlip;

namespace {

template <class Fn> void on_ranks(const ThreadGroup& group, Fn fn) {
  std::vector<std::thread> threads;
  for (int r = 0; r < group.size(); ++r) threads.emplace_back([&, r] { fn(group.rank(r)); });
  for (auto& t : threads) t.join();
}

}  // namespace

TEST_CASE("one process: gathers itself and sums nothing") {
  const SingleProcess c;
  CHECK(c.rank() == 0);
  CHECK(c.size() == 1);
  c.barrier();
  const double mine[2] = {1, 2};
  double all[2] = {};
  c.all_gather(mine, all, sizeof mine);
  CHECK(all[1] == 2);
  c.all_reduce_sum(std::span<double>(all));
  CHECK(all[1] == 2);
}

TEST_CASE("thread group: everybody gets everybody's bytes in rank order, again and again") {
  for (int size : {1, 2, 3, 5}) {
    const ThreadGroup group(size);
    std::atomic<int> wrong = 0;
    on_ranks(group, [&](auto c) {
      wrong += c.size() != size;
      for (int round = 0; round < 50; ++round) {
        const int mine[2] = {c.rank(), round};
        std::vector<int> all(2 * static_cast<std::size_t>(size));
        c.all_gather(mine, all.data(), sizeof mine);
        for (int r = 0; r < size; ++r)
          wrong += all[2 * static_cast<std::size_t>(r)] != r ||
                   all[2 * static_cast<std::size_t>(r) + 1] != round;
      }
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("thread group: sums are taken in rank order, so they have the same bits on every rank") {
  const ThreadGroup group(3);
  const float values[3] = {1e8f, 1.0f, -1e8f};
  float want = 0;
  for (float v : values) want += v;
  std::vector<float> got(3);
  on_ranks(group, [&](auto c) {
    float v[1] = {values[c.rank()]};
    c.all_reduce_sum(std::span<float>(v));
    got[static_cast<std::size_t>(c.rank())] = v[0];
  });
  for (float g : got) CHECK(g == want);
}

TEST_CASE("thread group: empty messages are fine, and a barrier waits for all") {
  const ThreadGroup group(3);
  std::atomic<int> arrived = 0, early = 0;
  on_ranks(group, [&](auto c) {
    c.all_reduce_sum(std::span<double>());
    ++arrived;
    c.barrier();
    early += arrived != 3;
  });
  CHECK(early == 0);
}

TEST_CASE(
    "agreement: what is so on one rank is so for all, and a fault of one ends all, each with a "
    "reason") {
  const ThreadGroup group(3);
  std::atomic<int> yes{0}, own{0}, others{0}, silent{0};
  on_ranks(group, [&](const auto& rank) {
    yes += on_any_rank(rank, rank.rank() == 1) ? 1 : 0;
    yes += on_any_rank(rank, false) ? 100 : 0;
    agree_on_faults(rank, [] {});
    ++silent;
    try {
      agree_on_faults(rank, [&] {
        if (rank.rank() == 2) throw std::runtime_error("the disk is full");
      });
    } catch (const error& e) {
      ++(std::string(e.what()).find("the disk is full") != std::string::npos ? own : others);
    }
  });
  CHECK(yes == 3);
  CHECK(silent == 3);
  CHECK(own == 1);
  CHECK(others == 2);
  CHECK_THROWS_AS(agree_on_faults(SingleProcess{}, [] { throw std::runtime_error("as it is"); }),
                  std::runtime_error);
}
