// Putting tensors together and apart: concat, stack, split, pad.
#pragma once

#include <hlip/tensor/tensor.hpp>

#include <span>
#include <vector>

HLIP_BEGIN

/// Joins tensors along an existing axis; the other sizes must agree.
template <class T, class B> Tensor<T, B> concat(const std::vector<Tensor<T, B>>& parts, int axis) {
  expect(!parts.empty(), "concat", "no tensors given");
  const int d = normalize_axis("concat", axis, parts[0].rank());
  Shape shape = parts[0].shape();
  shape[d] = 0;
  for (const auto& p : parts) {
    Shape rest = p.shape();
    expect(p.rank() == shape.rank(), "concat", "{} beside {} on axis {}", to_string(p.shape()),
           to_string(parts[0].shape()), axis);
    rest[d] = shape[d];
    expect(rest == shape, "concat", "{} beside {} on axis {}", to_string(p.shape()),
           to_string(parts[0].shape()), axis);
    shape[d] += p.shape()[d];
  }
  auto out = Tensor<T, B>::empty(shape);
  index_t at = 0;
  for (const auto& p : parts) {
    out.slice(d, at, at + p.shape()[d]).assign(p);
    at += p.shape()[d];
  }
  return out;
}

/// Joins tensors of one shape along a new axis.
template <class T, class B> Tensor<T, B> stack(const std::vector<Tensor<T, B>>& parts, int axis) {
  std::vector<Tensor<T, B>> lifted;
  for (const auto& p : parts) lifted.push_back(p.unsqueeze(axis));
  return concat(lifted, axis);
}

/// Views of neighbouring pieces of an axis; the sizes must add up to the axis.
template <class T, class B>
std::vector<Tensor<T, B>> split(const Tensor<T, B>& x, std::span<const index_t> sizes, int axis) {
  const int d = normalize_axis("split", axis, x.rank());
  std::vector<Tensor<T, B>> parts;
  index_t at = 0;
  for (index_t s : sizes) {
    expect(s >= 0 && at + s <= x.shape()[d], "split", "pieces reach beyond axis {} of {}", axis,
           to_string(x.shape()));
    parts.push_back(x.slice(d, at, at + s));
    at += s;
  }
  expect(at == x.shape()[d], "split", "pieces add up to {}, axis {} of {} has {}", at, axis,
         to_string(x.shape()), x.shape()[d]);
  return parts;
}

/// Elements added before and after one axis.
struct Padding {
  index_t before = 0, after = 0;
};

/// Surrounds x with `value`; `padding[i]` belongs to axis i, negative amounts crop.
template <class T, class B>
Tensor<T, B> pad(const Tensor<T, B>& x, std::span<const Padding> padding, T value) {
  expect(static_cast<int>(padding.size()) == x.rank(), "pad", "{} paddings for shape {}",
         padding.size(), to_string(x.shape()));
  Shape shape = x.shape();
  Tensor<T, B> source = x;
  for (int d = 0; d < x.rank(); ++d) {
    const Padding p = padding[static_cast<std::size_t>(d)];
    shape[d] += p.before + p.after;
    expect(shape[d] >= 0, "pad", "axis {} of {} would get size {}", d, to_string(x.shape()),
           shape[d]);
    const index_t begin = p.before < 0 ? -p.before : 0,
                  end = x.shape()[d] + (p.after < 0 ? p.after : 0);
    source = source.slice(d, begin, end < begin ? begin : end);
  }
  auto out = Tensor<T, B>::full(shape, value);
  Tensor<T, B> inside = out;
  for (int d = 0; d < x.rank(); ++d) {
    const index_t before = padding[static_cast<std::size_t>(d)].before > 0
                               ? padding[static_cast<std::size_t>(d)].before
                               : 0;
    inside = inside.slice(d, before, before + source.shape()[d]);
  }
  inside.assign(source);
  return out;
}

HLIP_END
