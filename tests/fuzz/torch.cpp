// PyTorch checkpoints, zip and older: the pickle in them is read and never run.
#include "fuzz.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/io/torch_file.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::answer([&] {
    TorchLimits limits;
    limits.max_repeated_bytes = 1 << 20;
    limits.check_crc = false;  // no mutation would get past it
    const TorchFile file(fuzz::bytes(data, size), "fuzz.pt", limits);
    for (const auto& name : file.names()) fuzz::answer([&] { fuzz::promise(file.values<double>(name).size() == static_cast<std::size_t>(file.info(name).shape.numel())); });
  });
}
