// What the report is worth to a pre-trained model: how well it restores held-out sub-volumes with
// the true report, with another study's and with none; and whether it tells pairs by the picture.
// Source: reference document T3D §3 (the guard), §4.
#pragma once

#include <hlip/data/loader.hpp>
#include <hlip/ops/index.hpp>
#include <hlip/ops/shape.hpp>
#include <hlip/systems/t3d/sub_volumes.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

HLIP_BEGIN

/// Of held-out studies.
struct TextInformedScores {
  index_t studies = 0;
  /// mean |restored − clean| with the study's report, with another's, with none
  double own = 0, other = 0, none = 0;
  /// share of informed views a whose most similar view b of the batch is their own; the same when
  /// the voxels of both views are shuffled, and the report kept
  double pairs = 0, shuffled_pairs = 0;
  double chance = 0;  ///< of a pair by guessing

  std::string line() const {
    return fmt::format(
        "restoration error with the own report {:.4f}, another's {:.4f}, none {:.4f}; pairs told "
        "apart {:.3f}, with shuffled voxels {:.3f}, by chance {:.3f} ({} studies)",
        own, other, none, pairs, shuffled_pairs, chance, studies);
  }
  std::vector<std::pair<std::string, double>> scalars() const {
    return {{"restoration_own", own},
            {"restoration_other", other},
            {"restoration_none", none},
            {"pair_accuracy", pairs},
            {"shuffled_pairs", shuffled_pairs}};
  }
};

namespace detail {

/// The voxels of every volume in one random order, the same for all.
template <class B>
Tensor<float, B> shuffled_voxels(const Tensor<float, B>& x, const RandomKey& key) {
  const index_t n = x.dim(0), voxels = x.numel() / n;
  std::vector<std::int64_t> order(static_cast<std::size_t>(voxels));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  RandomStream(key).shuffle(order);
  const auto index = Tensor<std::int64_t, B>::from_values({voxels},
                                                          std::span<const std::int64_t>(order));
  const Tensor<float, B> columns = x.reshape({n, voxels}).transpose(0, 1).contiguous();
  return index_select(columns, index).transpose(0, 1).contiguous().reshape(x.shape());
}

/// Of every row the tokens of the next one whose report is another; its own where there is none.
template <class B> Tensor<std::int64_t, B> ids_of_others(const SubVolumePairs<float, B>& p) {
  const index_t n = p.ids.dim(0), length = p.ids.dim(1);
  const std::vector<std::int64_t> ids = p.ids.to_vector(), studies = p.studies.to_vector();
  std::vector<std::int64_t> out;
  for (index_t i = 0; i < n; ++i) {
    index_t other = (i + 1) % n;
    const auto number = [&](index_t row) { return studies[static_cast<std::size_t>(row)]; };
    while (other != i && number(other) == number(i)) other = (other + 1) % n;
    const auto first = ids.begin() + other * length;
    out.insert(out.end(), first, first + length);
  }
  return Tensor<std::int64_t, B>::from_values({n, length}, std::span<const std::int64_t>(out));
}

/// The sums of one batch, added to `s`.
template <class Model, class B>
void add_scores(const Model& model, const SubVolumePairs<float, B>& p, TextInformedScores& s) {
  const index_t n = p.ids.dim(0);
  const auto share = static_cast<double>(n);
  const auto restored = [&](const Var<float, B>& tokens, const Tensor<std::uint8_t, B>& mask) {
    const auto error = [&](const Tensor<float, B>& corrupt, const Tensor<float, B>& clean) {
      const Var<float, B> out = model.restore(Var<float, B>(corrupt), tokens, mask, Context{});
      return static_cast<double>(restoration_loss(out, clean).item());
    };
    return 0.5 * share * (error(p.corrupt_a, p.view_a) + error(p.corrupt_b, p.view_b));
  };
  const Var<float, B> text = model.text(p.ids);
  const auto mask = Bert<float, B>::padding_mask(p.ids);
  s.own += restored(text, mask);
  const Tensor<std::int64_t, B> others = ids_of_others(p);
  s.other += restored(model.text(others), Bert<float, B>::padding_mask(others));
  s.none += restored(text, Tensor<std::uint8_t, B>::zeros(mask.shape()));
  const auto pairs = [&](const Tensor<float, B>& a, const Tensor<float, B>& b) {
    const auto tokens = [&](const Tensor<float, B>& x) {
      return Model::tokens_of(model.visual(Var<float, B>(x)).back());
    };
    const Var<float, B> informed = model.embed(model.fusion(tokens(a), text, mask)),
                        visual = model.embed(tokens(b));
    return share * static_cast<double>(pair_accuracy(informed.value(), visual.value()).item());
  };
  s.pairs += pairs(p.view_a, p.view_b);
  s.shuffled_pairs += pairs(shuffled_voxels(p.view_a, {1, 0x54u, 0}),
                            shuffled_voxels(p.view_b, {1, 0x54u, 1}));
  s.chance += 1;  // share / n
  s.studies += n;
}

}  // namespace detail

/// Scores a model on held-out studies, the same sub-volumes every time; a last batch that is not
/// full is left out, and so, with `skip_bad`, are studies that cannot be read.
/// @param samples with their own reports  @param batch studies that are told apart at once, 2 if it
/// is less
template <class Model>
TextInformedScores score_text_informed(const Model& model,
                                       const std::shared_ptr<const SubVolumes>& samples,
                                       index_t batch, index_t workers, bool skip_bad = false) {
  using B = typename Model::backend;
  NoGrad guard;
  LoaderOptions loading;
  loading.workers = workers, loading.skip_bad = skip_bad;
  loading.sampler.batch_size = std::min(std::max<index_t>(batch, 2), samples->size());
  loading.sampler.shuffle = false;
  DataLoader loader(samples, loading, collate_sub_volumes<B>);
  loader.start({0, 0});
  TextInformedScores s;
  while (auto next = loader.next()) detail::add_scores(model, next->data, s);
  // (none could be read: the figures stay 0, of 0 studies)
  const auto n = static_cast<double>(std::max<index_t>(s.studies, 1));
  for (double* x : {&s.own, &s.other, &s.none, &s.pairs, &s.shuffled_pairs, &s.chance}) *x /= n;
  return s;
}

HLIP_END
