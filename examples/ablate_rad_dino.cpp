// An ablation of RAD-DINO on synthetic radiographs by one command: every variant is pre-trained
// from several seeds, heads learn on its frozen features, and one table says what it is worth,
// beside what the paper found.
//
//   ablate_rad_dino resolution --out runs/resolution
//   ablate_rad_dino few-labels --out runs/few --seeds 5 --phantom-root runs/radiographs
//
// It starts the programs beside it, one after another, and goes on where it was stopped.
#include <hlip/cli/command_line.hpp>
#include <hlip/io/folder_lock.hpp>
#include <hlip/report/ablation_page.hpp>
#include <hlip/systems/rad_dino/ablation_results.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

using namespace hlip;

namespace {

struct Options {
  std::string name, phantom_root;
  AblationRecipe recipe;
  AblationRun run;
  bool shortened = false, dry_run = false;
};

/// Of fewer pictures a hundredth of the subjects may be one alone, whose pictures all have the same
/// findings: a probe has nothing to learn from them.
constexpr std::int64_t least_for_few_labels = 1200;

/// What holds for --short where options were not given: seconds, to see that everything works.
void shorten(const CLI::App& app, Options& o) {
  const auto set = [&](const char* name, auto& option, auto value) {
    if (app.count(name) == 0) option = value;
  };
  set("--phantom", o.recipe.pictures, o.name == "few-labels" ? least_for_few_labels : 256);
  set("--steps", o.recipe.steps, 10);
  set("--seeds", o.run.seeds, 2);
  o.recipe.probe_epochs = 5, o.recipe.head_steps = 4;
}

/// A folder without a slash at its end, where names of others begin with it.
std::string folder_named(const std::string& given) {
  const auto path = std::filesystem::path(given + "/").lexically_normal().parent_path().string();
  return path.empty() ? "." : path;
}

std::vector<std::pair<std::string, std::string>> recipe_of(const Options& o) {
  const AblationRecipe& r = o.recipe;
  return {{"pictures", fmt::format("{} synthetic radiographs of {} x {} pixels; of ten subjects "
                                   "seven train, two are tested on",
                                   r.pictures, r.size, r.size)},
          {"encoder", "radiograph_phantom_tiny"},
          {"pre-training", fmt::format("{} steps of {} pictures", r.steps, r.batch)},
          {"probe", fmt::format("one linear layer on the class token, {} epochs", r.probe_epochs)},
          {"seeds", fmt::format("{} from {} on", o.run.seeds, o.run.seed)}};
}

AblationStory story_of(const Options& o, const Ablation& ablation, const AblationResults& found) {
  AblationStory story{ablation.title,        ablation.what, ablation.claim, "arXiv 2401.10815", {},
                      ablation.expectations, recipe_of(o)};
  story.notes = {
      "All pictures are synthetic: what is found here says what this program learns "
      "from them, not what is true of patients, and no number stands for one of the "
      "paper.",
      "For research only: not a medical device."};
  if (o.shortened)
    story.notes.push_back("--short: nothing was trained long enough to mean anything.");
  if (!found.left_out.empty()) {
    std::string names;
    for (const auto& name : found.left_out) names += (names.empty() ? "" : ", ") + name;
    story.notes.push_back("In no mean, because not every probe has a number for it: " + names +
                          ".");
  }
  return story;
}

void write_results(const Options& o, const AblationTable& table, const AblationStory& story) {
  atomic_write(o.run.out + "/ablation.csv", table.to_csv());
  atomic_write(o.run.out + "/seeds.csv", table.seeds_csv(o.run.seed));
  atomic_write(o.run.out + "/ablation.html", ablation_page(table, story));
  fmt::print("{}\n{}\n", table.to_text(), story.what);
  for (const auto& note : story.notes) fmt::print("note: {}\n", note);
  fmt::print("the paper ({}): {}\nfound here, on synthetic pictures:\n", story.source, story.claim);
  for (const auto& e : story.expectations)
    fmt::print("  {}: {} ({})\n", to_string(agreement(table, e)), e.says, found_text(table, e));
  fmt::print("written: {0}/ablation.csv, {0}/seeds.csv, {0}/ablation.html\n{1}: {2}, {3} seeds\n",
             visible_text(o.run.out), o.name, agreements_text(table, story.expectations),
             o.run.seeds);
}

int ablate(const Options& o) {
  const Ablation ablation = rad_dino_ablation(o.name, o.recipe);
  const auto steps = ablation_steps(ablation, o.recipe, o.run);
  if (o.dry_run) {
    fmt::print("{}", commands_of(o.run.out, steps));
    return 0;
  }
  std::error_code failed;
  std::filesystem::create_directories(o.run.out, failed);
  if (failed) fail_file(o.run.out, "", "cannot be made: {}", failed.message());
  const FolderLock lock(o.run.out);
  install_stop_signals("the same command goes on");
  if (!run_steps(o.run.out, steps)) {
    fmt::print("stopped; the same command goes on\n");
    return 0;
  }
  const AblationResults found = read_ablation(ablation, o.run);
  write_results(o, found.table, story_of(o, ablation, found));
  return 0;
}

void add_options(CLI::App& app, Options& o) {
  app.add_option("NAME", o.name, "what is varied")
      ->required()
      ->check(CLI::IsMember(ablation_names()));
  app.add_option("--out", o.run.out, "folder of the ablation")->required();
  app.add_option("--phantom", o.recipe.pictures, "synthetic radiographs to draw")
      ->check(CLI::Range(256, 1000000))
      ->capture_default_str();
  app.add_option("--phantom-size", o.recipe.size, "their rows and columns")
      ->check(CLI::Range(64, 2048))
      ->capture_default_str();
  app.add_option("--phantom-root", o.phantom_root,
                 "where they are kept, for several ablations (default: OUT/phantom); smaller sets, "
                 "and sets with masks, lie beside it");
  app.add_option("--steps", o.recipe.steps, "steps of each pre-training")
      ->check(CLI::Range(2, 1000000))
      ->capture_default_str();
  app.add_option("--seeds", o.run.seeds, "of each variant: three or more, with --short two")
      ->check(CLI::Range(2, 99))
      ->capture_default_str();
  app.add_option("--seed", o.run.seed, "the first of them")->capture_default_str();
  app.add_option("--threads", o.run.threads, "compute threads of each program (default: all cores)")
      ->check(CLI::Range(0, 4096));
  app.add_flag("--short", o.shortened,
               "take what takes seconds where options are not given: to see that everything works");
  app.add_flag("--dry-run", o.dry_run, "print the commands that are not done yet, and stop");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "An ablation of RAD-DINO on synthetic radiographs: all variants from several seeds, "
      "one table and a page.",
      "ablate_rad_dino");
  Options o;
  add_options(app, o);
  return run_program(app, argc, argv, [&] {
    if (o.shortened) shorten(app, o);
    if (o.run.seeds < 3 && !o.shortened) {
      fmt::print(stderr,
                 "ablate_rad_dino: --seeds {}: the spread of an ablation wants three or "
                 "more\n",
                 o.run.seeds);
      return 2;
    }
    if (o.name == "few-labels" && o.recipe.pictures < least_for_few_labels) {
      fmt::print(stderr,
                 "ablate_rad_dino: --phantom {}: of 1 % of these subjects a probe learns nothing, "
                 "few-labels wants {} pictures or more\n",
                 o.recipe.pictures, least_for_few_labels);
      return 2;
    }
    o.run.programs = own_folder();
    o.run.out = folder_named(o.run.out);
    o.run.drawn = o.phantom_root.empty() ? o.run.out + "/phantom" : folder_named(o.phantom_root);
    o.recipe.batch = std::min<std::int64_t>(64, o.recipe.pictures / 32);
    return ablate(o);
  });
}
