// SHA-256, for comparing decoded pixels with recorded sums. Source: FIPS 180-4.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

namespace test {

/// 64 hexadecimal digits.
inline std::string sha256(std::string_view text) {
  // First 32 bits of the fractions of the square and cube roots of the first primes.
  std::array<std::uint32_t, 64> k{};
  std::array<std::uint32_t, 8> h{};
  for (std::uint32_t prime = 2, found = 0; found < 64; ++prime) {
    bool is_prime = true;
    for (std::uint32_t d = 2; d * d <= prime; ++d) is_prime = is_prime && prime % d != 0;
    if (!is_prime) continue;
    const long double square = std::sqrt(static_cast<long double>(prime)),
                      cube = std::cbrt(static_cast<long double>(prime));
    if (found < 8)
      h[found] = static_cast<std::uint32_t>((square - std::floor(square)) * 4294967296.0L);
    k[found++] = static_cast<std::uint32_t>((cube - std::floor(cube)) * 4294967296.0L);
  }
  std::string message(text);
  message += '\x80';
  message.append((120 - message.size() % 64) % 64, '\0');
  for (int shift = 56; shift >= 0; shift -= 8)
    message += static_cast<char>(std::uint64_t{text.size()} * 8 >> shift & 255);
  for (std::size_t block = 0; block < message.size(); block += 64) {
    std::array<std::uint32_t, 64> w{};
    for (std::size_t i = 0; i < 64; ++i)
      w[i / 4] = w[i / 4] << 8 | static_cast<unsigned char>(message[block + i]);
    for (std::size_t i = 16; i < 64; ++i)
      w[i] = w[i - 16] + w[i - 7] +
             (std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3) +
             (std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10);
    auto v = h;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t a = v[0], e = v[4];
      const std::uint32_t t = v[7] + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                              ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
      const std::uint32_t u = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) +
                              ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
      v = {t + u, v[0], v[1], v[2], v[3] + t, v[4], v[5], v[6]};
    }
    for (std::size_t i = 0; i < 8; ++i) h[i] += v[i];
  }
  std::string out;
  for (const auto word : h)
    for (int shift = 28; shift >= 0; shift -= 4) out += "0123456789abcdef"[word >> shift & 15];
  return out;
}

}  // namespace test
