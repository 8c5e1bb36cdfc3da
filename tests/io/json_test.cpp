#include <hlip/io/json.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("json: ordinary text gives the ordinary value") {
  const auto j = parse_json(
      R"({"a": [1, -2, 3.5, true, null, "x\u00e9"], "b": {"c": {}}, "d": []})", "f.json");
  CHECK(j.at("a").size() == 6);
  CHECK(j.at("a")[2].get<double>() == 3.5);
  CHECK(j.at("a")[5].get<std::string>() == "x\xC3\xA9");
  CHECK(j.at("b").at("c").is_object());
  CHECK(j == Json::parse(R"({"a": [1, -2, 3.5, true, null, "x\u00e9"], "b": {"c": {}}, "d": []})"));
  CHECK(parse_json("\xEF\xBB\xBF[7]", "f.json")[0] == 7);
}

TEST_CASE("json: errors name the file, the byte and the fault") {
  CHECK_THROWS_WITH_AS(parse_json(R"({"s1":{"v":NaN}})", "f.json"),
                       doctest::Contains("f.json: byte 11: not valid JSON"), error);
  CHECK_THROWS_WITH_AS(parse_json(R"({"a":1,"a":2})", "f.json"),
                       doctest::Contains("key \"a\" is given twice"), error);
  CHECK_THROWS_WITH_AS(parse_json("[\"\xFF\"]", "f.json"),
                       doctest::Contains("byte 2: not valid UTF-8"), error);
  CHECK_THROWS_WITH_AS(parse_json("", "f.json"), doctest::Contains("is empty"), error);
  CHECK_THROWS_AS(parse_json("[1,]", "f.json"), error);
  CHECK_THROWS_AS(parse_json("[1] x", "f.json"), error);
  CHECK_THROWS_WITH_AS(parse_json(std::string_view("{\"s1\":1}\0 {\"s2\":2}", 18), "f.json"),
                       doctest::Contains("f.json: byte 8: holds a NUL byte"), error);
  CHECK_THROWS_WITH_AS(parse_json(std::string_view("[1]\0", 4), "f.json"),
                       doctest::Contains("holds a NUL byte"), error);
  CHECK_THROWS_AS(parse_json("[1", "f.json"), error);
  CHECK_THROWS_AS(parse_json("{'a':1}", "f.json"), error);
  CHECK_THROWS_AS(parse_json("[1e999]", "f.json"), error);
  CHECK_THROWS_AS(parse_json(R"(["\ud800"])", "f.json"), error);
}

TEST_CASE("json: members of an object come one by one, in the order of the text") {
  std::string seen;
  each_json_member(
      R"({"b":[1,{"c":2}],"a":null,"b":"x"})", "f.json", {},
      [&](const std::string& name, const Json& value) { seen += name + value.dump() + ";"; });
  CHECK(seen == R"(b[1,{"c":2}];anull;b"x";)");
  const auto nothing = [](const std::string&, const Json&) {};
  CHECK_NOTHROW(each_json_member("{}", "f.json", {}, nothing));
  CHECK_THROWS_WITH_AS(each_json_member("[1]", "f.json", {}, nothing),
                       doctest::Contains("is a JSON array, expected an object"), error);
  CHECK_THROWS_WITH_AS(each_json_member("7", "f.json", {}, nothing),
                       doctest::Contains("is a JSON number, expected an object"), error);
  CHECK_THROWS_WITH_AS(each_json_member(R"({"a":{"k":1,"k":2}})", "f.json", {}, nothing),
                       doctest::Contains("given twice"), error);
  JsonLimits few;
  few.max_values = 4;
  CHECK_NOTHROW(each_json_member(R"({"a":[1,2],"b":[1,2,3]})", "f.json", few, nothing));
  CHECK_THROWS_WITH_AS(each_json_member(R"({"a":[1,2],"b":[1,2,3,4]})", "f.json", few, nothing),
                       doctest::Contains("more than 4 values"), error);
}

TEST_CASE("json: depth is limited without recursion") {
  const auto nested = [](int n) {
    return std::string(static_cast<std::size_t>(n), '[') +
           std::string(static_cast<std::size_t>(n), ']');
  };
  CHECK_NOTHROW(parse_json(nested(64), "f.json"));
  CHECK_THROWS_WITH_AS(parse_json(nested(65), "f.json"), doctest::Contains("nested deeper than 64"),
                       error);
  CHECK_THROWS_AS(parse_json(nested(2'000'000), "f.json"), error);
}

TEST_CASE("json: the same key may appear in different objects") {
  CHECK_NOTHROW(parse_json(R"({"a":{"k":1},"b":{"k":2},"k":[{"k":3},{"k":4}]})", "f.json"));
}
