// PyTorch checkpoints, zip and older: the pickle in them is read and never run.
#include "fuzz.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/io/torch_file.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // 1 MiB of repeated elements of one byte are 8 MiB of double
  return fuzz::within({1 << 24, 250}, size, [&] {
    TorchLimits limits;
    limits.max_repeated_bytes = 1 << 20;
    limits.check_crc = false;  // no mutation would get past it
    const TorchFile file(fuzz::bytes(data, size), "fuzz.pt", limits);
    // elements; a program asks for tensors of its own sizes, whatever lies in the file
    index_t left = 1 << 20;
    for (const auto& name : file.names())
      if (const index_t n = file.info(name).shape.numel(); (left -= n) >= 0)
        fuzz::answer([&] {
          fuzz::promise(file.values<double>(name).size() == static_cast<std::size_t>(n));
        });
  });
}
