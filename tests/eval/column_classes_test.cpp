#include <hlip/eval/column_classes.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

using namespace hlip;
using Labels = std::vector<std::int64_t>;
using Names = std::vector<std::string>;
using Numbers = std::vector<double>;

namespace {
PictureTable table_of(const std::string& text) {
  const TempFolder dir;
  const std::string path = dir / "t.csv";
  atomic_write(path, text);
  return read_picture_table(path);
}
/// Twelve pictures of six subjects: sex with a gap, ages of which all differ, a site that is one.
PictureTable twelve() {
  std::string text = "image,subject,sex,age,site\n";
  for (int i = 0; i < 12; ++i)
    text += fmt::format("p{},s{},{},{},here\n", i, i / 2,
                        i == 3      ? "NA"
                        : i / 2 % 2 ? "M"
                                    : "F",
                        20 + 5 * i);
  return table_of(text);
}
}  // namespace

TEST_CASE("finite_number: the whole text is one finite number") {
  CHECK(finite_number("2.5") == 2.5);
  CHECK(finite_number("-1e3") == -1000.0);
  for (const char* text : {"", "x", "1 ", "1x", "nan", "inf", "1e999"})
    CHECK_FALSE(finite_number(text).has_value());
}

TEST_CASE("range_edges: so many parts of as many values, or the given places") {
  const Numbers values = {8, 1, 5, 3, 7, 2, 6, 4};
  CHECK(range_edges("2", values) == Numbers{4.5});
  CHECK(range_edges("4", values) == Numbers{2.75, 4.5, 6.25});
  CHECK(range_edges("20,40.5,60", values) == Numbers{20, 40.5, 60});
  CHECK(range_edges("60,", values) == Numbers{60});
  CHECK(range_edges("4", {1, 1, 1, 1, 1, 9}) == Numbers{1});  // equal edges are one
}

TEST_CASE("range_edges: what cuts nothing is refused by the name it was given under") {
  const auto refused = [](const char* rule, const char* what) {
    CHECK_THROWS_WITH_AS(range_edges(rule, {1, 2, 3}, "--bins"), doctest::Contains(what), error);
  };
  refused("", "--bins: \"\" is neither a number of parts nor a list of numbers");
  refused("a", "is neither a number");
  refused("1,,2", "is neither a number");
  refused("20,20", "--bins: \"20,20\" does not rise");
  refused("40,20", "does not rise");
  for (const char* parts : {"1", "51", "2.5", "-3"}) refused(parts, "parts, expected 2 to 50");
}

TEST_CASE("range_of: an edge belongs to the range above it, and ranges say where they lie") {
  const Numbers edges = {20, 40.5};
  CHECK(range_of(-1, edges) == 0);
  CHECK(range_of(20, edges) == 1);
  CHECK(range_of(40.4, edges) == 1);
  CHECK(range_of(99, edges) == 2);
  CHECK(range_names(edges) == Names{"<20", "20-40.5", ">=40.5"});
  CHECK(range_names({60}) == Names{"<60", ">=60"});
  CHECK_THROWS_AS(range_names({}), error);
}

TEST_CASE("read_class_columns: words as they are, many numbers cut, gaps and keys left out") {
  const auto [columns, left_out] = read_class_columns(twelve(), {});
  REQUIRE(columns.size() == 2);
  CHECK(columns[0].name == "sex");
  CHECK(columns[0].rows.size() == 11);
  CHECK(columns[0].rows[3] == 4);
  CHECK(columns[0].classes == Names{"F", "M"});
  CHECK(columns[0].labels == Labels{0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 1});
  CHECK_FALSE(columns[0].cut);
  CHECK(columns[0].most_frequent() == doctest::Approx(6.0 / 11));
  CHECK(columns[1].cut);
  CHECK(columns[1].labels == Labels{0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3});
  CHECK(columns[1].class_list() == "<33.75, 33.75-47.5, 47.5-61.25, >=61.25");
  CHECK(left_out == Names{"column site is left out: all 12 labels are of one class, \"here\""});
}

TEST_CASE("read_class_columns: rules for one column and for all") {
  CHECK(BinRules{{"3", "age=2"}}.of("age") == std::pair<std::string, bool>{"2", true});
  CHECK(BinRules{{"3", "age=2"}}.of("sex") == std::pair<std::string, bool>{"3", false});
  CHECK(BinRules{}.of("age") == std::pair<std::string, bool>{"4", false});
  const auto own = read_class_columns(twelve(), {"age"}, {{"3", "age=30,60"}});
  CHECK(own.columns.at(0).classes == Names{"<30", "30-60", ">=60"});
  const auto all = read_class_columns(twelve(), {"age"}, {{"3"}});
  CHECK(all.columns.at(0).classes.size() == 3);
  const auto few = table_of("image,stage\na,1\nb,2\nc,1\n");  // numbers, but few: words
  CHECK(read_class_columns(few, {"stage"}).columns.at(0).classes == Names{"1", "2"});
  CHECK(read_class_columns(few, {"stage"}, {{"stage=2,"}}).columns.at(0).classes ==
        Names{"<2", ">=2"});
}

TEST_CASE("read_class_columns: a column that is asked for and is none is refused by name") {
  const PictureTable t = twelve();
  const auto refused = [&](const Names& names, const BinRules& bins, const char* what) {
    CHECK_THROWS_WITH_AS(read_class_columns(t, names, bins), doctest::Contains(what), error);
  };
  refused({"site"}, {}, "column site: all 12 labels are of one class, \"here\"");
  refused({"height"}, {}, "column height is absent");
  refused({}, {{"height=3"}}, "column height is absent");
  refused({}, {{"sex=3"}, "--bins"}, "column sex: is not all numbers, which --bins could cut");
  refused({"age"}, {{"age=1000,"}}, "all 12 labels are of one class, \"<1000\"");
  refused({"age"}, {{"x"}}, "bins: \"x\" is neither");
  std::string text = "image,word,none\n";
  for (int i = 0; i < 51; ++i) text += fmt::format("p{},w{},\n", i, i);
  const auto many = read_class_columns(table_of(text), {});
  CHECK(many.columns.empty());
  CHECK(many.left_out ==
        Names{"column word is left out: has 51 different values, expected numbers or at most 50",
              "column none is left out: says nothing of any picture"});
}

TEST_CASE("subject_folds of a column: subjects stay together, and every fold leaves two classes") {
  const PictureTable t = twelve();
  const auto columns = read_class_columns(t, {"sex", "age"}).columns;
  const auto folds = subject_folds(t, columns[1], 3, 0);
  REQUIRE(folds.size() == 12);
  for (std::size_t i = 0; i < 12; i += 2) CHECK(folds[i] == folds[i + 1]);
  CHECK(subject_folds(t, columns[0], 3, 0).size() == 11);
  CHECK_THROWS_WITH_AS(subject_folds(t, columns[0], 7, 0),
                       doctest::Contains("column sex: 6 subjects are too few for 7 folds"), error);
  const auto rare = table_of("image,x\na,1\nb,0\nc,0\n");
  CHECK_THROWS_WITH_AS(subject_folds(rare, read_class_columns(rare, {"x"}).columns.at(0), 3, 0),
                       doctest::Contains("of 3 all labels are of one class"), error);
}
