// NumPy's .npy arrays of numbers. The header, a Python dictionary as text, is taken apart by rules
// of its own: nothing is evaluated.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/io/convert.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

HLIP_BEGIN

/// What a header may ask for before it is refused.
struct NpyLimits {
  /// all values of an array, as stored and as float
  std::uint64_t max_bytes = std::uint64_t{1} << 32;
  std::size_t max_header = 1 << 16;
  bool check_crc = true;  ///< of an array in an archive: compare its checksum
};

/// What a header says, and where the values lie. They are as many as `shape` needs: that was
/// checked.
struct NpyArray {
  std::string descr;  ///< "<f4": byte order, kind, bytes
  bool fortran_order = false;
  Shape shape;
  std::span<const std::byte> values;

  char kind() const { return descr[1]; }
  std::size_t item_bytes() const { return static_cast<std::size_t>(descr[2] - '0'); }
  bool swapped() const { return descr[0] == '>'; }
};

namespace detail {

/// Reads {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }: these three keys, each once,
/// in any order.
HLIP_LAZY class NpyHeaderParser {
 public:
  NpyHeaderParser(std::string_view text, std::string_view path, std::string_view place)
      : text_(text), path_(path), place_(place) {}
  void parse(NpyArray& out) {
    take('{');
    unsigned seen = 0;
    while (!try_take('}')) {
      const auto key = quoted();
      take(':');
      const unsigned bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      if (bit == 0 || (seen & bit) != 0)
        bad(fmt::format("key {} {}", quote_text(key),
                        bit == 0 ? "is not one of descr, fortran_order, shape" : "is given twice"));
      seen |= bit;
      if (bit == 1) out.descr = description();
      else if (bit == 2) out.fortran_order = truth();
      else out.shape = shape();
      if (!try_take(',') && peek() != '}') bad("expected , or }");
    }
    if (seen != 7) bad("descr, fortran_order and shape are not all there");
    peek();
    if (at_ < text_.size())
      bad(text_[at_] == '\0' ? "a NUL byte follows the dictionary" : "text follows the dictionary");
  }

 private:
  [[noreturn]] void bad(const std::string& what) const {
    fail_file(path_, place_, "the npy header is not understood at character {}: {}", at_, what);
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool try_take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void take(char c) {
    if (!try_take(c)) bad(fmt::format("expected {}", c));
  }
  std::string_view quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') bad("expected a text in quotes");
    const auto end = text_.find(quote, at_ + 1);
    if (end == text_.npos) bad("a quote is never closed");
    const auto word = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return word;
  }
  std::string description() {
    if (peek() == '[')
      fail_file(path_, place_, "holds records of several fields, expected an array of numbers");
    const auto word = quoted();
    if (word.size() != 3 || std::string_view("<>|=").find(word[0]) == word.npos)
      fail_file(path_, place_, "its type {} is not one of numbers", quote_text(word));
    const std::string_view rest = word.substr(1);
    constexpr std::string_view known[] = {"b1", "i1", "u1", "i2", "u2", "i4",
                                          "u4", "i8", "u8", "f2", "f4", "f8"};
    if (std::find(std::begin(known), std::end(known), rest) == std::end(known))
      fail_file(path_, place_,
                "its type {} is not read (objects, texts, complex numbers and dates never are)",
                quote_text(word));
    return std::string(word);
  }
  bool truth() {
    peek();
    for (const std::string_view word : {"True", "False"})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    bad("expected True or False");
  }
  Shape shape() {
    take('(');
    Shape out;
    while (!try_take(')')) {
      peek();
      index_t value = 0;
      const std::size_t begin = at_;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        if (at_ - begin > 15) bad("a size is too large");
        value = 10 * value + (text_[at_] - '0');
      }
      if (at_ == begin) bad("expected a whole number");
      if (out.rank() == max_rank) bad(fmt::format("more than {} axes", max_rank));
      out.push_back(value);
      if (!try_take(',') && peek() != ')') bad("expected , or )");
    }
    return out;
  }

  std::string_view text_, path_, place_;
  std::size_t at_ = 0;
};

template <class T> T npy_value(const std::byte* at, bool swapped) {
  std::array<std::byte, sizeof(T)> bytes;
  std::memcpy(bytes.data(), at, sizeof(T));
  if (swapped) std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<T>(bytes);
}

}  // namespace detail

namespace detail {

/// Where the header of a .npy file ends and its values begin.
/// @param bytes the first 12 bytes at least, or all of a shorter file  @param size of the whole
/// file
HLIP_LAZY std::size_t npy_header_end(std::span<const std::byte> bytes, std::uint64_t size,
                                     const std::string& path, const std::string& place,
                                     const NpyLimits& limits) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() < 10 || !text.starts_with("\x93NUMPY"))
    fail_file(path, place, "is not a NumPy array: it does not begin with \\x93NUMPY");
  const int version = text[6];
  if (version < 1 || version > 3)
    fail_file(path, place, "is of npy version {}, expected 1 to 3", version);
  const std::size_t begin = version == 1 ? 10 : 12;
  if (text.size() < begin) fail_file(path, place, "ends inside its npy header");
  const std::size_t length = version == 1 ? detail::load<std::uint16_t>(bytes.data() + 8)
                                          : detail::load<std::uint32_t>(bytes.data() + 8);
  if (length > limits.max_header || length > size - begin)
    fail_file(path, place, "has an npy header of {} bytes, which {}", length,
              length > limits.max_header ? "is more than allowed" : "the file does not hold");
  return begin + length;
}

/// What a header says, without the values; they fill the rest of a file of `size` bytes exactly.
/// @param header the bytes up to npy_header_end
HLIP_LAZY NpyArray parse_npy_header(std::span<const std::byte> header, std::uint64_t size,
                                    const std::string& path, const std::string& place,
                                    const NpyLimits& limits) {
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  NpyArray out;
  NpyHeaderParser<>(text.substr(text[6] == 1 ? 10 : 12), path, place).parse(out);
  std::uint64_t count = 1;
  for (int d = 0; d < out.shape.rank(); ++d) {
    const auto n = static_cast<std::uint64_t>(out.shape[d]);
    if (n != 0 && count > limits.max_bytes / n)
      fail_file(path, place, "its shape {} has more than the {} bytes allowed",
                to_string(out.shape), limits.max_bytes);
    count *= n;
  }
  if (count * std::max<std::size_t>(out.item_bytes(), 4) > limits.max_bytes)
    fail_file(path, place, "its shape {} has more than the {} bytes allowed", to_string(out.shape),
              limits.max_bytes);
  const std::uint64_t values = size - header.size();
  if (values != count * out.item_bytes())
    fail_file(path, place, "holds {} bytes of values, shape {} of {} needs {}", values,
              to_string(out.shape), out.descr, count * out.item_bytes());
  return out;
}

/// Gives the header its values. @throws hlip::error for a bool that is neither 0 nor 1
HLIP_LAZY NpyArray with_npy_values(NpyArray array, std::span<const std::byte> values,
                                   const std::string& path, const std::string& place) {
  array.values = values;
  if (array.kind() != 'b') return array;
  const auto bad = std::find_if(values.begin(), values.end(),
                                [](std::byte b) { return b > std::byte{1}; });
  if (bad != values.end())
    fail_file(path, place, "element {} is a bool of {}, expected 0 or 1", bad - values.begin(),
              std::to_integer<int>(*bad));
  return array;
}

}  // namespace detail

/// Takes a .npy file apart. Versions 1 to 3; the values must fill the rest of the file exactly.
/// @param path, place named in errors  @throws hlip::error naming the fault, before anything is
/// allocated Source: NumPy, numpy.lib.format.
HLIP_LAZY NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& path,
                             const std::string& place = "", const NpyLimits& limits = {}) {
  const std::size_t end = detail::npy_header_end(bytes, bytes.size(), path, place, limits);
  return detail::with_npy_values(
      detail::parse_npy_header(bytes.first(end), bytes.size(), path, place, limits),
      bytes.subspan(end), path, place);
}

/// The values as float, in row-major order.
HLIP_LAZY Tensor<float, Cpu> npy_tensor(const NpyArray& array) {
  // Column-major values are the row-major ones of the reversed axes.
  Shape stored = array.shape, back;
  if (array.fortran_order)
    for (int d = 0; d < stored.rank(); ++d) {
      stored[d] = array.shape[stored.rank() - 1 - d];
      back.push_back(stored.rank() - 1 - d);
    }
  auto out = Tensor<float, Cpu>::empty(stored);
  const auto fill = [&]<class T>(T) {
    for (index_t i = 0; i < out.numel(); ++i)
      out.data()[i] = static_cast<float>(detail::npy_value<T>(
          array.values.data() + static_cast<std::size_t>(i) * sizeof(T), array.swapped()));
  };
  const auto bytes = array.item_bytes();
  switch (array.kind()) {
    case 'f': bytes == 2 ? fill(float16{}) : bytes == 4 ? fill(float{}) : fill(double{}); break;
    case 'i':
      bytes == 1   ? fill(std::int8_t{})
      : bytes == 2 ? fill(std::int16_t{})
      : bytes == 4 ? fill(std::int32_t{})
                   : fill(std::int64_t{});
      break;
    default:
      bytes == 1   ? fill(std::uint8_t{})
      : bytes == 2 ? fill(std::uint16_t{})
      : bytes == 4 ? fill(std::uint32_t{})
                   : fill(std::uint64_t{});
  }
  return array.fortran_order && stored.rank() > 1 ? out.permute(back).contiguous() : out;
}

HLIP_END
