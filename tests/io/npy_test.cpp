#include "../support/errors.hpp"
#include "temp_folder.hpp"

#include <hlip/core/random.hpp>
#include <hlip/io/npz.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

std::string le(std::uint64_t v, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> 8 * i & 255);
  return out;
}
std::string npy(const std::string& header, const std::string& values, int version = 1) {
  return std::string("\x93NUMPY") + static_cast<char>(version) + '\0' +
         le(header.size(), version == 1 ? 2 : 4) + header + values;
}
template <class T> std::string raw(const std::vector<T>& v) {
  return {reinterpret_cast<const char*>(v.data()), v.size() * sizeof(T)};
}
std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
Tensor<float, Cpu> parse(const std::string& file) {
  return npy_tensor(parse_npy(bytes_of(file), "a.npy"));
}
std::string fault(const std::string& file, const NpyLimits& limits = {}) {
  return test::error_of([&] { parse_npy(bytes_of(file), "a.npy", "", limits); });
}
bool says(const std::string& message, std::string_view part) {
  if (message.find(part) != std::string::npos) return true;
  MESSAGE(message);
  return false;
}

/// A zip archive of one file.
std::string zip(const std::string& name, const std::string& contents, const std::string& packed,
                int method) {
  const std::string sizes = le(crc32_of(bytes_of(contents)), 4) + le(packed.size(), 4) +
                            le(contents.size(), 4) + le(name.size(), 2);
  const std::string local = le(0x04034B50, 4) + le(20, 2) + le(0, 2) +
                            le(static_cast<unsigned>(method), 2) + le(0, 4) + sizes + le(0, 2) +
                            name + packed;
  const std::string entry = le(0x02014B50, 4) + le(20, 2) + le(20, 2) + le(0, 2) +
                            le(static_cast<unsigned>(method), 2) + le(0, 4) + sizes + le(0, 2) +
                            le(0, 2) + le(0, 2) + le(0, 2) + le(0, 4) + le(0, 4) + name;
  return local + entry + le(0x06054B50, 4) + le(0, 4) + le(1, 2) + le(1, 2) + le(entry.size(), 4) +
         le(local.size(), 4) + le(0, 2);
}
std::string deflated(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data())),
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data()), z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

const std::string six = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }        \n";
const std::vector<std::int16_t> values = {-1000, 0, 7, 8, 9, 30000};

}  // namespace

TEST_CASE("npy: types, byte orders, versions and both orders of axes") {
  const auto x = parse(npy(six, raw(values)));
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.to_vector() == std::vector<float>{-1000, 0, 7, 8, 9, 30000});
  CHECK(parse(npy(six, raw(values), 2)).to_vector() == x.to_vector());
  CHECK(parse(npy("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\">f4\"}",
                  std::string("\x3f\x80\0\0\xc0\0\0\0", 8)))
            .to_vector() == std::vector<float>{1, -2});
  CHECK(parse(npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", raw(values)))
            .to_vector() == std::vector<float>{-1000, 7, 9, 0, 8, 30000});
  CHECK(parse(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (), }", std::string(1, '\1')))
            .item() == 1);
  CHECK(parse(npy("{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }",
                  std::string("\0\x3c", 2)))
            .item() == 1);
  CHECK(parse(npy("{'descr': '<u8', 'fortran_order': False, 'shape': (0, 4), }", "")).numel() == 0);
}

TEST_CASE("npy: what is not an array of numbers is refused") {
  CHECK(says(fault("PK"), "a.npy: is not a NumPy array"));
  CHECK(says(fault(npy(six, raw(values), 9)), "npy version 9"));
  CHECK(says(fault(npy(six, "12345")), "holds 5 bytes of values, shape (2, 3) of <i2 needs 12"));
  CHECK(says(fault(npy(six, raw(values) + "x")), "holds 13 bytes of values"));
  CHECK(says(fault(npy(six, raw(values)).substr(0, 30)), "which the file does not hold"));
  const auto with = [](const std::string& descr, const std::string& shape) {
    return fault(
        npy("{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }", ""));
  };
  CHECK(says(with("'|O'", "(1,)"), "is not one of numbers"));
  CHECK(says(with("'<c8'", "(1,)"), "is not read"));
  CHECK(says(with("[('a', '<i2')]", "(1,)"), "records of several fields"));
  CHECK(says(with("'<i2'", "(-1,)"), "expected a whole number"));
  CHECK(says(with("'<i2'", "(99999999999999999999,)"), "too large"));
  CHECK(says(with("'<i2'", "(999999999, 999999999, 999999999)"),
             "more than the 4294967296 bytes allowed"));
  CHECK(says(with("'<i2'", "(1,1,1,1,1,1,1,1,1)"), "more than 8 axes"));
  CHECK(
      says(fault(npy("__import__('os').system('true')", "")), "the npy header is not understood"));
  CHECK(says(fault(npy("{'descr': '<i2', 'descr': '<i2', 'shape': (1,)}", "")), "is given twice"));
  CHECK(says(fault(npy("{'descr': '<i2', 'shape': (1,)}", "")), "are not all there"));
  CHECK(says(fault(npy("{'shape': (1,), 'evil': 1}", "")), "\"evil\" is not one of"));
  CHECK(says(fault(npy(six + "x", raw(values))), "text follows the dictionary"));
  CHECK(says(fault(npy(six + std::string(1, '\0'), raw(values))),
             "a NUL byte follows the dictionary"));
  CHECK(says(fault(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\1\1\x1F")),
             "element 2 is a bool of 31, expected 0 or 1"));
  CHECK(says(fault(npy(six, raw(values)), {.max_bytes = 10}), "more than the 10 bytes allowed"));
}

TEST_CASE("npz: stored and deflated arrays; what lies about its size is refused") {
  TempFolder folder;
  const std::string file = npy(six, raw(values)), packed = deflated(file), path = folder / "a.npz";
  const auto fault_of = [&](const std::string& archive, const NpyLimits& limits = {}) {
    atomic_write(path, archive);
    return test::error_of([&] { read_npz(path, "ct", limits); });
  };
  atomic_write(path, zip("ct.npy", file, file, 0));
  CHECK(read_npz(path, "ct").to_vector() == std::vector<float>{-1000, 0, 7, 8, 9, 30000});
  atomic_write(path, zip("ct.npy", file, packed, 8));
  CHECK(read_npz(path, "ct").shape() == Shape{2, 3});
  CHECK(says(test::error_of([&] { read_npz(path, "mask"); }),
             "holds no array \"mask\"; it holds \"ct.npy\""));
  CHECK(says(fault_of(zip("ct.npy", file + "xx", packed, 8)),
             "holds 14 bytes of values, shape (2, 3) of <i2 needs 12"));
  CHECK(says(fault_of(zip("ct.npy", file.substr(2), packed, 8)), "holds 10 bytes of values"));
  CHECK(says(fault_of(zip("ct.npy", file, deflated(file + "x"), 8)), "holds more than the"));
  CHECK(says(fault_of(zip("ct.npy", file, deflated(file.substr(0, file.size() - 1)), 8)),
             "are declared"));
  CHECK(says(fault_of(zip("ct.npy", file, packed + "x", 8)), "its packed data end after"));
  CHECK(says(fault_of(zip("ct.npy", std::string(1 << 20, 'x'), packed, 8)), "cannot be packed in"));
  CHECK(says(fault_of(zip("ct.npy", file, packed.substr(0, 20), 8)), "its packed data are cut"));
  CHECK(says(fault_of(zip("ct.npy", file, std::string(40, '\xff'), 8)),
             "its packed data are damaged"));
  CHECK(says(fault_of(zip("ct.npy", file, packed, 12)), "is packed by method 12"));
  CHECK(says(fault_of(zip("ct.npy", file, file, 0), {.max_bytes = 10, .max_header = 10}),
             "the limit is 10"));
  CHECK(says(fault_of(file), "zip"));
}

TEST_CASE(
    "npz: an array whose bytes are not those that were put in is refused by its name, stored or "
    "deflated") {
  TempFolder folder;
  const std::string file = npy(six, raw(values)), path = folder / "a.npz";
  std::string spoilt = file;
  spoilt.back() ^= 1;
  for (const auto& archive :
       {zip("ct.npy", file, spoilt, 0), zip("ct.npy", file, deflated(spoilt), 8)}) {
    atomic_write(path, archive);
    CHECK(says(test::error_of([&] { read_npz(path, "ct"); }),
               fmt::format("a.npz: array \"ct\": is damaged: its {} bytes have the CRC-32 ",
                           file.size())));
    CHECK(read_npz(path, "ct", {.check_crc = false}).numel() == 6);
  }
}

TEST_CASE("npz: cut and spoilt archives give an error or values, nothing else") {
  TempFolder folder;
  const std::string file = npy(six, raw(values)),
                    good[] = {zip("ct.npy", file, file, 0), zip("ct.npy", file, deflated(file), 8)};
  RandomStream random({3, 1, 4});
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bytes = good[round % 2];
    const auto anywhere = [&] {
      return static_cast<std::size_t>(random.below(static_cast<std::int64_t>(bytes.size())));
    };
    if (round % 4 == 0) bytes.resize(anywhere());
    else
      for (int i = 0; i < 1 + round % 3; ++i)
        bytes[anywhere()] = static_cast<char>(random.below(256));
    atomic_write(folder / "a.npz", bytes);
    const auto message = test::error_of([&] { read_npz(folder / "a.npz", "ct"); });
    refused += message != "no error";
    if (message != "no error") CHECK(message.starts_with(folder.string()));
  }
  CHECK(refused > 100);
}
