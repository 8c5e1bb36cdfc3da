// Contrast between two views of a study whose report informs one side: which view belongs to which
// is to be told from the picture.
// Source: reference document T3D §3; Chen et al. 2020, "A simple framework for contrastive learning
// of visual representations" (ntxent).
#pragma once

#include <hlip/losses/contrastive.hpp>
#include <hlip/ops/elementwise.hpp>

#include <string_view>

HLIP_BEGIN

/// Which embeddings are compared: of the views a and b alone (v), or informed by the report (u).
enum class ViewContrast {
  cross,   ///< ½·[InfoNCE(u_a, v_b) + InfoNCE(u_b, v_a)]: a report alone cannot tell the pair
  both,    ///< InfoNCE(u_a, u_b), where it can
  ntxent,  ///< the other view among all other views of the batch, on u
};

/// "cross", "both" or "ntxent". @throws on another name
HLIP_LAZY ViewContrast view_contrast_named(std::string_view name) {
  if (name == "cross") return ViewContrast::cross;
  if (name == "both") return ViewContrast::both;
  if (name == "ntxent") return ViewContrast::ntxent;
  fail("view_contrast", "form '{}', expected cross, both or ntxent", name);
}

/// Of both views of a batch, (b, E) each, of length 1.
template <class T, class B> struct ViewEmbeddings {
  Var<T, B> visual_a, visual_b, informed_a, informed_b;
};

namespace detail {

/// What is added to logits so that pairs of one study count as neither alike nor different: a large
/// negative number where two rows that are no pair have one study.
/// @param studies of the rows  @param shift the pair of row i is column i + shift, round about
template <class T, class B>
Tensor<T, B> same_study_mask(const Tensor<std::int64_t, B>& studies, index_t shift) {
  const index_t n = studies.dim(0);
  const auto row = Tensor<std::int64_t, B>::arange(n).reshape({n, 1}),
             column = Tensor<std::int64_t, B>::arange(n).reshape({1, n});
  const Tensor<T, B> zero = Tensor<T, B>::zeros(Shape{}),
                     same = where(studies.reshape({n, 1}) == studies.reshape({1, n}), zero - 1e30,
                                  0);
  // a pair is (row, row + shift) or, from the end on, (row, row + shift - n)
  const Tensor<T, B> before_end = where(column == row + shift, zero, same);
  return where(column == row + (shift - n), zero, before_end);
}

/// Integers of all ranks, in rank order.
template <class B, Communicator C>
Tensor<std::int64_t, B> gather_numbers(const Tensor<std::int64_t, B>& x, const C& communicator) {
  if (communicator.size() == 1) return x;
  const std::vector<std::int64_t> own = x.to_vector();
  std::vector<std::int64_t> all(own.size() * static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(own.data(), all.data(), own.size() * sizeof(std::int64_t));
  return Tensor<std::int64_t, B>::from_values({static_cast<index_t>(all.size())},
                                              std::span<const std::int64_t>(all));
}

/// Every row's other view among all rows but itself.
template <class T, class B>
Var<T, B> ntxent_loss(const Var<T, B>& a, const Var<T, B>& b, const Var<T, B>& scale,
                      const Tensor<std::int64_t, B>& studies) {
  const index_t n = a.dim(0);
  const Var<T, B> rows = concat(std::vector<Var<T, B>>{a, b}, 0),
                  logits = matmul(rows, transpose(rows, 0, 1));
  const Tensor<std::int64_t, B> twice = concat(
      std::vector<Tensor<std::int64_t, B>>{studies, studies}, 0);
  const Tensor<T, B> others = same_study_mask<T, B>(twice, n);
  const auto labels = concat(
      std::vector<Tensor<std::int64_t, B>>{Tensor<std::int64_t, B>::arange(n, n),
                                           Tensor<std::int64_t, B>::arange(n)},
      0);
  return cross_entropy(Var<T, B>(logits * scale + others), labels);
}

}  // namespace detail

/// The loss of a batch of pairs, of all ranks together.
///
/// @param scale s itself (not its log), one element
/// @param studies (b): rows of one number (several sub-volumes of a study, or reports that are word
/// for word alike) are not held against each other
/// @return scalar
/// @throws hlip::error for embeddings of different shapes
template <class T, class B, Communicator C = SingleProcess>
Var<T, B> view_contrast_loss(const ViewEmbeddings<T, B>& e, ViewContrast form,
                             const Var<T, B>& scale, const Tensor<std::int64_t, B>& studies,
                             const C& communicator = {}) {
  const Shape& shape = e.informed_a.shape();
  expect_shape("view_contrast", "informed_a", shape, {{"batch"}, {"embed_dim"}});
  expect_shape("view_contrast", "studies", studies.shape(), {{"batch", shape[0]}});
  expect(e.informed_b.shape() == shape, "view_contrast", "informed_b is {}, expected {}",
         to_string(e.informed_b.shape()), to_string(shape));
  const Tensor<std::int64_t, B> all = detail::gather_numbers(studies, communicator);
  if (form == ViewContrast::ntxent)
    return detail::ntxent_loss(gather_features(e.informed_a, communicator, true, true),
                               gather_features(e.informed_b, communicator, true, true), scale, all);
  const Var<T, B> mask(detail::same_study_mask<T, B>(all, 0));
  const auto info_nce = [&](const Var<T, B>& x, const Var<T, B>& y) {
    return clip_loss(x, y, scale, mask, communicator, {.gather_with_grad = true});
  };
  if (form == ViewContrast::both) return info_nce(e.informed_a, e.informed_b);
  const Var<T, B> one = info_nce(e.informed_a, e.visual_b),
                  other = info_nce(e.informed_b, e.visual_a);
  return (one + other) * 0.5;
}

/// How alike every row of x is to every row of y, as the loss scores it. @return (b, b)
template <class T, class B>
Tensor<T, B> view_logits(const Tensor<T, B>& x, const Tensor<T, B>& y, const Tensor<T, B>& scale) {
  return matmul(x, y.transpose(0, 1)) * scale;
}

/// The share of rows of x whose most similar row of y is their own. @return scalar
template <class T, class B>
Tensor<T, B> pair_accuracy(const Tensor<T, B>& x, const Tensor<T, B>& y) {
  const index_t n = x.dim(0);
  const auto nearest = argmax(matmul(x, y.transpose(0, 1)), 1);
  const Tensor<T, B> right = where(nearest == Tensor<std::int64_t, B>::arange(n),
                                   Tensor<T, B>::ones(Shape{}), 0);
  return mean(right).reshape(Shape{});
}

HLIP_END
