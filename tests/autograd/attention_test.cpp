#include "../support/gradients.hpp"

#include <hlip/autograd/functions/attention.hpp>

using namespace test;

namespace {

using Mask = Tensor<std::uint8_t, Cpu>;

/// Token layouts with prefix rows before, after and far from the patch rows, and without prefix or
/// patches.
const std::vector<TokenLayout> layouts = {
    TokenLayout::plain(2, 5), {2, 1, 4, 0, 2}, {2, 2, 3, 6, 0}, {1, 1, 18, 18, 0}, {3, 2, 1, 0, 6}};

index_t row_of_token(const TokenLayout& l, index_t sequence, index_t token) {
  return token < l.prefix ? l.prefix_begin + sequence * l.prefix + token
                          : l.patch_begin + sequence * l.patches + token - l.prefix;
}

/// softmax(q·kᵀ/√d)·v with loops, probabilities and all.
Array plain_attention(const Array& q, const Array& k, const Array& v, const TokenLayout& l,
                      index_t heads, const Mask& mask, const AttentionOptions& options) {
  const index_t dim = q.dim(1), d = dim / heads, tokens = l.tokens();
  const Array out = Array::zeros({l.rows(), dim});
  for (index_t s = 0; s < l.sequences; ++s)
    for (index_t h = 0; h < heads; ++h)
      for (index_t i = 0; i < tokens; ++i) {
        std::vector<double> p(static_cast<std::size_t>(tokens));
        double total = 0;
        for (index_t j = 0; j < tokens; ++j) {
          double score = 0;
          for (index_t c = 0; c < d; ++c)
            score += q.at({row_of_token(l, s, i), h * d + c}) *
                     k.at({row_of_token(l, s, j), h * d + c});
          const bool visible = mask.numel() == 0 ||
                               mask.reshape({l.sequences, tokens}).at({s, j}) != 0;
          p[static_cast<std::size_t>(j)] = visible
                                               ? std::exp(score / std::sqrt(static_cast<double>(d)))
                                               : 0;
          total += p[static_cast<std::size_t>(j)];
        }
        for (index_t j = 0; j < tokens; ++j) {
          double weight = p[static_cast<std::size_t>(j)] / total;
          if (options.dropout > 0) {
            const auto draw = static_cast<std::uint64_t>(((s * heads + h) * tokens + i) * tokens +
                                                         j);
            weight = uniform_at(options.dropout_key, draw) < options.dropout
                         ? 0
                         : weight / (1 - options.dropout);
          }
          for (index_t c = 0; c < d; ++c)
            out.data()[row_of_token(l, s, i) * dim + h * d + c] +=
                weight * v.at({row_of_token(l, s, j), h * d + c});
        }
      }
  return out;
}

/// A mask that hides about a third of the keys and never a whole sequence.
Mask some_mask(const TokenLayout& l) {
  const Mask mask = Mask::ones({l.sequences, l.tokens()});
  for (index_t i = 0; i < mask.numel(); ++i)
    if (i % l.tokens() != 1 % l.tokens() &&
        uniform_at({9, 9, 9}, static_cast<std::uint64_t>(i)) < 0.4)
      mask.data()[i] = 0;
  return mask;
}

}  // namespace

TEST_CASE(
    "attention: packed and separate operands give what the formula says, in every layout, masked "
    "and dropped") {
  for (const TokenLayout& l : layouts)
    for (index_t heads : {1, 2})
      for (int kind = 0; kind < 4; ++kind) {
        const Mask mask = kind & 1 ? some_mask(l) : Mask();
        const AttentionOptions options{kind & 2 ? 0.3 : 0.0, {1, 2, 3}};
        const index_t dim = 6;
        const Array qkv = numbers({l.rows(), 3 * dim}, 1, -2, 2), q = qkv.slice(1, 0, dim),
                    k = qkv.slice(1, dim, 2 * dim), v = qkv.slice(1, 2 * dim, 3 * dim);
        const Array want = plain_attention(q, k, v, l, heads, mask, options);
        CAPTURE(l.prefix);
        CAPTURE(l.prefix_begin);
        CAPTURE(heads);
        CAPTURE(kind);
        CHECK(largest_difference(attention(Variable(qkv), l, heads, mask, options).value(), want) <
              1e-13);
        CHECK(largest_difference(
                  attention(Variable(q), Variable(k), Variable(v), l, heads, mask, options).value(),
                  want) < 1e-13);
      }
}

TEST_CASE(
    "attention: gradients of packed and separate operands, in every layout, masked and dropped") {
  for (const TokenLayout& l : layouts)
    for (int kind = 0; kind < 4; ++kind) {
      // Central differences of long sequences take long and show nothing new
      if (l.rows() > 16) continue;
      const Mask mask = kind & 1 ? some_mask(l) : Mask();
      const AttentionOptions options{kind & 2 ? 0.3 : 0.0, {1, 2, 3}};
      const std::string name = "layout with prefix at " + std::to_string(l.prefix_begin) +
                               ", kind " + std::to_string(kind);
      check_gradient(
          name,
          [&](const std::vector<Variable>& v) { return attention(v[0], l, 2, mask, options); },
          {numbers({l.rows(), 12}, 1)});
      check_gradient(name + ", separate",
                     [&](const std::vector<Variable>& v) {
                       return attention(v[0], v[1], v[2], l, 2, mask, options);
                     },
                     {numbers({l.rows(), 4}, 1), numbers({l.rows(), 4}, 2),
                      numbers({4, l.rows()}, 3).transpose(0, 1)});
    }
}

TEST_CASE(
    "attention: sequences of several lengths in one matrix give the bits of separate attentions, "
    "and their gradients") {
  // plain, with the prefix in front, and with the prefix behind: rows 0-9, 10-18, 19-26
  const std::vector<TokenLayout> several = {
      TokenLayout::plain(2, 5), {3, 1, 2, 10, 13}, {1, 2, 6, 25, 19}};
  const TokenLayouts all(several);
  CHECK(all.rows() == 27);
  const index_t begin[] = {0, 10, 19, 27};
  const Array qkv = numbers({27, 12}, 1), c = numbers({27, 4}, 2);
  const Variable packed(qkv, true), q(qkv.slice(1, 0, 4), true), k(qkv.slice(1, 4, 8), true),
      v(qkv.slice(1, 8, 12), true);
  const Variable together = attention(packed, all, 2), apart = attention(q, k, v, all, 2);
  together.backward(c), apart.backward(c);
  CHECK(same_bits(together.value(), apart.value()));
  for (std::size_t i = 0; i < several.size(); ++i) {
    CAPTURE(i);
    TokenLayout alone = several[i];
    alone.prefix_begin -= begin[i], alone.patch_begin -= begin[i];
    if (alone.prefix == 0) alone.prefix_begin = 0;
    const Variable x(qkv.slice(0, begin[i], begin[i + 1]).clone(), true);
    const Variable y = attention(x, alone, 2);
    y.backward(c.slice(0, begin[i], begin[i + 1]).clone());
    const auto rows = [&](const Array& a) { return a.slice(0, begin[i], begin[i + 1]).clone(); };
    CHECK(same_bits(y.value(), rows(together.value())));
    CHECK(same_bits(x.grad(), rows(packed.grad())));
    CHECK(same_bits(x.grad().slice(1, 0, 4).clone(), rows(q.grad())));
    CHECK(same_bits(x.grad().slice(1, 4, 8).clone(), rows(k.grad())));
    CHECK(same_bits(x.grad().slice(1, 8, 12).clone(), rows(v.grad())));
  }
}

TEST_CASE("attention: gradients of sequences of two lengths") {
  const TokenLayouts both(std::vector<TokenLayout>{{2, 1, 2, 0, 2}, TokenLayout::plain(1, 4, 6)});
  check_gradient("two lengths",
                 [&](const std::vector<Variable>& v) { return attention(v[0], both, 2); },
                 {numbers({10, 12}, 1)});
}

TEST_CASE("attention: a Var that is query, key and value at once gets all three gradients") {
  const TokenLayout l = TokenLayout::plain(2, 3);
  check_gradient("q = k = v",
                 [&](const std::vector<Variable>& v) { return attention(v[0], v[0], v[0], l, 2); },
                 {numbers({6, 4}, 1)});
}

TEST_CASE("attention: what a sequence cannot see does not change its result by one bit") {
  const TokenLayout l{2, 1, 3, 0, 2};
  const Array qkv = numbers({8, 12}, 1), other = qkv.clone();
  for (index_t token = 0; token < 4; ++token) other.select(0, row_of_token(l, 1, token)).fill(3);
  const Array a = attention(Variable(qkv), l, 2).value(),
              b = attention(Variable(other), l, 2).value();
  for (index_t token = 0; token < 4; ++token)
    CHECK(
        same_bits(a.select(0, row_of_token(l, 0, token)), b.select(0, row_of_token(l, 0, token))));
  CHECK_FALSE(same_bits(a, b));
}

TEST_CASE("attention: shapes, heads and masks that do not fit are errors") {
  const TokenLayout l = TokenLayout::plain(2, 3);
  CHECK(error_of([&] {
          attention(Variable(Array::ones({5, 12})), l, 2);
        }) == "attention: qkv is (5, 12), expected (rows = 6, 3·dim = 12)");
  CHECK_THROWS_AS(attention(Variable(Array::ones({6, 13})), l, 2), error);
  CHECK(error_of([&] {
          attention(Variable(Array::ones({6, 12})), l, 3);
        }) == "attention: width 4 does not divide into 3 heads");
  CHECK_THROWS_AS(attention(Variable(Array::ones({6, 12})), l, 0), error);
  CHECK(error_of([&] {
          attention(Variable(Array::ones({6, 12})), l, 2, Mask::ones({2, 4}));
        }) == "attention: key mask is (2, 4), expected (sequences = 2, tokens = 3)");
  const TokenLayouts both(std::vector<TokenLayout>{l, TokenLayout::plain(1, 4, 6)});
  CHECK(error_of([&] {
          attention(Variable(Array::ones({6, 12})), both, 2);
        }) == "attention: qkv is (6, 12), expected (rows = 10, 3·dim = 12)");
  CHECK(error_of([&] {
          attention(Variable(Array::ones({10, 12})), both, 2, Mask::ones({2, 5}));
        }) == "attention: a key mask or dropout for sequences of 2 lengths, expected of one");
  CHECK_THROWS_AS(attention(Variable(Array::ones({10, 12})), both, 2, {}, {0.5, {1, 2, 3}}), error);
}
