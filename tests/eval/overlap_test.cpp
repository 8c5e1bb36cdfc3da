#include <hlip/eval/dice.hpp>
#include <hlip/eval/f1.hpp>
#include <hlip/eval/mean_sd.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using Mask = std::vector<std::uint8_t>;
using Labels = std::vector<std::int64_t>;
using Triples = std::vector<EntityTriple>;

TEST_CASE("dice: twice the common part over both; two empty masks agree, one alone does not") {
  CHECK(dice(Mask{1, 1, 0, 0}, Mask{1, 0, 1, 1}) == doctest::Approx(2.0 / 5));
  CHECK(dice(Mask{1, 255}, Mask{7, 1}) == 1);
  CHECK(dice(Mask{0, 0}, Mask{0, 0}) == 1);
  CHECK(dice(Mask{0, 1}, Mask{0, 0}) == 0);
  CHECK(dice(Mask{0, 0}, Mask{0, 1}) == 0);
  CHECK_THROWS_AS(dice(Mask{0}, Mask{0, 1}), error);
  CHECK(dice_per_image(Mask{1, 0, 0, 0}, Mask{1, 0, 0, 1}, 2) == std::vector<double>{1, 0});
  CHECK_THROWS_AS(dice_per_image(Mask{1, 0, 0}, Mask{1, 0, 0}, 2), error);
}

TEST_CASE("mean_sd: of the values themselves, numbers only") {
  const MeanSd m = mean_sd(std::vector<double>{1, 3, not_a_number});
  CHECK(m.mean == 2);
  CHECK(m.sd == 1);
  CHECK(mean_sd(std::vector<double>{5}).sd == 0);
  CHECK(std::isnan(mean_sd(std::vector<double>{}).sd));
}

TEST_CASE("label_f1: of each label, their mean, and of all counts together") {
  // label 0: hit, miss; label 1: alarm, hit; label 2: nothing
  const auto f1 = label_f1(Labels{1, 0, 0, 1, 1, 0}, Labels{1, 1, 0, 0, 1, 0}, 3);
  CHECK(f1.per_label[0] == doctest::Approx(2.0 / 3));
  CHECK(f1.per_label[1] == doctest::Approx(2.0 / 3));
  CHECK(f1.per_label[2] == 0);
  CHECK(f1.macro == doctest::Approx(4.0 / 9));
  CHECK(f1.micro == doctest::Approx(2.0 / 3));
  CHECK_THROWS_WITH_AS(label_f1(Labels{0, 2}, Labels{0, 0}, 2),
                       doctest::Contains("label 1 of report 0 is 2"), error);
  CHECK_THROWS_AS(label_f1(Labels{0}, Labels{0}, 2), error);
  CHECK_THROWS_AS(label_f1(Labels{0}, Labels{0, 0}, 1), error);
}

TEST_CASE("positive_mentions: an uncertain finding is none") {
  CHECK(positive_mentions(Labels{0, 1, 2, 3}) == Labels{0, 1, 0, 0});
  CHECK_THROWS_AS(positive_mentions(Labels{4}), error);
  CHECK_THROWS_AS(positive_mentions(Labels{-1}), error);
}

TEST_CASE("triples_f1: sets, so that saying it twice gains nothing; nothing said is 0") {
  const Triples reference = {{0, 1, 0}, {2, 1, 1}, {3, 0, 0}};
  CHECK(triples_f1(reference, reference) == 1);
  CHECK(triples_f1(reference, Triples{{2, 1, 1}, {2, 1, 1}, {2, 1, 0}}) ==
        doctest::Approx(2.0 / 5));
  CHECK(triples_f1(reference, Triples{}) == 0);
  CHECK(triples_f1(Triples{}, Triples{}) == 0);
}
