// The hand-written backward kernels against central differences of their forward kernels, in double, on every backend.
#include "conformance.hpp"

#include <hlip/ops/elementwise.hpp>

using namespace conformance;

namespace {

using Values = std::vector<double>;

double weighted_sum(const double* y, const Values& weight) {
  double sum = 0;
  for (std::size_t i = 0; i < weight.size(); ++i) sum += y[i] * weight[i];
  return sum;
}

/// Central differences of `loss` with respect to every number in x against `grad`. Step 1e-5: the formula errs by about
/// step² · f''' = 1e-10 and rounding by 1e-16 · |loss| / step = 1e-10; 1e-7 leaves room for curved functions.
template <class Loss>
void expect_gradient(std::string_view argument, Values& x, const Values& grad, Loss loss) {
  CAPTURE(std::string(argument));
  REQUIRE(x.size() == grad.size());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = x[i], step = 1e-5;
    x[i] = at + step;
    const double up = loss();
    x[i] = at - step;
    const double down = loss();
    x[i] = at;
    const double error = std::abs((up - down) / (2 * step) - grad[i]) / (1 + std::abs(grad[i]));
    worst = error <= worst ? worst : error;  // NaN stays
  }
  CHECK(worst < 1e-7);
}

}  // namespace

TEST_CASE_TEMPLATE("backward kernels: layer norm", B, Cpu, Reference) {
  const index_t rows = 3, cols = 19;
  Values x = numbers<double>(rows * cols, 1), weight = numbers<double>(cols, 2), bias = numbers<double>(cols, 3), dy = numbers<double>(rows * cols, 4);
  Values y(x.size()), mean(rows), rstd(rows), dx(x.size()), dweight(cols), dbias(cols);
  const auto forward = [&] {
    LayerNormArgs<double> a;
    a.rows = rows, a.cols = cols, a.eps = 1e-6, a.x = x.data(), a.weight = weight.data(), a.bias = bias.data();
    a.y = y.data(), a.mean = mean.data(), a.rstd = rstd.data();
    layer_norm_forward(B{}, a);
    return weighted_sum(y.data(), dy);
  };
  forward();
  LayerNormGradArgs<double> g;
  g.rows = rows, g.cols = cols, g.x = x.data(), g.weight = weight.data(), g.mean = mean.data(), g.rstd = rstd.data(), g.dy = dy.data();
  g.dx = dx.data(), g.dweight = dweight.data(), g.dbias = dbias.data();
  layer_norm_backward(B{}, g);
  expect_gradient("x", x, dx, forward);
  expect_gradient("weight", weight, dweight, forward);
  expect_gradient("bias", bias, dbias, forward);
}

TEST_CASE_TEMPLATE("backward kernels: softmax and cross entropy", B, Cpu, Reference) {
  const index_t rows = 3, cols = 18;
  Values x = numbers<double>(rows * cols, 1), dy = numbers<double>(rows * cols, 2), y(x.size()), dx(x.size());
  const auto softmax = [&] {
    softmax_forward(B{}, x.data(), y.data(), rows, cols);
    return weighted_sum(y.data(), dy);
  };
  softmax();
  softmax_backward(B{}, y.data(), dy.data(), dx.data(), rows, cols);
  expect_gradient("softmax x", x, dx, softmax);

  const std::vector<std::int64_t> labels = {0, 17, 5};
  Values loss(rows), lse(rows), dloss = numbers<double>(rows, 3);
  const auto entropy = [&] {
    cross_entropy_forward(B{}, x.data(), labels.data(), loss.data(), lse.data(), rows, cols);
    return weighted_sum(loss.data(), dloss);
  };
  entropy();
  cross_entropy_backward(B{}, x.data(), labels.data(), lse.data(), dloss.data(), dx.data(), rows, cols);
  expect_gradient("logits", x, dx, entropy);
}

TEST_CASE_TEMPLATE("backward kernels: attention with two spans, a key mask and dropout", B, Cpu, Reference) {
  AttentionGradArgs<double> g;
  AttentionArgs<double>& a = g.forward;
  a.sequences = 2, a.prefix = 2, a.patches = 5, a.heads = 2, a.head_dim = 3, a.scale = 0.6;
  const index_t tokens = 7, stride = 6, n = a.sequences * tokens * stride, split = a.sequences * a.prefix * stride;
  Values q = numbers<double>(n, 1), k = numbers<double>(n, 2), v = numbers<double>(n, 3), dout = numbers<double>(n, 4);
  Values out(q.size()), lse(static_cast<std::size_t>(a.sequences * a.heads * tokens)), dq(q.size()), dk(q.size()), dv(q.size());
  const std::vector<std::uint8_t> mask = {1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1};
  const auto read = [&](const Values& x) { return TokenRows<const double>{x.data(), x.data() + split, stride}; };
  const auto write = [&](Values& x) { return TokenRows<double>{x.data(), x.data() + split, stride}; };
  a.q = read(q), a.k = read(k), a.v = read(v), a.out = write(out), a.lse = lse.data(), a.key_mask = mask.data();
  a.dropout_key = {3, 1, 4};
  g.d_out = read(dout), g.dq = write(dq), g.dk = write(dk), g.dv = write(dv);
  for (double dropout : {0.0, 0.4}) {
    CAPTURE(dropout);
    a.dropout = dropout;
    const auto forward = [&] {
      attention_forward(B{}, a);
      return weighted_sum(out.data(), dout);
    };
    forward();
    attention_backward(B{}, g);
    expect_gradient("q", q, dq, forward);
    expect_gradient("k", k, dk, forward);
    expect_gradient("v", v, dv, forward);
  }
}

TEST_CASE_TEMPLATE("backward kernels: gather pulls back through scatter, resampling through its transpose", B, Cpu, Reference) {
  const index_t n = 5, cols = 3, rows = 4;
  const std::vector<std::int64_t> index = {1, 3, 1, 0, 1};
  Values table = numbers<double>(rows * cols, 1), dy = numbers<double>(n * cols, 2), y(dy.size()), dtable(table.size());
  const auto gather = [&] {
    gather_rows(B{}, table.data(), index.data(), y.data(), n, cols, rows);
    return weighted_sum(y.data(), dy);
  };
  scatter_add_rows(B{}, dy.data(), index.data(), dtable.data(), n, cols, rows);
  expect_gradient("table", table, dtable, gather);

  ResampleArgs<double> a;
  a.outer = 2, a.n_in = 4, a.n_out = 3, a.inner = 5, a.taps = 2;
  const std::vector<index_t> taps = {0, 2, 1, 1, 3, 0};
  const Values weight = numbers<double>(6, 5);
  Values x = numbers<double>(40, 3), out(30), dx(40);
  Values dout = numbers<double>(30, 4);
  a.index = taps.data(), a.weight = weight.data();
  const auto resample = [&] {
    a.x = x.data(), a.y = out.data(), a.transposed = false;
    resample_axis(B{}, a);
    return weighted_sum(out.data(), dout);
  };
  a.x = dx.data(), a.y = dout.data(), a.transposed = true;
  resample_axis(B{}, a);
  expect_gradient("x", x, dx, resample);
}

TEST_CASE_TEMPLATE("backward kernels: a fused statement", B, Cpu, Reference) {
  const index_t rows = 3, cols = 21;
  const Shape shape{rows, cols}, full{cols, 1}, broadcast{0, 1};
  Values x = numbers<double>(rows * cols, 1), row = positive_numbers<double>(cols, 2), dy = numbers<double>(rows * cols, 3), y(x.size()), dx(x.size()), drow(x.size());
  using Leaf = LeafView<double, true>;
  const auto view = [&] {  // gelu(x) / row
    return MapView<op::Divide, double, MapView<op::Gelu, double, Leaf>, Leaf>{op::Divide{}, {{op::Gelu{}, {Leaf{x.data(), full}}}, Leaf{row.data(), broadcast}}};
  };
  const auto forward = [&] {
    map(B{}, shape, y.data(), contiguous_strides(shape), view());
    return weighted_sum(y.data(), dy);
  };
  const GradSink<double> sinks[2] = {{dx.data(), 1, false}, {drow.data(), 1, false}};
  map_pull(B{}, shape, static_cast<const double*>(dy.data()), view(), sinks);
  Values drow_sum(static_cast<std::size_t>(cols));
  for (std::size_t i = 0; i < drow.size(); ++i) drow_sum[i % static_cast<std::size_t>(cols)] += drow[i];
  expect_gradient("x", x, dx, forward);
  expect_gradient("row", row, drow_sum, forward);
}
