#include "../support/gradients.hpp"

#include <hlip/autograd/functions/causal_attention.hpp>

using namespace test;

namespace {

using Mask = Tensor<std::uint8_t, Cpu>;

/// Attention in loops. @param mask (batch, keys), or empty
Array by_definition(const Array& q, const Array& k, const Array& v, const Mask& mask) {
  const index_t batch = q.dim(0), heads = q.dim(1), tokens = q.dim(2), dim = q.dim(3),
                groups = k.dim(1), keys = k.dim(2);
  const Array y = Array::zeros({batch, tokens, heads * dim});
  // (contiguous rows: there are millions of elements to look at)
  const std::vector<double> qs = q.to_vector(), ks = k.to_vector(), vs = v.to_vector();
  for (index_t b = 0; b < batch; ++b)
    for (index_t h = 0; h < heads; ++h)
      for (index_t t = 0; t < tokens; ++t) {
        const index_t g = b * groups + h / (heads / groups);
        const double* query = qs.data() + ((b * heads + h) * tokens + t) * dim;
        const double *key = ks.data() + g * keys * dim, *value = vs.data() + g * keys * dim;
        std::vector<double> weight(static_cast<std::size_t>(keys), 0.0);
        double total = 0;
        for (index_t j = 0; j <= keys - tokens + t; ++j) {
          if (mask.numel() > 0 && mask.at({b, j}) == 0) continue;
          double score = 0;
          for (index_t i = 0; i < dim; ++i) score += query[i] * key[j * dim + i];
          total += weight[static_cast<std::size_t>(j)] = std::exp(
              score / std::sqrt(static_cast<double>(dim)));
        }
        for (index_t i = 0; i < dim; ++i) {
          double sum = 0;
          for (index_t j = 0; j < keys; ++j)
            sum += weight[static_cast<std::size_t>(j)] / total * value[j * dim + i];
          y.data()[(b * tokens + t) * heads * dim + h * dim + i] = sum;
        }
      }
  return y;
}

}  // namespace

TEST_CASE("causal_attention: what the definition says, with shared heads, a cache and a mask") {
  for (const index_t groups : {1, 2, 4})
    for (const index_t keys : {5, 8})
      for (const bool masked : {false, true}) {
        CAPTURE(groups);
        CAPTURE(keys);
        CAPTURE(masked);
        const Array q = numbers({2, 4, 5, 6}, 1), k = numbers({2, groups, keys, 6}, 2),
                    v = numbers({2, groups, keys, 6}, 3);
        Mask mask;
        if (masked) {
          mask = Mask::ones({2, keys});
          mask.data()[2] = mask.data()[keys + 1] = 0;
        }
        const Array y = causal_attention(Variable(q), Variable(k), Variable(v), mask).value();
        CHECK(largest_difference(y, by_definition(q, k, v, mask)) < 1e-14);
      }
}

TEST_CASE("causal_attention: gradients, with shared heads, a mask and views") {
  const Mask mask = Mask::from_values({1, 6}, {1, 0, 1, 1, 1, 1});
  check_gradient(
      "causal_attention",
      [&](const std::vector<Variable>& v) { return causal_attention(v[0], v[1], v[2], mask); },
      {numbers({1, 4, 4, 2}, 1), numbers({1, 2, 6, 2}, 2), numbers({1, 2, 6, 2}, 3)});
  check_gradient("causal_attention of views",
                 [](const std::vector<Variable>& v) { return causal_attention(v[0], v[1], v[2]); },
                 {numbers({2, 3, 2, 2}, 1).permute({0, 2, 1, 3}),
                  numbers({2, 3, 1, 2}, 2).permute({0, 2, 1, 3}),
                  numbers({2, 3, 1, 2}, 3).permute({0, 2, 1, 3})});
}

TEST_CASE("causal_attention: texts so long that queries come in pieces, forward and backward") {
  // 2^22 scores at a time: 26 queries of the 40 where there are 10000 keys of 16 heads
  const index_t keys = 10000, tokens = 40;
  const Array q = numbers({1, 16, tokens, 1}, 1), k = numbers({1, 1, keys, 1}, 2),
              v = numbers({1, 1, keys, 1}, 3);
  const Variable queries(q, true), ks(k, true), values(v, true);
  const Variable y = causal_attention(queries, ks, values);
  CHECK(largest_difference(y.value(), by_definition(q, k, v, {})) < 1e-13);
  const Array seed = numbers(y.shape(), 4);
  y.backward(seed);
  // each half of the queries apart, whose gradients add up
  Array dk = Array::zeros(k.shape());
  for (const index_t first : {index_t{0}, tokens / 2}) {
    const index_t last = first + tokens / 2, seen = keys - tokens + last;
    const Variable some(q.slice(2, first, last).clone(), true), part(k.slice(2, 0, seen), true);
    causal_attention(some, part, Variable(v.slice(2, 0, seen)))
        .backward(seed.slice(1, first, last).contiguous());
    CHECK(largest_difference(some.grad(), queries.grad().slice(2, first, last)) < 1e-13);
    dk.slice(2, 0, seen).assign(dk.slice(2, 0, seen) + part.grad());
  }
  CHECK(largest_difference(dk, ks.grad()) < 1e-13);
}

TEST_CASE("causal_attention: what does not fit is said") {
  const auto fault = [](const Shape& q, const Shape& k, const Shape& v, const Mask& mask = {}) {
    return error_of([&] {
      causal_attention(Variable(Array::ones(q)), Variable(Array::ones(k)), Variable(Array::ones(v)),
                       mask);
    });
  };
  CHECK(fault({1, 3, 2, 4}, {1, 2, 2, 4}, {1, 2, 2, 4}) ==
        "causal_attention: 3 heads of queries do not divide into 2 of keys");
  CHECK(fault({1, 2, 3, 4}, {1, 2, 2, 4}, {1, 2, 2, 4}) == "causal_attention: 2 keys for 3 tokens");
  CHECK(fault({1, 2, 3, 4}, {1, 2, 3, 5}, {1, 2, 3, 4}).find("k is (1, 2, 3, 5)") !=
        std::string::npos);
  CHECK(fault({1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2, 3, 4}, Mask::ones({1, 2})) ==
        "causal_attention: key_mask is (1, 2), expected (batch = 1, keys = 3)");
}
