#include <hlip/backend/cpu/pool.hpp>
#include <hlip/core/random.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

using hlip::detail::MemoryPool;

namespace {
constexpr std::size_t mib = 1 << 20;
}

TEST_CASE("memory pool: what was freed is used again, and the system is asked only once") {
  MemoryPool pool;
  void* a = pool.take(40 * mib);
  REQUIRE(a != nullptr);
  CHECK(reinterpret_cast<std::uintptr_t>(a) % 64 == 0);
  const std::size_t held = pool.held();
  CHECK(pool.unused() + 40 * mib <= held);
  pool.give(a);
  CHECK(pool.unused() == held);
  CHECK(pool.take(40 * mib) == a);
  CHECK(pool.held() == held);
  pool.give(a);
}

TEST_CASE("memory pool: free neighbours become one piece, whatever the order they are freed in") {
  for (const auto& order :
       {std::vector<std::size_t>{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}}) {
    MemoryPool pool;
    std::vector<void*> pieces;
    for (int i = 0; i < 3; ++i) pieces.push_back(pool.take(8 * mib));
    const std::size_t held = pool.held();
    for (const std::size_t i : order) pool.give(pieces[i]);
    void* all = pool.take(24 * mib);
    CHECK(all == pieces[0]);
    CHECK(pool.held() == held);
    pool.give(all);
  }
}

TEST_CASE("memory pool: pieces never overlap, and trim gives everything back that is free") {
  MemoryPool pool;
  hlip::RandomStream random({7, 0, 0});
  struct Piece {
    unsigned char* at;
    std::size_t size;
    unsigned char mark;
  };
  std::vector<Piece> live;
  for (int i = 0; i < 2000; ++i) {
    if (live.size() < 20 && random.uniform() < 0.6) {
      const auto size = MemoryPool::smallest + static_cast<std::size_t>(random.uniform() * 3e5);
      auto* at = static_cast<unsigned char*>(pool.take(size));
      REQUIRE(at != nullptr);
      live.push_back({at, size, static_cast<unsigned char>(i)});
      std::memset(at, live.back().mark, size);
    } else if (!live.empty()) {
      const auto k = static_cast<std::size_t>(random.uniform() * static_cast<double>(live.size()));
      bool intact = true;
      for (std::size_t b = 0; b < live[k].size; b += 61)
        intact = intact && live[k].at[b] == live[k].mark;
      CHECK(intact);
      pool.give(live[k].at);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(k));
    }
  }
  for (const Piece& piece : live) pool.give(piece.at);
  CHECK(pool.held() > 0);
  pool.trim();
  CHECK(pool.held() == 0);
}

TEST_CASE("memory pool: an impossible size is refused and costs nothing") {
  MemoryPool pool;
  CHECK(pool.take(std::size_t(-1)) == nullptr);
  CHECK(pool.take(std::size_t(1) << 62) == nullptr);
  CHECK(pool.held() == 0);
}

TEST_CASE("memory pool: threads share it") {
  MemoryPool pool;
  std::vector<std::thread> threads;
  std::vector<int> intact(4, 1);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&pool, &intact, t] {
      for (int i = 0; i < 200; ++i) {
        const std::size_t size = MemoryPool::smallest * static_cast<std::size_t>(1 + (i + t) % 7);
        auto* at = static_cast<unsigned char*>(pool.take(size));
        std::memset(at, t, size);
        if (at[0] != t || at[size - 1] != t) intact[static_cast<std::size_t>(t)] = 0;
        pool.give(at);
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(intact == std::vector<int>(4, 1));
}
