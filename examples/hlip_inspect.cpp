// hlip_inspect FILE... - what is in a volume, table, annotation or weight file, and what is wrong
// with it.
#include <hlip/cli/command_line.hpp>
#include <hlip/datasets/inspect.hpp>
#include <hlip/datasets/public/evaluation_tables.hpp>
#include <hlip/imaging/dicom/recognise.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#ifdef HLIP_WITH_DICOM
#include <hlip/datasets/inspect_dicom.hpp>
#endif

#include <cstdio>

namespace {

hlip::FileReport look_into(const std::string& path, const hlip::InspectOptions& options) {
  if (path.ends_with(".csv")) return hlip::inspect_table_file(path);
  if (!hlip::is_dicom(path)) return hlip::inspect_file(path, options);
#ifdef HLIP_WITH_DICOM
  hlip::DicomOptions dicom;
  dicom.limits.max_bytes = options.nifti.limits.max_bytes;
  return hlip::inspect_dicom(path, dicom);
#else
  hlip::FileReport report;
  try {
    hlip::fail_without_dicom(path);
  } catch (const hlip::error& e) {
    report.problems.push_back(e.what());
  }
  return report;
#endif
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Says what is in each file and checks it as training would. Exit code 1 when a file is bad.",
      "hlip_inspect");
  std::vector<std::string> files;
  bool quiet = false;
  double max_gib = 4;
  app.add_option("FILE", files,
                 ".nii, .nii.gz, .hdr, .img, .csv, .json, .safetensors, .pt, .pth, .bin, .npy, "
                 ".npz, a DICOM file, or a folder of a DICOM series")
      ->required();
  app.add_flag("-q,--quiet", quiet, "one line per file only");
  app.add_option("--max-volume-gib", max_gib, "largest volume to read, in GiB")
      ->check(CLI::Range(0.001, 1024.0))
      ->capture_default_str();
  return hlip::run_program(app, argc, argv, [&] {
    hlip::InspectOptions options;
    options.nifti.limits.max_bytes = static_cast<std::uint64_t>(max_gib * 0x1p30);
    bool all_ok = true;
    for (const auto& file : files) {
      const auto report = look_into(file, options);
      all_ok = all_ok && report.ok();
      if (!report.summary.empty())
        fmt::print("{}: {}{}\n", hlip::visible_text(file), report.summary,
                   report.ok() ? "" : " (bad)");
      if (!quiet)
        for (const auto& line : report.details) fmt::print("  {}\n", line);
      for (const auto& line : report.warnings) fmt::print("  warning: {}\n", line);
      std::fflush(stdout);
      for (const auto& line : report.problems) fmt::print(stderr, "{}\n", line);
    }
    return all_ok ? 0 : 1;
  });
}
