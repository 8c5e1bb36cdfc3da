// Arrays of NumPy, alone or in a zip archive.
#include "fuzz.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/io/npz.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  NpyLimits limits;
  limits.max_bytes = 1 << 22;
  limits.check_crc = false;  // no mutation would get past it
  // values of 4 MiB, stored, as float and in another order
  constexpr fuzz::Budget budget{1 << 24, 100};
  fuzz::within(budget, size, [&] {
    const auto values = npy_tensor(parse_npy(fuzz::bytes(data, size), "fuzz.npy", "", limits));
    fuzz::promise(static_cast<std::size_t>(values.numel()) <= limits.max_bytes);
  });
  return fuzz::within(budget, size, [&] { read_npz(fuzz::file(data, size), "ct", limits); });
}
