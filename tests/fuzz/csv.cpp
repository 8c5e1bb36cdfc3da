// CSV: every field of an accepted table can be read and says where it stands. Of a table that is
// wrong everywhere little is said.
#include "fuzz.hpp"

#include <hlip/datasets/chest_xray/report_labels.hpp>
#include <hlip/datasets/ct_rate/tables.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::within({1 << 20, 100}, size, [&] {
    const CsvTable table = parse_csv(fuzz::text(data, size), "fuzz.csv");
    std::size_t line = 1, length = 0;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      fuzz::promise(table.line(row) > line);  // the header has line 1, rows follow
      line = table.line(row);
      for (int c = 0; c < static_cast<int>(table.columns().size()); ++c)
        length += table.at(row, c).size();
    }
    fuzz::promise(length <= size);
    Problems problems;
    ct_rate_reports(table, problems);
    ct_rate_label_rows(table, problems);
    ct_rate_metadata(table, problems);
    fuzz::promise(problems.size() <= 3 * (FileProblems::most + 2) &&
                  problems.count() >= problems.size());
    for (const auto& p : problems) fuzz::promise(p.size() < 1000 && visible_text(p) == p);
    const std::string_view last = table.columns().back();
    fuzz::promise(report_labels(table, std::span(&last, 1)).size() == table.rows());
  });
}
