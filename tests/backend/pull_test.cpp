// The hand-written backward kernels against central differences of their forward kernels, in
// double, on every backend.
#include "conformance.hpp"

#include <hlip/ops/elementwise.hpp>

using namespace conformance;

namespace {

using Values = std::vector<double>;

template <class B> double weighted_sum(const Buffer<double, B>& result, const Values& weight) {
  const Values y = result.values();
  double sum = 0;
  for (std::size_t i = 0; i < weight.size(); ++i) sum += y[i] * weight[i];
  return sum;
}

/// Central differences of `loss` with respect to every number of an argument, x and `where` on the
/// backend, against `grad`. Step 1e-5: the formula errs by about step² · f''' = 1e-10 and rounding
/// by 1e-16 · |loss| / step = 1e-10; 1e-7 leaves room for curved functions.
template <class B, class Loss>
void expect_gradient(std::string_view argument, Values x, const Buffer<double, B>& where,
                     const Values& grad, Loss loss) {
  CAPTURE(std::string(argument));
  REQUIRE(x.size() == grad.size());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = x[i], step = 1e-5;
    const auto loss_at = [&](double value) {
      x[i] = value;
      where.write(x);
      return loss();
    };
    const double up = loss_at(at + step), down = loss_at(at - step);
    x[i] = at;
    const double error = std::abs((up - down) / (2 * step) - grad[i]) / (1 + std::abs(grad[i]));
    worst = error <= worst ? worst : error;  // NaN stays
  }
  where.write(x);
  CHECK(worst < 1e-7);
}

}  // namespace

TEST_CASE_TEMPLATE("backward kernels: layer norm", B, HLIP_TEST_BACKENDS) {
  const index_t rows = 3, cols = 19;
  const Values x = numbers<double>(rows * cols, 1), weight = numbers<double>(cols, 2),
               bias = numbers<double>(cols, 3), dy = numbers<double>(rows * cols, 4);
  const Buffer<double, B> at_x(x), at_weight(weight), at_bias(bias), at_dy(dy), y(rows * cols),
      mean(rows), rstd(rows), dx(rows * cols), dweight(cols), dbias(cols);
  const auto forward = [&] {
    LayerNormArgs<double> a;
    a.rows = rows, a.cols = cols, a.eps = 1e-6, a.x = at_x, a.weight = at_weight, a.bias = at_bias;
    a.y = y, a.mean = mean, a.rstd = rstd;
    layer_norm_forward(B{}, a);
    return weighted_sum(y, dy);
  };
  forward();
  LayerNormGradArgs<double> g;
  g.rows = rows, g.cols = cols, g.x = at_x, g.weight = at_weight, g.mean = mean, g.rstd = rstd,
  g.dy = at_dy;
  g.dx = dx, g.dweight = dweight, g.dbias = dbias;
  layer_norm_backward(B{}, g);
  expect_gradient("x", x, at_x, dx.values(), forward);
  expect_gradient("weight", weight, at_weight, dweight.values(), forward);
  expect_gradient("bias", bias, at_bias, dbias.values(), forward);
}

TEST_CASE_TEMPLATE("backward kernels: softmax and cross entropy", B, HLIP_TEST_BACKENDS) {
  const index_t rows = 3, cols = 18, n = rows * cols;
  const Values x = numbers<double>(n, 1), dy = numbers<double>(n, 2),
               dloss = numbers<double>(rows, 3);
  const Buffer<double, B> at_x(x), at_dy(dy), at_dloss(dloss), y(n), dx(n), loss(rows), lse(rows);
  const auto softmax = [&] {
    softmax_forward(B{}, at_x.data(), y.data(), rows, cols);
    return weighted_sum(y, dy);
  };
  softmax();
  softmax_backward(B{}, y.data(), at_dy.data(), dx.data(), rows, cols);
  expect_gradient("softmax x", x, at_x, dx.values(), softmax);

  const Buffer<std::int64_t, B> labels(std::vector<std::int64_t>{0, 17, 5});
  const auto entropy = [&] {
    cross_entropy_forward(B{}, at_x.data(), labels.data(), loss.data(), lse.data(), rows, cols);
    return weighted_sum(loss, dloss);
  };
  entropy();
  cross_entropy_backward(B{}, at_x.data(), labels.data(), lse.data(), at_dloss.data(), dx.data(),
                         rows, cols);
  expect_gradient("logits", x, at_x, dx.values(), entropy);
}

TEST_CASE_TEMPLATE("backward kernels: attention with two spans, a key mask and dropout", B,
                   HLIP_TEST_BACKENDS) {
  AttentionGradArgs<double> g;
  AttentionArgs<double>& a = g.forward;
  a.sequences = 2, a.prefix = 2, a.patches = 5, a.heads = 2, a.head_dim = 3, a.scale = 0.6;
  const index_t tokens = 7, stride = 6, n = a.sequences * tokens * stride,
                split = a.sequences * a.prefix * stride;
  const Values q = numbers<double>(n, 1), k = numbers<double>(n, 2), v = numbers<double>(n, 3),
               dout = numbers<double>(n, 4);
  const Buffer<double, B> at_q(q), at_k(k), at_v(v), at_dout(dout), out(n),
      lse(a.sequences * a.heads * tokens), dq(n), dk(n), dv(n);
  const Buffer<std::uint8_t, B> mask(
      std::vector<std::uint8_t>{1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1});
  const auto read = [&](const double* x) { return TokenRows<const double>{x, x + split, stride}; };
  const auto write = [&](double* x) { return TokenRows<double>{x, x + split, stride}; };
  a.q = read(at_q), a.k = read(at_k), a.v = read(at_v), a.out = write(out), a.lse = lse,
  a.key_mask = mask;
  a.dropout_key = {3, 1, 4};
  g.d_out = read(at_dout), g.dq = write(dq), g.dk = write(dk), g.dv = write(dv);
  for (double dropout : {0.0, 0.4}) {
    CAPTURE(dropout);
    a.dropout = dropout;
    const auto forward = [&] {
      attention_forward(B{}, a);
      return weighted_sum(out, dout);
    };
    forward();
    attention_backward(B{}, g);
    expect_gradient("q", q, at_q, dq.values(), forward);
    expect_gradient("k", k, at_k, dk.values(), forward);
    expect_gradient("v", v, at_v, dv.values(), forward);
  }
}

TEST_CASE_TEMPLATE(
    "backward kernels: gather pulls back through scatter, resampling through its transpose", B,
    HLIP_TEST_BACKENDS) {
  const index_t n = 5, cols = 3, rows = 4;
  const Buffer<std::int64_t, B> index(std::vector<std::int64_t>{1, 3, 1, 0, 1});
  const Values table = numbers<double>(rows * cols, 1), dy = numbers<double>(n * cols, 2);
  const Buffer<double, B> at_table(table), at_dy(dy), y(n * cols), dtable(rows * cols, 0);
  const auto gather = [&] {
    gather_rows(B{}, at_table.data(), index.data(), y.data(), n, cols, rows);
    return weighted_sum(y, dy);
  };
  scatter_add_rows(B{}, at_dy.data(), index.data(), dtable.data(), n, cols, rows);
  expect_gradient("table", table, at_table, dtable.values(), gather);

  ResampleArgs<double> a;
  a.outer = 2, a.n_in = 4, a.n_out = 3, a.inner = 5, a.taps = 2;
  const std::vector<index_t> taps = {0, 2, 1, 1, 3, 0};
  const Values weight = numbers<double>(6, 5), x = numbers<double>(40, 3),
               dout = numbers<double>(30, 4);
  const Buffer<double, B> at_x(x), at_dout(dout), out(30), dx(40);
  a.index = taps.data(), a.weight = weight.data();
  const auto resample = [&] {
    a.x = at_x, a.y = out, a.transposed = false;
    resample_axis(B{}, a);
    return weighted_sum(out, dout);
  };
  a.x = dx, a.y = at_dout, a.transposed = true;
  resample_axis(B{}, a);
  expect_gradient("x", x, at_x, dx.values(), resample);
}

TEST_CASE_TEMPLATE("backward kernels: a fused statement", B, HLIP_TEST_BACKENDS) {
  const index_t rows = 3, cols = 21;
  const Shape shape{rows, cols}, full{cols, 1}, broadcast{0, 1};
  const Values x = numbers<double>(rows * cols, 1), row = positive_numbers<double>(cols, 2),
               dy = numbers<double>(rows * cols, 3);
  const Buffer<double, B> at_x(x), at_row(row), at_dy(dy), y(rows * cols), dx(rows * cols),
      drow(rows * cols);
  using Leaf = LeafView<double, true>;
  const auto view = [&] {  // gelu(x) / row
    return MapView<op::Divide, double, MapView<op::Gelu, double, Leaf>, Leaf>{
        op::Divide{}, {{op::Gelu{}, {Leaf{at_x, full}}}, Leaf{at_row, broadcast}}};
  };
  const auto forward = [&] {
    map(B{}, shape, y.data(), contiguous_strides(shape), view());
    return weighted_sum(y, dy);
  };
  const GradSink<double> sinks[2] = {{dx, 1, false}, {drow, 1, false}};
  map_pull(B{}, shape, static_cast<const double*>(at_dy.data()), view(), sinks);
  Values drow_sum(static_cast<std::size_t>(cols));
  const Values each = drow.values();
  for (std::size_t i = 0; i < each.size(); ++i)
    drow_sum[i % static_cast<std::size_t>(cols)] += each[i];
  expect_gradient("x", x, at_x, dx.values(), forward);
  expect_gradient("row", row, at_row, drow_sum, forward);
}
