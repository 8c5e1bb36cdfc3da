// safetensors: every tensor of a file that was accepted can be read.
#include "fuzz.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/io/safetensors.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::within({1 << 20, 100}, size, [&] {
    const SafetensorsFile file(fuzz::bytes(data, size), "fuzz.safetensors");
    for (const auto& name : file.names())
      fuzz::answer([&] {
        fuzz::promise(file.values<double>(name).size() ==
                      static_cast<std::size_t>(file.info(name).shape.numel()));
      });
  });
}
