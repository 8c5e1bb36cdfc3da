#include "../support/errors.hpp"
#include "../support/gradients.hpp"

#include <hlip/autograd/functions/norm.hpp>
#include <hlip/distributed/thread_group.hpp>
#include <hlip/losses/view_contrast.hpp>

#include <thread>

using namespace test;

namespace {

using Numbers = Tensor<std::int64_t, Cpu>;
constexpr ViewContrast forms[] = {ViewContrast::cross, ViewContrast::both, ViewContrast::ntxent};

/// Embeddings of length 1 out of leaves.
ViewEmbeddings<double, Cpu> embeddings(const std::vector<Variable>& v) {
  return {l2_normalize(v[0]), l2_normalize(v[1]), l2_normalize(v[2]), l2_normalize(v[3])};
}
std::vector<Array> leaves(index_t rows) {
  return {numbers({rows, 5}, 1), numbers({rows, 5}, 2), numbers({rows, 5}, 3),
          numbers({rows, 5}, 4)};
}

}  // namespace

TEST_CASE("view_contrast_loss: gradients of all forms, with and without pairs of one study") {
  for (const ViewContrast form : forms)
    for (const Numbers& studies : {Numbers::arange(4), Numbers::from_values({4}, {7, 1, 7, 3})}) {
      auto inputs = leaves(4);
      inputs.push_back(Array::scalar(3.0));
      if (form == ViewContrast::cross) {
        check_gradient(
            "cross",
            [&](const std::vector<Variable>& v) {
              return view_contrast_loss(embeddings(v), form, v[4], studies);
            },
            inputs);
        continue;
      }
      check_gradient(
          "informed alone",
          [&](const std::vector<Variable>& v) {
            return view_contrast_loss(embeddings({v[0], v[0], v[0], v[1]}), form, v[2], studies);
          },
          {inputs[2], inputs[3], inputs[4]});
    }
}

TEST_CASE("view_contrast_loss: rows of one study are not held against each other") {
  const std::vector<Array> x = leaves(3);
  const std::vector<Variable> v(x.begin(), x.end());
  const Variable scale(Array::scalar(4.0));
  // all of one study: nothing is left but the pair itself
  for (const ViewContrast form : forms)
    CHECK(view_contrast_loss(embeddings(v), form, scale, Numbers::zeros({3})).item() ==
          doctest::Approx(0).epsilon(1e-12));
  // two of three: what remains of row 0 and 1 is the pair and the third
  const auto e = embeddings(v);
  const Array z = view_logits(e.informed_a.value(), e.informed_b.value(), scale.value());
  const auto lse = [&](std::initializer_list<double> of) {
    double s = 0;
    for (const double value : of) s += std::exp(value);
    return std::log(s);
  };
  const auto at = [&](index_t i, index_t j) { return z.at({i, j}); };
  const double rows = lse({at(0, 0), at(0, 2)}) + lse({at(1, 1), at(1, 2)}) +
                      lse({at(2, 0), at(2, 1), at(2, 2)}),
               columns = lse({at(0, 0), at(2, 0)}) + lse({at(1, 1), at(2, 1)}) +
                         lse({at(0, 2), at(1, 2), at(2, 2)}),
               pairs = at(0, 0) + at(1, 1) + at(2, 2);
  CHECK(view_contrast_loss(e, ViewContrast::both, scale, Numbers::from_values({3}, {5, 5, 2}))
            .item() == doctest::Approx((rows + columns - 2 * pairs) / 6));
}

TEST_CASE(
    "view_contrast_loss: ranks that share a batch get the loss and gradients of one process") {
  const index_t b = 2;
  const Numbers studies = Numbers::from_values({4}, {1, 2, 3, 1});
  for (const ViewContrast form : forms) {
    const auto run = [&](const auto& communicator) {
      const index_t rows = 4 / communicator.size(), first = communicator.rank() * rows;
      std::vector<Variable> v;
      for (const Array& x : leaves(4)) v.emplace_back(x.slice(0, first, first + rows), true);
      const Variable scale(Array::scalar(3.0), true);
      const Variable loss = view_contrast_loss(embeddings(v), form, scale,
                                               studies.slice(0, first, first + rows), communicator);
      loss.backward();
      std::vector<Array> found{loss.value().clone()};
      for (const Variable& x : v)
        found.push_back(x.has_grad() ? x.grad() : Array::zeros(x.shape()));
      return found;
    };
    const std::vector<Array> whole = run(SingleProcess{});
    std::vector<std::vector<Array>> shared(2);
    const ThreadGroup group(2);
    std::vector<std::thread> threads;
    for (int r = 0; r < 2; ++r)
      threads.emplace_back([&, r] { shared[static_cast<std::size_t>(r)] = run(group.rank(r)); });
    for (auto& t : threads) t.join();
    for (index_t r = 0; r < 2; ++r) {
      const auto& mine = shared[static_cast<std::size_t>(r)];
      CHECK(mine[0].item() == doctest::Approx(whole[0].item()));
      for (std::size_t k = 1; k < mine.size(); ++k)  // the sum over ranks; the trainer divides
        CHECK(largest_difference(Array(mine[k] * 0.5), whole[k].slice(0, r * b, r * b + b)) <
              1e-12);
    }
  }
}

TEST_CASE("view_contrast_loss: names of forms, and shapes that do not fit") {
  CHECK(view_contrast_named("ntxent") == ViewContrast::ntxent);
  CHECK(error_of([] { view_contrast_named("clip"); }).find("expected cross, both or ntxent") !=
        std::string::npos);
  const std::vector<Array> x = leaves(3);
  const std::vector<Variable> v(x.begin(), x.end());
  CHECK(error_of([&] {
          view_contrast_loss(embeddings(v), ViewContrast::both, Variable(Array::scalar(1.0)),
                             Numbers::zeros({2}));
        }).find("studies is (2)") != std::string::npos);
}

TEST_CASE("pair_accuracy: the share of rows whose most similar row is their own") {
  const Array x = Array::from_values({3, 2}, {1, 0, 0, 1, 0.6, 0.8}),
              y = Array::from_values({3, 2}, {1, 0, 0.6, 0.8, 0, 1});
  CHECK(pair_accuracy(x, x).item() == 1);
  CHECK(pair_accuracy(x, y).item() == doctest::Approx(1.0 / 3));
}
