// check_data --data-root DIR --out REPORT - opens every file of a CT-RATE tree before anybody
// trains on it, and says what is wrong: files, geometry, intensity, reports, duplicates, patients
// and volumes that are in two splits. Exit code 1 when there are faults.
#include <hlip/cli/command_line.hpp>
#include <hlip/datasets/ct_rate/check.hpp>
#include <hlip/datasets/ct_rate/check_page.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/systems/hlip/report_tokenizer.hpp>
#include <hlip/train/progress.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>

using namespace hlip;

namespace {

struct Arguments {
  std::string data_root, out, vocab;
  std::vector<std::string> splits;
  bool already_hu = false, allow_absent = false;
  index_t context_length = 512;
  int threads = 0;
};

/// As train_ct_rate makes it; none where there is neither a vocabulary nor a report.
std::shared_ptr<const WordPieceTokenizer> make_tokenizer(const Arguments& a) {
  std::vector<CtRateStudy> studies;
  CtRateOptions reading;
  reading.need_reports = false;
  reading.already_hu = a.already_hu;
  reading.check = VolumeCheck::none;
  if (a.vocab.empty())
    for (const auto& split : a.splits)
      for (auto& s : read_ct_rate(a.data_root, split, reading).studies)
        studies.push_back(std::move(s));
  if (a.vocab.empty() && std::all_of(studies.begin(), studies.end(),
                                     [](const CtRateStudy& s) { return s.report.empty(); }))
    return nullptr;
  return std::make_shared<const WordPieceTokenizer>(report_tokenizer(a.vocab, studies));
}

int run(Arguments a) {
  if (a.splits.empty())
    for (const char* split : {"train", "valid"})
      if (std::filesystem::exists(a.data_root + "/" + split) ||
          std::filesystem::exists(a.data_root + "/" + split + "_fixed"))
        a.splits.push_back(split);
  if (a.splits.empty())
    fail_file(a.data_root, "", "has neither a split train nor valid (hint: --split NAME)");
  DataCheckOptions options;
  options.splits = a.splits;
  options.already_hu = a.already_hu;
  options.allow_absent = a.allow_absent;
  options.context_length = a.context_length;
  options.threads = a.threads > 0
                        ? a.threads
                        : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  options.tokenizer = make_tokenizer(a);
  ProgressLine progress;
  const DataCheck check = check_ct_rate(
      a.data_root, options, [&](std::size_t done, std::size_t all) {
        progress.show(fmt::format("{} of {} volumes", done, all), done % 1000 == 0 || done == all);
      });
  progress.finish();
  std::error_code code;
  std::filesystem::create_directories(a.out, code);
  if (code) fail_file(a.out, "", "cannot make the folder: {}", code.message());
  atomic_write(a.out + "/check_data.json",
               data_check_json(check).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  atomic_write(a.out + "/check_data.html", data_check_page(check));
  for (const auto& s : check.splits)
    fmt::print(
        "{}: {} studies, {} volumes, {} with a report, {} reports longer than {} tokens (the "
        "longest has {})\n",
        s.name, s.studies, s.volumes, s.with_report, s.cut_reports, a.context_length,
        s.longest_report);
  constexpr std::size_t most = 40;
  std::size_t shown = 0;
  for (const auto& f : check.findings)
    if (f.fault && ++shown <= most) fmt::print("{}: {}: {}\n", f.kind, f.where, f.what);
  if (check.faults() > most) fmt::print("… and {} more\n", check.faults() - most);
  fmt::print("{} faults, {} warnings: {}/check_data.html\n", check.faults(),
             check.findings.size() - check.faults(), a.out);
  return check.faults() == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Checks every file of a CT-RATE tree and writes check_data.html and check_data.json. Exit "
      "code 1 when there are faults.",
      "check_data");
  Arguments a;
  app.add_option(
         "--data-root", a.data_root,
         "folder with <split>/, radiology_text_reports/, multi_abnormality_labels/ and metadata/")
      ->required();
  app.add_option(
      "--split", a.splits,
      "splits to check and to compare (default: train and valid, as far as they are there)");
  app.add_option("--out", a.out, "folder for the page and the JSON")->required();
  app.add_option(
         "--vocab", a.vocab,
         "WordPiece vocabulary that reports are measured with (default: one learned from them)")
      ->check(CLI::ExistingFile);
  app.add_option("--context-length", a.context_length, "tokens the model reads")
      ->check(CLI::Range(2, 1000000))
      ->capture_default_str();
  app.add_flag("--already-hu", a.already_hu,
               "the volumes hold HU: no slope and intercept are applied");
  app.add_flag("--allow-absent", a.allow_absent,
               "volumes that are in the tables but not on disk are no fault");
  app.add_option("--threads", a.threads,
                 "volumes at a time (0: one per processor); each needs memory for a whole volume")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  return run_program(app, argc, argv, [&] { return run(a); });
}
