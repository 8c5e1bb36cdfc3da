#include "conformance.hpp"

#include <hlip/tensor/tensor.hpp>

using namespace conformance;

TEST_CASE(
    "allocate: when memory is short the message says what was asked for, and what tensors hold and "
    "for what") {
  const MemoryScope scope(MemoryCategory::parameters);
  const auto held = Tensor<float, Tested>::empty({3 << 18});
  std::string message;
  try {
    deallocate(Tested{}, allocate(Tested{}, std::size_t{1} << 50), std::size_t{1} << 50);
  } catch (const error& e) {
    message = e.what();
  }
  CAPTURE(message);
  CHECK(message.find("out of memory: asked for 1125899906842624 bytes (1073741824.0 MiB)") !=
        std::string::npos);
  CHECK(message.find("tensors on " + std::string(Tested::name) +
                     " hold 3.0 MiB, parameters 3.0 MiB") != std::string::npos);
  CHECK(message.find("hint") != std::string::npos);
}
