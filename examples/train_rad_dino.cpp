// Pre-trains an encoder of radiographs without a single label or text: RAD-DINO's
// self-distillation.
//
//   train_rad_dino --images DIR --out runs/x                     every picture below a folder
//   train_rad_dino --images TABLE.csv --out runs/x --pretrained FOLDER   goes on from DINOv2
//   train_rad_dino --phantom 4000 --out runs/demo                synthetic radiographs, drawn first
//   train_rad_dino --resume latest --out runs/x                  goes on where the run stopped
//
// Read it from top to bottom: options, data, model, training, what is left behind.
#include "train_rad_dino/options.hpp"

#include <hlip/hlip.hpp>

#include <hlip/cli/draw_phantoms.hpp>
#include <hlip/datasets/chest_xray/table.hpp>
#include <hlip/phantoms/radiograph_writer.hpp>
#include <hlip/systems/rad_dino/picture_encoder.hpp>
#include <hlip/systems/rad_dino/samples.hpp>
#include <hlip/train/report_problems.hpp>

#include <fmt/format.h>

#include <memory>

using namespace train_rad_dino;

namespace {

/// The rows of a table that are to be learned from.
std::shared_ptr<const RadiographViews> training_views(const RadDinoOptions& o, RunFolder& folder,
                                                      const VitConfig& config) {
  RadiographTableOptions reading;
  reading.image_column = o.phantom > 0 ? "image" : o.image_column;
  const RadiographTable all = read_radiograph_table(o.images, reading);
  report_problems(o, folder, all.problems, o.images, "radiographs");
  std::vector<std::string> files, names;
  for (const std::size_t i : pictures_of_split(all, o.split)) {
    files.push_back(all.images[i]);
    names.push_back(all.names[i]);
  }
  return std::make_shared<const RadiographViews>(std::move(files), std::move(names),
                                                 crop_options(o, config),
                                                 o.shuffle_patches ? config.patch_size : 0);
}

template <class B> struct Hooks : StageHooks {
  const VitConfig* config;
  RadiographPreparation preparation;
  void add_files(const std::string& checkpoint) const {
    write_encoder_files(checkpoint, *config, preparation);
  }
};

template <class B> int train(B, RadDinoOptions& o, const std::string& resolved) {
  // One function: this is the program, to be read from top to bottom.
  const SelfDistillationConfig config = model_config(o);

  // ---- data ---------------------------------------------------------------------------------
  RunFolder folder(o);
  if (o.phantom > 0) {
    RadiographPhantomSet set;
    set.data_seed = o.phantom_seed, set.pictures = o.phantom, set.size = o.phantom_size;
    const auto drawn = draw_phantoms(o.threads, [&](int threads, auto progress) {
      return write_radiograph_dataset(o.phantom_root, set, threads, progress);
    });
    if (!drawn) return 0;
    o.images = drawn->table;
  }
  const auto samples = training_views(o, folder, config.backbone);

  // ---- model --------------------------------------------------------------------------------
  Initializer init(o.seed);
  SelfDistillationModel<float, B> model(config, init);
  Run run(o, folder, rad_dino_stages());
  run.find_origin(resolved);
  if (!o.pretrained.empty() && run.origin().path.empty())
    run.say("{}", load_pretrained_encoder(model.backbone, o.pretrained));
  SelfDistillationObjective<float, B> objective(model, config, objective_settings(o));
  run.say("{} radiographs; encoder {} with {} parameters, heads with {} prototypes\n",
          samples->size(), config.backbone.name, count_parameters(model.backbone),
          o.head_prototypes);

  // ---- training -----------------------------------------------------------------------------
  const RunLength length = run_length(o, samples->size());
  TrainerOptions options = trainer_options(o, length);
  options.stage = rad_dino_stages().back().name;
  const SelfDistillationSchedule schedule = schedule_of(o, run.steps_of(options),
                                                        length.studies_per_step());
  options.schedule = learning_rate_of(schedule);
  options.schedules = schedules_of(schedule);
  run.say_origin();
  Hooks<B> hooks;
  hooks.config = &config.backbone;
  hooks.preparation = preparation_of(o);
  const StageResult result = run.stage(objective, options, samples, o.batch_size * o.accum_batch,
                                       o.seed, collate_views<B>, hooks);
  run.tell(result);
  if (o.dry_run) run.end_dry_run(result, planned_steps(o, length));
  if (o.dry_run || result.outcome == TrainOutcome::stopped) return 0;

  // ---- what is left behind: the teacher's encoder, as Hugging Face keeps it --------------------
  const std::string encoder = o.out + "/encoder";
  Vit<float, B> teacher = with_positions_for(objective.teacher().backbone, hooks.preparation.crop);
  write_picture_encoder(encoder, teacher, hooks.preparation);
  fmt::print("the encoder is in {}\n", encoder);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  CLI::App app("Pre-trains an encoder of radiographs by self-distillation, without labels.",
               "train_rad_dino");
  RadDinoOptions o;
  add_data_options(app, o);
  add_view_options(app, o);
  add_encoder_options(app, o);
  add_objective_options(app, o);
  add_rad_dino_schedule_options(app, o);
  add_loop_options(app, o, "Run");
  const auto body = [](auto device, auto& given, auto& all) { return train(device, given, all); };
  return run_training_program(app, argc, argv, o, rad_dino_options_fault, phantom_recipe, body);
}
