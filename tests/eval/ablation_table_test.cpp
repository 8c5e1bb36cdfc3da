#include <hlip/eval/ablation_claim.hpp>

#include "../support/errors.hpp"

#include <doctest/doctest.h>

using namespace hlip;
using doctest::Approx;

namespace {
/// Two variants and two metrics from three seeds; the second variant was not measured once.
AblationTable small_table() {
  AblationTable t({"small", "large"}, 0, {{"AUPRC", "Tube"}, {"Dice", "lungs"}}, 3);
  const double tube[2][3] = {{0.30, 0.32, 0.31}, {0.40, 0.43, 0.40}},
               lungs[2][3] = {{0.9, 0.8, 0.7}, {0.9, not_a_number, 0.8}};
  for (std::size_t v = 0; v < 2; ++v)
    for (std::size_t s = 0; s < 3; ++s) t.at(v, 0, s) = tube[v][s], t.at(v, 1, s) = lungs[v][s];
  return t;
}
}  // namespace

TEST_CASE("student_t_quantile: the numbers of tables, for odd and even degrees of freedom") {
  // R 4: qt(0.975, n), qt(0.995, 7)
  CHECK(student_t_quantile(0.95, 1) == Approx(12.706204736).epsilon(1e-9));
  CHECK(student_t_quantile(0.95, 2) == Approx(4.302652730).epsilon(1e-9));
  CHECK(student_t_quantile(0.95, 3) == Approx(3.182446305).epsilon(1e-9));
  CHECK(student_t_quantile(0.95, 4) == Approx(2.776445105).epsilon(1e-9));
  CHECK(student_t_quantile(0.95, 30) == Approx(2.042272456).epsilon(1e-9));
  CHECK(student_t_quantile(0.99, 7) == Approx(3.499483297).epsilon(1e-9));
  CHECK(student_t_quantile(0.95, 100000) == Approx(1.959988).epsilon(1e-6));
  CHECK(test::error_of([] {
          student_t_quantile(0.95, 0);
        }).find("0 degrees of freedom, expected 1") != std::string::npos);
  CHECK(test::error_of([] { student_t_quantile(1, 2); }).find("confidence is 1") !=
        std::string::npos);
}

TEST_CASE("paired_difference: mean, deviation and interval of the differences of known pairs") {
  // R 4: t.test(c(.40, .43, .40), c(.30, .32, .31), paired = TRUE)
  const std::vector<double> a = {0.40, 0.43, 0.40, not_a_number}, b = {0.30, 0.32, 0.31, 1};
  const PairedDifference d = paired_difference(a, b);
  CHECK(d.pairs == 3);
  CHECK(d.mean == Approx(0.1));
  CHECK(d.sd == Approx(0.01));
  CHECK(d.interval.low == Approx(0.0751586).epsilon(1e-5));
  CHECK(d.interval.high == Approx(0.1248414).epsilon(1e-5));
  const PairedDifference one = paired_difference(std::vector{1.0}, std::vector{0.5});
  CHECK(one.mean == 0.5);
  CHECK(std::isnan(one.interval.low));
  CHECK(std::isnan(paired_difference({}, {}).mean));
  CHECK(test::error_of([] {
          paired_difference(std::vector{1.0}, {});
        }).find("1 and 0 values, expected pairs") != std::string::npos);
}

TEST_CASE("AblationTable: spread over seeds and the difference from the reference, as text") {
  const AblationTable t = small_table();
  CHECK(t.spread(0, 0).mean == Approx(0.31));
  CHECK(t.spread(0, 0).sd == Approx(0.01));  // of three, so divided by two
  CHECK(t.difference(1, 0, 1).pairs == 2);
  CHECK(t.to_text() ==
        "mean (standard deviation) over 3 seeds; difference from small with its 95 % interval "
        "(Student's t, seeds as pairs)\n"
        "AUPRC Tube  small  0.310 (0.010)\n"
        "            large  0.410 (0.017)           +0.100 (+0.075 to +0.125)\n"
        "Dice lungs  small  0.800 (0.100)\n"
        "            large  0.850 (0.071), 2 seeds  +0.050 (-0.585 to +0.685)\n");
  CHECK(test::error_of([] {
          AblationTable({"a"}, 1, {{"AUPRC", "x"}}, 3);
        }).find("1 variants, number 1 is the reference") != std::string::npos);
}

TEST_CASE("AblationTable: the mean of one seed says so, and nothing is said of none") {
  AblationTable t({"a", "b"}, 0, {{"AUPRC", "x"}}, 2);
  CHECK(t.spread_cell(0, 0) == "-");
  t.at(0, 0, 1) = 0.25;
  CHECK(t.spread_cell(0, 0) == "0.250, 1 seed");
  t.at(0, 0, 0) = 0.75;
  CHECK(t.spread_cell(0, 0) == "0.500 (0.354)");
}

TEST_CASE("AblationTable: every number in two CSV tables, empty where nothing was measured") {
  const AblationTable t = small_table();
  const std::string csv = t.to_csv(), seeds = t.seeds_csv(5);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 5);
  CHECK(csv.find("\nsmall,AUPRC,Tube,3,0.31,") != std::string::npos);
  CHECK(csv.find(",,,,\nlarge,AUPRC,Tube,3,0.41,") != std::string::npos);
  CHECK(csv.find("\nlarge,Dice,lungs,2,0.85") != std::string::npos);
  CHECK(std::count(seeds.begin(), seeds.end(), '\n') == 13);
  CHECK(seeds.find("\nlarge,6,Dice,lungs,\n") != std::string::npos);
  CHECK(seeds.find("\nlarge,7,Dice,lungs,0.8\n") != std::string::npos);
}

TEST_CASE("agreement: the whole interval where it was expected, none of it, or undecided") {
  const AblationTable t = small_table();
  const AblationExpectation gain{"more is better", "large", "small", "AUPRC Tube"},
      loss{"less is better", "small", "large", "AUPRC Tube"},
      open{"lungs gain", "large", "small", "Dice lungs"},
      close{"lungs hardly change", "small", "large", "Dice lungs", {-0.7, 0.7}};
  CHECK(agreement(t, gain) == Agreement::agrees);
  CHECK(agreement(t, loss) == Agreement::disagrees);
  CHECK(agreement(t, open) == Agreement::undecided);
  CHECK(agreement(t, close) == Agreement::agrees);
  CHECK(found_text(t, gain) ==
        "AUPRC Tube, large less small: +0.100 (+0.075 to +0.125), expected above 0");
  CHECK(found_text(t, close) ==
        "Dice lungs, small less large: -0.050 (-0.685 to +0.585), expected between -0.7 and 0.7");
  CHECK(agreements_text(t, {gain, loss, open, close}) == "2 of 4 agree, 1 undecided, 1 disagree");
  // of one seed nothing is known but its number
  AblationTable one({"a", "b"}, 0, {{"AUPRC", "x"}}, 1);
  one.at(0, 0, 0) = 0.1, one.at(1, 0, 0) = 0.2;
  CHECK(agreement(one, {"b is better", "b", "a", "AUPRC x"}) == Agreement::undecided);
  CHECK(test::error_of([&] {
          agreement(one, {"", "c", "a", "AUPRC x"});
        }) == "ablation_table: there is no variant \"c\"");
}
