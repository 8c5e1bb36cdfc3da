#include "../support/gradients.hpp"

#include <hlip/autograd/functions/norm.hpp>
#include <hlip/distributed/thread_group.hpp>
#include <hlip/losses/contrastive.hpp>
#include <hlip/ops/matmul.hpp>

#include <thread>

using namespace test;

namespace {

/// Rows of length 1.
Array features(index_t rows, std::uint32_t stream) {
  const Array x = numbers({rows, 6}, stream);
  return x / sqrt(sum(Array(square(x)), {1}, true));
}

double dot(const Array& a, index_t i, const Array& b, index_t j) {
  double s = 0;
  for (index_t k = 0; k < a.dim(1); ++k) s += a.at({i, k}) * b.at({j, k});
  return s;
}

/// ½·mean over rows of -log softmax(s·I·Tᵀ) plus the same for the columns.
double plain_clip(const Array& image, const Array& text, double s) {
  const index_t n = image.dim(0);
  double loss = 0;
  for (index_t i = 0; i < n; ++i) {
    double rows = 0, columns = 0;
    for (index_t j = 0; j < n; ++j)
      rows += std::exp(s * dot(image, i, text, j)), columns += std::exp(s * dot(image, j, text, i));
    loss += 0.5 * (std::log(rows) + std::log(columns)) - s * dot(image, i, text, i);
  }
  return loss / static_cast<double>(n);
}

double plain_siglip(const Array& image, const Array& text, double s, double bias) {
  const index_t n = image.dim(0);
  double loss = 0;
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j)
      loss += std::log1p(std::exp(-(i == j ? 1 : -1) * (s * dot(image, i, text, j) + bias)));
  return loss / static_cast<double>(n);
}

struct Result {
  double loss = 0;
  Array d_image, d_text, d_scale, d_bias;
};

/// Calls fn(rank) in a thread for each rank of a group and returns what they return.
template <class Fn> std::vector<Result> on_ranks(int ranks, Fn fn) {
  std::vector<Result> results(static_cast<std::size_t>(ranks));
  const ThreadGroup group(ranks);
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] { results[static_cast<std::size_t>(r)] = fn(group.rank(r)); });
  for (auto& t : threads) t.join();
  return results;
}

constexpr index_t b = 3;  // pairs of one rank

template <class C>
Result run_clip(const Array& image, const Array& text, const C& communicator,
                const ContrastiveOptions& options) {
  const index_t first = communicator.rank() * b, rows = image.dim(0) / communicator.size();
  const Variable i(image.slice(0, first, first + rows), true),
      t(text.slice(0, first, first + rows), true), s(Array::scalar(4), true);
  const Variable loss = clip_loss(i, t, s, {}, communicator, options);
  loss.backward();
  return {loss.item(), i.grad(), t.grad(), s.grad(), {}};
}
template <class C> Result run_siglip(const Array& image, const Array& text, const C& communicator) {
  const index_t first = communicator.rank() * b, rows = image.dim(0) / communicator.size();
  const Variable i(image.slice(0, first, first + rows), true),
      t(text.slice(0, first, first + rows), true), s(Array::scalar(4), true),
      bias(Array::scalar(-2), true);
  const Variable loss = siglip_loss(i, t, s, bias, communicator);
  loss.backward();
  return {loss.item(), i.grad(), t.grad(), s.grad(), bias.grad()};
}

/// What data-parallel training makes of the ranks against one process with the whole batch.
/// Parameter gradients are averaged over ranks: so are those of the scale, and `share` of each
/// rank's feature gradients is that of the whole.
void check_ranks(const std::vector<Result>& ranks, const Result& whole, double share) {
  const auto w = static_cast<double>(ranks.size());
  double loss = 0, scale = 0;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const auto first = static_cast<index_t>(r) * b;
    loss += ranks[r].loss / w;
    scale += ranks[r].d_scale.item() / w;
    CHECK(largest_difference(ranks[r].d_image * (share / w),
                             whole.d_image.slice(0, first, first + b)) < 1e-13);
    CHECK(largest_difference(ranks[r].d_text * (share / w),
                             whole.d_text.slice(0, first, first + b)) < 1e-13);
  }
  CHECK(loss == doctest::Approx(whole.loss).epsilon(1e-13));
  CHECK(scale == doctest::Approx(whole.d_scale.item()).epsilon(1e-12));
}

}  // namespace

TEST_CASE("CLIP loss: the formula, in which a bias cancels") {
  const Array image = features(5, 1), text = features(5, 2);
  const double want = plain_clip(image, text, 4);
  CHECK(clip_loss(Variable(image), Variable(text), Variable(Array::scalar(4))).item() ==
        doctest::Approx(want).epsilon(1e-13));
  CHECK(clip_loss(Variable(image), Variable(text), Variable(Array::scalar(4)),
                  Variable(Array::scalar(-10)))
            .item() == doctest::Approx(want).epsilon(1e-13));
}

TEST_CASE("SigLIP loss: the formula, a sum over pairs divided by the batch") {
  const Array image = features(5, 1), text = features(5, 2);
  CHECK(siglip_loss(Variable(image), Variable(text), Variable(Array::scalar(4)),
                    Variable(Array::scalar(-2)))
            .item() == doctest::Approx(plain_siglip(image, text, 4, -2)).epsilon(1e-13));
  // Far from zero the logarithm must not overflow.
  CHECK(std::isfinite(siglip_loss(Variable(image), Variable(text), Variable(Array::scalar(1e4)),
                                  Variable(Array::scalar(0)))
                          .item()));
}

TEST_CASE("contrastive losses: gradients of features, scale and bias") {
  const std::vector<Array> inputs = {features(4, 1), features(4, 2), Array::scalar(3),
                                     Array::scalar(-1)};
  check_gradient("clip", [](const std::vector<Variable>& v) { return clip_loss(v[0], v[1], v[2]); },
                 {inputs[0], inputs[1], inputs[2]});
  check_gradient(
      "clip with bias",
      [](const std::vector<Variable>& v) { return clip_loss(v[0], v[1], v[2], v[3]); }, inputs);
  check_gradient(
      "siglip", [](const std::vector<Variable>& v) { return siglip_loss(v[0], v[1], v[2], v[3]); },
      inputs);
  check_gradient("clip of normalised features",
                 [](const std::vector<Variable>& v) {
                   return clip_loss(l2_normalize(v[0]), l2_normalize(v[1]), Variable(exp(v[2])));
                 },
                 {inputs[0], inputs[1], Array::scalar(0.7)});
}

TEST_CASE(
    "CLIP loss over ranks: with gradient through the gathering it is the loss of the whole batch") {
  for (int ranks : {1, 2, 3}) {
    const Array image = features(ranks * b, 1), text = features(ranks * b, 2);
    const Result whole = run_clip(image, text, SingleProcess{}, {});
    CHECK(whole.loss == doctest::Approx(plain_clip(image, text, 4)).epsilon(1e-13));
    for (bool local : {false, true}) {
      CAPTURE(ranks);
      CAPTURE(local);
      check_ranks(on_ranks(ranks,
                           [&](auto rank) {
                             return run_clip(image, text, rank, {local, true});
                           }),
                  whole, 1);
    }
  }
}

TEST_CASE(
    "CLIP loss over ranks: without it, the full form gives the towers 1/W of the gradient and the "
    "scale all of it") {
  for (int ranks : {2, 3}) {
    const Array image = features(ranks * b, 1), text = features(ranks * b, 2);
    const Result whole = run_clip(image, text, SingleProcess{}, {});
    check_ranks(on_ranks(ranks,
                         [&](auto rank) {
                           return run_clip(image, text, rank, {false, false});
                         }),
                whole, ranks);
  }
}

TEST_CASE(
    "CLIP loss over ranks: the local form without gathered gradients sees the other side as "
    "constant") {
  const Array image = features(2 * b, 1), text = features(2 * b, 2);
  const auto ranks = on_ranks(2, [&](auto rank) {
    return run_clip(image, text, rank, {true, false});
  });
  CHECK((ranks[0].loss + ranks[1].loss) / 2 ==
        doctest::Approx(plain_clip(image, text, 4)).epsilon(1e-13));
  // Rank 1 alone: its own rows against everything, everything constant.
  const Variable own_image(image.slice(0, b, 2 * b), true), own_text(text.slice(0, b, 2 * b), true),
      s(Array::scalar(4));
  const auto labels = Tensor<std::int64_t, Cpu>::arange(b, b);
  const Variable by_image = matmul(own_image, Variable(text.transpose(0, 1))) * s,
                 by_text = matmul(own_text, Variable(image.transpose(0, 1))) * s;
  const Variable loss = (cross_entropy(by_image, labels) + cross_entropy(by_text, labels)) * 0.5;
  loss.backward();
  CHECK(ranks[1].loss == doctest::Approx(loss.item()).epsilon(1e-14));
  CHECK(largest_difference(ranks[1].d_image, own_image.grad()) < 1e-14);
  CHECK(largest_difference(ranks[1].d_text, own_text.grad()) < 1e-14);
}

TEST_CASE("SigLIP loss over ranks: the loss of the whole batch") {
  for (int ranks : {1, 2, 3}) {
    CAPTURE(ranks);
    const Array image = features(ranks * b, 1), text = features(ranks * b, 2);
    const Result whole = run_siglip(image, text, SingleProcess{});
    const auto results = on_ranks(ranks, [&](auto rank) { return run_siglip(image, text, rank); });
    check_ranks(results, whole, 1);
    double bias = 0;
    for (const auto& r : results) bias += r.d_bias.item() / ranks;
    CHECK(bias == doctest::Approx(whole.d_bias.item()).epsilon(1e-12));
  }
}

TEST_CASE("contrastive losses: features of different shapes are an error") {
  const Variable image(features(3, 1)), text(features(4, 2)), s(Array::scalar(1));
  CHECK(error_of([&] { clip_loss(image, text, s); }) ==
        "clip_loss: text is (4, 6), expected the shape of image (3, 6)");
  CHECK(error_of([&] { siglip_loss(image, text, s, s); }) ==
        "siglip_loss: text is (4, 6), expected the shape of image (3, 6)");
  CHECK_THROWS_AS(clip_loss(Variable(Array::ones({3})), Variable(Array::ones({3})), s), error);
}

TEST_CASE("mean over targets: pairs of one kind meet each other alone") {
  const index_t studies = 3, targets = 2;
  const Array image = features(studies * targets, 1), text = features(studies * targets, 2);
  const auto kind = [&](const Array& x, index_t k) {
    return Array(x.slice(0, k, studies * targets, targets));
  };
  const auto loss = [](const Variable& i, const Variable& t) {
    return clip_loss(i, t, Variable(Array::scalar(7)));
  };
  const double mean = 0.5 * (plain_clip(kind(image, 0), kind(text, 0), 7) +
                             plain_clip(kind(image, 1), kind(text, 1), 7));
  CHECK(mean_over_targets(Variable(image), Variable(text), targets, loss).item() ==
        doctest::Approx(mean).epsilon(1e-13));
  CHECK(mean_over_targets(Variable(image), Variable(text), 1, loss).item() ==
        doctest::Approx(plain_clip(image, text, 7)).epsilon(1e-13));
  check_gradient(
      "mean_over_targets",
      [&](const std::vector<Variable>& v) { return mean_over_targets(v[0], v[1], targets, loss); },
      {image, text});
  CHECK(error_of([&] { mean_over_targets(Variable(image), Variable(text), 4, loss); }) ==
        "mean_over_targets: image has 6 rows, expected a multiple of 4 targets");
  CHECK(error_of([&] { mean_over_targets(Variable(image), Variable(features(4, 2)), 2, loss); }) ==
        "mean_over_targets: text is (4, 6), expected the shape of image (6, 6)");
}
