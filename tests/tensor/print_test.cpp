#include <hlip/backend/cpu.hpp>

#include <hlip/ops/elementwise.hpp>
#include <hlip/tensor/print.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("printing: a summary line and the values") {
  CHECK(to_string(Tensor<float>::from_values({2, 2}, {1, 2.5, -3, 1e-3f})) ==
        "Tensor F32 (2, 2) cpu\n[[1, 2.5],\n [-3, 0.001]]");
  CHECK(to_string(Tensor<double>::scalar(0.5)) == "Tensor F64 () cpu\n0.5");
  CHECK(to_string(Tensor<float>::zeros({0, 3})) == "Tensor F32 (0, 3) cpu");
  CHECK(to_string(Tensor<float>()) == "Tensor F32 (0) cpu");
  CHECK(to_string(Tensor<bfloat16>::ones({2})) == "Tensor BF16 (2) cpu\n[1, 1]");
  CHECK(to_string(Tensor<bool>::from_values({2}, {true, false})) == "Tensor BOOL (2) cpu\n[1, 0]");
}

TEST_CASE("printing: integers keep all their digits") {
  CHECK(to_string(Tensor<std::int64_t>::from_values({2}, {1234567, -9007199254740993})) ==
        "Tensor I64 (2) cpu\n[1234567, -9007199254740993]");
  CHECK(to_string(Tensor<std::uint8_t>::from_values({2}, {0, 255})) ==
        "Tensor U8 (2) cpu\n[0, 255]");
}

TEST_CASE("printing: at most six values of an axis, never a whole volume") {
  CHECK(to_string(Tensor<std::int32_t>::arange(7)) ==
        "Tensor I32 (7) cpu\n[0, 1, 2, ..., 4, 5, 6]");
  CHECK(to_string(Tensor<std::int32_t>::arange(6)) == "Tensor I32 (6) cpu\n[0, 1, 2, 3, 4, 5]");
  CHECK(to_string(Tensor<float>::zeros({64, 64, 64})).size() < 64 * 64);
  CHECK(to_string(Tensor<float>::zeros({1, 1, 4, 8, 8})) == "Tensor F32 (1, 1, 4, 8, 8) cpu");
}
