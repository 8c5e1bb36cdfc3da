// Options in a file: what was read, written and read again is the same.
#include "fuzz.hpp"

#include <hlip/io/flat_toml.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::within({1 << 20, 400}, size, [&] {
    const auto entries = parse_flat_toml(fuzz::text(data, size), "fuzz.toml");
    std::string again;
    for (const auto& entry : entries) {
      std::string values;
      for (const auto& value : entry.values) values += toml_string(value) + ", ";
      again += toml_string(entry.name) + " = [" + values + "]\n";
    }
    const auto read = parse_flat_toml(again, "written.toml");
    fuzz::promise(read.size() == entries.size());
    for (std::size_t i = 0; i < read.size(); ++i)
      fuzz::promise(read[i].name == entries[i].name && read[i].values == entries[i].values);
  });
}
