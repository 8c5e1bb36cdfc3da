#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>
#include <hlip/ops/faster_precision.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE(
    "precision: measuring leaves it as it was, and a backend without bfloat16 products is never "
    "faster with them") {
  const bool faster = bfloat16_is_faster<Cpu>();
  CHECK(matrix_precision(Cpu{}) == MatrixPrecision::float32);
  CHECK((has_bfloat16_products(Cpu{}) || !faster));
  CHECK_FALSE(bfloat16_is_faster<Reference>());
  CHECK_THROWS_AS(set_matrix_precision(Reference{}, MatrixPrecision::bfloat16), error);
}
