#include <hlip/eval/finding_split.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {
constexpr double unknown = not_a_number;
const std::vector<Split> splits = {Split::train, Split::test, Split::train, Split::valid,
                                   Split::test};
/// The training pictures all have the second finding.
const std::vector<FindingLabels> findings = {{"nodule", {1, 0, 0, 1, 1}},
                                             {"tube", {1, 0, 1, 0, 1}}};
}  // namespace

TEST_CASE("finding_split: the rows of one split with the labels of all findings") {
  const FindingSplit train = finding_split(splits, Split::train, findings);
  CHECK(train.rows == std::vector<std::size_t>{0, 2});
  CHECK(train.labels == std::vector<double>{1, 1, 0, 1});
  CHECK(finding_split(splits, Split::valid, findings).labels == std::vector<double>{1, 0});
  CHECK(finding_split({Split::train}, Split::test, findings).rows.empty());
}

TEST_CASE("rows_of_share: whole subjects, at least one, and the smaller share within the larger") {
  std::vector<std::string> subjects;
  std::vector<std::size_t> rows;
  for (std::size_t r = 0; r < 60; ++r) {
    subjects.push_back("s" + std::to_string(r / 3));
    if (r % 6 < 5) rows.push_back(r);
  }
  const auto half = rows_of_share(rows, subjects, 0.5, 7);
  const auto tenth = rows_of_share(rows, subjects, 0.1, 7);
  CHECK(half.size() >= 20);
  CHECK(half.size() <= 30);
  CHECK(std::is_sorted(half.begin(), half.end()));
  CHECK(std::includes(rows.begin(), rows.end(), half.begin(), half.end()));
  CHECK(std::includes(half.begin(), half.end(), tenth.begin(), tenth.end()));
  for (const auto r : rows)
    for (const auto k : tenth)
      if (subjects[r] == subjects[k]) CHECK(std::count(tenth.begin(), tenth.end(), r) == 1);
  CHECK(rows_of_share(rows, subjects, 0.5, 8) != half);
  CHECK(rows_of_share(rows, subjects, 1, 7) == rows);
  CHECK(rows_of_share({4}, subjects, 0.001, 7) == std::vector<std::size_t>{4});
  CHECK_THROWS_AS(rows_of_share(rows, subjects, 0, 7), error);
  const FindingSplit part = finding_split({1, 3}, findings);
  CHECK(part.labels == std::vector<double>{0, 0, 1, 0});
}

TEST_CASE("leave_out_unlearnable: what training cannot learn is not measured, and is named") {
  const FindingSplit train = finding_split(splits, Split::train, findings);
  FindingSplit test = finding_split(splits, Split::test, findings);
  CHECK(leave_out_unlearnable("t.csv", findings, train, test) == std::vector<std::string>{"tube"});
  REQUIRE(test.labels.size() == 4);
  CHECK(test.labels[0] == 0);
  CHECK(std::isnan(test.labels[1]));
  CHECK(test.labels[2] == 1);
  CHECK(std::isnan(test.labels[3]));
}

TEST_CASE("leave_out_unlearnable: nothing that could be measured is refused with the sizes") {
  const std::vector<FindingLabels> one = {{"nodule", {1, 0, 0, 1, unknown}}};
  const FindingSplit train = finding_split(splits, Split::train, one);
  FindingSplit test = finding_split(splits, Split::test, one);
  CHECK_THROWS_WITH_AS(leave_out_unlearnable("t.csv", one, train, test),
                       doctest::Contains("t.csv: no finding has both labels among the 2 training "
                                         "and among the 2 tested pictures"),
                       error);
}
