#include "../support/errors.hpp"

#include <hlip/core/check.hpp>

#include <doctest/doctest.h>

#include <thread>

using namespace hlip;
using test::error_of;

TEST_CASE(
    "module path: nested scopes are joined by dots, empty names left out, and gone after their "
    "block") {
  CHECK(located("linear") == "linear");
  {
    ModuleScope a("visual"), empty(""), b("trunk.blocks.3");
    CHECK(located("linear") == "visual.trunk.blocks.3 (linear)");
    CHECK(error_of([] { expect(1 + 1 == 3, "linear", "{} is not {}", 2, 3); }) ==
          "visual.trunk.blocks.3 (linear): 2 is not 3");
  }
  CHECK(located("linear") == "linear");
}

TEST_CASE("module path: an error on the way out leaves it as it was") {
  CHECK(error_of([] {
          ModuleScope a("text");
          expect(false, "bert", "no");
        }) == "text (bert): no");
  CHECK(located("bert") == "bert");
}

TEST_CASE("module path: every thread has its own") {
  ModuleScope a("visual");
  std::string other;
  std::thread([&] { other = located("linear"); }).join();
  CHECK(other == "linear");
}
