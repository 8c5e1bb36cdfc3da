// Dice of pictures, summed up.
#include "../support/errors.hpp"

#include <doctest/doctest.h>
#include <hlip/eval/dice_table.hpp>

using namespace hlip;

namespace {

const std::vector<DiceTable::Group> groups = {{"lungs", {"right", "left"}}, {"tube", {"tube"}}};
const double nan_ = not_a_number;

DiceTable four_pictures() {
  return DiceTable(groups, {"a", "b", "c", "d,e"},
                   {0.9, 0.7, 1, 0.5, 0.7, 0, nan_, nan_, 1, 0.8, nan_, 0.6},
                   {1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1});
}

}  // namespace

TEST_CASE("dice table: means over known pictures, of structures over their classes") {
  const DiceTable t = four_pictures();
  REQUIRE(t.rows().size() == 4);
  const auto &lungs = t.rows()[0], &right = t.rows()[1], &left = t.rows()[2], &tube = t.rows()[3];
  CHECK(lungs.name.empty());
  CHECK(lungs.pictures == 3);
  CHECK(lungs.dice.mean == doctest::Approx((0.8 + 0.6 + 0.8) / 3));
  CHECK(right.name == "right");
  CHECK(right.dice.mean == doctest::Approx((0.9 + 0.5 + 0.8) / 3));
  CHECK(left.pictures == 2);
  CHECK(left.dice.sd == doctest::Approx(0));
  CHECK(tube.dice.mean == doctest::Approx(0.65));
  CHECK(t.macro() == doctest::Approx((lungs.dice.mean + 0.65) / 2));
  // two empty masks are right, but say nothing of how well a tube is found
  CHECK(tube.pictures == 4);
  CHECK(tube.present == 2);
  CHECK(tube.dice_present == doctest::Approx(0.3));
}

TEST_CASE("dice table: intervals hold the mean and come again with the seed") {
  const DiceTable t = four_pictures(), again = four_pictures();
  for (std::size_t i = 0; i < t.rows().size(); ++i) {
    const auto& r = t.rows()[i];
    CHECK(r.interval.low <= r.dice.mean);
    CHECK(r.dice.mean <= r.interval.high);
    CHECK(r.interval.low == again.rows()[i].interval.low);
    CHECK(r.present_interval.low <= r.dice_present);
    CHECK(r.dice_present <= r.present_interval.high);
  }
  CHECK(t.macro_interval().low < t.macro());
  CHECK(t.rows()[3].present_interval.low == 0);  // of 0 and 0.6
  CHECK(t.rows()[3].present_interval.high == doctest::Approx(0.6));
}

TEST_CASE("dice table: as files and as lines") {
  const DiceTable t = four_pictures();
  CHECK(t.pictures_csv() ==
        "picture,structure,class,dice\na,lungs,right,0.9\na,lungs,left,0.7\na,tube,tube,1\n"
        "b,lungs,right,0.5\nb,lungs,left,0.7\nb,tube,tube,0\nc,tube,tube,1\n"
        "\"d,e\",lungs,right,0.8\n\"d,e\",tube,tube,0.6\n");
  CHECK(t.to_csv().find("\ntube,,4,0.65,") != std::string::npos);
  CHECK(t.to_text().find("\n  right  ") != std::string::npos);
  CHECK(t.last_line().starts_with("macro Dice 0.692 ("));
  CHECK(t.last_line().ends_with("): lungs 0.733, tube 0.650, 4 pictures"));
  const DiceTable unknown({{"ribs", {"ribs"}}}, {"a"}, {nan_}, {0});
  CHECK(unknown.last_line() == "macro Dice - (-): ribs -, 1 pictures");
  CHECK(test::error_of([] {
          DiceTable(groups, {"a"}, {1, 1}, {1, 1});
        }).starts_with("dice_table: 2 values of 1 pictures and 3 classes"));
}
