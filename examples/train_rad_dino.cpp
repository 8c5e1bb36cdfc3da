// Pre-trains an encoder of radiographs, or of CT and MRI studies, without a single label or text:
// RAD-DINO's self-distillation.
//
//   train_rad_dino --images DIR --out runs/x                     every picture below a folder
//   train_rad_dino --images TABLE.csv --out runs/x --pretrained FOLDER   goes on from DINOv2
//   train_rad_dino --phantom 4000 --out runs/demo                synthetic radiographs, drawn first
//   train_rad_dino --volumes DIR|FILE.json --out runs/v          volumes, with HLIP's encoder
//   train_rad_dino --resume latest --out runs/x                  goes on where the run stopped
//
// Read it from top to bottom: options, data, model, training, what is left behind.
#include "train_rad_dino/options.hpp"
#include "train_rad_dino/sources.hpp"

#include <hlip/hlip.hpp>

#include <hlip/systems/rad_dino/schedule_warnings.hpp>

#include <fmt/format.h>

using namespace train_rad_dino;

namespace {

template <class Source> struct Hooks : StageHooks {
  const Source* source;
  void add_files(const std::string& checkpoint) const { source->add_files(checkpoint); }
};

/// @tparam Source what is learned from: Pictures or Volumes
template <template <class> class Source, class B>
int train(B, RadDinoOptions& o, const std::string& resolved) {
  // ---- data ---------------------------------------------------------------------------------
  RunFolder folder(o);
  const Source<B> source(o, folder);
  if (!source.samples) return 0;  // stopped

  // ---- model --------------------------------------------------------------------------------
  using Backbone = typename Source<B>::Backbone;
  Initializer init(o.seed);
  SelfDistillationModel<float, B, Backbone> model(source.config, init);
  Run run(o, folder, rad_dino_stages());
  run.find_origin(resolved);
  if (!o.pretrained.empty() && run.origin().path.empty())
    run.say("{}", load_pretrained_encoder(model.backbone, o.pretrained));
  SelfDistillationObjective<float, B, SingleProcess, Backbone> objective(model, source.config,
                                                                         objective_settings(o));
  run.say("{}; encoder {} with {} parameters, heads with {} prototypes\n", source.title(),
          source.config.backbone.name, count_parameters(model.backbone), o.head_prototypes);

  // ---- training -----------------------------------------------------------------------------
  const RunLength length = run_length(o, source.samples->size());
  TrainerOptions options = trainer_options(o, length);
  options.stage = rad_dino_stages().back().name;
  const SelfDistillationSchedule schedule = schedule_of(o, run.steps_of(options),
                                                        length.studies_per_step());
  options.schedule = learning_rate_of(schedule);
  options.schedules = schedules_of(schedule);
  for (const auto& fault : too_long_for_run(schedule)) run.say("warning: {}\n", fault);
  run.say_origin();
  Hooks<Source<B>> hooks;
  hooks.source = &source;
  const StageResult result = run.stage(objective, options, source.samples,
                                       o.batch_size * o.accum_batch, o.seed, collate_views<B>,
                                       hooks);
  run.tell(result);
  if (o.dry_run) run.end_dry_run(result, planned_steps(o, length));
  if (o.dry_run || result.outcome == TrainOutcome::stopped) return 0;

  // ---- what is left behind: the teacher's encoder ----------------------------------------------
  const std::string encoder = o.out + "/encoder";
  source.write_encoder(encoder, objective.teacher().backbone);
  fmt::print("the encoder is in {}\n", encoder);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  CLI::App app(
      "Pre-trains an encoder of radiographs, or of CT and MRI studies, by self-distillation, "
      "without labels.",
      "train_rad_dino");
  RadDinoOptions o;
  add_data_options(app, o);
  add_view_options(app, o);
  add_encoder_options(app, o);
  add_objective_options(app, o);
  add_rad_dino_schedule_options(app, o);
  add_loop_options(app, o, "Run");
  const auto body = [](auto device, auto& given, auto& all) {
    return given.volumes.empty() ? train<Pictures>(device, given, all)
                                 : train<Volumes>(device, given, all);
  };
  return run_training_program(app, argc, argv, o, rad_dino_options_fault, recipe, body);
}
