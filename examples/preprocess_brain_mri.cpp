// preprocess_brain_mri --data-root DIR --out TREE - brings MRI scans (NIfTI, DICOM) to the size
// HLIP's brain models are trained on, once, and writes the JSON that train_brain_mri reads. It can
// be stopped at any time and started again: finished scans are left alone, and no half-written file
// ever has a final name.
#include "preprocess_brain_mri/find_scans.hpp"

#include <hlip/cli/command_line.hpp>
#include <hlip/cli/preparation.hpp>
#include <hlip/datasets/brain_mri/scan.hpp>
#include <hlip/datasets/study_json.hpp>
#include <hlip/io/folder_lock.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/io/source_stamp.hpp>

#ifdef HLIP_WITH_DICOM
#include <hlip/imaging/dicom.hpp>
#endif
#include <filesystem>
#include <set>

using namespace preprocess_brain_mri;

namespace {

struct Arguments {
  std::string data_root, studies, split = "train", out;
  std::int64_t num_slices = 48, size = 224;
  bool keep_axes = false, verify = false;
  int threads = 0;
};

struct Scan {
  std::string study, name, from, to;
  std::int64_t num_slices = 0;  // of the file, before resampling
  std::string view;
};

/// What decides the contents of a prepared file.
std::string stamp_of(const Arguments& a, const std::string& path) {
  hlip::SourceStamp source;
  if (!hlip::is_folder(path)) source.add(path);
  else
    for (const auto& entry : std::filesystem::directory_iterator(path))
      source.add(entry.path().string());
  return fmt::format("{}2 {} slices={} size={} keep_axes={}", hlip::brain_scan_stamp,
                     to_string(source), a.num_slices, a.size, a.keep_axes ? "yes" : "no");
}

/// A scan from NIfTI or a DICOM series, 0 … 1 at its own size.
hlip::MriSlices read_scan(const Arguments& a, const std::string& path) {
  if (!hlip::is_folder(path)) return hlip::read_raw_scan(path, a.keep_axes);
#ifdef HLIP_WITH_DICOM
  hlip::MriSlices scan = hlip::mri_slices(hlip::read_dicom(path, {.modality = "MR"}), a.keep_axes);
  scan.voxels = hlip::scale_by_percentiles(scan.voxels);
  return scan;
#else
  hlip::fail_without_dicom(path);
#endif
}

/// Whether a sound file with this stamp is there; then the scan gets to know what it was made of.
/// @param verify also reads its voxels
bool is_prepared(Scan& scan, const std::string& stamp, bool verify) {
  if (!hlip::is_file(scan.to)) return false;
  try {
    const hlip::SafetensorsFile old(scan.to);
    if (old.metadata("stamp") != stamp) return false;
    if (verify) hlip::read_prepared_scan(old);
    scan.num_slices = std::stoll(old.metadata("num_slices"));
    scan.view = old.metadata("view");
    return true;
  } catch (const std::exception&) {  // damaged: it is made again
    return false;
  }
}

/// Prepares one scan. @return whether it was written, and not there already
bool prepare(const Arguments& a, Scan& scan) {
  const std::string stamp = stamp_of(a, scan.from);
  if (is_prepared(scan, stamp, a.verify)) return false;
  const hlip::MriSlices raw = read_scan(a, scan.from);
  for (const auto& w : raw.warnings)
    fmt::print(stderr, "{}: warning: {}\n", hlip::visible_text(scan.from),
               w);  // what was assumed about it
  if (const std::string odd = hlip::implausible_scan(raw.voxels); !odd.empty())
    fmt::print(stderr, "{}: warning: {}\n", hlip::visible_text(scan.from), odd);
  std::filesystem::create_directories(std::filesystem::path(scan.to).parent_path());
  hlip::write_brain_scan(scan.to, hlip::fit_mri(raw.voxels, hlip::mri_preset(a.num_slices, a.size)),
                         {{"source", scan.from},
                          {"view", std::string(raw.view)},
                          {"num_slices", std::to_string(raw.voxels.dim(0))},
                          {"stamp", stamp}});
  scan.num_slices = raw.voxels.dim(0);
  scan.view = raw.view;
  return true;
}

int run(const Arguments& a) {
  hlip::Problems problems;
  auto studies = a.studies.empty() ? studies_below(a.data_root, problems)
                                   : hlip::study_annotations(hlip::read_json(a.studies), a.studies,
                                                             problems, false);
  const std::string folder = a.out + "/" + a.split;
  std::filesystem::create_directories(folder);
  const hlip::FolderLock lock(folder);  // two at once, with other sizes, would leave scans of both
  std::vector<Scan> scans;
  std::set<std::string> taken;
  for (const auto& study : studies)
    for (const auto& path : study.scans) {
      std::string name;
      try {
        name = scan_name(a.data_root + "/" + path);
      } catch (const std::exception& e) {
        problems.push_back(look_fault(a.data_root + "/" + path, e));
        continue;
      }
      if (name.empty())
        problems.push_back(
            fmt::format("{}/{}: is not a scan (.nii, .nii.gz or the folder of a DICOM series, and "
                        "neither a segmentation nor a mask)",
                        a.data_root, path));
      else if (!taken.insert(study.study + "/" + name).second)
        problems.push_back(fmt::format("{}/{}: study {} has two scans of this name", a.data_root,
                                       path, study.study));
      else
        scans.push_back({study.study, name, a.data_root + "/" + path,
                         fmt::format("{}/{}/{}/img.safetensors", folder, study.study, name), 0,
                         ""});
    }
  fmt::print("{} scans of {} studies, to {} x {} x {} voxels in {}\n", scans.size(), studies.size(),
             a.num_slices, a.size, a.size, folder);
  hlip::Preparation preparation(scans.size(), "scans", std::move(problems));
  preparation.run(
      a.threads, [&](std::size_t i) { return prepare(a, scans[i]); },
      [&](std::size_t i) { return scans[i].from; });

  hlip::Json json = hlip::Json::object();
  for (const auto& scan : scans)
    if (scan.num_slices > 0)
      json[scan.study]["series"][scan.name] = {{"num_slices", scan.num_slices},
                                               {"view", scan.view}};
  for (const auto& study : studies)
    if (!study.report.empty() && json.contains(study.study)) {
      json[study.study]["report_length"] = study.report.size();
      json[study.study]["report"] = study.report;
    }
  if (!hlip::stop_requested()) {
    std::filesystem::create_directories(a.out);
    hlip::atomic_write(fmt::format("{}/{}_studies.json", a.out, a.split), json.dump(1) + "\n");
    fmt::print("{}/{}_studies.json: {} studies\n", a.out, a.split, json.size());
  }
  return preparation.finish();
}

}  // namespace

int main(int argc, char** argv) {
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app(
      "Prepares MRI scans (NIfTI files, folders of DICOM series) for the brain models: "
      "reorientation, percentile scaling, slices first, square slices of one size.",
      "preprocess_brain_mri");
  Arguments a;
  app.add_option("--data-root", a.data_root,
                 "folder of the scans; every folder in it that holds scans (NIfTI files, or "
                 "folders of one DICOM series each) is a study")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--studies", a.studies,
                 "JSON {study: {\"scans\": [path below --data-root, …], \"report\": [sentence, "
                 "…]}}, instead of looking")
      ->check(CLI::ExistingFile);
  app.add_option("--out", a.out,
                 "folder for SPLIT/<study>/<scan>/img.safetensors and SPLIT_studies.json")
      ->required();
  app.add_option("--split", a.split, "name of the split, without underscore")
      ->capture_default_str()
      ->check([](const std::string& s) {
        return s.empty() || s.find_first_of("_/\\.") != s.npos
                   ? std::string("the name of a split has no underscore, slash or full stop")
                   : std::string();
      });
  app.add_option("--num-slices", a.num_slices, "slices of a prepared scan")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--size", a.size, "rows and columns of a prepared slice")
      ->check(CLI::Range(1, 3500))
      ->capture_default_str();
  app.add_flag("--keep-axes", a.keep_axes,
               "all scans are axial (BraTS): do not look for the axis with the largest spacing");
  app.add_flag("--verify", a.verify, "read what is there already, and make again what is damaged");
  app.add_option("--threads", a.threads, "scans at a time (0: one per processor)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  return hlip::run_program(app, argc, argv, [&] { return run(a); });
}
