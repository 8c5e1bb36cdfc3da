// The way of data into a model: a CT volume, batches of prepared volumes, the words of a report.
#pragma once

#include "options.hpp"

#include <hlip/data/loader.hpp>
#include <hlip/datasets/ct_rate/cache.hpp>
#include <hlip/datasets/ct_rate/samples.hpp>
#include <hlip/imaging/ct_scan.hpp>
#include <hlip/io/csv.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/text/wordpiece.hpp>

#include <memory>

namespace bench {

// ---- one CT volume ----

/// A file in HU at one spacing.
inline Volume ct_at_spacing(const std::string& file, double slope, double intercept,
                            const std::array<double, 3>& spacing) {
  return resample_to_spacing(CtScan(StoredVolume(file), slope, intercept), spacing);
}

inline void add_preprocess(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions {
    std::string file, spacing = "3,1,1", out;
    double slope = 1, intercept = -1024;
  };
  auto o = std::make_shared<Options>();
  o->threads = {1};
  auto* app = root.add_subcommand(
      "preprocess",
      "a CT volume from its file to HU at one spacing, in memory: gunzip, HU, resample");
  app->add_option("--file", o->file, "NIfTI file, zipped or not")
      ->required()
      ->check(CLI::ExistingFile);
  app->add_option("--spacing", o->spacing, "mm along D,H,W")->capture_default_str();
  app->add_option("--slope", o->slope, "HU are stored values times this ...")
      ->capture_default_str();
  app->add_option("--intercept", o->intercept, "... plus this")->capture_default_str();
  app->add_option("--out", o->out,
                  "also writes the result there as a file of a volume cache, for load and start");
  add_threads(app, *o);
  add_steps(app, *o, 3);
  subjects.emplace_back(app, [o] {
    const CtPreset preset = parse_ct_preset("spacing=" + o->spacing);
    Json what = {{"file", o->file}, {"bytes", std::filesystem::file_size(o->file)}};
    Volume volume;
    for (const int threads : o->threads) {
      set_threads(threads);
      const Seconds seconds = seconds_of_steps(o->steps, [&] {
        volume = {};
        volume = ct_at_spacing(o->file, o->slope, o->intercept, preset.spacing);
      });
      const Shape& size = volume.voxels.shape();
      what["to"] = {size[0], size[1], size[2]};
      print("preprocess", what, threads, o->steps, seconds,
            {{"middle_hu", volume.voxels.data()[size.numel() / 2]}});
    }
    if (!o->out.empty())
      write_ct_cache(o->out, volume, CacheType::float16,
                     ct_cache_settings(preset, CacheType::float16));
  });
}

// ---- batches ----

/// Files of a volume cache over and over, prepared for the network. A Dataset.
struct CachedVolumes {
  std::vector<std::string> files;
  CtPreset preset;
  index_t length = 0;

  index_t size() const { return length; }
  std::string name(index_t i) const { return files[static_cast<std::size_t>(i) % files.size()]; }
  Tensor<float> get(index_t i) const {
    return ct_network_input(read_ct_cache(name(i)).voxels, preset);
  }
};

inline void add_load(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions {
    std::string model = "vit_base_singlescan_h2_token2744";
    index_t batch = 1;
    std::vector<std::string> files;
  };
  auto o = std::make_shared<Options>();
  o->threads = {1};
  auto* app = root.add_subcommand(
      "load", "batches of cached volumes from a DataLoader, as fast as it gives them");
  app->add_option("--file", o->files, "files of preprocess_ct_rate (.safetensors)")
      ->required()
      ->check(CLI::ExistingFile);
  add_model(app, o->model)->description("configuration whose input size is used");
  add_count(app, "--batch", o->batch, "volumes of a batch");
  add_threads(app, *o, "worker threads of the loader; of a list each number is measured");
  add_steps(app, *o, 9,
            "timed batches, after those that fill the loader; the mean counts, because batches "
            "come in bursts");
  subjects.emplace_back(app, [o] {
    CachedVolumes volumes{o->files, {}, 0};
    const Shape size = clip_config(o->model).vision.img_size;
    for (int d = 0; d < 3; ++d) volumes.preset.size[static_cast<std::size_t>(d)] = size[d];
    for (const int workers : o->threads) {
      LoaderOptions options;
      options.sampler.batch_size = o->batch;
      options.workers = workers;
      const index_t ahead = options.prefetch_batches + workers;
      volumes.length = (ahead + o->steps) * o->batch;
      DataLoader loader(volumes, options,
                        [](std::vector<Tensor<float>> batch) { return stack_volumes(batch); });
      for (index_t i = 0; i < ahead; ++i) loader.next();
      std::vector<double> seconds;
      for (index_t i = 0; i < o->steps; ++i) {
        const auto start = std::chrono::steady_clock::now();
        expect(loader.next().has_value(), "hlip_bench", "the loader came to its end");
        seconds.push_back(seconds_since(start));
      }
      double mean = 0;
      for (const double s : seconds) mean += s / static_cast<double>(seconds.size());
      print("load", {{"model", o->model}, {"batch", o->batch}, {"files", o->files.size()}}, workers,
            o->steps, {mean, summary(seconds).best});
    }
  });
}

// ---- reports ----

/// Reports of a file: its lines, or with column names the fields of a CSV table joined by blanks.
inline std::vector<std::string> read_reports(const std::string& path,
                                             const std::vector<std::string>& columns) {
  std::vector<std::string> reports;
  if (columns.empty()) {
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) reports.push_back(line);
  } else {
    const CsvTable table = read_csv(path, columns);
    for (std::size_t row = 0; row < table.rows(); ++row) {
      std::string report;
      for (const auto& column : columns)
        (report += report.empty() ? "" : " ") += table.at(row, table.column(column));
      reports.push_back(std::move(report));
    }
  }
  if (reports.empty()) fail_file(path, "", "holds no report");
  return reports;
}

/// One number for lists of ids, so that another program can show that it found the same (64-bit
/// FNV-1a over little-endian words).
inline std::string hash_of_ids(const std::vector<std::vector<std::int64_t>>& lists) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const auto& ids : lists)
    for (const std::int64_t id : ids)
      for (int byte = 0; byte < 8; ++byte)
        hash = (hash ^ ((static_cast<std::uint64_t>(id) >> (8 * byte)) & 0xFF)) * 0x100000001B3u;
  return fmt::format("{:016x}", hash);
}

inline void add_tokenize(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions {
    std::string file, vocab;
    std::vector<std::string> columns;
    index_t context_length = 512;
  };
  auto o = std::make_shared<Options>();
  o->threads = {1};
  auto* app = root.add_subcommand("tokenize", "WordPiece ids of all reports of a file");
  app->add_option("--file", o->file, "text, one report a line; or a table, see --column")
      ->required()
      ->check(CLI::ExistingFile);
  app->add_option("--vocab", o->vocab, "vocab.txt, one piece a line")
      ->required()
      ->check(CLI::ExistingFile);
  app->add_option("--column", o->columns,
                  "the file is CSV, and this column holds the reports; several are joined")
      ->allow_extra_args(false);
  add_count(app, "--context-length", o->context_length, "ids a report is cut to", 2);
  add_threads(app, *o, "threads that share the reports; of a list each number is measured");
  add_steps(app, *o, 9);
  subjects.emplace_back(app, [o] {
    const auto reports = read_reports(o->file, o->columns);
    const auto tokenizer = WordPieceTokenizer::load(o->vocab);
    std::vector<std::vector<std::int64_t>> ids(reports.size());
    for (const int threads : o->threads) {
      set_threads(threads);
      const Seconds seconds = seconds_of_steps(o->steps, [&] {
#pragma omp parallel for schedule(dynamic, 16)
        for (std::size_t i = 0; i < reports.size(); ++i)
          ids[i] = tokenizer.encode_unpadded(reports[i], o->context_length);
      });
      std::size_t total = 0;
      for (const auto& list : ids) total += list.size();
      const Json what = {{"file", o->file},
                         {"reports", reports.size()},
                         {"ids", total},
                         {"hash", hash_of_ids(ids)}};
      print("tokenize", what, threads, o->steps, seconds,
            {{"reports_per_second", static_cast<double>(reports.size()) / seconds.median}});
    }
  });
}

}  // namespace bench
