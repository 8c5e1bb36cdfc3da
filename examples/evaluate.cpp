// Zero-shot evaluation on the public test sets, each in its published layout, and on studies in the
// layout of train_brain_mri.
//
//   evaluate ct-rate     --checkpoint runs/x --data-root CT-RATE/dataset --out results
//   evaluate rad-chestct --checkpoint runs/x --data-root rad_chestct
//                        --labels rad_chestct_labels.csv --out results
//   evaluate pub-brain-5 --checkpoint runs/x --data-root pub_brain_5 --labels pub_brain_5.csv
//                        --out results
//   evaluate brain-mri   --checkpoint runs/x --data-root DIR --studies DIR/valid_studies.json
//                        --labels DIR/valid_labels.csv --out results
//   evaluate rad-chestct --scores results/scores.csv --labels rad_chestct_labels.csv --out again
//                        (no model needed)
#include "evaluate/brain_mri.hpp"
#include "evaluate/ct_rate.hpp"
#include "evaluate/head_ct.hpp"
#include "evaluate/options.hpp"
#include "evaluate/pub_brain_5.hpp"
#include "evaluate/rad_chestct.hpp"

#include <hlip/cli/command_line.hpp>
#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/device.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/systems/hlip/model_option.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>

using namespace evaluate;

namespace {

/// A set to evaluate on: what it is called, what may be asked of it, and its evaluation.
struct Set {
  std::string name, says;
  bool chest, slices;
  std::function<int(const Options&)> run;
};

const Set sets[] = {
    {"ct-rate", "CT-RATE: 16 of its 18 findings", true, false, run_ct_rate},
    {"rad-chestct", "Rad-ChestCT: 15 findings, the two calcifications merged", true, false,
     run_rad_chestct},
    {"pub-brain-5", "Pub-Brain-5: four detections, tumours, diseases", false, true,
     run_pub_brain_5},
    {"rsna", "RSNA intracranial hemorrhage: 5 findings", false, true,
     [](const Options& o) { return run_head_ct(o, true); }},
    {"cq500", "CQ500: 11 findings", false, true,
     [](const Options& o) { return run_head_ct(o, false); }},
    {"brain-mri", "studies in the layout of train_brain_mri, with findings of your own", false,
     true, run_brain_mri}};

/// Options that say where scores come from: others mean something with some of them only.
struct Sources {
  CLI::Option *scores, *checkpoint, *embeddings, *root, *labels;

  /// For an option that means nothing where no images are read.
  void only_images(CLI::Option* option) const { option->excludes(scores)->excludes(embeddings); }
};

Sources add_sources(CLI::App& app, Options& o) {
  Sources s{};
  s.scores = app.add_option("--scores", o.scores,
                            "score this table again (scores.csv of an earlier run, or of the "
                            "reference): needs no model and no images")
                 ->check(CLI::ExistingFile);
  s.checkpoint =
      app.add_option(
             "--checkpoint", o.checkpoint,
             "run or checkpoint folder, or a file of weights (.pt, .pth, .bin, .safetensors)")
          ->excludes(s.scores);
  add_model_option(app, o.model, "what a file of weights holds")->needs(s.checkpoint);
  app.add_option("--vocab", o.vocab, "of a file of weights: WordPiece vocabulary of its text tower")
      ->check(CLI::ExistingFile)
      ->needs(s.checkpoint);
  s.embeddings =
      app.add_option("--embeddings", o.embeddings,
                     "embeddings.safetensors of an earlier run of the same model: needs no images")
          ->check(CLI::ExistingFile)
          ->needs(s.checkpoint);
  s.root = app.add_option("--data-root", o.data_root,
                          "folder of the images, in the published layout")
               ->check(CLI::ExistingDirectory);
  s.labels =
      app.add_option("--labels", o.labels, "table of labels (CSV)")->check(CLI::ExistingFile);
  return s;
}

void add_brain_mri_options(CLI::App& app, const Sources& s, Options& o) {
  s.only_images(app.add_option("--studies", o.studies,
                               "studies to evaluate: {study: {\"series\": {scan: …}}}")
                    ->check(CLI::ExistingFile));
  s.only_images(app.add_option(
      "--split", o.split,
      "folder of their voxels (default: the JSON's name up to its first underscore)"));
}

void add_ct_rate_options(CLI::App& app, const Sources& s, Options& o) {
  app.add_option("--split", o.split, "split of the tree (default: valid)");
  s.only_images(
      app.add_flag("--already-hu", o.already_hu,
                   "the volumes are in HU: slope and intercept of the table are not applied"));
  s.only_images(app.add_option("--spacing-from", o.spacing_from,
                               "where the voxel size is taken from: the table, as HLIP does, or "
                               "each file's header, as zero_shot_ct_rate does")
                    ->check(CLI::IsMember({"table", "header"}))
                    ->capture_default_str());
}

void add_chest_options(CLI::App& app, const Sources& s, Options& o) {
  app.add_option("--template", o.prompts, "prompt template")
      ->check(CLI::IsMember({"volume", "organ"}))
      ->capture_default_str()
      ->excludes(s.scores);
  s.only_images(
      app.add_flag("--allow-absent", o.allow_absent, "evaluate the volumes that are there"));
}

void add_slices_option(CLI::App& app, const Sources& s, Options& o, bool pub_brain_5) {
  const char* published = pub_brain_5
                              ? "144, or 48 for the later models …_scan_study_…, as published"
                              : "those a prepared scan has";
  s.only_images(app.add_option("--num-slices", o.num_slices,
                               fmt::format("slices each scan is brought to (default: as in the "
                                           "training of the checkpoint; for a file of weights {})",
                                           published))
                    ->check(CLI::Range(1, 4096)));
}

void add_common_options(CLI::App& app, const Sources& s, Options& o) {
  s.only_images(app.add_option("--save-inputs", o.save_inputs,
                               "folder for what the network is fed, input_NNNNNN.safetensors for "
                               "each study: to see or compare what preparation makes of it"));
  app.add_option("--out", o.out, "folder of the results")->required();
  app.add_option("--resamples", o.bootstrap.resamples, "bootstrap resamples of the intervals")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--confidence", o.bootstrap.confidence, "of the intervals")
      ->check(CLI::Range(0.01, 0.999))
      ->capture_default_str();
  app.add_option("--seed", o.bootstrap.seed, "of the resamples")->capture_default_str();
  add_threads_option(app, o.threads);
  add_device_option(app, o.device)->needs(s.checkpoint);
  add_precision_option(app, o.precision)->needs(s.checkpoint);
}

void add_set(CLI::App& all, const Set& set, Options& o) {
  CLI::App& app = *all.add_subcommand(set.name, set.says);
  const Sources s = add_sources(app, o);
  if (set.name == "brain-mri") add_brain_mri_options(app, s, o);
  if (set.name == "ct-rate") add_ct_rate_options(app, s, o);
  if (set.chest) add_chest_options(app, s, o);
  if (set.slices) add_slices_option(app, s, o, set.name == "pub-brain-5");
  add_common_options(app, s, o);
  if (set.name != "ct-rate") {  // whose tree holds the labels, too
    s.labels->required();
    s.only_images(s.root);
  }
}

/// What is wrong with the options together, or nothing.
const char* fault_of(const Options& o, bool brain_mri) {
  const bool images = o.scores.empty() && o.embeddings.empty();
  if (o.scores.empty() && o.checkpoint.empty())
    return "give --checkpoint DIR, or --scores FILE to score a table again";
  const bool weights = is_file(o.checkpoint);
  if (weights && (o.model.empty() || o.vocab.empty()))
    return "a file of weights needs --model NAME and --vocab FILE";
  if (!weights && !(o.model.empty() && o.vocab.empty()))
    return "--model and --vocab say what a file of weights is: they mean nothing with a checkpoint "
           "folder, which says it itself";
  if (images && o.data_root.empty()) return "give --data-root DIR, the folder of the images";
  if (images && brain_mri && o.studies.empty())
    return "give --studies FILE, the studies to evaluate";
  return nullptr;
}

void make_folders(const Options& o) {
  std::error_code failed;
  for (const auto& folder : {o.out, o.save_inputs}) {
    if (!folder.empty()) std::filesystem::create_directories(folder, failed);
    if (failed) fail_file(folder, "", "cannot be made: {}", failed.message());
  }
}

}  // namespace

int main(int argc, char** argv) {
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app(
      "Zero-shot evaluation on the public test sets, or on brain studies of your own. Each has its "
      "own options: evaluate SET --help.",
      "evaluate");
  app.require_subcommand(1);
  Options o;
  for (const auto& set : sets) add_set(app, set, o);
  return run_program(app, argc, argv, [&] {
    if (const char* fault = fault_of(o, app.got_subcommand("brain-mri"))) {
      fmt::print(stderr, "evaluate: {}\n", fault);
      return 2;
    }
    use_compute_threads(o.threads);
    make_folders(o);
    for (const auto& set : sets)
      if (app.got_subcommand(set.name)) return set.run(o);
    return 2;
  });
}
