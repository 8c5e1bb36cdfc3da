#include "conformance_loop_ops.hpp"
#include "conformance_table.hpp"

using namespace conformance;

using LoopOps = std::tuple<CopyFill, Reduce, SumOfStored, CutPatches<false>, CutPatches<true>,
                           Elementwise<op::Negate, 1, false>, Elementwise<op::Abs, 1, false>,
                           Elementwise<op::Square, 1, false>, Elementwise<op::Sqrt, 1, true>,
                           Elementwise<op::Reciprocal, 1, true>, Elementwise<op::Exp, 1, false>,
                           Elementwise<op::Log, 1, true>, Elementwise<op::Log1p, 1, true>,
                           Elementwise<op::Sin, 1, false>, Elementwise<op::Cos, 1, false>,
                           Elementwise<op::Tanh, 1, false>, Elementwise<op::Erf, 1, false>,
                           Elementwise<op::Sigmoid, 1, false>, Elementwise<op::Softplus, 1, false>,
                           Elementwise<op::Relu, 1, false>, Elementwise<op::Gelu, 1, false>,
                           Elementwise<op::Silu, 1, false>, Elementwise<op::Add, 2, false>,
                           Elementwise<op::Subtract, 2, false>, Elementwise<op::Multiply, 2, false>,
                           Elementwise<op::Divide, 2, true>, Elementwise<op::Minimum, 2, false>,
                           Elementwise<op::Maximum, 2, false>, Elementwise<op::Pow, 2, true>>;

TEST_CASE("backends: elementwise statements, copies and reductions agree with the reference") {
  expect_agreement_everywhere<
      std::tuple<CopyFill, Reduce, SumOfStored, CutPatches<false>, CutPatches<true>>>();
  // Reference in float is left out: two dozen functors take long to compile
  expect_agreement_everywhere<LoopOps, std::tuple<Tested>>();
}
TEST_CASE(
    "tested backend: elementwise statements, copies and reductions give the same bits at 1, 2 and "
    "4 threads") {
  expect_same_bits_at_any_thread_count<LoopOps>();
}

TEST_CASE("tested backend: the sum of four million floats is that of doubles") {
  std::vector<float> x(std::size_t{1} << 22);
  double want = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    want += static_cast<double>(x[i] = static_cast<float>(i % 1000) * 0.001f);
  const Buffer<float, Tested> at(x), sum(1);
  reduce(Tested{}, Reduction::sum, static_cast<const float*>(at.data()), sum.data(), 1,
         static_cast<index_t>(x.size()), 1);
  // Float addition one by one is off by 1e-3
  CHECK(std::abs(sum.values()[0] - want) <= 1e-6 * want);
}
