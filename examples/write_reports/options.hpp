// Command line of write_reports.
#pragma once

#include <hlip/cli/run_options.hpp>
#include <hlip/models/llama/beam_search.hpp>
#include <hlip/systems/rad_dino/compare_reports.hpp>
#include <hlip/systems/rad_dino/report_writer_files.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace write_reports {

using namespace hlip;

/// How a table of reports is read.
struct TableOptions {
  std::string image_column = "image", report_column = "report";
};

struct TrainOptions : RunOptions {
  std::string images, split = "train", encoder;
  TableOptions table;
  WriterDescription writer;
  std::int64_t min_word_count = 1;
  index_t decoder_width = 128, decoder_layers = 3;
  bool grad_checkpointing = false;
};

struct ScoreOptions {
  std::string out;
  ReadReports read;
  BootstrapOptions bootstrap{500};
  bool shuffle_images = false;
  std::uint64_t shuffle_seed = 0;
};

struct ApplyOptions : ScoreOptions {
  std::vector<std::string> pictures;
  std::string model, encoder, decoder, split = "test", device = "cpu", precision = "fp32";
  TableOptions table;
  GenerateOptions generation;
  index_t batch_size = 16;
  bool skip_bad = false;
  int threads = 0;
};

/// Scores of a table of pictures, reports and what was written.
struct ScoreTableOptions : ScoreOptions {
  std::string file, generated_column = "generated";
  TableOptions table;
};

inline void add_table_options(CLI::App& app, TableOptions& o, const char* group) {
  app.add_option("--image-column", o.image_column, "the table's column of paths")
      ->capture_default_str()
      ->group(group);
  app.add_option("--report-column", o.report_column, "the table's column of reports")
      ->capture_default_str()
      ->group(group);
}

inline void add_model_options(CLI::App& app, TrainOptions& o) {
  const char* group = "Model";
  app.add_option("--encoder", o.encoder,
                 "of the pictures, frozen: a run of train_rad_dino, a Hugging Face folder, a file "
                 "of weights, or untrained:NAME")
      ->required()
      ->group(group);
  app.add_option("--decoder", o.writer.decoder,
                 "a Llama in a Hugging Face folder with its tokenizer.model, or tiny: a small one "
                 "whose words are those of the reports")
      ->capture_default_str()
      ->group(group);
  app.add_option("--train", o.writer.train,
                 "what trains beside the projector: the decoder, LoRA in its attention, nothing")
      ->check(CLI::IsMember({"all", "lora", "projector"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--lora-rank", o.writer.lora_rank, "rank of LoRA's matrices")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->group(group);
  app.add_option("--lora-alpha", o.writer.lora_alpha, "LoRA's weight is this over the rank")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--prompt", o.writer.request,
                 "what is asked of the decoder; <image> stands for the picture")
      ->capture_default_str()
      ->group(group);
  app.add_flag("--grad-checkpointing", o.grad_checkpointing,
               "recompute the decoder's layers in backward: less memory, more time")
      ->group(group);
  app.add_option("--min-word-count", o.min_word_count,
                 "decoder tiny: words seen less often in the reports are unknown")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--decoder-width", o.decoder_width, "decoder tiny: its width, a multiple of 32")
      ->check(CLI::Range(32, 8192))
      ->capture_default_str()
      ->group(group);
  app.add_option("--decoder-layers", o.decoder_layers, "decoder tiny: its layers")
      ->check(CLI::Range(1, 128))
      ->capture_default_str()
      ->group(group);
}

inline void add_train_options(CLI::App& app, TrainOptions& o) {
  app.add_option("--images", o.images, "table (CSV) with a column of pictures and one of reports")
      ->required()
      ->group("Data");
  add_table_options(app, o.table, "Data");
  app.add_option("--split", o.split,
                 "rows to learn from, where there is a column split; '' for all")
      ->capture_default_str()
      ->group("Data");
  add_loading_options(app, o, "Data");
  add_model_options(app, o);
  add_schedule_options(app, o, "Schedule");
  app.get_option("--warmup")
      ->default_str("")
      ->description("steps of linear warm-up (default: 3 % of the run)");
  add_loop_options(app, o, "Run");
}

/// A decoder that begins at random learns faster than one that can write.
inline void tiny_recipe(CLI::App& app, TrainOptions& o) {
  if (o.writer.decoder == "tiny") recipe_default(app, "--lr", o.lr, 1e-3);
}

/// What is wrong with the options taken together, or nothing.
inline std::string train_fault(const CLI::App& app, const TrainOptions& o) {
  const bool tiny = o.writer.decoder == "tiny";
  if (tiny && o.writer.train != "all")
    return fmt::format(
        "--train {} means nothing without --decoder FOLDER: a decoder that is made "
        "for the reports has nothing to keep",
        o.writer.train);
  if (o.decoder_width % 32 != 0)
    return fmt::format("--decoder-width is {}, expected a multiple of 32", o.decoder_width);
  for (const auto& fault :
       {means_nothing_without(app, o.writer.train == "lora", {"--lora-rank", "--lora-alpha"},
                              "--train lora"),
        means_nothing_without(app, tiny,
                              {"--min-word-count", "--decoder-width", "--decoder-layers"},
                              "--decoder tiny")})
    if (!fault.empty()) return fault;
  return run_options_fault(app, o);
}

inline void add_score_options(CLI::App& app, ScoreOptions& o) {
  const char* group = "Scores";
  auto* reference = app.add_option(
                           "--labels-reference", o.read.labels_reference,
                           "table of CheXbert for the reports, row by row (default: rules read the "
                           "findings of the phantoms)")
                        ->check(CLI::ExistingFile)
                        ->group(group);
  auto* generated = app.add_option("--labels-generated", o.read.labels_generated,
                                   "the same, generated reports")
                        ->check(CLI::ExistingFile)
                        ->group(group);
  reference->needs(generated), generated->needs(reference);
  reference = app.add_option("--radgraph-reference", o.read.radgraph_reference,
                             "what RadGraph has found in the reports (JSON), for relation F1")
                  ->check(CLI::ExistingFile)
                  ->group(group);
  generated = app.add_option("--radgraph-generated", o.read.radgraph_generated,
                             "the same, generated reports")
                  ->check(CLI::ExistingFile)
                  ->group(group);
  reference->needs(generated), generated->needs(reference);
  auto* shuffle = app.add_flag("--shuffle-images", o.shuffle_images,
                               "beside the scores those of the control: every report is compared "
                               "with what was generated for another picture")
                      ->group(group);
  app.add_option("--shuffle-seed", o.shuffle_seed, "which other picture")
      ->needs(shuffle)
      ->capture_default_str()
      ->group(group);
  app.add_option("--resamples", o.bootstrap.resamples, "bootstrap resamples of the intervals")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--seed", o.bootstrap.seed, "of the resamples")
      ->capture_default_str()
      ->group(group);
  app.add_option("--out", o.out, "folder of the results")->required()->group(group);
}

inline void add_apply_options(CLI::App& app, ApplyOptions& o) {
  app.add_option("FILE", o.pictures, "pictures, folders of them, or tables (CSV) that name them")
      ->required();
  add_table_options(app, o.table, "Data");
  app.add_option("--split", o.split, "rows of tables, where there is a column split; '' for all")
      ->capture_default_str()
      ->group("Data");
  app.add_flag("--skip-bad", o.skip_bad,
               "leave out pictures that cannot be read, and say which (default: stop at the first)")
      ->group("Data");
  const char* group = "Model";
  app.add_option("--model", o.model, "a run of write_reports train, or a checkpoint of it")
      ->required()
      ->group(group);
  app.add_option("--encoder", o.encoder, "instead of the run's own copy of its encoder")
      ->group(group);
  app.add_option("--decoder", o.decoder,
                 "where the decoder's folder lies now, if the run was one of LoRA or the projector")
      ->group(group);
  app.add_option("--max-new-tokens", o.generation.max_new_tokens, "longest report")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->group(group);
  auto* beams = app.add_option("--beams", o.generation.beams,
                               "texts that the search keeps, 1: greedy")
                    ->check(CLI::Range(1, 1024))
                    ->capture_default_str()
                    ->group(group);
  app.add_option("--length-penalty", o.generation.length_penalty,
                 "scores of beams are divided by their length to this power")
      ->needs(beams)
      ->capture_default_str()
      ->group(group);
  app.add_option("--batch-size", o.batch_size, "pictures that are written of at a time")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->group(group);
  add_score_options(app, o);
  add_threads_option(app, o.threads)->group("Run");
  add_device_option(app, o.device)->group("Run");
  add_precision_option(app, o.precision)->group("Run");
}

inline void add_score_table_options(CLI::App& app, ScoreTableOptions& o) {
  app.add_option("FILE", o.file, "table (CSV) of reports and generated ones, as apply writes it")
      ->required();
  add_table_options(app, o.table, "Data");
  app.add_option("--generated-column", o.generated_column, "the column of generated reports")
      ->capture_default_str()
      ->group("Data");
  add_score_options(app, o);
}

}  // namespace write_reports
