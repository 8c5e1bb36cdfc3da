// hlip_report RUN... - writes report.html into each run: its curves, results, map of embeddings,
// examples and configuration on one page. train_ct_rate and train_brain_mri do the same at their
// end; this is for runs that are not over, or whose page should be made again.
#include <hlip/cli/command_line.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/report/run_page.hpp>
#include <hlip/systems/hlip/stages.hpp>

#include <cstdio>

int main(int argc, char** argv) {
  CLI::App app(
      "Puts a run of train_ct_rate or train_brain_mri on one self-contained page, RUN/report.html.",
      "hlip_report");
  std::vector<std::string> runs;
  app.add_option("RUN", runs, "folders of runs")->required();
  return hlip::run_program(app, argc, argv, [&] {
    for (const auto& run : runs) {
      const auto path = run + "/report.html";
      hlip::atomic_write(path, hlip::run_report(run, hlip::stage_titles(hlip::hlip_stages())));
      fmt::print("{}\n", hlip::visible_text(path));
    }
    return 0;
  });
}
