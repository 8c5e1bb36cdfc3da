// The graph: a node per recorded operation. The result owns the graph that made it; there is no
// global tape to reset and nothing to forget. Graphs can be a million nodes deep, so they are
// walked and freed with loops.
#pragma once

#include <hlip/autograd/kept.hpp>
#include <hlip/backend/backend.hpp>
#include <hlip/core/interruption.hpp>
#include <hlip/ops/elementwise.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

HLIP_BEGIN

template <class T, class B> struct Node;

/// What an operation does on the way back, and what it saved for that. It holds Tensors, never
/// Vars: a Var would hold the graph from inside and defeat the iterative release.
template <class T, class B> struct PullBack {
  virtual ~PullBack() = default;
  /// Adds dL/dinput to every input of the operation, given the gradient of its result.
  virtual void pull(Node<T, B>& node) = 0;
  /// Whether `remake` can compute the result again from what was saved: whoever needs it on the way
  /// back keeps nothing.
  virtual bool remakes() const { return false; }
  /// Rows [first, last) of the result seen as (rows, last axis).
  virtual Kept<T, B> remake(index_t, index_t) const { return {}; }
};

/// One recorded operation, or a leaf. `inputs` hold what the gradient flows on to; entries may be
/// null (constants).
template <class T, class B> struct Node {
  std::string_view op;
  Shape shape;  ///< of the result, and so of its gradient
  std::vector<std::shared_ptr<Node>> inputs;
  /// none in leaves, and none after the graph was used
  std::unique_ptr<PullBack<T, B>> saved;
  std::uint64_t order;  ///< creation number: inputs have smaller ones
  /// dL/dresult, while backward needs it (leaves: until zero_grad)
  std::optional<Tensor<T, B>> grad;
  /// in place of grad, where stored and a single operation gave it so
  std::optional<Tensor<bfloat16, B>> half_grad;
  bool stored = false;  ///< the result lies in bfloat16
  bool queued = false;  ///< waiting in the backward queue
  /// a leaf whose gradient is not a parameter's but goes on to another graph
  bool passes_grad_on = false;
  /// No gradient flows here: the node only remakes its result
  bool constant = false;

  Node(std::string_view name, const Shape& s) : op(name), shape(s), order(next_order()) {}
  Node(const Node&) = delete;
  ~Node() { release(std::move(inputs)); }

  /// @throws where the graph was used already
  PullBack<T, B>& pull_back() const {
    expect(saved != nullptr, "backward",
           "the graph through '{}' was already used (hint: backward(true) keeps it)", op);
    return *saved;
  }
  bool is_leaf() const { return op.empty(); }
  bool has_gradient() const { return grad || half_grad; }
  void drop_gradient() {
    grad.reset();
    half_grad.reset();
  }

  /// Adds `g` to the gradient. In place only when nobody else holds the memory.
  void accumulate(const Tensor<T, B>& g) {
    widen_gradient();
    if (!grad) grad = g.contiguous();
    else if (grad->use_count() == 1) grad->assign(*grad + g);
    else grad = Tensor<T, B>(*grad + g);
    count_as_gradient();
  }

  void accumulate(const Tensor<bfloat16, B>& g) requires(!std::is_same_v<T, bfloat16>) {
    if (stored && !has_gradient()) half_grad = g.contiguous();
    else accumulate(g.template to<T>());
  }

  /// Memory that an elementwise loop may write this gradient into: fresh (add = false) or to be
  /// added to.
  GradSink<T> sink() {
    widen_gradient();
    const bool add = grad.has_value();
    if (!add) grad = Tensor<T, B>::empty(shape);
    else if (grad->use_count() > 1) grad = grad->clone();
    count_as_gradient();
    return {grad->data(), 1, add};
  }

 private:
  void widen_gradient() {
    if (half_grad) grad = half_grad->template to<T>();
    half_grad.reset();
  }
  /// Gradients of parameters stay until the optimiser has used them; the others are temporaries.
  void count_as_gradient() const {
    if (is_leaf() && !passes_grad_on) recategorise<B>(grad->storage(), MemoryCategory::gradients);
  }
  static std::uint64_t next_order() {
    static std::atomic<std::uint64_t> counter{0};
    return ++counter;
  }
  // Frees a graph with a loop; a recursive destructor would overflow the stack.
  static void release(std::vector<std::shared_ptr<Node>> stack) {
    while (!stack.empty()) {
      auto node = std::move(stack.back());
      stack.pop_back();
      if (node && node.use_count() == 1) {
        for (auto& in : node->inputs) stack.push_back(std::move(in));
        node->inputs.clear();
      }
    }
  }
};

/// Runs the graph below `root` backwards, starting from dL/droot = seed. Leaves keep their
/// gradients; everything else is freed on the way unless `retain_graph`.
template <class T, class B>
void run_backward(std::shared_ptr<Node<T, B>> root, const Tensor<T, B>& seed,
                  bool retain_graph = false) {
  using Pointer = std::shared_ptr<Node<T, B>>;
  const auto later = [](const Pointer& a, const Pointer& b) { return a->order < b->order; };
  // Newest first, so a node is pulled after all that use it
  std::vector<Pointer> heap{std::move(root)};
  const auto forget = [](Node<T, B>& node) {
    node.queued = false;
    if (!node.is_leaf()) node.drop_gradient();
  };
  heap[0]->accumulate(seed);
  heap[0]->queued = true;
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Pointer node = std::move(heap.back());
    heap.pop_back();
    node->queued = false;
    if (node->is_leaf()) continue;
    try {
      interruption_point();
      if (node->has_gradient()) node->pull_back().pull(*node);
      // Leave no mark or half a gradient on what still waits: later walks would trip over it
    } catch (...) {
      forget(*node);
      for (const Pointer& in : node->inputs)
        if (in) forget(*in);
      for (const Pointer& waiting : heap) forget(*waiting);
      throw;
    }
    node->drop_gradient();
    for (const Pointer& in : node->inputs)
      if (in && !in->queued) {
        in->queued = true;
        heap.push_back(in);
        std::push_heap(heap.begin(), heap.end(), later);
      }
    if (retain_graph) continue;
    node->saved.reset();
    node->inputs.clear();
  }
}

HLIP_END
