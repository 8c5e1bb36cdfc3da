// Softmax over the last axis, and the cross-entropy of class labels.
#pragma once

#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/autograd/var.hpp>
#include <hlip/tensor/check.hpp>

HLIP_BEGIN

/// exp(x) / Σ exp(x) over the last axis. @param x (…, n)  @return the shape of x
template <class T, class B> Var<T, B> softmax(const Var<T, B>& x) {
  const index_t cols = x.dim(-1), rows = cols > 0 ? x.numel() / cols : 0;
  const Tensor<T, B> input = x.value().contiguous();
  const auto y = Tensor<T, B>::empty(x.shape());
  softmax_forward(B{}, input.data(), y.data(), rows, cols);
  return record("softmax", y, {x},
                [y, rows, cols](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  const auto dx = Tensor<T, B>::empty(y.shape());
                  softmax_backward(B{}, y.data(), dy.data(), dx.data(), rows, cols);
                  grads.add(0, dx);
                });
}

/// Mean over rows of −log softmax(logits)[label].
///
/// @param logits (rows, classes)  @param labels (rows), each in [0, classes)
template <class T, class B>
Var<T, B> cross_entropy(const Var<T, B>& logits, const Tensor<std::int64_t, B>& labels) {
  expect_shape("cross_entropy", "logits", logits.shape(), {{"rows"}, {"classes"}});
  const index_t rows = logits.dim(0), cols = logits.dim(1);
  expect_shape("cross_entropy", "labels", labels.shape(), {{"rows", rows}});
  expect(rows > 0, "cross_entropy", "logits has no rows");
  const Tensor<T, B> input = logits.value().contiguous();
  const Tensor<std::int64_t, B> label = labels.contiguous();
  const auto loss = Tensor<T, B>::empty({rows}), lse = Tensor<T, B>::empty({rows});
  cross_entropy_forward(B{}, input.data(), label.data(), loss.data(), lse.data(), rows, cols);
  return record(
      "cross_entropy", mean(loss), {logits}, [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
        const Tensor<T, B> share =
            Tensor<T, B>(dy * (1.0 / static_cast<double>(rows))).expand({rows}).contiguous();
        const auto dlogits = Tensor<T, B>::empty({rows, cols});
        cross_entropy_backward(B{}, input.data(), label.data(), lse.data(), share.data(),
                               dlogits.data(), rows, cols);
        grads.add(0, dlogits);
      });
}

HLIP_END
