// Sizes, strides and broadcasting. Shapes live on the stack: rank is at most 8.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/core/scope.hpp>

#include <array>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

HLIP_BEGIN

using index_t = std::int64_t;
inline constexpr int max_rank = 8;

/// Sizes (or strides) of a tensor, outermost axis first.
class Shape {
 public:
  constexpr Shape() = default;
  /// Shape{2, 3, 4}. (Not an initializer_list: g++ 12 warns about that in defaults of a struct's
  /// members.)
  template <std::convertible_to<index_t>... N>
  requires(sizeof...(N) >= 1 && sizeof...(N) <= max_rank) Shape(N... sizes)
      : sizes_{static_cast<index_t>(sizes)...}, rank_(static_cast<int>(sizeof...(N))) {}
  template <class It>
  requires(!std::convertible_to<It, index_t>) Shape(It first, It last) {
    for (; first != last; ++first) push_back(static_cast<index_t>(*first));
  }
  static Shape filled(int rank, index_t value) {
    Shape s;
    for (int d = 0; d < rank; ++d) s.push_back(value);
    return s;
  }

  HLIP_FN int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  HLIP_FN index_t& operator[](int d) { return sizes_[static_cast<std::size_t>(d)]; }
  HLIP_FN index_t operator[](int d) const { return sizes_[static_cast<std::size_t>(d)]; }
  HLIP_FN index_t back() const { return (*this)[rank_ - 1]; }
  const index_t* begin() const { return sizes_.data(); }
  const index_t* end() const { return sizes_.data() + rank_; }

  void push_back(index_t size) {
    if (rank_ == max_rank) fail("shape", "more than {} axes", max_rank);
    sizes_[static_cast<std::size_t>(rank_++)] = size;
  }
  void insert(int d, index_t size) {
    push_back(size);
    for (int i = rank_ - 1; i > d; --i) (*this)[i] = (*this)[i - 1];
    (*this)[d] = size;
  }
  void erase(int d) {
    for (int i = d; i + 1 < rank_; ++i) (*this)[i] = (*this)[i + 1];
    --rank_;
  }

  /// Number of elements; 1 for a scalar. Wraps for absurd sizes, which no tensor can be allocated
  /// with.
  index_t numel() const {
    std::uint64_t n = 1;
    for (index_t s : *this) n *= static_cast<std::uint64_t>(s);
    return static_cast<index_t>(n);
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int d = 0; d < a.rank_; ++d)
      if (a[d] != b[d]) return false;
    return true;
  }

 private:
  std::array<index_t, max_rank> sizes_{};
  int rank_ = 0;
};

/// "(2, 577, 768)"
inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int d = 0; d < shape.rank(); ++d) text += (d ? ", " : "") + std::to_string(shape[d]);
  return text + ")";
}

/// Row-major strides of a contiguous tensor, in elements.
inline Shape contiguous_strides(const Shape& shape) {
  Shape stride = Shape::filled(shape.rank(), 1);
  for (int d = shape.rank() - 2; d >= 0; --d)
    stride[d] = stride[d + 1] * (shape[d + 1] > 1 ? shape[d + 1] : 1);
  return stride;
}

/// Turns a possibly negative axis into 0 … rank-1, or throws.
inline int normalize_axis(std::string_view where, int axis, int rank) {
  const int d = axis < 0 ? axis + rank : axis;
  if (d < 0 || d >= rank)
    fail(located(where), "axis {} does not exist in a tensor of {} axes", axis, rank);
  return d;
}

/// NumPy broadcasting of two shapes, or an error naming both.
inline Shape broadcast_shapes(std::string_view where, const Shape& a, const Shape& b) {
  const int rank = a.rank() > b.rank() ? a.rank() : b.rank();
  Shape out = Shape::filled(rank, 1);
  for (int d = 0; d < rank; ++d) {
    const index_t x = d < rank - a.rank() ? 1 : a[d - (rank - a.rank())];
    const index_t y = d < rank - b.rank() ? 1 : b[d - (rank - b.rank())];
    if (x != y && x != 1 && y != 1)
      fail(located(where), "shapes {} and {} do not broadcast: axis {} has {} against {}",
           to_string(a), to_string(b), d, x, y);
    out[d] = x == 1 ? y : x;
  }
  return out;
}

HLIP_END
