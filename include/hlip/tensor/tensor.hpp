// Tensor: a counted handle on backend memory with a shape and strides. Views share the memory.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/fwd.hpp>
#include <hlip/tensor/dtype.hpp>
#include <hlip/tensor/shape.hpp>
#include <hlip/tensor/storage.hpp>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

HLIP_BEGIN

struct ExpressionTag {};

/// Something that can be evaluated elementwise: a Tensor, a Var, or a node built from them by an
/// operator.
template <class E>
concept Expression = std::is_base_of_v<ExpressionTag, std::remove_cvref_t<E>>;

/// Elements of type T in the memory of backend B, shape known at run time (rank <= 8), row-major.
///
/// Copies are cheap and share the elements; `clone()` copies them. `y = expression` always gives
/// `y` fresh storage, `y.assign(expression)` writes into the storage `y` has.
template <class T, class B> class Tensor : public ExpressionTag {
 public:
  using value_type = T;
  using backend = B;
  static constexpr bool recorded = false;  // true for Var: evaluating records a node

  /// An empty tensor of shape (0) without memory.
  Tensor() : data_(nullptr), shape_{0}, stride_{1} {}

  /// Evaluates an expression in one fused loop (ops/elementwise.hpp, backend `map`).
  template <Expression E>
  requires(!std::is_same_v<std::remove_cvref_t<E>, Tensor<T, B>> &&
           !std::remove_cvref_t<E>::recorded)
      // see expr.hpp
      Tensor(const E& expression)
      : Tensor(evaluate_as(static_cast<const Tensor*>(nullptr), expression)) {}

  Tensor(const Tensor&) = default;
  Tensor(Tensor&&) noexcept = default;
  // Assigning to a temporary (x.slice(…) = y) would be lost: it does not compile; use
  // x.slice(…).assign(y).
  Tensor& operator=(const Tensor&) & = default;
  Tensor& operator=(Tensor&&) & noexcept = default;

  /// Uninitialised elements.
  static Tensor empty(const Shape& shape) {
    // First: it refuses shapes whose strides overflow
    auto storage = allocate_elements<T, B>(shape);
    return Tensor(std::move(storage), nullptr, shape, contiguous_strides(shape));
  }
  static Tensor full(const Shape& shape, T value) {
    Tensor t = empty(shape);
    t.fill(value);
    return t;
  }
  static Tensor zeros(const Shape& shape) { return full(shape, T{}); }
  static Tensor ones(const Shape& shape) { return full(shape, static_cast<T>(1)); }
  static Tensor scalar(T value) { return full(Shape{}, value); }
  /// Copies host values in row-major order. @throws if their number differs from the shape's
  static Tensor from_values(const Shape& shape, std::span<const T> values) {
    expect(static_cast<index_t>(values.size()) == shape.numel(), "from_values",
           "{} values for shape {}", values.size(), to_string(shape));
    Tensor t = empty(shape);
    copy_from_host(B{}, t.data(), values.data(), values.size() * sizeof(T));
    return t;
  }
  static Tensor from_values(const Shape& shape, std::initializer_list<T> values) {
    return from_values(shape, std::span<const T>(values.begin(), values.size()));
  }
  /// begin, begin + step, … (n values)
  static Tensor arange(index_t n, T begin = T{}, T step = static_cast<T>(1)) {
    expect(n >= 0, "arange", "{} values", n);
    std::vector<T> v(static_cast<std::size_t>(n));
    for (index_t i = 0; i < n; ++i)
      v[static_cast<std::size_t>(i)] = static_cast<T>(begin + static_cast<T>(i) * step);
    return from_values({n}, std::span<const T>(v));
  }

  const Shape& shape() const { return shape_; }
  const Shape& strides() const { return stride_; }
  int rank() const { return shape_.rank(); }
  index_t numel() const { return shape_.numel(); }
  /// Size of an axis; negative axes count from the end.
  index_t dim(int axis) const { return shape_[normalize_axis("dim", axis, rank())]; }
  /// First element; elements follow `strides()`.
  T* data() const { return data_; }
  /// Handles (this one included) on the same memory.
  long use_count() const { return storage_.use_count(); }
  bool shares_storage(const Tensor& other) const {
    return storage_ == other.storage_ && storage_ != nullptr;
  }
  bool is_contiguous() const {
    if (numel() == 0) return true;
    index_t want = 1;
    for (int d = rank() - 1; d >= 0; --d) {
      if (shape_[d] != 1 && stride_[d] != want) return false;
      want *= shape_[d];
    }
    return true;
  }

  // ---- views: no element moves -------------------------------------------------------------

  /// Every `step`-th index of [begin, end) on one axis.
  Tensor slice(int axis, index_t begin, index_t end, index_t step = 1) const {
    const int d = normalize_axis("slice", axis, rank());
    expect(0 <= begin && begin <= end && end <= shape_[d] && step > 0, "slice",
           "[{}, {}) step {} is outside axis {} of {}", begin, end, step, axis, to_string(shape_));
    Tensor v = *this;
    v.data_ += begin * stride_[d];
    v.shape_[d] = (end - begin + step - 1) / step;
    v.stride_[d] *= step;
    return v;
  }
  /// One index of an axis; the axis disappears.
  Tensor select(int axis, index_t index) const {
    const int d = normalize_axis("select", axis, rank());
    expect(0 <= index && index < shape_[d], "select", "index {} is outside axis {} of {}", index,
           axis, to_string(shape_));
    Tensor v = slice(d, index, index + 1);
    v.shape_.erase(d);
    v.stride_.erase(d);
    return v;
  }
  /// Axes in a new order: permute({2, 0, 1}).
  Tensor permute(const Shape& order) const {
    expect(order.rank() == rank(), "permute", "order {} for a tensor of shape {}", to_string(order),
           to_string(shape_));
    Tensor v = *this;
    std::array<bool, max_rank> seen{};
    for (int d = 0; d < rank(); ++d) {
      const int from = normalize_axis("permute", static_cast<int>(order[d]), rank());
      expect(!seen[static_cast<std::size_t>(from)], "permute", "order {} names axis {} twice",
             to_string(order), from);
      seen[static_cast<std::size_t>(from)] = true;
      v.shape_[d] = shape_[from];
      v.stride_[d] = stride_[from];
    }
    return v;
  }
  Tensor transpose(int a, int b) const {
    a = normalize_axis("transpose", a, rank());
    b = normalize_axis("transpose", b, rank());
    Tensor v = *this;
    std::swap(v.shape_[a], v.shape_[b]);
    std::swap(v.stride_[a], v.stride_[b]);
    return v;
  }
  Tensor unsqueeze(int axis) const {
    const int d = normalize_axis("unsqueeze", axis, rank() + 1);
    Tensor v = *this;
    v.shape_.insert(d, 1);
    v.stride_.insert(d, 0);
    return v;
  }
  Tensor squeeze(int axis) const {
    const int d = normalize_axis("squeeze", axis, rank());
    expect(shape_[d] == 1, "squeeze", "axis {} of {} is not 1", axis, to_string(shape_));
    return select(d, 0);
  }
  /// Repeats axes of size 1 (and new leading axes) without copying: stride 0.
  Tensor expand(const Shape& shape) const {
    expect(shape == broadcast_shapes("expand", shape_, shape), "expand", "{} does not expand to {}",
           to_string(shape_), to_string(shape));
    Tensor v = *this;
    v.shape_ = shape;
    v.stride_ = Shape::filled(shape.rank(), 0);
    for (int d = shape.rank() - 1, s = rank() - 1; s >= 0; --d, --s)
      v.stride_[d] = shape_[s] == 1 ? 0 : stride_[s];
    return v;
  }
  /// The same elements in another shape; one size may be -1. Copies only when the tensor is not
  /// contiguous.
  Tensor reshape(Shape shape) const {
    index_t known = 1;
    int open = -1;
    for (int d = 0; d < shape.rank(); ++d) {
      if (shape[d] == -1 && open < 0) open = d;
      else known = shape[d] < 0 || known < 0 ? -1 : known * shape[d];
    }
    if (open >= 0 && known > 0 && numel() % known == 0) shape[open] = numel() / known;
    expect(shape.numel() == numel() && known >= (open < 0 ? 0 : 1), "reshape",
           "{} ({} elements) to {}", to_string(shape_), numel(), to_string(shape));
    Tensor v = contiguous();
    v.shape_ = shape;
    v.stride_ = contiguous_strides(shape);
    return v;
  }

  // ---- copies -------------------------------------------------------------------------------

  /// This tensor if contiguous, else a contiguous copy.
  Tensor contiguous() const { return is_contiguous() ? *this : clone(); }
  Tensor clone() const {
    Tensor t = empty(shape_);
    copy_strided(B{}, shape_, t.data_, t.stride_, data_, stride_);
    return t;
  }
  /// Copies to another element type (floats round to nearest; float to integer truncates).
  template <Element U> Tensor<U, B> to() const {
    if constexpr (std::is_same_v<U, T>) return clone();
    auto t = Tensor<U, B>::empty(shape_);
    copy_strided(B{}, shape_, t.data(), t.strides(), data_, stride_);
    return t;
  }
  /// Writes an expression into the elements this tensor (or view) has. Broadcasts the expression.
  /// @throws if a leaf of the expression overlaps these elements with another index map
  template <Expression E> void assign(const E& expression) const;  // defined in expr.hpp
  void fill(T value) const { fill_strided(B{}, shape_, data_, stride_, value); }

  // ---- single values on the host -------------------------------------------------------------

  /// The value of a tensor with one element.
  T item() const {
    expect(numel() == 1, "item", "tensor of shape {} has {} elements, expected 1",
           to_string(shape_), numel());
    T value;
    copy_to_host(B{}, &value, data_, sizeof(T));
    return value;
  }
  /// One element: at({i, j}).
  T at(const Shape& index) const {
    expect(index.rank() == rank(), "at", "index {} in a tensor of shape {}", to_string(index),
           to_string(shape_));
    index_t offset = 0;
    for (int d = 0; d < rank(); ++d) {
      expect(0 <= index[d] && index[d] < shape_[d], "at", "index {} is outside {}",
             to_string(index), to_string(shape_));
      offset += index[d] * stride_[d];
    }
    T value;
    copy_to_host(B{}, &value, data_ + offset, sizeof(T));
    return value;
  }
  /// All values in row-major order.
  std::vector<T> to_vector() const requires(!std::is_same_v<T, bool>) {
    const Tensor t = contiguous();
    std::vector<T> values(static_cast<std::size_t>(numel()));
    copy_to_host(B{}, values.data(), t.data_, values.size() * sizeof(T));
    return values;
  }

  /// A handle on `shape` elements at `data`, which `owner` keeps alive (memory-mapped weights,
  /// pooled buffers).
  static Tensor wrap(std::shared_ptr<T> owner, T* data, const Shape& shape) {
    return Tensor(std::move(owner), data, shape, contiguous_strides(shape));
  }

  const std::shared_ptr<T>& storage() const { return storage_; }

 private:
  Tensor(std::shared_ptr<T> storage, T* data, const Shape& shape, const Shape& stride)
      : storage_(std::move(storage)),
        data_(data ? data : storage_.get()),
        shape_(shape),
        stride_(stride) {}

  std::shared_ptr<T> storage_;
  T* data_;
  Shape shape_, stride_;
};

/// A copy in the memory of another backend: to_backend<Reference>(x).
template <class To, class T, class From> Tensor<T, To> to_backend(const Tensor<T, From>& x) {
  const Tensor<T, From> source = x.contiguous();
  const auto copy = Tensor<T, To>::empty(x.shape());
  const std::size_t bytes = static_cast<std::size_t>(x.numel()) * sizeof(T);
  if constexpr (std::is_same_v<From, Cpu>) {  // whose memory is the host's
    copy_from_host(To{}, copy.data(), source.data(), bytes);
  } else if constexpr (std::is_same_v<To, Cpu>) {
    copy_to_host(From{}, copy.data(), source.data(), bytes);
  } else {
    std::vector<std::byte> host(bytes);
    copy_to_host(From{}, host.data(), source.data(), bytes);
    copy_from_host(To{}, copy.data(), host.data(), bytes);
  }
  return copy;
}

/// The tensor itself if it is in To's memory, else a copy there.
template <class To, class T, class From> Tensor<T, To> on_backend(const Tensor<T, From>& x) {
  if constexpr (std::is_same_v<To, From>) return x;
  else return to_backend<To>(x);
}

HLIP_END

#include <hlip/tensor/expr.hpp>
