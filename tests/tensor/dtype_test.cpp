#include <hlip/tensor/dtype.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace hlip;

namespace {

/// The value of a 16-bit pattern by the definition of the format.
double value_of(std::uint16_t bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1,
            exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1),
            fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return fraction ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

template <class H> H from_bits(std::uint16_t bits) {
  H h;
  h.bits = bits;
  return h;
}

/// Every pattern: the value, the way back, and ties and near-ties to the next pattern.
template <class H> void check_all_patterns(int exponent_bits, int fraction_bits) {
  int wrong_value = 0, wrong_back = 0, wrong_rounding = 0;
  for (int i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const H h = from_bits<H>(bits);
    const double want = value_of(bits, exponent_bits, fraction_bits);
    const float got = static_cast<float>(h);
    if (std::isnan(want)) {
      wrong_value += !std::isnan(got);
      wrong_back += !std::isnan(static_cast<float>(H(got)));
      continue;
    }
    wrong_value += static_cast<double>(got) != want || std::signbit(got) != ((bits & 0x8000) != 0);
    wrong_back += H(got).bits != bits;
    const double next = value_of(static_cast<std::uint16_t>(bits + 1), exponent_bits,
                                 fraction_bits);
    if (!std::isfinite(want) || !std::isfinite(next)) continue;
    const auto middle = static_cast<float>((want + next) / 2);  // exact in float for both formats
    const std::uint16_t even = bits & 1 ? static_cast<std::uint16_t>(bits + 1) : bits;
    wrong_rounding += H(middle).bits != even;
    wrong_rounding += H(std::nextafter(middle, got)).bits != bits;
    wrong_rounding += H(std::nextafter(middle, static_cast<float>(next))).bits !=
                      static_cast<std::uint16_t>(bits + 1);
  }
  CHECK(wrong_value == 0);
  CHECK(wrong_back == 0);
  CHECK(wrong_rounding == 0);
}

}  // namespace

TEST_CASE("float16: all 65536 patterns, and rounding to nearest with ties to even") {
  check_all_patterns<float16>(5, 10);
}

TEST_CASE("bfloat16: all 65536 patterns, and rounding to nearest with ties to even") {
  check_all_patterns<bfloat16>(8, 7);
}

TEST_CASE(
    "16-bit floats: what is too large becomes infinite, what is too small becomes zero, NaN "
    "stays") {
  CHECK(static_cast<float>(float16(65504.0f)) == 65504.0f);
  CHECK(static_cast<float>(float16(65519.996f)) == 65504.0f);
  CHECK(float16(65520.0f).bits == 0x7C00);
  CHECK(float16(-1e30f).bits == 0xFC00);
  CHECK(float16(std::ldexp(1.0f, -25)).bits == 0);  // halfway to the smallest: to even
  CHECK(float16(std::nextafter(std::ldexp(1.0f, -25), 1.0f)).bits == 1);
  CHECK(float16(-1e-30f).bits == 0x8000);
  CHECK(bfloat16(std::numeric_limits<float>::max()).bits == 0x7F80);
  CHECK(bfloat16(-std::numeric_limits<float>::infinity()).bits == 0xFF80);
  CHECK(std::isnan(static_cast<float>(float16(std::nanf("")))));
  CHECK(std::isnan(static_cast<float>(bfloat16(std::nanf("")))));
  // Its upper half alone would be infinity
  CHECK(std::isnan(static_cast<float>(bfloat16(std::bit_cast<float>(0x7F800001u)))));
}

TEST_CASE("16-bit floats: compare as numbers") {
  CHECK(float16(0.0f) == float16(-0.0f));
  CHECK_FALSE(float16(std::nanf("")) == float16(std::nanf("")));
  CHECK(bfloat16(1.0f) == bfloat16(1.0f));
}

TEST_CASE("element types: safetensors names and sizes") {
  CHECK(dtype_name(dtype_of<double>()) == "F64");
  CHECK(dtype_name(dtype_of<float>()) == "F32");
  CHECK(dtype_name(dtype_of<float16>()) == "F16");
  CHECK(dtype_name(dtype_of<bfloat16>()) == "BF16");
  CHECK(dtype_name(dtype_of<std::int64_t>()) == "I64");
  CHECK(dtype_name(dtype_of<std::int32_t>()) == "I32");
  CHECK(dtype_name(dtype_of<std::uint8_t>()) == "U8");
  CHECK(dtype_name(dtype_of<bool>()) == "BOOL");
  CHECK(dtype_size(DType::F64) == sizeof(double));
  CHECK(dtype_size(DType::BF16) == sizeof(bfloat16));
  CHECK(dtype_size(DType::BOOL) == sizeof(bool));
  static_assert(std::is_same_v<compute_type<float16>, float> &&
                std::is_same_v<compute_type<double>, double>);
}
