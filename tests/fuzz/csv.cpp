// CSV: every field of an accepted table can be read and says where it stands.
#include "fuzz.hpp"

#include <hlip/io/csv.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::answer([&] {
    const CsvTable table = parse_csv(fuzz::text(data, size), "fuzz.csv");
    std::size_t line = 1, length = 0;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      fuzz::promise(table.line(row) > line);  // the header has line 1, rows follow
      line = table.line(row);
      for (int c = 0; c < static_cast<int>(table.columns().size()); ++c) length += table.at(row, c).size();
    }
    fuzz::promise(length <= size);
  });
}
