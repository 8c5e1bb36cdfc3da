#include <hlip/core/worker_thread.hpp>

#include <doctest/doctest.h>

#include <thread>

TEST_CASE("worker threads: one of them starting no team leaves the others theirs") {
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  int inside = 0;
  std::thread([&] {
    hlip::use_one_openmp_thread();
    inside = omp_get_max_threads();
  }).join();
  CHECK(inside == 1);
  CHECK(omp_get_max_threads() == 3);
  omp_set_num_threads(before);
}
