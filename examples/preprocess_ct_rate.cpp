// preprocess_ct_rate --data-root DIR --split S --out CACHE - brings every volume of a CT-RATE tree
// to HU at one spacing, once. It can be stopped at any time and started again: finished volumes are
// left alone, and no half-written file ever has a final name.
#include <hlip/cli/command_line.hpp>
#include <hlip/cli/preparation.hpp>
#include <hlip/datasets/ct_rate/cache.hpp>
#include <hlip/datasets/ct_rate/load_volume.hpp>
#include <hlip/io/gzip_libdeflate.hpp>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace {

struct Arguments {
  std::string data_root, split = "train", out, type = "float16";
  std::vector<double> spacing = {3, 1, 1};
  bool already_hu = false, allow_absent = false, verify = false;
  int threads = 0;
};

/// Whether a cached file is of this source. One whose source is unchanged but for the time, as in a
/// copied tree, gets the new stamp.
/// @param verify also reads its voxels
bool is_current(const std::string& path, const hlip::CtRateVolume& recon,
                const hlip::CtCacheStamp& stamp, hlip::CacheType type, bool verify) {
  if (!hlip::is_file(path)) return false;
  try {
    const hlip::CtCacheFile file(path);
    const hlip::CtCacheStamp old = hlip::ct_cache_stamp(path);
    if (old.row != stamp.row) return false;
    if (old.file != stamp.file) {
      if (const std::string crc = file.metadata("source_crc32");
          crc.empty() || crc != hlip::file_crc32(recon.path))
        return false;
      hlip::write_ct_cache(path, hlip::read_ct_cache(path), type, file.settings(), stamp,
                           file.metadata("source_crc32"));
    } else if (verify) {
      file.verify();
    }
    return true;
  } catch (const hlip::error&) {  // damaged: it is made again
    return false;
  }
}

int run(const Arguments& arguments) {
  hlip::CtPreset preset;
  std::copy_n(arguments.spacing.begin(), 3, preset.spacing.begin());
  preset.already_hu = arguments.already_hu;
  const auto type = arguments.type == "int16" ? hlip::CacheType::int16 : hlip::CacheType::float16;
  const auto settings = hlip::ct_cache_settings(preset, type);
  const auto folder = arguments.out + "/" + hlip::ct_cache_key(settings);
  std::filesystem::create_directories(folder);
  hlip::atomic_write(folder + "/settings.txt", settings + "\n");

  hlip::CtRateOptions options;
  options.already_hu = arguments.already_hu;
  options.allow_absent = arguments.allow_absent;
  options.need_reports = false;  // a volume can be prepared whatever its report says
  options.check = hlip::VolumeCheck::exists;
  auto data = hlip::read_ct_rate(arguments.data_root, arguments.split, options);
  std::vector<const hlip::CtRateVolume*> volumes;
  for (const auto& study : data.studies)
    for (const auto& recon : study.recons) volumes.push_back(&recon);
  fmt::print("{}: {}\n{} volumes of {} studies, {} known to be unusable skipped\n", folder,
             settings, volumes.size(), data.studies.size(), data.skipped.size());

  hlip::Preparation preparation(volumes.size(), "volumes", std::move(data.problems));
  const auto prepare = [&](std::size_t i) {
    const auto& recon = *volumes[i];
    const auto path = hlip::ct_cache_path(arguments.out, preset, type, arguments.split, recon);
    const auto stamp = hlip::CtCacheStamp::of(
        recon);  // before it is read: what changes meanwhile is out of date
    if (is_current(path, recon, stamp, type, arguments.verify)) return false;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    auto scan = hlip::open_ct_rate_volume(recon, preset);
    hlip::survey(scan);  // its warnings go into the cached file
    hlip::write_ct_cache(path, hlip::resample_to_spacing(scan, preset.spacing), type, settings,
                         stamp, hlip::file_crc32(recon.path));
    return true;
  };
  preparation.run(arguments.threads, prepare, [&](std::size_t i) { return volumes[i]->path; });
  const int code = preparation.finish();
  if (data.absent > 0) fmt::print("{} volumes of the tables are not on disk\n", data.absent);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app("Resamples the volumes of a CT-RATE tree in HU into a cache that training reads.",
               "preprocess_ct_rate");
  Arguments a;
  app.add_option("--data-root", a.data_root, "folder with <split>/ and metadata/")->required();
  app.add_option("--split", a.split, "train or valid")->capture_default_str();
  app.add_option("--out", a.out, "cache folder; a subfolder is named after the settings")
      ->required();
  app.add_option("--spacing", a.spacing, "mm along D,H,W")
      ->expected(3)
      ->delimiter(',')
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  app.add_option("--type", a.type, "how HU are stored")
      ->check(CLI::IsMember({"float16", "int16"}))
      ->capture_default_str();
  app.add_option("--threads", a.threads,
                 "volumes at a time (0: one per processor); each needs memory for a whole volume")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_flag("--already-hu", a.already_hu,
               "the volumes hold HU: no slope and intercept are applied");
  app.add_flag("--allow-absent", a.allow_absent,
               "volumes that are in the tables but not on disk are no failure");
  app.add_flag("--verify", a.verify, "read what is there already, and make again what is damaged");
  return hlip::run_program(app, argc, argv, [&] { return run(a); });
}
