#include "../support/errors.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>

#include <hlip/ops/elementwise.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <limits>

using namespace hlip;

namespace {

using Plain = std::function<double(double)>;
using Plain2 = std::function<double(double, double)>;

constexpr index_t sizes[] = {1, 15, 16, 17, 33};  // around the width of a pack

template <class B>
Tensor<double, B> numbers(const Shape& shape, std::uint32_t stream, double low, double high) {
  std::vector<double> v(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = low + (high - low) * uniform_at({43, stream, 0}, i);
  return Tensor<double, B>::from_values(shape, std::span<const double>(v));
}

/// The largest error relative to 1 + |want|.
double worst(const std::vector<double>& got, const std::vector<double>& x, const Plain& want) {
  double most = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double w = want(x[i]), e = std::abs(got[i] - w) / (1 + std::abs(w));
    most = e <= most ? most : e;
  }
  return most;
}

template <class B, class Fn>
void check_one(const char* name, Fn fn, const Plain& want, double low = -3, double high = 3) {
  CAPTURE(name);
  for (index_t n : sizes) {
    const auto x = numbers<B>({n}, 1, low, high);
    CHECK(worst(Tensor<double, B>(fn(x)).to_vector(), x.to_vector(), want) < 1e-14);
  }
  const auto view = numbers<B>({5, 66}, 2, low, high).slice(1, 0, 66, 2).transpose(0, 1);
  CHECK(worst(Tensor<double, B>(fn(view)).to_vector(), view.to_vector(), want) < 1e-14);
}

template <class B, class Fn>
void check_two(const char* name, Fn fn, const Plain2& want, double low = -3, double high = 3) {
  CAPTURE(name);
  const auto compare = [&](const Tensor<double, B>& a, const Tensor<double, B>& b) {
    const Tensor<double, B> y = fn(a, b);
    const Shape shape = broadcast_shapes("test", a.shape(), b.shape());
    REQUIRE(y.shape() == shape);
    const auto x0 = a.expand(shape).clone().to_vector(), x1 = b.expand(shape).clone().to_vector(),
               got = y.to_vector();
    double most = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double w = want(x0[i], x1[i]), e = std::abs(got[i] - w) / (1 + std::abs(w));
      most = e <= most ? most : e;
    }
    CHECK(most < 1e-14);
  };
  for (index_t n : sizes) {
    const auto make = [&](const Shape& s, std::uint32_t stream) {
      return numbers<B>(s, stream, low, high);
    };
    compare(make({n}, 1), make({n}, 2));
    compare(make({3, n}, 1), make({n}, 2));
    compare(make({3, 1}, 1), make({n}, 2));
    compare(make({n, 3}, 1).transpose(0, 1), make({1, 2 * n}, 2).slice(1, 0, 2 * n, 2));
    compare(make({}, 1), make({2, n}, 2));
    compare(make({2, n, 1}, 1), make({1, 3}, 2));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("elementwise: functions of one operand are the ones of the standard library", B,
                   Cpu, Reference) {
  check_one<B>(
      "negate", [](auto x) { return -x; }, [](double x) { return -x; });
  check_one<B>(
      "abs", [](auto x) { return abs(x); }, [](double x) { return std::abs(x); });
  check_one<B>(
      "square", [](auto x) { return square(x); }, [](double x) { return x * x; });
  check_one<B>(
      "sqrt", [](auto x) { return sqrt(x); }, [](double x) { return std::sqrt(x); }, 0, 9);
  check_one<B>(
      "reciprocal", [](auto x) { return reciprocal(x); }, [](double x) { return 1 / x; }, 0.1, 5);
  check_one<B>(
      "exp", [](auto x) { return exp(x); }, [](double x) { return std::exp(x); }, -30, 30);
  check_one<B>(
      "log", [](auto x) { return log(x); }, [](double x) { return std::log(x); }, 1e-5, 50);
  check_one<B>(
      "log1p", [](auto x) { return log1p(x); }, [](double x) { return std::log1p(x); }, -0.9, 9);
  check_one<B>(
      "log1p of small numbers", [](auto x) { return log1p(x) * 1e9; },
      [](double x) { return std::log1p(x) * 1e9; }, -1e-9, 1e-9);
  check_one<B>(
      "sin", [](auto x) { return sin(x); }, [](double x) { return std::sin(x); }, -20, 20);
  check_one<B>(
      "cos", [](auto x) { return cos(x); }, [](double x) { return std::cos(x); }, -20, 20);
  check_one<B>(
      "tanh", [](auto x) { return tanh(x); }, [](double x) { return std::tanh(x); });
  check_one<B>(
      "erf", [](auto x) { return erf(x); }, [](double x) { return std::erf(x); });
  check_one<B>(
      "sigmoid", [](auto x) { return sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); },
      -40, 40);
  check_one<B>(
      "softplus", [](auto x) { return softplus(x); },
      [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }, -40,
      40);
  check_one<B>(
      "relu", [](auto x) { return relu(x); }, [](double x) { return x > 0 ? x : 0; });
  check_one<B>(
      "gelu", [](auto x) { return gelu(x); },
      [](double x) { return x * 0.5 * std::erfc(-x / std::sqrt(2.0)); });
  check_one<B>(
      "silu", [](auto x) { return silu(x); }, [](double x) { return x / (1 + std::exp(-x)); });
  check_one<B>(
      "floor", [](auto x) { return floor(x); }, [](double x) { return std::floor(x); });
  check_one<B>(
      "clamp", [](auto x) { return clamp(x, -1, 0.5); },
      [](double x) { return x < -1    ? -1
                            : x > 0.5 ? 0.5
                                      : x; });
}

TEST_CASE_TEMPLATE("elementwise: functions of two operands, broadcast and of views", B, Cpu,
                   Reference) {
  check_two<B>(
      "add", [](auto a, auto b) { return a + b; }, [](double a, double b) { return a + b; });
  check_two<B>(
      "subtract", [](auto a, auto b) { return a - b; }, [](double a, double b) { return a - b; });
  check_two<B>(
      "multiply", [](auto a, auto b) { return a * b; }, [](double a, double b) { return a * b; });
  check_two<B>(
      "divide", [](auto a, auto b) { return a / b; }, [](double a, double b) { return a / b; }, 0.1,
      3);
  check_two<B>(
      "pow", [](auto a, auto b) { return pow(a, b); },
      [](double a, double b) { return std::pow(a, b); }, 0.1, 3);
  check_two<B>(
      "minimum", [](auto a, auto b) { return minimum(a, b); },
      [](double a, double b) { return std::min(a, b); });
  check_two<B>(
      "maximum", [](auto a, auto b) { return maximum(a, b); },
      [](double a, double b) { return std::max(a, b); });
  check_two<B>(
      "where", [](auto a, auto b) { return where(a < b && !(a > 1), a, b * 2); },
      [](double a, double b) { return a < b && !(a > 1) ? a : b * 2; });
  check_two<B>(
      "numbers on either side", [](auto a, auto b) { return 2 - a / 4 + 3 * b; },
      [](double a, double b) { return 2 - a / 4 + 3 * b; });
}

TEST_CASE_TEMPLATE("elementwise: comparisons and logic", B, Cpu, Reference) {
  using X = Tensor<float, B>;
  for (index_t n : sizes) {
    const X a = X::arange(n), b = X::full({n}, 7);
    const auto holds = [&](const Tensor<bool, B>& got, auto want) {
      const auto values = got.template to<std::uint8_t>().to_vector();
      bool ok = static_cast<index_t>(values.size()) == n;
      for (std::size_t i = 0; i < values.size(); ++i)
        ok = ok && (values[i] != 0) == want(static_cast<float>(i));
      return ok;
    };
    CHECK(holds(a < b, [](float x) { return x < 7; }));
    CHECK(holds(a <= b, [](float x) { return x <= 7; }));
    CHECK(holds(a > b, [](float x) { return x > 7; }));
    CHECK(holds(a >= 7, [](float x) { return x >= 7; }));
    CHECK(holds(a == b, [](float x) { return x == 7; }));
    CHECK(holds(7 != a, [](float x) { return x != 7; }));
    CHECK(holds(a > 3 && a < 9, [](float x) { return x > 3 && x < 9; }));
    CHECK(holds(a < 3 || !(a < 9), [](float x) { return x < 3 || x >= 9; }));
  }
}

TEST_CASE_TEMPLATE("elementwise: casts between element types", B, Cpu, Reference) {
  const auto x = Tensor<float, B>::from_values({4}, {-1.7f, 0.2f, 2.9f, 100});
  const Tensor<std::int64_t, B> i = cast<std::int64_t>(x);
  CHECK(i.to_vector() == std::vector<std::int64_t>{-1, 0, 2, 100});
  const Tensor<double, B> d = cast<double>(i) / 4;
  CHECK(d.to_vector() == std::vector<double>{-0.25, 0, 0.5, 25});
  const Tensor<float, B> f = cast<float>(x > 0) * x;
  CHECK(f.to_vector() == std::vector<float>{-0.0f, 0.2f, 2.9f, 100});
  const Tensor<bfloat16, B> h = cast<bfloat16>(d);
  CHECK(h.template to<float>().to_vector() == std::vector<float>{-0.25f, 0, 0.5f, 25});
}

TEST_CASE_TEMPLATE("elementwise: integers compute as integers", B, Cpu, Reference) {
  using I = Tensor<std::int64_t, B>;
  const I a = I::arange(20, -10), big = I::full({1}, index_t{1} << 60);
  CHECK(eval(a * 3 - 1).at({0}) == -31);
  CHECK(eval(abs(a)).at({3}) == 7);
  CHECK(eval(big + 1).item() == (index_t{1} << 60) + 1);  // a double would lose the 1
  CHECK(eval(maximum(a, 0)).at({0}) == 0);
  const Tensor<std::uint8_t, B> u = Tensor<std::uint8_t, B>::full({17}, 200);
  CHECK(eval(u / 3).at({16}) == 66);
}

TEST_CASE_TEMPLATE("elementwise: infinities and NaN", B, Cpu, Reference) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const auto x = Tensor<double, B>::from_values({4}, {-inf, inf, nan, 1000});
  const auto e = eval(exp(x)).to_vector(), s = eval(sigmoid(x)).to_vector(),
             p = eval(softplus(x)).to_vector(), c = eval(clamp(x, -1, 1)).to_vector(),
             r = eval(relu(x)).to_vector();
  CHECK(e[0] < 1e-300);
  CHECK(e[1] == inf);
  CHECK(std::isnan(e[2]));
  CHECK(s[0] < 1e-300);
  CHECK(s[1] == 1);
  CHECK(std::isnan(s[2]));
  CHECK(p[0] < 1e-300);
  CHECK(p[1] == inf);
  CHECK(p[3] == 1000);
  CHECK(c[0] == -1);
  CHECK(c[1] == 1);
  CHECK(std::isnan(c[2]));
  CHECK(std::isnan(r[2]));
  const auto masked = eval(where(x < 0, 0, x)).to_vector();
  CHECK(masked[0] == 0);
  CHECK(std::isnan(masked[2]));
}
