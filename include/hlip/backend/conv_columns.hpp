// Convolution as matrix products of columns: what every output reads is written out as the column
// of a matrix, a piece of the outputs at a time. For backends without a loop of their own.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/tensor/lower.hpp>

#include <algorithm>

HLIP_BEGIN

namespace detail {

/// The columns of outputs [first, first + count) of one picture and group.
template <class T> struct ConvColumns {
  ConvGeometry g;
  T* x = nullptr;        ///< (C, D, H, W)
  T* columns = nullptr;  ///< (C · taps, count)
  index_t first = 0, count = 0;
};

/// What element i of the columns reads, or -1 where that is outside.
template <class T> HLIP_FN index_t column_source(const ConvColumns<T>& c, index_t i) {
  const ConvGeometry& g = c.g;
  index_t row = quotient(i, c.count), output = c.first + i - row * c.count;
  index_t at = 0, below = 1;
  for (std::size_t a = 3; a-- > 0;) {  // from the inside out
    const index_t taps = quotient(row, g.kernel[a]), tap = row - taps * g.kernel[a],
                  outputs = quotient(output, g.out[a]), q = output - outputs * g.out[a],
                  from = q * g.stride[a] - g.padding[a] + tap * g.dilation[a];
    if (from < 0 || from >= g.in[a]) return -1;
    at += from * below;
    below *= g.in[a];
    row = taps;
    output = outputs;
  }
  return at + row * below;
}

template <class T> struct FillColumn {
  ConvColumns<T> c;
  HLIP_FN void operator()(index_t i) const {
    const index_t from = column_source(c, i);
    c.columns[i] = from < 0 ? T(0) : c.x[from];
  }
};

/// Adds to element i of x what the columns hold for it, tap by tap.
template <class T> struct FoldColumns {
  ConvColumns<T> c;
  HLIP_FN void operator()(index_t i) const {
    const ConvGeometry& g = c.g;
    index_t rest = i, at[3] = {};
    for (std::size_t a = 3; a-- > 0;) {
      const index_t above = quotient(rest, g.in[a]);
      at[a] = rest - above * g.in[a];
      rest = above;
    }
    T sum = c.x[i];
    const index_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
    for (index_t tap = 0; tap < taps; ++tap) {
      index_t left = tap, output = 0, below = 1;
      bool inside = true;
      for (std::size_t a = 3; a-- > 0;) {
        const index_t above = quotient(left, g.kernel[a]), t = left - above * g.kernel[a],
                      from = at[a] + g.padding[a] - t * g.dilation[a],
                      q = from < 0 ? 0 : quotient(from, g.stride[a]);
        inside = inside && from >= 0 && q * g.stride[a] == from && q < g.out[a];
        output += q * below;
        below *= g.out[a];
        left = above;
      }
      if (inside && output >= c.first && output < c.first + c.count)
        sum += c.columns[(rest * taps + tap) * c.count + output - c.first];
    }
    c.x[i] = sum;
  }
};

/// Element i is `value` of its channel, or zero.
template <class T> struct FillChannels {
  T* to;
  const T* value;
  index_t channels, inner;
  HLIP_FN void operator()(index_t i) const {
    const index_t plane = quotient(i, inner);
    to[i] = value ? value[plane - quotient(plane, channels) * channels] : T(0);
  }
};

/// Calls fn(columns, weight, y, weight gradient begins anew) for every picture, group and piece of
/// the outputs, with memory for the columns.
template <class B, class T, class Fn> void for_conv_pieces(B b, const ConvArgs<T>& a, Fn fn) {
  constexpr index_t most = index_t{64} << 20;  // bytes of columns
  const ConvGeometry& g = a.g;
  const index_t outputs = g.volume(g.out), rows = g.products();
  if (g.batch * g.groups * outputs * rows == 0) return;
  const index_t piece = std::clamp<index_t>(most / (rows * static_cast<index_t>(sizeof(T))), 1,
                                            outputs);
  const auto bytes = static_cast<std::size_t>(rows * piece) * sizeof(T);
  struct Memory {
    B b;
    std::size_t bytes;
    void* at;
    ~Memory() { deallocate(b, at, bytes); }
  } const memory{b, bytes, allocate(b, bytes)};
  for (index_t n = 0; n < g.batch; ++n)
    for (index_t group = 0; group < g.groups; ++group)
      for (index_t first = 0; first < outputs; first += piece) {
        const index_t at = n * g.groups + group;
        fn(ConvColumns<T>{g, a.x + at * g.in_channels * g.volume(g.in), static_cast<T*>(memory.at),
                          first, std::min(piece, outputs - first)},
           a.weight + group * g.out_channels * rows, a.y + at * g.out_channels * outputs + first,
           n == 0 && first == 0);
      }
}

template <class B, class T> void conv_forward_by_columns(B b, const ConvArgs<T>& a) {
  const index_t rows = a.g.products(), outputs = a.g.volume(a.g.out);
  for_each_index(b, a.g.y_size(),
                 FillChannels<T>{a.y, a.bias, a.g.groups * a.g.out_channels, outputs});
  for_conv_pieces(b, a, [&](const ConvColumns<T>& c, const T* weight, T* y, bool) {
    for_each_index(b, rows * c.count, FillColumn<T>{c});
    GemmArgs<T> p;
    p.m = a.g.out_channels, p.n = c.count, p.k = rows;
    p.a = weight, p.lda = rows, p.b = c.columns, p.ldb = c.count, p.c = y, p.ldc = outputs;
    p.beta = 1;
    gemm(b, p);
  });
}

template <class B, class T> void conv_backward_input_by_columns(B b, const ConvArgs<T>& a) {
  const index_t rows = a.g.products(), outputs = a.g.volume(a.g.out), inputs = a.g.volume(a.g.in);
  for_each_index(b, a.g.x_size(),
                 FillChannels<T>{a.x, a.bias, a.g.groups * a.g.in_channels, inputs});
  for_conv_pieces(b, a, [&](const ConvColumns<T>& c, const T* weight, const T* y, bool) {
    GemmArgs<T> p;
    p.m = rows, p.n = c.count, p.k = a.g.out_channels;
    p.a = weight, p.lda = rows, p.trans_a = true, p.b = y, p.ldb = outputs, p.c = c.columns,
    p.ldc = c.count;
    gemm(b, p);
    for_each_index(b, a.g.in_channels * inputs, FoldColumns<T>{c});
  });
}

template <class B, class T> void conv_backward_weight_by_columns(B b, const ConvArgs<T>& a) {
  const index_t rows = a.g.products(), outputs = a.g.volume(a.g.out);
  if (a.g.batch * outputs == 0 && !a.add)
    for_each_index(b, a.g.weight_size(), FillChannels<T>{a.weight, nullptr, 1, 1});
  for_conv_pieces(b, a, [&](const ConvColumns<T>& c, T* weight, const T* y, bool anew) {
    for_each_index(b, rows * c.count, FillColumn<T>{c});
    GemmArgs<T> p;
    p.m = a.g.out_channels, p.n = rows, p.k = c.count;
    p.a = y, p.lda = outputs, p.b = c.columns, p.ldb = c.count, p.trans_b = true, p.c = weight,
    p.ldc = rows;
    p.beta = anew && !a.add ? T(0) : T(1);
    gemm(b, p);
  });
}

}  // namespace detail

HLIP_END
