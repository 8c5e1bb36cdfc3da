// Var: a tensor that remembers how it was computed. Elementwise statements over Vars record one
// fused node; everything else is a named function in autograd/functions/, forward and backward side
// by side.
#pragma once

#include <hlip/autograd/kept.hpp>
#include <hlip/autograd/node.hpp>
#include <hlip/backend/backend.hpp>
#include <hlip/ops/reduce.hpp>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {
inline thread_local bool recording = true;
}

/// Whether operations are recorded on this thread, as torch.is_grad_enabled.
inline bool is_grad_enabled() { return detail::recording; }

/// While alive, nothing is recorded on this thread: inference costs no graph.
class NoGrad {
 public:
  NoGrad() : before_(std::exchange(detail::recording, false)) {}
  ~NoGrad() { detail::recording = before_; }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// While alive, operations are recorded again inside a NoGrad scope (checkpoint recomputes with
/// it).
class EnableGrad {
 public:
  EnableGrad() : before_(std::exchange(detail::recording, true)) {}
  ~EnableGrad() { detail::recording = before_; }
  EnableGrad(const EnableGrad&) = delete;
  EnableGrad& operator=(const EnableGrad&) = delete;

 private:
  bool before_;
};

/// A tensor and, if gradients flow through it, the node that made it. Copies share both.
template <class T, class B> class Var : public ExpressionTag {
 public:
  using value_type = T;
  using backend = B;
  static constexpr bool recorded = true;

  Var() = default;
  /// A constant: no gradient flows to it.
  Var(const Tensor<T, B>& value) : value_(value) {}
  /// A leaf; with `requires_grad` its gradient is collected by backward().
  Var(const Tensor<T, B>& value, bool requires_grad) : value_(value) {
    set_requires_grad(requires_grad);
  }
  Var(const Tensor<T, B>& value, std::shared_ptr<Node<T, B>> node)
      : value_(value), node_(std::move(node)) {}
  /// A value that lies in bfloat16, because it is an operand of products that round to that; see
  /// ResultFor.
  Var(const Tensor<bfloat16, B>& value,
      std::shared_ptr<Node<T, B>> node) requires(!std::is_same_v<T, bfloat16>)
      : stored_(true), half_(value), node_(std::move(node)) {
    if (node_) node_->stored = true;
  }

  /// Evaluates an elementwise expression over Vars and records it as one node.
  template <Expression E>
  requires(!std::is_same_v<std::remove_cvref_t<E>, Var<T, B>> && std::remove_cvref_t<E>::recorded)
      // see fused.hpp
      Var(const E& expression)
      : Var(evaluate_into(expression, Tensor<T, B>::empty(expression.shape()))) {}

  /// The value. Of a stored() one a copy, made at the first call.
  const Tensor<T, B>& value() const {
    if (stored_ && !(value_.shape() == half_.shape())) value_ = half_.template to<T>();
    return value_;
  }
  /// Whether the value lies in bfloat16.
  bool stored() const { return stored_; }
  /// The value in the element type in which it becomes an operand: without a copy if it lies there
  /// as such. The rounded copy of a result is made once, for all products that multiply it; that of
  /// a leaf, which may change, each time.
  template <class S> Tensor<S, B> as() const {
    if constexpr (std::is_same_v<S, T>) return value();
    else {
      const bool keep = node_ && !node_->is_leaf();
      if (stored_ || (keep && half_.shape() == value_.shape())) return half_;
      const Tensor<bfloat16, B> rounded = value_.template to<bfloat16>();
      if (keep) half_ = rounded;
      return rounded;
    }
  }
  const Shape& shape() const { return stored_ ? half_.shape() : value_.shape(); }
  int rank() const { return shape().rank(); }
  index_t dim(int axis) const { return shape()[normalize_axis("dim", axis, rank())]; }
  index_t numel() const { return shape().numel(); }
  T item() const { return value().item(); }

  bool requires_grad() const { return node_ != nullptr && !node_->constant; }
  const std::shared_ptr<Node<T, B>>& node() const { return node_; }
  /// For leaves: whether backward collects a gradient here.
  void set_requires_grad(bool on) {
    expect(!node_ || node_->is_leaf(), "requires_grad",
           "only leaves can be switched, this is the result of {}", node_ ? node_->op : "");
    if (!on) node_.reset();
    else if (!node_) node_ = std::make_shared<Node<T, B>>("", shape());
  }
  bool has_grad() const { return node_ && node_->grad.has_value(); }
  /// The collected gradient of a leaf. @throws if there is none
  const Tensor<T, B>& grad() const {
    expect(has_grad(), "grad",
           "no gradient here (hint: is requires_grad set, and has backward() run?)");
    return *node_->grad;
  }
  void set_grad(const Tensor<T, B>& g) {
    expect(node_ != nullptr && g.shape() == shape(), "set_grad",
           "gradient {} for a value of shape {}", to_string(g.shape()), to_string(shape()));
    node_->grad = g.contiguous();
  }
  void zero_grad() {
    if (node_) node_->grad.reset();
  }
  /// The same value, cut off from the graph.
  Var detach() const { return Var(value()); }

  /// Runs the graph backwards from this scalar (or from `seed`, dL/dthis).
  void backward(bool retain_graph = false) const {
    expect(numel() == 1, "backward",
           "called on shape {}, expected one element (hint: give dL/dy as backward(seed))",
           to_string(shape()));
    backward(Tensor<T, B>::ones(shape()), retain_graph);
  }
  void backward(const Tensor<T, B>& seed, bool retain_graph = false) const {
    expect(node_ != nullptr, "backward", "nothing here requires a gradient");
    expect(seed.shape() == shape(), "backward", "seed is {}, expected {}", to_string(seed.shape()),
           to_string(shape()));
    run_backward(node_, seed, retain_graph);
  }

 private:
  bool stored_ = false;
  mutable Tensor<T, B> value_;        // of a stored value: its copy, once it was asked for
  mutable Tensor<bfloat16, B> half_;  // the stored value; of others the copy for products
  std::shared_ptr<Node<T, B>> node_;
};

/// Where a pull-back puts its results: input i of the operation.
template <class T, class B> class InputGrads {
 public:
  explicit InputGrads(Node<T, B>& node) : node_(node) {}
  /// Whether input i needs a gradient; if not, computing it is wasted.
  bool wants(std::size_t i) const {
    return node_.inputs[i] != nullptr && !node_.inputs[i]->constant;
  }
  template <class S> void add(std::size_t i, const Tensor<S, B>& grad) {
    if (wants(i)) node_.inputs[i]->accumulate(grad);
  }
  /// Whether the gradient of input i may lie in bfloat16, as the input does. Only if it is wanted.
  bool takes_half(std::size_t i) const {
    return node_.inputs[i]->stored && !node_.inputs[i]->has_gradient();
  }
  /// Memory of input i's gradient, for kernels that can write or add in place. Only if it is
  /// wanted.
  GradSink<T> sink(std::size_t i) { return node_.inputs[i]->sink(); }
  /// Memory for a result of dy's shape that may overwrite dy: dy itself when it has that element
  /// type and nobody else holds it.
  template <class S, class D> Tensor<S, B> result(const Tensor<D, B>& dy) {
    if constexpr (std::is_same_v<S, D>)
      if (dy.use_count() == 1) return dy;
    return Tensor<S, B>::empty(dy.shape());
  }

 private:
  Node<T, B>& node_;
};

/// An input that a pull-back needs again: its tensor, or only its node when that can remake it.
/// What is cheap to compute (a normalised row, an activation) so takes no memory between forward
/// and backward.
template <class T, class B> class SavedInput {
 public:
  explicit SavedInput(const Var<T, B>& input)
      : maker_(input.node() && input.node()->saved && input.node()->saved->remakes()
                   ? input.node().get()
                   : nullptr) {
    const index_t columns = input.rank() > 0 ? input.dim(-1) : 0;
    rows_ = columns > 0 ? input.numel() / columns : 0;
    if (!maker_) value_ = kept(input).reshape({rows_, columns});
  }
  index_t rows() const { return rows_; }
  /// Rows to ask for at a time, so that what is remade stays small.
  index_t rows_at_a_time() const {
    return maker_ || (value_.rounded() && !stores_operands<T, B>())
               ? std::min<index_t>(rows_, B::rows_at_a_time)
               : rows_;
  }
  /// Rows [first, last) of the input as (rows, columns), contiguous; computed at every call if they
  /// were not kept.
  template <class S = T> Tensor<S, B> rows(index_t first, index_t last) const {
    return (maker_ ? maker_->pull_back().remake(first, last) : value_.rows(first, last))
        .template as<S>();
  }

 private:
  /// A leaf stays in memory anyway: a copy would only cost.
  static Kept<T, B> kept(const Var<T, B>& input) {
    if (!input.node() || input.node()->is_leaf()) return input.value();
    if constexpr (may_store_bfloat16<T, B>)
      if (stores_operands<T, B>()) return input.template as<bfloat16>();
    return Kept<T, B>::for_products(input.value());
  }

  const Node<T, B>* maker_;  // the node that holds this one's pull-back owns it through its inputs
  Kept<T, B> value_;
  index_t rows_;
};

namespace detail {

struct CannotRemake {};

/// A pull-back that is a function object `pull(dy, InputGrads)`. `again(first, last)`, if given,
/// computes these rows of the result anew.
template <class T, class B, class Pull, class Again>
struct FunctionPullBack final : PullBack<T, B> {
  Pull function;
  Again again;
  FunctionPullBack(Pull p, Again a) : function(std::move(p)), again(std::move(a)) {}
  void pull(Node<T, B>& node) override {
    InputGrads<T, B> grads(node);
    if constexpr (may_store_bfloat16<T, B>)
      if (node.half_grad) return static_cast<void>(function(*node.half_grad, grads));
    function(*node.grad, grads);
  }
  bool remakes() const override { return !std::is_same_v<Again, CannotRemake>; }
  Kept<T, B> remake([[maybe_unused]] index_t first, [[maybe_unused]] index_t last) const override {
    if constexpr (std::is_same_v<Again, CannotRemake>) return {};
    else return again(first, last);
  }
};

}  // namespace detail

/// Whether an operation on these inputs will be recorded: what only its pull-back needs is not
/// worth making otherwise.
template <class T, class B> bool is_recorded(std::initializer_list<const Var<T, B>*> inputs) {
  return detail::recording && std::any_of(inputs.begin(), inputs.end(),
                                          [](const Var<T, B>* in) { return in->requires_grad(); });
}

namespace detail {
/// The node of an operation, without its pull-back; null when nothing needs it.
template <class T, class B>
std::shared_ptr<Node<T, B>> node_for(std::string_view op, const Shape& shape,
                                     const std::vector<Var<T, B>>& inputs, bool always = false) {
  bool needed = always;
  for (const auto& in : inputs) needed = needed || in.requires_grad();
  if (!recording || !needed) return nullptr;
  auto node = std::make_shared<Node<T, B>>(op, shape);
  for (const auto& in : inputs) node->inputs.push_back(in.node());
  return node;
}

/// record, of a value that may lie in bfloat16.
template <class S, class T, class B, class Pull, class Again = CannotRemake>
Var<T, B> record_value(std::string_view op, const Tensor<S, B>& value,
                       const std::vector<Var<T, B>>& inputs, Pull pull, bool always = false,
                       Again again = {}) {
  auto node = node_for(op, value.shape(), inputs, always);
  if (node)
    node->saved.reset(new FunctionPullBack<T, B, Pull, Again>(std::move(pull), std::move(again)));
  return Var<T, B>(value, std::move(node));
}
}  // namespace detail

/// Makes the result of an operation: `value` with a node when something in `inputs` requires a
/// gradient (or `always`). `pull(const Tensor& dy, InputGrads& grads)` adds the gradients of the
/// inputs. `again(first, last)` computes these rows of `value` once more from what is saved: given
/// when that is cheap, so that those who use the result need not keep it.
template <class T, class B, class Pull, class Again = detail::CannotRemake>
Var<T, B> record(std::string_view op, const Tensor<T, B>& value,
                 const std::vector<Var<T, B>>& inputs, Pull pull, bool always = false,
                 Again again = {}) {
  return detail::record_value(op, value, inputs, std::move(pull), always, std::move(again));
}

/// A constant that is cheap to compute: those who need it on the way back call `again(first, last)`
/// for its rows.
template <class T, class S, class B, class Again>
Var<T, B> remade_constant(std::string_view op, const Tensor<S, B>& value, Again again) {
  const auto no_pull = [](const auto&, InputGrads<T, B>&) {};
  auto node = detail::node_for<T, B>(op, value.shape(), {}, true);
  if (node) {
    node->constant = true;
    node->saved.reset(
        new detail::FunctionPullBack<T, B, decltype(no_pull), Again>(no_pull, std::move(again)));
  }
  return Var<T, B>(value, std::move(node));
}

HLIP_END

#include <hlip/autograd/fused.hpp>
