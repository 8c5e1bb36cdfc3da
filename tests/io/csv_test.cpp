#include <hlip/io/csv.hpp>
#include <hlip/io/csv_text.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace hlip;

TEST_CASE("csv: columns are found by name, whatever their order") {
  const auto t = parse_csv("b,a,c\n1,2,3\n4,5,6\n", "t.csv", {"a", "b"});
  CHECK(t.rows() == 2);
  CHECK(t.at(0, t.column("a")) == "2");
  CHECK(t.at(1, t.column("c")) == "6");
  CHECK(t.find("d") == -1);
  CHECK_THROWS_WITH_AS(t.column("d"), doctest::Contains("column d is absent"), error);
}

TEST_CASE(
    "csv: quotes hold commas, doubled quotes and line breaks, and lines are counted through them") {
  const auto t = parse_csv("a,b\r\nx,\"one\ntwo\r\n\"\"three\"\", four\"\r\n\r\ny,\r\n", "t.csv");
  CHECK(t.rows() == 2);
  CHECK(t.at(0, 1) == "one\ntwo\r\n\"three\", four");
  CHECK(t.at(1, 1).empty());
  CHECK(t.line(0) == 2);
  CHECK(t.line(1) == 6);
  CHECK(t.place(1, 1) == "line 6, column b");
}

TEST_CASE("csv: rows that are kept know their lines and their fields") {
  auto t = parse_csv("a,b\n1,\n2,two\n3,\"x\ny\"\n4,four\n", "t.csv");
  t.keep({1, 2});
  CHECK(t.rows() == 2);
  CHECK(t.at(0, 0) == "2");
  CHECK(t.at(1, 1) == "x\ny");
  CHECK(t.place(1, 0) == "line 4, column a");
  t.keep({});
  CHECK(t.rows() == 0);
  CHECK(t.find("b") == 1);
}

TEST_CASE(
    "csv: byte order mark, all line ends, blank lines and a missing last newline make no "
    "difference") {
  for (const char* text :
       {"a,b\n1,2\n",
        "\xEF\xBB\xBF"
        "a,b\n1,2",
        "a,b\r\n1,2\r\n", "a,b\r1,2\r", "\n\na,b\n\n1,2\n\n\n", "a,b\n\"1\",\"2\""}) {
    const auto t = parse_csv(text, "t.csv", {"a", "b"});
    CHECK(t.rows() == 1);
    CHECK(t.at(0, 0) == "1");
    CHECK(t.at(0, 1) == "2");
  }
  CHECK(parse_csv("a,b\n", "t.csv").rows() == 0);
}

TEST_CASE("csv: what is written is what is read") {
  const std::vector<std::string> fields = {"plain", "", "one, two", "a \"word\"", "two\r\nlines"};
  const auto t = parse_csv("a,b,c,d,e\n" + csv_row(fields), "t.csv");
  CHECK(t.rows() == 1);
  for (std::size_t i = 0; i < fields.size(); ++i) CHECK(t.at(0, static_cast<int>(i)) == fields[i]);
  CHECK(csv_field("plain") == "plain");
}

TEST_CASE("csv: blanks belong to their field") {
  const auto t = parse_csv("a,b\n 1 ,\" 2\"\n", "t.csv");
  CHECK(t.at(0, 0) == " 1 ");
  CHECK(t.at(0, 1) == " 2");
}

TEST_CASE("csv: faults are named with their line") {
  const auto fault = [](std::string_view text, const char* part) {
    CHECK_THROWS_WITH_AS(parse_csv(text, "t.csv", {"a", "b"}), doctest::Contains(part), error);
  };
  fault("", "t.csv: is empty");
  fault("\n\n", "has no header");
  fault("a,b\n1\n", "line 2: has 1 fields, the header has 2");
  fault("a,b\n1,2\n\"x\ny\",2,3\n", "line 3: has 3 fields");
  fault("a,b\n1,\"2\n3,4\n", "line 2: a quote opened in this row is never closed");
  fault("a,b\n1,5\" x\n", "line 2: a quote stands inside");
  fault("a,b\n1,\"2\"x\n", "line 2: a quote stands inside");
  fault("a,b,a\n", "column \"a\" is named twice");
  fault("a,c\n1,2\n", "column b is absent");
  fault("c\n1\n", "column a, b is absent");
  fault("a;b\n1;2\n", "not semicolons");
  fault("a,b\n1,n\xF3\n", "line 2, byte 7: is not valid UTF-8");
  fault(std::string_view("a,b\n1,\0\n", 8), "line 2, byte 6: holds a NUL byte");
  fault(std::string_view("\xFF\xFE"
                         "a\0",
                         4),
        "UTF-16");
}

TEST_CASE("csv: long fields are kept, endless headers are not") {
  const std::string field(300'000, 'w');
  CHECK(parse_csv("a,b\n1,\"" + field + "\"\n", "t.csv").at(0, 1) == field);
  CHECK_THROWS_WITH_AS(parse_csv(std::string(10'000, ','), "t.csv"),
                       doctest::Contains("named twice"), error);
  std::string wide;
  for (int i = 0; i < 5000; ++i) wide += std::to_string(i) + ",";
  CHECK_THROWS_WITH_AS(parse_csv(wide, "t.csv"), doctest::Contains("more than 4096 columns"),
                       error);
}
