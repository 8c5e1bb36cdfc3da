// Operands that lie in bfloat16 from the operation that makes them on (ResultFor::products), in the
// builds whose backend takes such.
#if defined(HLIP_WITH_DEVICE)

#include <hlip/backend/cuda.hpp>
#include <hlip/backend/reference.hpp>
#include <hlip/hlip.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace hlip;

namespace {

using Numbers = std::vector<double>;

/// Products of this process round to bfloat16 while it lives.
struct RoundedProducts {
  RoundedProducts() { set_matrix_precision(Cuda{}, MatrixPrecision::bfloat16); }
  ~RoundedProducts() { set_matrix_precision(Cuda{}, MatrixPrecision::float32); }
};

template <class T, class B>
Var<T, B> leaf(const Shape& shape, std::uint32_t stream, double scale = 1) {
  std::vector<T> v(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<T>(static_cast<float>(scale * normal_at({41, stream, 0}, i)));
  return Var<T, B>(Tensor<T, B>::from_values(shape, std::span<const T>(v)), true);
}
template <class T, class B> Numbers values(const Tensor<T, B>& x) {
  const std::vector<T> v = x.to_vector();
  return Numbers(v.begin(), v.end());
}

/// ‖got − want‖ / ‖want‖.
double apart(const Numbers& got, const Numbers& want) {
  REQUIRE(got.size() == want.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(difference / size);
}

/// A block of a transformer on two sequences of 21 tokens, with two readers of a stored result;
/// then its loss and all gradients.
template <class T, class B> std::vector<Numbers> block_step(bool separate, bool recorded = true) {
  const index_t dim = 32, rows = 42, heads = 2;
  const ResultFor products = ResultFor::products;
  std::vector<Var<T, B>> p = {leaf<T, B>({rows, dim}, 1),    leaf<T, B>({dim}, 2),
                              leaf<T, B>({dim}, 3),          leaf<T, B>({3 * dim, dim}, 4, 0.2),
                              leaf<T, B>({3 * dim}, 5, 0.1), leaf<T, B>({dim, dim}, 6, 0.2),
                              leaf<T, B>({dim}, 7, 0.1),     leaf<T, B>({4 * dim, dim}, 8, 0.2),
                              leaf<T, B>({4 * dim}, 9, 0.1), leaf<T, B>({dim, 4 * dim}, 10, 0.1),
                              leaf<T, B>({dim}, 11, 0.1)};
  const TokenLayout layout = TokenLayout::plain(2, rows / 2);
  std::vector<std::uint8_t> visible(static_cast<std::size_t>(rows), 1);
  visible[5] = visible[40] = 0;
  const auto mask = Tensor<std::uint8_t, B>::from_values({2, rows / 2},
                                                         std::span<const std::uint8_t>(visible));
  const Var<T, B> normed = layer_norm(p[0], p[1], p[2], 1e-6, products);
  Var<T, B> mixed;
  if (separate) {
    const auto part = [&](index_t i) {
      return linear(normed, slice(p[3], 0, i * dim, (i + 1) * dim),
                    slice(p[4], 0, i * dim, (i + 1) * dim), {.result = products});
    };
    mixed = attention(part(0), part(1), part(2), layout, heads, mask, {0.1, {1, 2, 3}});
  } else {
    mixed = attention(linear(normed, p[3], p[4], {.result = products}), layout, heads);
  }
  const Var<T, B> x = linear(mixed, p[5], p[6], {.residual = p[0]});
  const Var<T, B> hidden = linear(layer_norm(x, p[1], p[2], 1e-6, products), p[7], p[8],
                                  {.activation = Activation::gelu, .result = products});
  const Var<T, B> y = linear(hidden, p[9], p[10], {.residual = x});
  const Var<T, B> loss = sum(square(y)) * T(0.01) + sum(hidden * hidden) * T(0.01) + sum(mixed);
  std::vector<Numbers> out{values(loss.value()), values(y.value())};
  if (!recorded) return out;
  loss.backward();
  for (const auto& parameter : p) out.push_back(values(parameter.grad()));
  return out;
}

}  // namespace

TEST_CASE(
    "stored operands: a block and its gradients agree with the reference as far as bfloat16 goes, "
    "and repeat in every bit") {
  for (const bool separate : {false, true}) {
    CAPTURE(separate);
    const auto want = block_step<double, Reference>(separate),
               exact = block_step<float, Cuda>(separate);
    const RoundedProducts precision;
    const auto got = block_step<float, Cuda>(separate);
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
      CAPTURE(i);
      CHECK(apart(exact[i], want[i]) < 1e-5);
      // roundings of half a unit, 2⁻⁹, in the dozen tensors between
      CHECK(apart(got[i], want[i]) < 0x1p-6);
      if (i >= 1) CHECK(apart(got[i], exact[i]) > 1e-4);
    }
    CHECK(block_step<float, Cuda>(separate) == got);
    const NoGrad guard;
    const auto without_graph = block_step<float, Cuda>(separate, false);
    CHECK(without_graph[0] == got[0]);
    CHECK(without_graph[1] == got[1]);
  }
}

TEST_CASE(
    "stored operands: they lie in 16 bits only where products round to bfloat16, and look like any "
    "other value") {
  const auto x = leaf<float, Cuda>({6, 16}, 1), w = leaf<float, Cuda>({8, 16}, 2),
             b = leaf<float, Cuda>({8}, 3);
  const LinearOptions<float, Cuda> for_products{.result = ResultFor::products};
  CHECK_FALSE(linear(x, w, b, for_products).stored());
  const RoundedProducts precision;
  CHECK_FALSE(linear(x, w, b).stored());
  CHECK_FALSE(
      linear(x, w, b, {.residual = leaf<float, Cuda>({6, 8}, 4), .result = ResultFor::products})
          .stored());
  const auto y = linear(x, w, b, for_products);
  CHECK(y.stored());
  CHECK(y.shape() == Shape{6, 8});
  CHECK(y.dim(-1) == 8);
  CHECK(y.numel() == 48);
  CHECK(y.as<bfloat16>().data() == y.as<bfloat16>().data());
  CHECK(values(y.value()) == values(y.as<bfloat16>().to<float>()));
  CHECK(values(y.detach().value()) == values(y.value()));
  CHECK(apart(values(y.value()), values(linear(x, w, b).value())) < 0x1p-8);
  const auto nothing = linear(leaf<float, Cuda>({0, 16}, 1), w, b, for_products);
  CHECK(nothing.stored());
  CHECK(nothing.value().shape() == Shape{0, 8});
  const auto twice = leaf<double, Cuda>({6, 16}, 1);
  CHECK_FALSE(
      linear(twice, leaf<double, Cuda>({8, 16}, 2), {}, {.result = ResultFor::products}).stored());
}

TEST_CASE("stored operands: a branch under drop path, and its gradient") {
  const TokenLayout layout = TokenLayout::plain(6, 3);
  const auto run = [&](const RandomKey& key) {
    const auto x = leaf<float, Cuda>({18, 8}, 1), w = leaf<float, Cuda>({8, 8}, 2);
    const auto branch = linear(x, w, {}, {.result = ResultFor::branch});
    const auto y = drop_path_add(x, branch, 0.5, layout, key, Tensor<float, Cuda>::empty({18, 8}));
    sum(square(y)).backward();
    return std::vector<Numbers>{
        {branch.stored() ? 1.0 : 0.0}, values(y.value()), values(x.grad()), values(w.grad())};
  };
  const auto exact = run({4, 5, 6});
  const RoundedProducts precision;
  const auto got = run({4, 5, 6});
  CHECK(exact[0][0] == 0);
  CHECK(got[0][0] == 1);
  for (std::size_t i = 1; i < got.size(); ++i) {
    CHECK(apart(got[i], exact[i]) > 1e-4);
    CHECK(apart(got[i], exact[i]) < 0x1p-7);
  }
}

TEST_CASE(
    "stored operands: a single gradient of a stored result stays in 16 bits, others are added as "
    "floats") {
  const RoundedProducts precision;
  const auto x = leaf<float, Cuda>({6, 16}, 1), w = leaf<float, Cuda>({8, 16}, 2),
             v = leaf<float, Cuda>({4, 8}, 3);
  const auto y = linear(x, w, {}, {.result = ResultFor::products});
  const auto seed = Tensor<bfloat16, Cuda>::ones({6, 8});
  y.node()->accumulate(seed);
  CHECK(y.node()->half_grad.has_value());
  CHECK_FALSE(y.node()->grad.has_value());
  y.node()->accumulate(seed);
  CHECK_FALSE(y.node()->half_grad.has_value());
  CHECK(values(*y.node()->grad) == Numbers(48, 2));
  y.node()->drop_gradient();
  CHECK_FALSE(y.node()->has_gradient());
  sum(linear(y, v, {})).backward();
  CHECK(x.has_grad());
  CHECK_FALSE(y.node()->has_gradient());
}

#endif
