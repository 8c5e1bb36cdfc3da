// JSON: what was read, written and read again is the same. Of an annotation that is wrong
// everywhere little is said. Read as RadGraph's it has fewer entities than bytes.
#include "fuzz.hpp"

#include <hlip/datasets/chest_xray/radgraph.hpp>
#include <hlip/datasets/study_json.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::within({1 << 20, 200}, size, [&] {
    {
      const Json value = parse_json(fuzz::text(data, size), "fuzz.json");
      fuzz::promise(parse_json(value.dump(), "written.json") == value);
      Problems problems;
      study_annotations(value, "fuzz.json", problems);
      fuzz::promise(problems.size() <= FileProblems::most + 1 &&
                    problems.count() >= problems.size());
      for (const auto& p : problems) fuzz::promise(p.size() < 1000 && visible_text(p) == p);
    }
    RadgraphNumbers numbers;
    std::size_t triples = 0;
    for (const auto& [name, of_report] :
         parse_radgraph(fuzz::text(data, size), "fuzz.json", numbers))
      triples += of_report.size();
    fuzz::promise(triples <= size);
  });
}
