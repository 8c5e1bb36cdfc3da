#include "../support/gradients.hpp"

#include <hlip/autograd/functions/attention.hpp>
#include <hlip/autograd/functions/linear.hpp>
#include <hlip/autograd/kept.hpp>

using namespace test;

namespace {

using Single = Tensor<float, Cpu>;

/// Products of this process round to bfloat16 while it lives.
struct RoundedProducts {
  RoundedProducts() { set_matrix_precision(Cpu{}, MatrixPrecision::bfloat16); }
  ~RoundedProducts() { set_matrix_precision(Cpu{}, MatrixPrecision::float32); }
};

struct Step {
  std::vector<Single> gradients;
  std::size_t kept = 0;  ///< bytes of activations that the way back waits with
};

/// proj(attention(qkv(x))), as in a block, on `rows` tokens.
Step attention_step(index_t rows) {
  const index_t dim = 32;
  std::vector<Var<float, Cpu>> leaves;
  std::uint32_t stream = 0;
  for (const Shape& shape : {Shape{rows, dim}, Shape{3 * dim, dim}, Shape{dim, dim}})
    leaves.emplace_back(Single(cast<float>(numbers(shape, stream++))), true);
  auto& used = memory_statistics<Cpu>();
  const std::size_t before = used.now().total();
  Var<float, Cpu> loss;
  {
    const auto mixed = attention(linear(leaves[0], leaves[1], {}), TokenLayout::plain(2, rows / 2),
                                 2);
    loss = sum(square(linear(mixed, leaves[2], {})));
  }
  Step step;
  step.kept = used.now().total() - before;
  loss.backward();
  for (const auto& leaf : leaves) step.gradients.push_back(leaf.grad());
  return step;
}

}  // namespace

TEST_CASE("kept: without rounded products it is the very tensor, and of other types always") {
  const Single x = Single::ones({3, 4});
  const auto kept = Kept<float, Cpu>::for_products(x);
  CHECK_FALSE(kept.rounded());
  CHECK(kept.as().data() == x.data());
  CHECK(kept.rows(1, 3).as().data() == x.data() + 4);
  if (!has_bfloat16_products(Cpu{})) return;
  const RoundedProducts precision;
  CHECK_FALSE((Kept<double, Cpu>::for_products(numbers({3, 4}, 1)).rounded()));
}

TEST_CASE("kept: with rounded products it is a copy in bfloat16") {
  if (!has_bfloat16_products(Cpu{})) return;
  const RoundedProducts precision;
  const Single x(cast<float>(numbers({5, 7}, 1)));
  const auto kept = Kept<float, Cpu>::for_products(x);
  CHECK(kept.rounded());
  CHECK(same_bits(kept.as(), x.to<bfloat16>().to<float>()));
  CHECK(same_bits(kept.rows(2, 4).as(), x.slice(0, 2, 4).to<bfloat16>().to<float>()));
}

TEST_CASE(
    "kept: an attention with rounded products waits with half of the memory and gives the "
    "gradients of float to two digits") {
  if (!has_bfloat16_products(Cpu{})) return;
  const index_t rows = 2400;  // more than is taken back at a time
  const Step exact = attention_step(rows);
  const RoundedProducts precision;
  const Step rounded = attention_step(rows);
  // q, k, v and mixed in 2 bytes instead of 4; log-sum-exps, the last product and the loss as
  // before
  CHECK(exact.kept - rounded.kept == static_cast<std::size_t>(rows) * 4 * 32 * 2);
  for (std::size_t i = 0; i < exact.gradients.size(); ++i) {
    double most = 0, largest = 0;
    const auto a = exact.gradients[i].to_vector(), b = rounded.gradients[i].to_vector();
    for (std::size_t j = 0; j < a.size(); ++j) {
      most = std::max(most, static_cast<double>(std::abs(a[j] - b[j])));
      largest = std::max(largest, static_cast<double>(std::abs(a[j])));
    }
    CAPTURE(i);
    CHECK(most > 0);
    CHECK(most < 0.02 * largest);
  }
}
