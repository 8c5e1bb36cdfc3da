// Every kernel of the contract (backend/backend.hpp) on every backend, type and shape, held against Reference in double.
// A new backend is one more line in `Backends`, a new kernel one more line in `Ops`.
#include "conformance.hpp"
#include "conformance_loop_ops.hpp"
#include "conformance_matrix_ops.hpp"
#include "conformance_row_ops.hpp"

#include <tuple>

#if defined(_OPENMP)
#include <omp.h>
#endif

using namespace conformance;

namespace {

using Backends = std::tuple<Cpu, Reference>;
using MatrixOps = std::tuple<Gemm, Attention>;
using RowOps = std::tuple<LayerNorm, Softmax, CrossEntropy, GatherScatter, Resample, AdamW>;
using LoopOps = std::tuple<
    CopyFill, Reduce, Elementwise<op::Negate, 1, false>, Elementwise<op::Abs, 1, false>, Elementwise<op::Square, 1, false>, Elementwise<op::Sqrt, 1, true>,
    Elementwise<op::Reciprocal, 1, true>, Elementwise<op::Exp, 1, false>, Elementwise<op::Log, 1, true>, Elementwise<op::Log1p, 1, true>,
    Elementwise<op::Sin, 1, false>, Elementwise<op::Cos, 1, false>, Elementwise<op::Tanh, 1, false>, Elementwise<op::Erf, 1, false>,
    Elementwise<op::Sigmoid, 1, false>, Elementwise<op::Softplus, 1, false>, Elementwise<op::Relu, 1, false>, Elementwise<op::Gelu, 1, false>,
    Elementwise<op::Silu, 1, false>, Elementwise<op::Add, 2, false>, Elementwise<op::Subtract, 2, false>, Elementwise<op::Multiply, 2, false>,
    Elementwise<op::Divide, 2, true>, Elementwise<op::Minimum, 2, false>, Elementwise<op::Maximum, 2, false>, Elementwise<op::Pow, 2, true>>;

template <class Ops, class Fn>
void for_each_op(Fn fn) {
  [&]<std::size_t... I>(std::index_sequence<I...>) { (fn(std::type_identity<std::tuple_element_t<I, Ops>>{}), ...); }(std::make_index_sequence<std::tuple_size_v<Ops>>{});
}

template <class Ops>
void expect_agreement_everywhere() {
  for_each_op<Ops>([]<class Op>(std::type_identity<Op>) {
    for_each_op<Backends>([]<class B>(std::type_identity<B>) {
      expect_agreement<Op, float, B>();
      expect_agreement<Op, double, B>();
    });
  });
}

}  // namespace

TEST_CASE("backends: matrix products and attention agree with the reference") { expect_agreement_everywhere<MatrixOps>(); }
TEST_CASE("backends: row-wise, index, resampling and optimiser kernels agree with the reference") { expect_agreement_everywhere<RowOps>(); }
TEST_CASE("backends: elementwise statements, copies and reductions agree with the reference") { expect_agreement_everywhere<LoopOps>(); }

#if defined(_OPENMP)
TEST_CASE("cpu backend: one, two and four threads give the same bits") {
  const int before = omp_get_max_threads();
  const auto check = []<class Op>(std::type_identity<Op>) {
    for (const Sizes& sizes : Op::sizes()) {
      CAPTURE(Op::name);
      CAPTURE(describe(sizes));
      omp_set_num_threads(1);
      const Outputs one = Op::template run<float, Cpu>(sizes);
      for (int threads : {2, 4}) {
        omp_set_num_threads(threads);
        const Outputs many = Op::template run<float, Cpu>(sizes);
        for (std::size_t k = 0; k < one.size(); ++k) {
          CAPTURE(one[k].name);
          bool same = one[k].values.size() == many[k].values.size();
          for (std::size_t i = 0; same && i < one[k].values.size(); ++i)  // bits, so that NaN equals itself
            same = std::bit_cast<std::uint64_t>(one[k].values[i]) == std::bit_cast<std::uint64_t>(many[k].values[i]);
          CHECK(same);
        }
      }
    }
  };
  for_each_op<MatrixOps>(check);
  for_each_op<RowOps>(check);
  for_each_op<LoopOps>(check);
  omp_set_num_threads(before);
}
#endif

TEST_CASE("backends: indices and labels outside the table are named") {
  const std::vector<float> table(6);
  std::vector<float> out(6);
  for (std::int64_t wrong : {std::int64_t{-1}, std::int64_t{3}, std::int64_t{1} << 62}) {
    const std::vector<std::int64_t> index = {0, wrong};
    const std::string want = "index 1 is " + std::to_string(wrong);
    for_each_op<Backends>([&]<class B>(std::type_identity<B>) {
      const auto message = [&](auto call) -> std::string {
        try {
          call();
        } catch (const error& e) {
          return e.what();
        }
        return "";
      };
      CHECK(message([&] { gather_rows(B{}, table.data(), index.data(), out.data(), 2, 2, 3); }).find(want) != std::string::npos);
      CHECK(message([&] { scatter_add_rows(B{}, table.data(), index.data(), out.data(), 2, 2, 3); }).find(want) != std::string::npos);
      CHECK(message([&] { cross_entropy_forward(B{}, table.data(), index.data(), out.data(), out.data() + 2, 2, 3); }).find("label 1 is " + std::to_string(wrong)) !=
            std::string::npos);
    });
  }
}
