// Features of radiographs from a frozen encoder: class tokens and patch tokens, in one file that
// probes, metadata and other programs read.
//
//   encode_radiographs --model FOLDER picture.png study.dcm --out features.safetensors
//   encode_radiographs --model runs/x table.csv --out features.safetensors
#include <hlip/hlip.hpp>

#include <hlip/cli/command_line.hpp>
#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/device.hpp>
#include <hlip/datasets/chest_xray/table.hpp>
#include <hlip/systems/rad_dino/encode_pictures.hpp>
#include <hlip/train/progress.hpp>

#include <filesystem>
#include <set>

using namespace hlip;

namespace {

struct Options {
  std::string model, name, out, image_column = "image", device = "cpu", precision = "fp32";
  std::vector<std::string> pictures;
  EncodeOptions encoding;
  bool no_patches = false;
  std::uint64_t seed = 0;
  int threads = 0;
};

/// Adds the pictures that one argument stands for: a table, a folder, or a picture.
void collect(const Options& o, const std::string& argument, std::vector<std::string>& files,
             std::vector<std::string>& names) {
  if (!argument.ends_with(".csv") && !std::filesystem::is_directory(argument)) {
    files.push_back(argument);
    names.push_back(argument);
    return;
  }
  RadiographTableOptions reading;
  reading.image_column = o.image_column;
  const RadiographTable table = read_radiograph_table(argument, reading);
  tell_left_out(table, o.encoding.skip_bad);
  files.insert(files.end(), table.images.begin(), table.images.end());
  names.insert(names.end(), table.names.begin(), table.names.end());
}

template <class B> int encode(B, const Options& o) {
  std::vector<std::string> files, names;
  for (const auto& argument : o.pictures) collect(o, argument, files, names);
  std::set<std::string_view> seen;
  for (const auto& name : names)
    if (!seen.insert(name).second)
      fail("encode_radiographs", "{} is given twice", quote_text(name));
  PictureEncoder<B> encoder = load_picture_encoder<B>(o.model, o.seed);
  if (!o.name.empty()) encoder.name = o.name;
  fmt::print("{}", encoder.table);
  ProgressLine progress;
  const EncodedPictures encoded = encode_pictures(
      encoder, files, names, o.encoding, [&](index_t done, index_t all) {
        progress.show(fmt::format("encoded {}/{}", done, all), done == all);
      });
  progress.finish();
  for (const auto& problem : encoded.problems)
    fmt::print(stderr, "left out: {}\n", visible_text(problem));
  write_feature_file(o.out, encoded.features);
  const FeatureFile& f = encoded.features;
  fmt::print("{} pictures of {} given, {} numbers each{} -> {}\n", f.pictures(), files.size(),
             f.width,
             f.patches.empty() ? "" : fmt::format(" and {} x {} patches", f.rows, f.columns),
             visible_text(o.out));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  CLI::App app("Features of radiographs (PNG, JPEG, DICOM) from a frozen encoder.",
               "encode_radiographs");
  Options o;
  app.add_option("FILE", o.pictures, "pictures, folders of them, or tables (CSV) that name them")
      ->required();
  app.add_option("--model", o.model,
                 "the encoder: a run of train_rad_dino, a Hugging Face folder (DINOv2, RAD-DINO), "
                 "a file of weights, or untrained:NAME for random weights")
      ->required();
  app.add_option("--name", o.name, "what tables call the encoder (default: --model)");
  app.add_option("--out", o.out, "file of features (.safetensors)")->required();
  app.add_option("--image-column", o.image_column, "column of a table that names pictures")
      ->capture_default_str();
  app.add_option("--batch-size", o.encoding.batch_size, "pictures that are encoded at a time")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_flag("--no-patches", o.no_patches, "class tokens only");
  app.add_flag(
      "--skip-bad", o.encoding.skip_bad,
      "leave out pictures that cannot be read, and say which (default: stop at the first)");
  app.add_flag("--shuffle-patches", o.encoding.shuffle_patches,
               "the control: every picture has its patches in random order");
  app.add_option("--seed", o.seed, "of random weights")->capture_default_str();
  add_threads_option(app, o.threads);
  add_device_option(app, o.device);
  add_precision_option(app, o.precision);
  return run_program(app, argc, argv, [&] {
    use_compute_threads(o.threads);
    o.encoding.patches = !o.no_patches;
    apply_precision(o.device, o.precision);
    return on_device(o.device, [&](auto device) { return encode(device, o); });
  });
}
