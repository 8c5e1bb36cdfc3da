// Elementwise operations: one functor each, value and pull-back side by side, and the functions and
// operators that build expressions from them. One body serves a float, a SIMD pack and a device
// thread.
//
//   arithmetic  + - * /  negate abs sqrt square reciprocal pow clamp minimum maximum floor
//   functions   exp log log1p sin cos tanh erf sigmoid softplus relu gelu silu
//   comparison  < <= > >= == !=  (Tensor<bool>)   && || !   where(condition, a, b)   cast<T>(x)
#pragma once

#include <hlip/backend/scalar_math.hpp>
#include <hlip/tensor/expr.hpp>

#include <numbers>
#include <string_view>
#include <tuple>

HLIP_BEGIN

/// Stands for the gradient of an operand that has none (a condition).
struct NoGradient {};

namespace op {

struct Add {
  static constexpr std::string_view name = "add";
  template <class V> HLIP_FN V operator()(V a, V b) const { return a + b; }
  template <class V> HLIP_FN std::tuple<V, V> pull(V, V, V, V dy) const { return {dy, dy}; }
};
struct Subtract {
  static constexpr std::string_view name = "subtract";
  template <class V> HLIP_FN V operator()(V a, V b) const { return a - b; }
  template <class V> HLIP_FN std::tuple<V, V> pull(V, V, V, V dy) const { return {dy, V(-dy)}; }
};
struct Multiply {
  static constexpr std::string_view name = "multiply";
  template <class V> HLIP_FN V operator()(V a, V b) const { return a * b; }
  template <class V> HLIP_FN std::tuple<V, V> pull(V a, V b, V, V dy) const {
    return {V(dy * b), V(dy * a)};
  }
};
struct Divide {
  static constexpr std::string_view name = "divide";
  template <class V> HLIP_FN V operator()(V a, V b) const { return a / b; }
  template <class V> HLIP_FN std::tuple<V, V> pull(V, V b, V y, V dy) const {
    return {V(dy / b), V(-dy * y / b)};
  }
};
struct Pow {
  static constexpr std::string_view name = "pow";
  template <class V> HLIP_FN V operator()(V a, V b) const { return pow_(a, b); }
  template <class V> HLIP_FN std::tuple<V, V> pull(V a, V b, V y, V dy) const {
    // d/db = y·log a, taken as 0 where a <= 0 (there the power only makes sense for constant
    // exponents)
    const V log_a = select_(a > V(0), V(log_(V(max_(a, V(1e-30))))), V(0));
    // d/da of a constant (b = 0) is 0, at a = 0 too, where the formula says 0·∞
    const V slope = select_(b == V(0), V(0), V(b * pow_(a, V(b - V(1)))));
    return {V(dy * slope), V(dy * y * log_a)};
  }
};
/// Ties give half of the gradient to each side.
struct Minimum {
  static constexpr std::string_view name = "minimum";
  template <class V> HLIP_FN V operator()(V a, V b) const { return min_(a, b); }
  template <class V> HLIP_FN std::tuple<V, V> pull(V a, V b, V, V dy) const {
    const V share = select_(a == b, V(0.5), select_(a < b, V(1), V(0)));
    return {V(dy * share), V(dy * (V(1) - share))};
  }
};
struct Maximum {
  static constexpr std::string_view name = "maximum";
  template <class V> HLIP_FN V operator()(V a, V b) const { return max_(a, b); }
  template <class V> HLIP_FN std::tuple<V, V> pull(V a, V b, V, V dy) const {
    const V share = select_(a == b, V(0.5), select_(b < a, V(1), V(0)));
    return {V(dy * share), V(dy * (V(1) - share))};
  }
};

struct Negate {
  static constexpr std::string_view name = "negate";
  template <class V> HLIP_FN V operator()(V x) const { return -x; }
  template <class V> HLIP_FN V pull(V, V, V dy) const { return -dy; }
};
struct Abs {
  static constexpr std::string_view name = "abs";
  template <class V> HLIP_FN V operator()(V x) const { return abs_(x); }
  template <class V> HLIP_FN V pull(V x, V, V dy) const {
    return select_(x == V(0), V(0), select_(x < V(0), V(-dy), dy));
  }
};
struct Square {
  static constexpr std::string_view name = "square";
  template <class V> HLIP_FN V operator()(V x) const { return x * x; }
  template <class V> HLIP_FN V pull(V x, V, V dy) const { return dy * (x + x); }
};
struct Sqrt {
  static constexpr std::string_view name = "sqrt";
  template <class V> HLIP_FN V operator()(V x) const { return sqrt_(x); }
  template <class V> HLIP_FN V pull(V, V y, V dy) const { return dy / (y + y); }
};
struct Reciprocal {
  static constexpr std::string_view name = "reciprocal";
  template <class V> HLIP_FN V operator()(V x) const { return V(1) / x; }
  template <class V> HLIP_FN V pull(V, V y, V dy) const { return -dy * y * y; }
};
struct Exp {
  static constexpr std::string_view name = "exp";
  template <class V> HLIP_FN V operator()(V x) const { return exp_(x); }
  template <class V> HLIP_FN V pull(V, V y, V dy) const { return dy * y; }
};
struct Log {
  static constexpr std::string_view name = "log";
  template <class V> HLIP_FN V operator()(V x) const { return log_(x); }
  template <class V> HLIP_FN V pull(V x, V, V dy) const { return dy / x; }
};
struct Log1p {
  static constexpr std::string_view name = "log1p";
  template <class V> HLIP_FN V operator()(V x) const { return log1p_(x); }
  template <class V> HLIP_FN V pull(V x, V, V dy) const { return dy / (V(1) + x); }
};
struct Sin {
  static constexpr std::string_view name = "sin";
  template <class V> HLIP_FN V operator()(V x) const { return sin_(x); }
  template <class V> HLIP_FN V pull(V x, V, V dy) const { return dy * cos_(x); }
};
struct Cos {
  static constexpr std::string_view name = "cos";
  template <class V> HLIP_FN V operator()(V x) const { return cos_(x); }
  template <class V> HLIP_FN V pull(V x, V, V dy) const { return -dy * sin_(x); }
};
struct Tanh {
  static constexpr std::string_view name = "tanh";
  template <class V> HLIP_FN V operator()(V x) const { return tanh_(x); }
  template <class V> HLIP_FN V pull(V, V y, V dy) const { return dy * (V(1) - y * y); }
};
struct Erf {
  static constexpr std::string_view name = "erf";
  template <class V> HLIP_FN V operator()(V x) const { return erf_(x); }
  template <class V> HLIP_FN V pull(V x, V, V dy) const {
    return dy * V(2.0 * std::numbers::inv_sqrtpi) * exp_(V(-x * x));
  }
};
struct Sigmoid {
  static constexpr std::string_view name = "sigmoid";
  template <class V> HLIP_FN V operator()(V x) const { return V(1) / (V(1) + exp_(V(-x))); }
  template <class V> HLIP_FN V pull(V, V y, V dy) const { return dy * y * (V(1) - y); }
};
/// log(1 + exp(x)), without overflow.
struct Softplus {
  static constexpr std::string_view name = "softplus";
  template <class V> HLIP_FN V operator()(V x) const {
    return max_(x, V(0)) + log1p_(V(exp_(V(-abs_(x)))));
  }
  template <class V> HLIP_FN V pull(V x, V, V dy) const { return dy / (V(1) + exp_(V(-x))); }
};
struct Relu {
  static constexpr std::string_view name = "relu";
  template <class V> HLIP_FN V operator()(V x) const { return max_(x, V(0)); }
  template <class V> HLIP_FN V pull(V x, V, V dy) const { return select_(x > V(0), dy, V(0)); }
};
/// x·Φ(x) with the exact normal distribution function (erf form).
struct Gelu {
  static constexpr std::string_view name = "gelu";
  template <class V> HLIP_FN V operator()(V x) const {
    return x * V(0.5) * (V(1) + erf_(V(x * V(1 / std::numbers::sqrt2))));
  }
  template <class V> HLIP_FN V pull(V x, V, V dy) const {
    const V cdf = V(0.5) * (V(1) + erf_(V(x * V(1 / std::numbers::sqrt2))));
    const V density = V(0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2) *
                      exp_(V(V(-0.5) * x * x));
    return dy * (cdf + x * density);
  }
};
struct Silu {
  static constexpr std::string_view name = "silu";
  template <class V> HLIP_FN V operator()(V x) const { return x / (V(1) + exp_(V(-x))); }
  template <class V> HLIP_FN V pull(V x, V y, V dy) const {
    return dy * (y + (V(1) - y) / (V(1) + exp_(V(-x))));
  }
};
struct Floor {
  static constexpr std::string_view name = "floor";
  static constexpr bool differentiable = false;
  template <class V> HLIP_FN V operator()(V x) const { return floor_(x); }
};

#define HLIP_COMPARISON(Name, text, symbol)                                           \
  struct Name {                                                                       \
    static constexpr std::string_view name = text;                                    \
    static constexpr bool differentiable = false;                                     \
    template <class V> HLIP_FN auto operator()(V a, V b) const { return a symbol b; } \
  };
HLIP_COMPARISON(Less, "less", <)
HLIP_COMPARISON(LessEqual, "less_equal", <=)
HLIP_COMPARISON(Greater, "greater", >)
HLIP_COMPARISON(GreaterEqual, "greater_equal", >=)
HLIP_COMPARISON(Equal, "equal", ==)
HLIP_COMPARISON(NotEqual, "not_equal", !=)
HLIP_COMPARISON(And, "and", &&)
HLIP_COMPARISON(Or, "or", ||)
#undef HLIP_COMPARISON

struct Not {
  static constexpr std::string_view name = "not";
  static constexpr bool differentiable = false;
  template <class V> HLIP_FN V operator()(V a) const { return !a; }
};
struct Where {
  static constexpr std::string_view name = "where";
  template <class M, class V> HLIP_FN V operator()(M condition, V a, V b) const {
    return select_(condition, a, b);
  }
  template <class M, class V>
  HLIP_FN std::tuple<NoGradient, V, V> pull(M condition, V, V, V, V dy) const {
    return {NoGradient{}, select_(condition, dy, V(0)), select_(condition, V(0), dy)};
  }
};
/// Conversion between element types.
template <class U> struct Cast {
  static constexpr std::string_view name = "cast";
  static constexpr bool differentiable = false;
  template <class V> HLIP_FN auto operator()(V x) const { return cast_<U>(x); }
};

}  // namespace op

namespace detail {

/// Turns the number in (tensor, number) into a constant of the tensor's element type.
template <class Beside, class X> auto operand(const X& x) {
  if constexpr (Expression<X>) return x;
  else
    return Constant<compute_type<typename Beside::value_type>>(
        static_cast<compute_type<typename Beside::value_type>>(x));
}
template <class A, class B>
concept BinaryOperands = (Expression<A> && Expression<B>) ||
                         (Expression<A> && std::is_arithmetic_v<B>) ||
                         (std::is_arithmetic_v<A> && Expression<B>);

template <class F, class A, class B> auto binary(F f, const A& a, const B& b) {
  if constexpr (Expression<A> && Expression<B>) {
    static_assert(
        std::is_same_v<compute_type<typename A::value_type>, compute_type<typename B::value_type>>,
        "the operands have different element types: convert one with cast<T>(x)");
    return map_expression(f, a, b);
  } else if constexpr (Expression<A>) {
    return map_expression(f, a, operand<A>(b));
  } else {
    return map_expression(f, operand<B>(a), b);
  }
}

}  // namespace detail

#define HLIP_OPERATOR(symbol, Functor)  \
  template <class A, class B>           \
  requires detail::BinaryOperands<A, B> \
  auto operator symbol(const A& a, const B& b) { return detail::binary(op::Functor{}, a, b); }
HLIP_OPERATOR(+, Add)
HLIP_OPERATOR(-, Subtract)
HLIP_OPERATOR(*, Multiply)
HLIP_OPERATOR(/, Divide)
HLIP_OPERATOR(<, Less)
HLIP_OPERATOR(<=, LessEqual)
HLIP_OPERATOR(>, Greater)
HLIP_OPERATOR(>=, GreaterEqual)
HLIP_OPERATOR(==, Equal)
HLIP_OPERATOR(!=, NotEqual)
HLIP_OPERATOR(&&, And)
HLIP_OPERATOR(||, Or)
#undef HLIP_OPERATOR

template <Expression E> auto operator-(const E& x) { return map_expression(op::Negate{}, x); }
template <Expression E> auto operator!(const E& x) { return map_expression(op::Not{}, x); }

#define HLIP_UNARY(function, Functor) \
  template <Expression E> auto function(const E& x) { return map_expression(op::Functor{}, x); }
HLIP_UNARY(abs, Abs)
HLIP_UNARY(square, Square)
HLIP_UNARY(sqrt, Sqrt)
HLIP_UNARY(reciprocal, Reciprocal)
HLIP_UNARY(exp, Exp)
HLIP_UNARY(log, Log)
HLIP_UNARY(log1p, Log1p)
HLIP_UNARY(sin, Sin)
HLIP_UNARY(cos, Cos)
HLIP_UNARY(tanh, Tanh)
HLIP_UNARY(erf, Erf)
HLIP_UNARY(sigmoid, Sigmoid)
HLIP_UNARY(softplus, Softplus)
HLIP_UNARY(relu, Relu)
HLIP_UNARY(gelu, Gelu)
HLIP_UNARY(silu, Silu)
HLIP_UNARY(floor, Floor)
#undef HLIP_UNARY

template <class A, class B>
requires detail::BinaryOperands<A, B>
auto pow(const A& a, const B& b) { return detail::binary(op::Pow{}, a, b); }
template <class A, class B>
requires detail::BinaryOperands<A, B>
auto minimum(const A& a, const B& b) { return detail::binary(op::Minimum{}, a, b); }
template <class A, class B>
requires detail::BinaryOperands<A, B>
auto maximum(const A& a, const B& b) { return detail::binary(op::Maximum{}, a, b); }

/// x limited to [low, high].
template <Expression E> auto clamp(const E& x, double low, double high) {
  return minimum(maximum(x, low), high);
}

/// a where the condition (a bool expression) holds, b elsewhere; one of a and b may be a number.
template <Expression C, class A, class B>
requires detail::BinaryOperands<A, B>
auto where(const C& condition, const A& a, const B& b) {
  static_assert(std::is_same_v<typename C::value_type, bool>,
                "the condition of where is a bool tensor, for example x > 0");
  if constexpr (Expression<A>)
    return map_expression(op::Where{}, condition, a, detail::operand<A>(b));
  else return map_expression(op::Where{}, condition, detail::operand<B>(a), b);
}

/// Converts the elements to U (float to integer truncates). Has no gradient.
template <class U, Expression E> auto cast(const E& x) {
  return map_expression(op::Cast<compute_type<U>>{}, x);
}

HLIP_END
