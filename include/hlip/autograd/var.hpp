// Var: a tensor that remembers how it was computed. Elementwise statements over Vars record one fused node;
// everything else is a named function in autograd/functions/, forward and backward side by side.
#pragma once

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

/// While alive, operations are recorded again inside a NoGrad scope (checkpoint recomputes with it).
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
template <class T, class B>
class Var : public ExpressionTag {
 public:
  using value_type = T;
  using backend = B;
  static constexpr bool recorded = true;

  Var() = default;
  /// A constant: no gradient flows to it.
  Var(const Tensor<T, B>& value) : value_(value) {}
  /// A leaf; with `requires_grad` its gradient is collected by backward().
  Var(const Tensor<T, B>& value, bool requires_grad) : value_(value) { set_requires_grad(requires_grad); }
  Var(const Tensor<T, B>& value, std::shared_ptr<Node<T, B>> node) : value_(value), node_(std::move(node)) {}

  /// Evaluates an elementwise expression over Vars and records it as one node.
  template <Expression E>
    requires(!std::is_same_v<std::remove_cvref_t<E>, Var<T, B>> && std::remove_cvref_t<E>::recorded)
  Var(const E& expression) : Var(evaluate_into(expression, Tensor<T, B>::empty(expression.shape()))) {}  // see fused.hpp

  const Tensor<T, B>& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  int rank() const { return value_.rank(); }
  index_t dim(int axis) const { return value_.dim(axis); }
  index_t numel() const { return value_.numel(); }
  T item() const { return value_.item(); }

  bool requires_grad() const { return node_ != nullptr; }
  const std::shared_ptr<Node<T, B>>& node() const { return node_; }
  /// For leaves: whether backward collects a gradient here.
  void set_requires_grad(bool on) {
    expect(!node_ || node_->is_leaf(), "requires_grad", "only leaves can be switched, this is the result of {}", node_ ? node_->op : "");
    if (!on) node_.reset();
    else if (!node_) node_ = std::make_shared<Node<T, B>>("", value_.shape());
  }
  bool has_grad() const { return node_ && node_->grad.has_value(); }
  /// The collected gradient of a leaf. @throws if there is none
  const Tensor<T, B>& grad() const {
    expect(has_grad(), "grad", "no gradient here (hint: is requires_grad set, and has backward() run?)");
    return *node_->grad;
  }
  void set_grad(const Tensor<T, B>& g) {
    expect(node_ != nullptr && g.shape() == shape(), "set_grad", "gradient {} for a value of shape {}", to_string(g.shape()), to_string(shape()));
    node_->grad = g.contiguous();
  }
  void zero_grad() {
    if (node_) node_->grad.reset();
  }
  /// The same value, cut off from the graph.
  Var detach() const { return Var(value_); }

  /// Runs the graph backwards from this scalar (or from `seed`, dL/dthis).
  void backward(bool retain_graph = false) const {
    expect(numel() == 1, "backward", "called on shape {}, expected one element (hint: give dL/dy as backward(seed))", to_string(shape()));
    backward(Tensor<T, B>::ones(shape()), retain_graph);
  }
  void backward(const Tensor<T, B>& seed, bool retain_graph = false) const {
    expect(node_ != nullptr, "backward", "nothing here requires a gradient");
    expect(seed.shape() == shape(), "backward", "seed is {}, expected {}", to_string(seed.shape()), to_string(shape()));
    run_backward(node_, seed, retain_graph);
  }

 private:
  Tensor<T, B> value_;
  std::shared_ptr<Node<T, B>> node_;
};

/// Where a pull-back puts its results: input i of the operation.
template <class T, class B>
class InputGrads {
 public:
  explicit InputGrads(Node<T, B>& node) : node_(node) {}
  /// Whether input i needs a gradient; if not, computing it is wasted.
  bool wants(std::size_t i) const { return node_.inputs[i] != nullptr; }
  void add(std::size_t i, const Tensor<T, B>& grad) {
    if (wants(i)) node_.inputs[i]->accumulate(grad);
  }

 private:
  Node<T, B>& node_;
};

namespace detail {

/// A node whose pull-back is a function object `pull(dy, InputGrads)`. It captures Tensors, never Vars: a captured
/// Var would hold the graph from inside and defeat the iterative release.
template <class T, class B, class Pull>
struct FunctionNode : Node<T, B> {
  std::optional<Pull> pull_back;
  FunctionNode(std::string_view name, const Shape& s, Pull p) : Node<T, B>(name, s), pull_back(std::move(p)) {}
  void pull() override {
    expect(pull_back.has_value(), "backward", "the graph through '{}' was already used (hint: backward(true) keeps it)", this->op);
    InputGrads<T, B> grads(*this);
    (*pull_back)(*this->grad, grads);
  }
  bool free_saved() override {
    pull_back.reset();
    return true;
  }
};

}  // namespace detail

/// Makes the result of an operation: `value` with a node when something in `inputs` requires a gradient (or `always`).
/// `pull(const Tensor& dy, InputGrads& grads)` adds the gradients of the inputs.
template <class T, class B, class Pull>
Var<T, B> record(std::string_view op, const Tensor<T, B>& value, const std::vector<Var<T, B>>& inputs, Pull pull, bool always = false) {
  bool needed = always;
  for (const auto& in : inputs) needed = needed || in.requires_grad();
  if (!detail::recording || !needed) return Var<T, B>(value);
  auto node = std::make_shared<detail::FunctionNode<T, B, Pull>>(op, value.shape(), std::move(pull));
  for (const auto& in : inputs) node->inputs.push_back(in.node());
  return Var<T, B>(value, std::move(node));
}

HLIP_END

#include <hlip/autograd/fused.hpp>
