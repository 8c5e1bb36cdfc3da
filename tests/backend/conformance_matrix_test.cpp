#include "conformance_matrix_ops.hpp"
#include "conformance_table.hpp"

using namespace conformance;

using MatrixOps = std::tuple<GemmOf<Stored::nothing>, GemmOf<Stored::operands>,
                             GemmOf<Stored::operands_and_result>, Attention>;

TEST_CASE("backends: matrix products and attention agree with the reference") {
  expect_agreement_everywhere<MatrixOps>();
}
TEST_CASE(
    "tested backend: matrix products and attention give the same bits at 1, 2 and 4 threads") {
  expect_same_bits_at_any_thread_count<MatrixOps>();
}
