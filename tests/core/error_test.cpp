#include "../support/errors.hpp"

#include <hlip/core/check.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using test::error_of;

TEST_CASE("errors: operation and message, or path, place and message") {
  CHECK(error_of([] { fail("matmul", "inner sizes {} and {} differ", 3, 4); }) ==
        "matmul: inner sizes 3 and 4 differ");
  CHECK(error_of([] { fail_file("a.nii.gz", "byte 42", "dim[0] is {}", 9); }) ==
        "a.nii.gz: byte 42: dim[0] is 9");
  CHECK(error_of([] { fail_file("a.csv", "", "is empty"); }) == "a.csv: is empty");
}

TEST_CASE("errors: one type, which is a runtime_error") {
  static_assert(std::is_base_of_v<std::runtime_error, error>);
  CHECK_THROWS_AS(fail("x", "y"), std::runtime_error);
}

TEST_CASE("expect: silent when all is well") {
  CHECK_NOTHROW(expect(true, "matmul", "never {}", "said"));
}
