// Reports of radiographs: a language model learns to go on from what a frozen encoder sees.
//
//   write_reports train --encoder runs/x --decoder tiny --images radiographs.csv --out runs/reports
//   write_reports apply --model runs/reports radiographs.csv --out written
//   write_reports score written/reports.csv --out scored      again, with what other programs read
//
// Read it from top to bottom: training, application, scores, command lines.
#include "write_reports/options.hpp"
#include "write_reports/scores.hpp"

#include <hlip/hlip.hpp>

#include <hlip/systems/rad_dino/generate_reports.hpp>
#include <hlip/systems/rad_dino/report_pictures.hpp>
#include <hlip/train/report_problems.hpp>
#include <hlip/train/run.hpp>
#include <hlip/train/supervised.hpp>

#include <memory>

using namespace write_reports;

namespace {

/// What lies beside the trained weights: the encoder once, the rest in every checkpoint.
template <class B> struct Hooks : StageHooks {
  const TrainOptions* o;
  ReportWriter<B>* writer;
  const ReportTokens* tokens;
  bool has_encoder;
  void before_first_step() const {
    if (has_encoder || o->dry_run) return;
    write_picture_encoder(writer_encoder_folder(o->out), writer->encoder,
                          writer->encoder.preparation.crop);
  }
  void add_files(const std::string& checkpoint) const {
    write_writer_files(checkpoint, *writer, o->writer, *tokens);
  }
};

template <class B> int train(B, const TrainOptions& o, const std::string& resolved) {
  // ---- data and tokens ----------------------------------------------------------------------
  RunFolder folder(o);
  RadiographTableOptions reading;
  reading.image_column = o.table.image_column;
  RadiographTable table = read_radiograph_table(o.images, reading);
  Problems problems = std::move(table.problems);
  const ReportRows rows = rows_with_reports(table, o.table.report_column, o.split, problems);
  Run run(o, folder, rad_dino_stages());
  run.find_origin(resolved);
  // what was learned with these words goes on with them, whatever the table has now
  const std::string words = run.origin().path + "/vocab.txt";
  const bool has_words = !run.origin().path.empty() && is_file(words);
  const ReportTokens tokens = has_words ? ReportTokens(WordTokenizer(Vocabulary::load(words)))
                                        : writer_tokens(o.writer, rows.reports, o.min_word_count);

  // ---- model: what the run began with is in its folder ----------------------------------------
  const std::string own = writer_encoder_folder(o.out);
  const bool resumed = goes_on_with_encoder(run, own);
  PictureEncoder<B> encoder = load_picture_encoder<B>(resumed ? own : o.encoder, o.seed);
  run.say("{}", encoder.table);
  Initializer init(o.seed);
  ReportWriter<B> writer = make_report_writer(
      std::move(encoder), o.writer, tokens,
      tiny_decoder_config(o.decoder_width, o.decoder_layers, tokens), init);
  writer.decoder.config.grad_checkpointing = o.grad_checkpointing;
  TrainedPart<ReportWriter<B>> trained{&writer};
  const auto samples = std::make_shared<const ReportPictures>(rows, tokens, writer, o.images,
                                                              problems);
  report_problems(o, folder, problems, o.images, "reports");
  run.say("{} radiographs with reports; {} patches and {} words of the prompt go before a report\n",
          samples->size(), writer.prompt_tokens() - writer.prompt.tokens(), writer.prompt.tokens());
  run.say("decoder {}: {} tokens, {} parameters; {} train\n", o.writer.decoder,
          writer.decoder.config.vocab_size, count_parameters(writer.decoder),
          count_parameters(trained));

  // ---- training -----------------------------------------------------------------------------
  const auto loss = [&](const ReportBatch<B>& batch, const Context&) { return writer.loss(batch); };
  Supervised objective(trained, {.weight_decay = o.wd, .ema_decay = o.model_ema_decay}, loss);
  const RunLength length = run_length(o, samples->size());
  TrainerOptions options = trainer_options(o, length);
  options.stage = rad_dino_stages().back().name;
  if (o.warmup < 0) options.schedule.warmup = run.steps_of(options) * 3 / 100;
  run.say_origin();
  Hooks<B> hooks{{}, &o, &writer, &tokens, resumed};
  const StageResult result = run.stage(objective, options, samples, o.batch_size * o.accum_batch,
                                       o.seed, collate_reports<B>, hooks);
  run.tell(result);
  if (o.dry_run) run.end_dry_run(result, planned_steps(o, length));
  if (o.dry_run || result.outcome == TrainOutcome::stopped) return 0;
  fmt::print("write_reports apply --model {} writes reports\n", visible_text(o.out));
  return 0;
}

/// Adds the pictures that one argument stands for, and the reports that a table has of them.
void collect(const ApplyOptions& o, const std::string& argument, std::vector<std::string>& files,
             Written& all) {
  if (!argument.ends_with(".csv") && !std::filesystem::is_directory(argument)) {
    files.push_back(argument), all.names.push_back(argument), all.reports.emplace_back();
    return;
  }
  RadiographTableOptions reading;
  reading.image_column = o.table.image_column;
  const RadiographTable table = read_radiograph_table(argument, reading);
  tell_left_out(table, o.skip_bad);
  if (argument.ends_with(".csv") && o.table.report_column != TableOptions().report_column &&
      !table.has(o.table.report_column))
    fail_file(argument, "", "has no column {} (--report-column)",
              quote_text(o.table.report_column));
  for (const std::size_t i : pictures_of_split(table, o.split)) {
    files.push_back(table.images[i]), all.names.push_back(table.names[i]);
    all.reports.emplace_back(table.has(o.table.report_column) ? table.text(i, o.table.report_column)
                                                              : "");
  }
}

template <class B> int apply(B, const ApplyOptions& o) {
  std::vector<std::string> files;
  Written given;
  for (const auto& argument : o.pictures) collect(o, argument, files, given);
  expect_reports(o, given);
  make_folder(o.out);
  const LoadedWriter<B> writer = load_report_writer<B>(o.model, o.encoder, o.decoder);
  ProgressLine progress;
  const GeneratedReports made = generate_reports(
      writer, files, o.batch_size, o.generation, o.skip_bad, [&](index_t done, index_t all) {
        progress.show(fmt::format("written {}/{}", done, all), done == all);
      });
  progress.finish();
  for (const auto& problem : made.problems)
    fmt::print(stderr, "left out: {}\n", visible_text(problem));
  Written all;
  for (std::size_t i = 0; i < made.texts.size(); ++i) {
    all.names.push_back(given.names[made.pictures[i]]);
    all.reports.push_back(given.reports[made.pictures[i]]);
    all.generated.push_back(made.texts[i]);
    // a table holds none
    std::replace(all.generated.back().begin(), all.generated.back().end(), char(0), char(32));
  }
  write_table(o.out, all);
  if (!made.stopped_by.empty())
    fail("write_reports", "{} ({} reports are in {}/reports.csv; hint: --skip-bad)",
         made.stopped_by, all.names.size(), o.out);
  fmt::print("{} pictures of {} given -> {}/reports.csv\n", all.names.size(), files.size(),
             visible_text(o.out));
  write_scores(o, all);
  return 0;
}

int train_program(int argc, char** argv) {
  CLI::App app("Teaches a decoder to write reports of what a frozen encoder sees.",
               "write_reports train");
  TrainOptions o;
  o.epochs = 3, o.batch_size = 128, o.warmup = -1, o.lr = 2e-5, o.wd = 0;
  o.beta2 = 0.999, o.eps = 1e-8;
  add_train_options(app, o);
  const auto body = [](auto device, auto& given, auto& all) { return train(device, given, all); };
  return run_training_program(app, argc, argv, o, train_fault, tiny_recipe, body);
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  const std::string train_word = "train";
  if (argc > 1 && argv[1] == train_word) return train_program(argc - 1, argv + 1);
  CLI::App app(
      "Reports of radiographs. Each subcommand has its own options: write_reports train --help.",
      "write_reports");
  app.require_subcommand(1);
  app.add_subcommand(train_word, "teach a decoder to write reports of what a frozen encoder sees");
  ApplyOptions o;
  auto* writing = app.add_subcommand("apply", "write reports of pictures, and score them");
  add_apply_options(*writing, o);
  ScoreTableOptions table;
  auto* scoring = app.add_subcommand("score",
                                     "score written reports, also by what other programs "
                                     "have read in them");
  add_score_table_options(*scoring, table);
  return run_program(app, argc, argv, [&] {
    if (scoring->parsed()) return score(table);
    use_compute_threads(o.threads);
    apply_precision(o.device, o.precision);
    return on_device(o.device, [&](auto device) { return apply(device, o); });
  });
}
