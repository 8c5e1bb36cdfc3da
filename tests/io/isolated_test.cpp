#include "../support/errors.hpp"

#include <hlip/io/isolated.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <vector>

using namespace hlip;

TEST_CASE(
    "run_isolated: gives what the function gave, however long, and keeps nothing of what it did") {
  int touched = 0;
  const auto text = run_isolated("here", {}, [&] {
    touched = 1;
    return std::string(3'000'000, 'x');
  });
  CHECK(text == std::string(3'000'000, 'x'));
  CHECK(touched == 0);
  CHECK(run_isolated("here", {}, [] { return std::string(); }).empty());
}

TEST_CASE("run_isolated: an error arrives as it was thrown") {
  CHECK(test::error_of([] {
          run_isolated("here", {}, []() -> std::string { fail_file("a.dcm", "Rows", "is {}", 0); });
        }) == "a.dcm: Rows: is 0");
}

TEST_CASE(
    "run_isolated: a crash, endless work and too much memory are errors of the caller's, not its "
    "end") {
  CHECK(test::error_of([] { run_isolated("a.dcm", {}, []() -> std::string { std::abort(); }); }) ==
        "a.dcm: the decoder crashed on it: the file is damaged or hostile");
  CHECK(test::error_of([] {
          run_isolated("a.dcm", {.seconds = 1}, []() -> std::string {
            for (volatile unsigned long n = 0;; n = n + 1) {}
          });
        }).find("took more than 1 s") != std::string::npos);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(test::error_of([] {
          run_isolated("a.dcm", {.memory_bytes = 1 << 26}, [] {
            const std::vector<char> much(std::size_t{1} << 28, 'x');
            return std::string(much.begin(), much.begin() + 1);
          });
        }) == "a.dcm: there is not enough memory to read it");
#endif
}
