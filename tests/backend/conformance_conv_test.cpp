#include "conformance_conv_ops.hpp"
#include "conformance_table.hpp"

using namespace conformance;

TEST_CASE("backends: convolution agrees with the reference") {
  expect_agreement_everywhere<std::tuple<Convolution>>();
}
TEST_CASE("tested backend: convolution gives the same bits at 1, 2 and 4 threads") {
  expect_same_bits_at_any_thread_count<std::tuple<Convolution>>();
}
