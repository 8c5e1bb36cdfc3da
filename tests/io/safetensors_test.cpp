#include "temp_folder.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/io/safetensors_writer.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace hlip;

namespace {

std::string with_length(const std::string& header, const std::string& data) {
  std::string text(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) text[i] = static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return text + header + data;
}

std::string fault_of(const std::string& bytes) {
  TempFolder folder;
  atomic_write(folder / "x.safetensors", bytes);
  try {
    SafetensorsFile file(folder / "x.safetensors");
    return "";
  } catch (const error& e) {
    return e.what();
  }
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

}  // namespace

TEST_CASE("safetensors: every type comes back as it was written") {
  TempFolder folder;
  const auto path = folder / "a.safetensors";
  const std::vector<double> f64{1.5, -2.25, 1e300};
  const std::vector<float> f32{0, 1, 2, 3, 4, 5};
  const std::vector<float16> f16{float16(1.5f), float16(-2.f)};
  const std::vector<bfloat16> bf16{bfloat16(1.5f), bfloat16(-2.f)};
  const std::vector<std::int64_t> i64{-(std::int64_t{1} << 60), 7};
  const std::vector<std::int32_t> i32{-5};
  const std::vector<std::int16_t> i16{-32768, 32767};
  const std::vector<std::int8_t> i8{-128};
  const std::vector<std::uint8_t> u8{0, 255};
  const bool flags[] = {true, false, true};
  SafetensorsWriter writer;
  const auto add = [&](const char* name, const auto& v, Shape shape) {
    writer.add(name, std::span(v), shape);
  };
  add("f64", f64, {3});
  add("f32", f32, {2, 3});
  add("f16", f16, {2});
  add("bf16", bf16, {2, 1});
  add("i64", i64, {2});
  add("i32", i32, {});
  add("i16", i16, {2});
  add("i8", i8, {1});
  add("u8", u8, {2});
  writer.add("flags", std::span<const bool>(flags), {3});
  writer.add("empty", std::span<const float>(), {0, 5});
  writer.metadata("format", "pt");
  writer.write(path);

  const SafetensorsFile file(path);
  CHECK(file.names().size() == 11);
  CHECK(file.metadata("format") == "pt");
  CHECK(file.metadata("absent").empty());
  CHECK(file.values<double>("f64") == f64);
  CHECK(file.values<float>("f32") == f32);
  CHECK(file.info("f32").shape == Shape{2, 3});
  CHECK(file.info("bf16").dtype == DType::BF16);
  CHECK(file.values<float>("f16") == std::vector<float>{1.5f, -2.f});
  CHECK(file.values<double>("bf16") == std::vector<double>{1.5, -2});
  CHECK(file.values<std::int64_t>("i64") == i64);
  CHECK(file.values<std::int64_t>("i32") == std::vector<std::int64_t>{-5});
  CHECK(file.values<float>("i16") == std::vector<float>{-32768, 32767});
  CHECK(file.values<int>("i8") == std::vector<int>{-128});
  CHECK(file.values<std::int8_t>("i8") == i8);
  CHECK(file.values<bool>("flags") == std::vector<bool>{true, false, true});
  CHECK(file.values<float>("empty").empty());
  CHECK(file.info("i32").shape.rank() == 0);
  CHECK_FALSE(file.contains("nothing"));
  CHECK_THROWS_WITH_AS(file.info("nothing"), doctest::Contains("has no tensor \"nothing\""), error);
  // aligned in the file, so a map of it can be read in place
  for (const auto& name : file.names()) {
    const auto& info = file.info(name);
    CHECK(reinterpret_cast<std::uintptr_t>(info.bytes.data()) % dtype_size(info.dtype) == 0);
  }
}

TEST_CASE("safetensors: values an integer cannot hold exactly are refused") {
  TempFolder folder;
  SafetensorsWriter writer;
  const std::vector<float> f{1.f, 2.5f}, whole{3.f, -4.f}, large{9.3e18f}, nan{std::nanf("")};
  const std::vector<std::int64_t> i{300};
  writer.add("f", std::span(f), {2});
  writer.add("whole", std::span(whole), {2});
  writer.add("large", std::span(large), {1});
  writer.add("nan", std::span(nan), {1});
  writer.add("i", std::span(i), {1});
  writer.write(folder / "a.safetensors");
  const SafetensorsFile file(folder / "a.safetensors");
  CHECK_THROWS_WITH_AS(file.values<int>("f"),
                       doctest::Contains("\"f\": element 1 is 2.5, which I32 cannot hold exactly"),
                       error);
  CHECK(file.values<int>("whole") == std::vector<int>{3, -4});
  CHECK_THROWS_AS(file.values<std::uint8_t>("whole"), error);
  CHECK_THROWS_AS(file.values<std::int64_t>("large"), error);
  CHECK_THROWS_AS(file.values<std::int64_t>("nan"), error);
  CHECK_THROWS_AS(file.values<std::uint8_t>("i"), error);
  CHECK_THROWS_AS(file.values<bool>("i"), error);
  CHECK(file.values<std::int16_t>("i") == std::vector<std::int16_t>{300});
}

TEST_CASE("safetensors: tensors are written from any view and read into any type") {
  TempFolder folder;
  const auto x = Tensor<float>::from_values({2, 3}, {0, 1, 2, 3, 4, 5});
  SafetensorsWriter writer;
  writer.add("x", x);
  writer.add("t", x.transpose(0, 1));
  writer.write(folder / "a.safetensors");
  const SafetensorsFile file(folder / "a.safetensors");
  CHECK(file.tensor<float>("x").to_vector() == x.to_vector());
  CHECK(file.tensor<double>("t").shape() == Shape{3, 2});
  CHECK(file.tensor<double>("t").to_vector() == std::vector<double>{0, 3, 1, 4, 2, 5});
  CHECK(file.tensor<bfloat16>("x").at({1, 2}) == bfloat16(5.f));
}

TEST_CASE(
    "safetensors: a mapped tensor is the file's memory, outlives the file object, and is written "
    "without changing the file") {
  TempFolder folder;
  const std::string path = folder / "a.safetensors";
  SafetensorsWriter writer;
  writer.add("a", Tensor<float>::from_values({5}, {9, 8, 7, 6, 5}));
  writer.add("b", Tensor<float>::from_values({2, 2}, {1, 2, 3, 4}));
  writer.add("h", Tensor<float16>::from_values({2}, {float16(0.5f), float16(-3.f)}));
  writer.add("none", Tensor<float>::zeros({0}));
  writer.write(path);
  const auto bytes = read_file(path);
  Tensor<float> a, b;
  {
    const SafetensorsFile file(path, {}, MapAccess::copy_on_write);
    a = file.mapped<float>("a");
    b = file.mapped<float>("b");
    CHECK(static_cast<const void*>(a.data()) ==
          static_cast<const void*>(file.info("a").bytes.data()));
    // The first tensor begins as memory of our own would
    CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
    // another type: converted, a copy
    CHECK(file.mapped<float>("h").to_vector() == std::vector<float>{0.5f, -3});
    CHECK(file.mapped<float>("none").numel() == 0);
    CHECK_THROWS_WITH_AS(file.mapped<float>("c"), doctest::Contains("has no tensor"), error);
  }
  CHECK_FALSE(a.shares_storage(b));
  a.fill(1);
  CHECK(b.to_vector() == std::vector<float>{1, 2, 3, 4});
  CHECK(a.to_vector() == std::vector<float>(5, 1.f));
  CHECK(read_file(path) == bytes);
  const SafetensorsFile reading(path);
  CHECK_THROWS_WITH_AS(reading.mapped<float>("a"), doctest::Contains("for reading only"), error);
}

TEST_CASE("safetensors: a tensor at an odd address is copied, not mapped") {
  TempFolder folder;
  // 55 bytes: data begin at byte 63
  const std::string header = R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} )";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  const float values[] = {2.5f, -1};
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values), sizeof(values));
  REQUIRE((8 + header.size()) % alignof(float) != 0);
  atomic_write(folder / "x.safetensors", bytes);
  const SafetensorsFile file(folder / "x.safetensors", {}, MapAccess::copy_on_write);
  const auto x = file.mapped<float>("x");
  CHECK(static_cast<const void*>(x.data()) !=
        static_cast<const void*>(file.info("x").bytes.data()));
  CHECK(x.to_vector() == std::vector<float>{2.5f, -1});
}

TEST_CASE("safetensors: the bytes do not depend on the order of adding") {
  TempFolder folder;
  const std::vector<float> a{1, 2};
  const std::vector<std::int64_t> b{3};
  SafetensorsWriter one, two;
  one.add("a", std::span(a), {2});
  one.add("b", std::span(b), {1});
  two.add("b", std::span(b), {1});
  two.add("a", std::span(a), {2});
  one.write(folder / "1");
  two.write(folder / "2");
  const auto bytes = read_file(folder / "1");
  CHECK(bytes == read_file(folder / "2"));
  CHECK(static_cast<unsigned char>(bytes[0]) % 8 == 0);
  CHECK_THROWS_WITH_AS(one.add("a", std::span(a), {2}), doctest::Contains("added twice"), error);
  CHECK_THROWS_AS(one.add("c", std::span(a), {3}), error);
  CHECK_THROWS_AS(one.add("__metadata__", std::span(a), {2}), error);
}

TEST_CASE("safetensors: a bool is 0 or 1, in whatever type it is read") {
  TempFolder folder;
  atomic_write(folder / "b.safetensors", with_length(entry("BOOL", "[2]", "[0,2]"), "\1\x1F"));
  const SafetensorsFile file(folder / "b.safetensors");
  const auto refused = doctest::Contains("\"w\": element 1 is a bool of 31, expected 0 or 1");
  CHECK_THROWS_WITH_AS(file.values<float>("w"), refused, error);
  CHECK_THROWS_WITH_AS(file.values<bool>("w"), refused, error);
  CHECK_THROWS_WITH_AS(file.tensor<std::uint8_t>("w"), refused, error);
}

TEST_CASE("safetensors: each fault has its own message") {
  const std::string eight(8, '\0');
  CHECK(fault_of(with_length(entry("F32", "[2]", "[0,8]") + std::string(1, '\0'), eight))
            .find("holds a NUL byte") != std::string::npos);
  CHECK(fault_of(with_length(R"({"__metadata__":{},"__metadata__":{}})", "")).find("given twice") !=
        std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[2]", "[0,8]") + "   ", eight)).empty());
  CHECK(fault_of("").find("at least 8") != std::string::npos);
  CHECK(fault_of(std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 8)).find("beyond the limit") !=
        std::string::npos);
  CHECK(fault_of(std::string("\x10\0\0\0\0\0\0\0{}", 10)).find("reaches beyond the file") !=
        std::string::npos);
  CHECK(fault_of(with_length("[]", "")).find("does not begin with {") != std::string::npos);
  CHECK(fault_of(with_length(" {}", "")).find("does not begin with {") != std::string::npos);
  CHECK(fault_of(with_length("{\"w\":", eight)).find("not valid JSON") != std::string::npos);
  CHECK(fault_of(with_length(
                     R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32",)"
                     R"("shape":[2],"data_offsets":[0,8]}})",
                     eight))
            .find("twice") != std::string::npos);
  CHECK(fault_of(with_length(entry("X9", "[2]", "[0,8]"), eight))
            .find("dtype \"X9\" is not one of") != std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[3]", "[0,8]"), eight))
            .find("has 8 bytes, F32 of shape (3) takes 12") != std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[-2]", "[0,8]"), eight)).find("whole numbers") !=
        std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[2.0]", "[0,8]"), eight)).find("whole numbers") !=
        std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), eight)).find("9 axes") !=
        std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[4294967296,4294967296]", "[0,8]"), eight))
            .find("overflows") != std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[4294967296,4294967296,0]", "[0,0]"), ""))
            .find("overflows") != std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[2]", "[8,0]"), eight)).find("end before they begin") !=
        std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[2]", "[0,8]"), "1234"))
            .find("reach beyond the 4 bytes") != std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[2]", "[-8,0]"), eight)).find("pair of whole numbers") !=
        std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[2]", "[0,8]"), eight + "x"))
            .find("cover 8 bytes of data, the file has 9") != std::string::npos);
  CHECK(fault_of(with_length(entry("F32", "[1]", "[4,8]"), eight)).find("hole") !=
        std::string::npos);
  CHECK(fault_of(
            with_length(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", eight))
            .find("exactly") != std::string::npos);
  CHECK(fault_of(with_length(R"({"__metadata__":{"a":1}})", "")).find("not text") !=
        std::string::npos);
  CHECK(fault_of(with_length(R"({"__metadata__":[]})", "")).find("not an object") !=
        std::string::npos);
  const std::string two =
      R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[5],)"
      R"("data_offsets":[3,8]}})";
  CHECK(fault_of(with_length(two, eight)).find("overlapping") != std::string::npos);
}
