// JSON: what was read, written and read again is the same.
#include "fuzz.hpp"

#include <hlip/io/json.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::answer([&] {
    const Json value = parse_json(fuzz::text(data, size), "fuzz.json");
    fuzz::promise(parse_json(value.dump(), "written.json") == value);
  });
}
