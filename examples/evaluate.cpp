// Zero-shot evaluation on the public test sets, each in its published layout, and on studies in the layout of train_brain_mri.
//
//   evaluate ct-rate     --checkpoint runs/x --data-root CT-RATE/dataset --out results
//   evaluate rad-chestct --checkpoint runs/x --data-root rad_chestct --labels rad_chestct_labels.csv --out results
//   evaluate pub-brain-5 --checkpoint runs/x --data-root pub_brain_5 --labels pub_brain_5.csv --out results
//   evaluate brain-mri   --checkpoint runs/x --data-root DIR --studies DIR/valid_studies.json --labels DIR/valid_labels.csv --out results
//   evaluate rad-chestct --scores results/scores.csv --labels rad_chestct_labels.csv --out again      (no model needed)
#include <hlip/hlip.hpp>

#include <hlip/data/brain_mri.hpp>
#include <hlip/data/ct_rate.hpp>
#include <hlip/data/gzip_libdeflate.hpp>
#include <hlip/data/load_ct_rate.hpp>
#include <hlip/data/plausible_ct.hpp>
#include <hlip/data/public_studies.hpp>
#include <hlip/eval/auc_table.hpp>
#include <hlip/eval/brain_prompts.hpp>
#include <hlip/eval/evaluation_tables.hpp>
#include <hlip/eval/head_ct_prompts.hpp>
#include <hlip/eval/pub_brain_5.hpp>
#include <hlip/eval/rad_chestct.hpp>
#include <hlip/eval/score_table.hpp>
#include <hlip/train/command_line.hpp>
#include <hlip/train/device.hpp>
#include <hlip/train/model_option.hpp>
#include <hlip/train/published_model.hpp>
#include <hlip/train/trained_model.hpp>
#include <hlip/train/zero_shot_ct.hpp>

#include <fmt/format.h>
#include <omp.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>

using namespace hlip;

namespace {

struct Options {
  std::string checkpoint, model, vocab, data_root, labels, out, scores, embeddings, studies, split,
      save_inputs, spacing_from = "table", prompts = "volume", device = "cpu", precision = "fp32";
  bool already_hu = false, allow_absent = false;
  index_t num_slices = 0;
  int threads = 0;
  BootstrapOptions bootstrap;
};

/// What is odd about studies: said on stderr when it is met, the first twenty times.
class Warnings {
 public:
  void say(const std::string& where, const std::string& what) {
    if (++count_ <= most) fmt::print(stderr, "{}: warning: {}\n", visible_text(where), what);
  }
  void finish() const {
    if (count_ > most) fmt::print(stderr, "… and {} more warnings\n", count_ - most);
  }

 private:
  static constexpr std::size_t most = 20;
  std::size_t count_ = 0;
};

/// Studies to load one after another. A Dataset.
struct Studies {
  std::vector<std::string> names;
  std::function<Tensor<float>(index_t, Warnings&)> load;  ///< (N, D, H, W): the scans of study i
  std::function<void()> finish = [] {};                   ///< says what was done to all of them
  std::shared_ptr<Warnings> warnings = std::make_shared<Warnings>();
  index_t size() const { return static_cast<index_t>(names.size()); }
  std::string name(index_t i) const { return names[static_cast<std::size_t>(i)]; }
  Tensor<float> get(index_t i) const { return load(i, *warnings); }
};

/// Image features of studies, computed once and kept: everything that follows needs no images.
struct Embeddings {
  std::vector<std::string> studies;
  std::vector<double> features;  ///< row-major (studies, dim), of length 1
  index_t dim = 0;
  double scale = 1;  ///< exp(logit_scale)
};

/// A trained model on whatever device: what is known about it, and features of length 1 from its towers.
struct Model {
  std::string path, table;
  ClipConfig config;
  CtPreset preset;
  std::optional<MriPreset> mri;
  double scale = 1;                                                                     ///< exp(logit_scale)
  std::function<std::vector<double>(const Tensor<float>&)> encode_study;                ///< (N, D, H, W)
  std::function<std::vector<double>(const std::vector<std::string>&)> encode_prompts;  ///< row-major (prompts, dim)
};

template <class B>
Model load_model(B, const Options& o) {
  const auto t = std::make_shared<const TrainedModel<3, B>>(is_file(o.checkpoint) ? load_published_model<3, B>(o.checkpoint, clip_config_named(o.model), o.vocab) : load_trained_model<3, B>(o.checkpoint));
  Model m{t->path, t->table, t->model.config, t->preset, t->mri, std::exp(static_cast<double>(t->model.logit_scale.item())), {}, {}};
  m.encode_study = [t](const Tensor<float>& scans) {
    NoGrad guard;
    const Shape s = scans.shape();
    const auto features = t->model.encode_image(Var<float, B>(on_backend<B>(scans.reshape({1, s[0], 1, s[1], s[2], s[3]})))).value().to_vector();
    return std::vector<double>(features.begin(), features.end());
  };
  m.encode_prompts = [t](const std::vector<std::string>& prompts) { return encode_prompts(t->model, *t->tokenizer, prompts); };
  return m;
}

using Find = std::function<Studies(const Model&)>;
using Score = std::function<std::vector<double>(const Model&, const Embeddings&)>;
using Name = std::function<std::string(std::string_view)>;

const Name bare = [](std::string_view path) { return bare_name(path); };

void write_embeddings(const std::string& path, const Embeddings& e) {
  const std::vector<float> features(e.features.begin(), e.features.end());
  SafetensorsWriter file;
  file.add("features", std::span<const float>(features), {static_cast<index_t>(e.studies.size()), e.dim});
  const std::vector<double> scale = {e.scale};
  file.add("scale", std::span<const double>(scale), {1});
  file.metadata("studies", Json(e.studies).dump());
  file.write(path);
}

/// Features of every study that can be read. What is fed to the network is kept, too, where
/// --save-inputs asks for it.
/// @param failed gets a message for each study that cannot be read; the rest goes on without it
Embeddings embed(const Options& o, const Model& m, const Studies& studies, Problems& failed) {
  Embeddings e{{}, {}, 0, m.scale};
  LoaderOptions loading;
  loading.sampler = {.batch_size = 1, .shuffle = false, .drop_last = false};
  loading.skip_bad = true;
  DataLoader loader(studies, loading,
                    [](std::vector<Tensor<float>> batch) { return batch.front(); });
  const index_t n = studies.size(), twentieth = std::max<index_t>(1, n / 20);
  auto said = std::chrono::steady_clock::now();
  try {
    for (index_t done = 0; auto batch = loader.next();) {
      const auto study = batch->indices.front();
      if (!o.save_inputs.empty()) {
        SafetensorsWriter file;
        file.add("input", batch->data);
        file.metadata("study", studies.name(study));
        file.write(fmt::format("{}/input_{:06}.safetensors", o.save_inputs, study));
      }
      const auto f = m.encode_study(batch->data);
      e.dim = static_cast<index_t>(f.size());
      e.features.insert(e.features.end(), f.begin(), f.end());
      e.studies.push_back(studies.name(study));
      const auto now = std::chrono::steady_clock::now();
      if ((++done % twentieth == 0 && n >= 20) || now - said >= std::chrono::minutes(1)) {
        fmt::print(stderr, "{} of {} studies\n", done, n);
        said = now;
      }
    }
  } catch (...) {  // what took hours is kept
    if (!e.studies.empty()) {
      write_embeddings(o.out + "/embeddings.safetensors", e);
      fmt::print(stderr, "{}/embeddings.safetensors holds the {} studies that were done\n", o.out,
                 e.studies.size());
    }
    throw;
  }
  for (const auto& bad : loader.bad_samples())
    failed.push_back(fmt::format("{}: {}", bad.name, bad.message));
  studies.warnings->finish();
  studies.finish();
  return e;
}

Embeddings read_embeddings(const std::string& path) {
  const SafetensorsFile file(path);
  if (!file.contains("features") || !file.contains("scale") || file.info("features").shape.rank() != 2 || file.info("scale").shape.numel() != 1) fail_file(path, "", "is not what evaluate writes: features (studies, dim) and scale are expected");
  Embeddings e{{}, file.values<double>("features"), file.info("features").shape[1], file.values<double>("scale")[0]};
  const Json names = parse_json(file.metadata("studies"), path);
  for (const auto& n : names)
    if (n.is_string()) e.studies.push_back(n.get<std::string>());
  if (static_cast<index_t>(e.studies.size()) != file.info("features").shape[0]) fail_file(path, "studies", "names {} studies, features has {}", e.studies.size(), file.info("features").shape[0]);
  return e;
}

/// scale * cosine of studies and prompts, each the mean of its templates.
std::vector<double> prompt_logits(const Model& m, const Embeddings& e, const std::vector<std::string>& prompts, std::size_t templates, double scale) {
  const auto embedded = m.encode_prompts(prompts);
  const auto n = static_cast<std::int64_t>(prompts.size() / templates);
  return zero_shot_logits(e.features, zero_shot_weights(embedded, n, static_cast<std::int64_t>(templates), e.dim), e.dim, scale);
}

/// The scores of every study, and which studies have none because they could not be read.
struct Scored : ScoreTable {
  Problems failed;
  /// The end of a program: says what failed. @return its exit code
  int finish() const {
    constexpr std::size_t most = 20;
    if (failed.empty()) return 0;
    fmt::print(stderr, "evaluate: {} of {} studies could not be read and are not in the results:\n",
               failed.size(), failed.size() + studies.size());
    for (std::size_t i = 0; i < std::min(most, failed.size()); ++i)
      fmt::print(stderr, "  {}\n", failed[i]);
    if (failed.size() > most)
      fmt::print(stderr, "  … and {} more; metrics.json lists them all\n", failed.size() - most);
    return 1;
  }
};

/// Scores: read, or made of embeddings that are read or made of images. What is made is kept in
/// --out.
Scored obtain_scores(const Options& o, const std::vector<std::string>& columns, const Name& name,
                     const Find& find, const Score& score) {
  if (!o.scores.empty()) return {read_score_table(o.scores, columns, name), {}};
  apply_precision(o.device, o.precision);
  const Model m = on_device(o.device, [&](auto device) { return load_model(device, o); });
  fmt::print("model: {}, {}\n{}", visible_text(m.path), visible_text(m.config.name), m.table);
  Embeddings e;
  Problems failed;
  if (o.embeddings.empty()) {
    e = embed(o, m, find(m), failed);
    write_embeddings(o.out + "/embeddings.safetensors", e);
  } else {
    e = read_embeddings(o.embeddings);
  }
  Scored scored{{columns, e.studies, score(m, e)}, std::move(failed)};
  atomic_write(o.out + "/scores.csv", scored.to_csv());
  return scored;
}

Json json_number(double v) { return std::isnan(v) ? Json() : Json(v); }
Json json_note(const std::string& note) { return note.empty() ? Json() : Json(note); }

/// What every result says about itself.
Json about(const Options& o, const std::string& dataset, const Scored& scored) {
  Json j;
  j["dataset"] = dataset;
  j["studies"] = scored.studies.size();
  j["failed"] = scored.failed;
  j["scores"] = o.scores.empty() ? o.out + "/scores.csv" : o.scores;
  j["intervals"] = {{"method", "percentile bootstrap over studies"}, {"resamples", o.bootstrap.resamples}, {"confidence", o.bootstrap.confidence}, {"seed", o.bootstrap.seed}};
  return j;
}

void write_results(const Options& o, const std::string& csv, const Json& json) {
  atomic_write(o.out + "/metrics.csv", csv);
  atomic_write(o.out + "/metrics.json", json.dump(2) + "\n");
  fmt::print("written: {0}/metrics.csv, {0}/metrics.json{1}\nFor research only: not a medical device.\n", o.out, o.scores.empty() ? ", and scores.csv to score again without a model" : "");
}

/// The table of yes/no findings of chest CT.
void report_findings(const Options& o, const std::string& dataset, const Scored& scored,
                     std::span<const std::string> names, std::span<const double> scores,
                     std::span<const std::int64_t> labels) {
  const ZeroShotTable table(names, scores, labels, o.bootstrap);
  Json j = about(o, dataset, scored);
  j["macro_auc"] = {{"value", json_number(table.macro_auc())},
                    {"low", json_number(table.macro_interval().low)},
                    {"high", json_number(table.macro_interval().high)},
                    {"interval_note", json_note(interval_note(table.macro_interval()))}};
  j["notes"] = {"fitted_*: at a threshold fitted on these same test labels, which is optimistic; fitted_accuracy is plain accuracy, which the reference prints as \"acc (balanced)\"",
                "findings whose labels are all equal have no metrics (null) and count in no mean: see left_out"};
  j["left_out"] = table.left_out();
  for (std::size_t k = 0; k < BinaryMetrics::columns; ++k) j["means"][std::string(BinaryMetrics::names[k])] = json_number(table.means()[k]);
  for (const auto& r : table.rows()) {
    Json f = {{"finding", r.name}, {"positives", r.metrics.positives}, {"negatives", r.metrics.negatives}, {"auc_low", json_number(r.auc_interval.low)}, {"auc_high", json_number(r.auc_interval.high)}, {"interval_note", json_note(r.note())}};
    for (std::size_t k = 0; k < BinaryMetrics::columns; ++k) f[std::string(BinaryMetrics::names[k])] = json_number(r.metrics.values()[k]);
    j["findings"].push_back(std::move(f));
  }
  fmt::print("{}", table.to_text(true));
  write_results(o, table.to_csv(), j);
  fmt::print("{}\n", table.last_line());
}

void report_ranking(const Options& o, const std::string& dataset, const Scored& scored,
                    const AucTable& table) {
  Json j = about(o, dataset, scored);
  j["macro_auc"] = {{"value", json_number(table.macro_auc())},
                    {"low", json_number(table.macro_interval().low)},
                    {"high", json_number(table.macro_interval().high)},
                    {"interval_note", json_note(interval_note(table.macro_interval()))}};
  j["left_out"] = table.left_out();
  for (const auto& r : table.rows())
    j["findings"].push_back({{"finding", r.name}, {"positives", r.positives}, {"negatives", r.negatives}, {"auc", json_number(r.auc)}, {"auc_low", json_number(r.interval.low)}, {"auc_high", json_number(r.interval.high)}, {"interval_note", json_note(r.note())}});
  fmt::print("{}", table.to_text());
  write_results(o, table.to_csv(), j);
  fmt::print("{}\n", table.last_line());
}

void say_unscored(std::size_t labelled, std::size_t scored) {
  if (scored < labelled) fmt::print("note: {} of {} labelled studies have no score and are left out\n", labelled - scored, labelled);
}

/// P(positive) of each finding.
Score pair_scores(const std::vector<ZeroShotClass>& classes) {
  return [classes](const Model& m, const Embeddings& e) { return ZeroShotClassifier(classes, m.encode_prompts, m.scale).probabilities(e.features); };
}

void expect_ct_model(const Model& m) {
  if (m.mri) fail_file(m.path, "", "is a model for MRI, this set is of CT");
}

/// As published (<id>.npz), or prepared: the published preparation leaves <id>/<id>.pt, the
/// published evaluation looks for <id>.pt.
std::string rad_chestct_file(const std::string& root, const std::string& id) {
  for (const std::string& prepared :
       {fmt::format("{}/{}.pt", root, id), fmt::format("{0}/{1}/{1}.pt", root, id)})
    if (is_file(prepared)) return prepared;
  return fmt::format("{}/{}.npz", root, id);
}

/// The network's input of a CT in HU; what is implausible about the scan is said.
Tensor<float> plausible_input(const Volume& ct, const CtPreset& preset, Warnings& warnings) {
  for (const auto& odd : ct_oddities(hu_range(ct.voxels), ct.voxels.shape(), ct))
    warnings.say(ct.source, odd.what);
  return preprocess_ct(ct, preset);
}
Tensor<float> plausible_input(CtScan ct, const CtPreset& preset, Warnings& warnings) {
  for (const auto& odd : ct_oddities(survey(ct), ct.shape(), ct.frame))
    warnings.say(ct.frame.source, odd.what);
  return preprocess_ct(ct, preset);
}

Tensor<float> one_scan(const Tensor<float>& x) { return x.reshape({1, x.dim(0), x.dim(1), x.dim(2)}); }

/// The file of a CT-RATE volume in a tree that the published preparation made, or nothing.
std::string prepared_ct_file(const Options& o, const std::string& volume) {
  if (const auto name = parse_ct_rate_name(volume))
    for (const std::string& folder : {o.data_root + "/" + o.split, o.data_root})
      if (const auto path = fmt::format("{}/{}/{}/{}.pt", folder, name->patient, name->study, name->volume); is_file(path)) return path;
  return "";
}

/// Volumes that the published preparation brought to HU and spacing, if there are any.
std::optional<Studies> prepared_ct(const Options& o, const Model& m, const std::vector<std::string>& volumes) {
  Studies s;
  std::vector<std::string> files;
  for (const auto& v : volumes)
    if (auto file = prepared_ct_file(o, v); !file.empty()) s.names.push_back(v), files.push_back(std::move(file));
  if (files.empty()) return std::nullopt;
  if (o.already_hu) fail_file(files.front(), "", "is prepared, and in HU by that: --already-hu means nothing here");
  if (o.spacing_from != "table")
    fail_file(files.front(), "",
              "is prepared, and resampled by that: --spacing-from means nothing here");
  if (files.size() < volumes.size() && !o.allow_absent) fail_file(o.data_root, "", "holds {} of the {} labelled volumes as .pt; hint: --allow-absent", files.size(), volumes.size());
  s.load = [files = std::move(files), preset = m.preset](index_t i, Warnings& w) {
    return one_scan(
        plausible_input(read_prepared_ct(files[static_cast<std::size_t>(i)]), preset, w));
  };
  return s;
}

int run_ct_rate(Options o) {
  if (o.split.empty()) o.split = "valid";
  const auto classes = ct_rate_prompts(prompt_template(o.prompts));
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> columns;
  for (const auto& c : classes) names.push_back(c.name), columns.push_back({c.label_column});
  std::string path = o.labels;
  for (const char* split : {"", "validation"})
    if (const std::string candidate = fmt::format("{}/multi_abnormality_labels/{}_predicted_labels.csv", o.data_root, *split ? split : o.split.c_str()); path.empty() && is_file(candidate)) path = candidate;
  if (path.empty()) fail_file(o.data_root, "", "holds no multi_abnormality_labels/{}_predicted_labels.csv; hint: --labels FILE", o.split);
  const auto labels = read_label_table(path, "VolumeName", columns, bare);
  const Find find = [&](const Model& m) {
    expect_ct_model(m);
    if (auto prepared = prepared_ct(o, m, labels.studies)) return *std::move(prepared);
    CtRateOptions reading;
    reading.need_reports = false;
    reading.need_labels = o.labels.empty();
    reading.already_hu = o.already_hu;
    reading.allow_absent = o.allow_absent;
    auto data = read_ct_rate(o.data_root, o.split, reading);
    expect_no_problems(data.problems, o.data_root, o.split);
    if (data.absent > 0) fmt::print("note: {} volumes are not there\n", data.absent);
    const auto volumes = std::make_shared<std::vector<CtRateVolume>>();
    Studies s;
    for (const auto& study : data.studies)
      for (const auto& r : study.recons)
        if (labels.row_of.contains(r.name)) s.names.push_back(r.name), volumes->push_back(r);
    CtPreset preset = m.preset;
    preset.already_hu = o.already_hu;
    s.load = [volumes, preset, from_header = o.spacing_from == "header"](index_t i, Warnings& w) {
      CtScan scan = open_ct_rate_volume((*volumes)[static_cast<std::size_t>(i)], preset);
      if (from_header) scan.frame = CtScan(scan.stored, scan.slope, scan.intercept).frame;
      return one_scan(plausible_input(std::move(scan), preset, w));
    };
    return s;
  };
  const auto scores = obtain_scores(o, names, bare, find, pair_scores(classes));
  say_unscored(labels.studies.size(), scores.studies.size());
  report_findings(o, "CT-RATE", scores, names, scores.values, labels_of(scores, labels, path));
  return scores.finish();
}

int run_rad_chestct(const Options& o) {
  const auto labels = read_label_table(o.labels, "NoteAcc_DEID", rad_chestct_label_columns(), bare);
  const auto& names = labels.columns;
  const Find find = [&](const Model& m) {
    Studies s;
    std::string absent;
    for (const auto& id : labels.studies)
      if (const auto path = rad_chestct_file(o.data_root, id); is_file(path)) s.names.push_back(id);
      else if (absent.empty()) absent = path;
    if (!absent.empty() && !o.allow_absent) fail_file(absent, "", "is absent, and {} of {} in all; hint: --allow-absent", labels.studies.size() - s.names.size(), labels.studies.size());
    expect_ct_model(m);
    s.load = [root = o.data_root, names = s.names, preset = m.preset](index_t i, Warnings& w) {
      return one_scan(plausible_input(
          read_rad_chestct(rad_chestct_file(root, names[static_cast<std::size_t>(i)])), preset, w));
    };
    return s;
  };
  const auto scores = obtain_scores(o, names, bare, find, pair_scores(rad_chestct_prompts(prompt_template(o.prompts))));
  say_unscored(labels.studies.size(), scores.studies.size());
  const MergedCalcification merged(scores.values, labels_of(scores, labels, o.labels));
  report_findings(o, "Rad-ChestCT", scores, merged.names, merged.scores, merged.labels);
  return scores.finish();
}

/// How scans are prepared: as in the training of the checkpoint if it says so, otherwise as HLIP
/// evaluates.
/// @param own_sizes whether the files of the set have each scan's own size (Pub-Brain-5)
ScanPreparation scan_preparation(const Options& o, const Model& m, bool own_sizes, RawScans raw) {
  ScanPreparation how;
  how.preset = m.mri ? *m.mri
                     : mri_preset(own_sizes ? pub_brain_5_slices(m.config.name)
                                            : m.config.vision.img_size[0],
                                  m.config.vision.img_size[1]);
  if (o.num_slices > 0) how.preset.num_slices = o.num_slices;
  how.raw = raw;
  how.by_size = !own_sizes;
  how.keep_slices = !m.mri && o.num_slices == 0;
  return how;
}

/// Studies of scans.
Studies scan_studies(std::vector<std::string> names, std::vector<std::vector<std::string>> files,
                     const ScanPreparation& how) {
  fmt::print("preparation of scans: {}\n", to_string(how));
  struct Counts {
    std::size_t prepared = 0, fitted = 0;
  };
  const auto counts = std::make_shared<Counts>();
  Studies s;
  s.names = std::move(names);
  s.load = [files = std::move(files), how, counts](index_t i, Warnings& warnings) {
    std::vector<Tensor<float>> scans;
    for (const auto& f : files[static_cast<std::size_t>(i)]) {
      PublicScan scan = load_public_scan(f, how);
      for (const auto& w : scan.warnings) warnings.say(f, w);
      ++(scan.was_prepared ? counts->prepared : counts->fitted);
      if (!scans.empty() && !(scan.input.shape() == scans.front().shape()))
        fail_file(f, "", "is {}, the study's first scan {}; hint: --num-slices",
                  to_string(scan.input.shape()), to_string(scans.front().shape()));
      scans.push_back(std::move(scan.input));
    }
    return stack(scans, 0);
  };
  s.finish = [counts] {
    fmt::print("scans: {} were prepared, {} padded, resized and cropped\n", counts->prepared,
               counts->fitted);
  };
  return s;
}

/// Where a study of the table lies: the part of its path below "pub_brain_5/", below --data-root.
std::string below_root(const Options& o, const std::string& study) {
  constexpr std::string_view root = "pub_brain_5/";
  const auto at = study.find(root);
  const std::string inside = at == study.npos ? study : study.substr(at + root.size());
  if (!is_inside_name(inside)) fail_file(o.labels, "column study", "{} leads out of the data folder", quote_text(study));
  return o.data_root + "/" + inside;
}

int run_pub_brain_5(const Options& o) {
  const auto as_it_is = [](std::string_view s) { return std::string(s); };
  const auto labels = read_label_table(o.labels, "study", pub_brain_5_label_columns(), as_it_is);
  const auto& names = labels.columns;
  const Find find = [&](const Model& m) {
    std::vector<std::vector<std::string>> files;
    for (const auto& s : labels.studies) files.push_back(scan_files(below_root(o, s)));
    return scan_studies(labels.studies, std::move(files),
                        scan_preparation(o, m, true, RawScans::prepare_public));
  };
  const auto scores = obtain_scores(o, names, as_it_is, find, [](const Model& m, const Embeddings& e) { return prompt_logits(m, e, pub_brain_5_prompts(), 1, e.scale); });
  say_unscored(labels.studies.size(), scores.studies.size());
  const auto onehot = labels_of(scores, labels, o.labels);
  std::vector<std::size_t> classes;
  for (std::size_t i = 0; i < scores.studies.size(); ++i) {
    const auto row = std::span(onehot).subspan(i * names.size(), names.size());
    if (std::count(row.begin(), row.end(), 1) != 1) fail_file(o.labels, "", "study {} has {} classes, expected one", quote_text(scores.studies[i]), std::count(row.begin(), row.end(), 1));
    classes.push_back(static_cast<std::size_t>(std::find(row.begin(), row.end(), 1) - row.begin()));
  }
  std::vector<PubBrainResult> results;
  for (const auto& task : pub_brain_5_tasks()) results.push_back(score_pub_brain_task(task, scores.studies, scores.values, classes, o.bootstrap));
  Json j = about(o, "Pub-Brain-5", scores);
  j["notes"] = {"balanced_accuracy and auc of tumor and disease are means over the classes that occur; tasks whose studies are all of one class have no metrics (null)"};
  for (const auto& r : results)
    j["tasks"].push_back({{"task", r.name},
                          {"studies_of_each_class", r.counts},
                          {"balanced_accuracy", json_number(r.balanced_accuracy)},
                          {"balanced_accuracy_low", json_number(r.balanced_accuracy_interval.low)},
                          {"balanced_accuracy_high", json_number(r.balanced_accuracy_interval.high)},
                          {"auc", json_number(r.auc)},
                          {"auc_low", json_number(r.auc_interval.low)},
                          {"auc_high", json_number(r.auc_interval.high)},
                          {"weighted_f1", json_number(r.weighted_f1)},
                          {"recall", json_number(r.recall)},
                          {"precision", json_number(r.precision)},
                          {"interval_note", json_note(r.note())}});
  fmt::print("{}", pub_brain_text(results));
  write_results(o, pub_brain_csv(results), j);
  return scores.finish();
}

/// Studies as train_brain_mri takes them for its last evaluation, which this repeats without training. Every column of the labels is a finding.
int run_brain_mri(const Options& o) {
  const auto as_it_is = [](std::string_view s) { return std::string(s); };
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> columns;
  const CsvTable table = read_csv(o.labels, {"study"});
  for (const auto& c : table.columns())
    if (c != "study") names.push_back(c), columns.push_back({c});
  if (names.empty()) fail_file(o.labels, "", "has no column beside study, expected one for each finding");
  const auto labels = read_label_table(o.labels, "study", columns, as_it_is);
  const Find find = [&](const Model& m) {
    BrainDataset data = read_brain_mri(o.data_root, o.studies, {.split = o.split, .need_reports = false, .check = VolumeCheck::header});
    expect_no_problems(data.problems, data.root, data.split);
    std::erase_if(data.studies, [&](const BrainStudy& s) { return !labels.row_of.contains(s.name); });
    if (data.studies.empty()) fail_file(o.studies, "", "holds no study that {} has labels of", o.labels);
    std::vector<std::string> found;
    std::vector<std::vector<std::string>> files;
    for (const auto& study : data.studies) {
      found.push_back(study.name);
      files.emplace_back();
      for (const auto& scan : study.scans) files.back().push_back(scan.path);
    }
    return scan_studies(std::move(found), std::move(files),
                        scan_preparation(o, m, false, RawScans::prepare));
  };
  const auto scores = obtain_scores(o, names, as_it_is, find, pair_scores(brain_prompts(names)));
  say_unscored(labels.studies.size(), scores.studies.size());
  report_findings(o, "brain MRI", scores, names, scores.values,
                  labels_of(scores, labels, o.labels));
  return scores.finish();
}

/// RSNA (one study for each series of RSNA_<study>) and CQ500 (all scans of all series of a study).
int run_head_ct(const Options& o, bool rsna) {
  const RankingPrompts prompts = rsna ? rsna_prompts() : cq500_prompts();
  const auto as_it_is = [](std::string_view s) { return std::string(s); };
  const auto labels = read_label_table(o.labels, "study", ranking_label_columns(prompts), as_it_is);
  const auto& names = labels.columns;
  const Find find = [&](const Model& m) {
    std::vector<std::string> found;
    std::vector<std::vector<std::string>> files;
    for (const auto& study : labels.studies) {
      if (!is_inside_name(study)) fail_file(o.labels, "column study", "{} leads out of the data folder", quote_text(study));
      const auto series = folders_in(fmt::format("{}/{}{}", o.data_root, rsna ? "RSNA_" : "", study));
      if (!rsna) found.push_back(study), files.emplace_back();
      for (const auto& s : series) {
        auto scans = scan_files(s);
        if (rsna) found.push_back(study + "/" + std::filesystem::path(s).filename().string()), files.push_back(std::move(scans));
        else files.back().insert(files.back().end(), scans.begin(), scans.end());
      }
    }
    return scan_studies(std::move(found), std::move(files),
                        scan_preparation(o, m, false, RawScans::refuse));
  };
  auto scores = obtain_scores(o, names, as_it_is, find, [&](const Model& m, const Embeddings& e) { return prompt_logits(m, e, prompts.filled(), prompts.templates.size(), 1); });
  if (rsna)  // a series has the labels of its study
    for (auto& s : scores.studies) s = s.substr(0, s.find('/'));
  report_ranking(o, rsna ? "RSNA" : "CQ500", scores,
                 AucTable(names, scores.values, labels_of(scores, labels, o.labels), o.bootstrap));
  return scores.finish();
}

}  // namespace

int main(int argc, char** argv) {
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app("Zero-shot evaluation on the public test sets, or on brain studies of your own. Each has its own options: evaluate SET --help.", "evaluate");
  app.require_subcommand(1);
  Options o;
  struct Set {
    const char *name, *says;
    bool chest, slices;
    std::function<int(const Options&)> run;
  };
  const Set sets[] = {{"ct-rate", "CT-RATE: 16 of its 18 findings", true, false, run_ct_rate},
                      {"rad-chestct", "Rad-ChestCT: 15 findings, the two calcifications merged", true, false, run_rad_chestct},
                      {"pub-brain-5", "Pub-Brain-5: four detections, tumours, diseases", false, true, run_pub_brain_5},
                      {"rsna", "RSNA intracranial hemorrhage: 5 findings", false, true, [](const Options& x) { return run_head_ct(x, true); }},
                      {"cq500", "CQ500: 11 findings", false, true, [](const Options& x) { return run_head_ct(x, false); }},
                      {"brain-mri", "studies in the layout of train_brain_mri, with findings of your own", false, true, run_brain_mri}};
  for (const auto& set : sets) {
    auto* sub = app.add_subcommand(set.name, set.says);
    auto* scores = sub->add_option("--scores", o.scores, "score this table again (scores.csv of an earlier run, or of the reference): needs no model and no images")->check(CLI::ExistingFile);
    auto* checkpoint = sub->add_option("--checkpoint", o.checkpoint, "run or checkpoint folder, or a file of weights (.pt, .pth, .bin, .safetensors)")->excludes(scores);
    add_model_option(*sub, o.model, "what a file of weights holds")->needs(checkpoint);
    sub->add_option("--vocab", o.vocab, "of a file of weights: WordPiece vocabulary of its text tower")->check(CLI::ExistingFile)->needs(checkpoint);
    auto* embeddings = sub->add_option("--embeddings", o.embeddings, "embeddings.safetensors of an earlier run of the same model: needs no images")->check(CLI::ExistingFile)->needs(checkpoint);
    auto* root = sub->add_option("--data-root", o.data_root, "folder of the images, in the published layout")->check(CLI::ExistingDirectory);
    auto* labels = sub->add_option("--labels", o.labels, "table of labels (CSV)")->check(CLI::ExistingFile);
    if (std::string_view(set.name) == "brain-mri") {
      sub->add_option("--studies", o.studies, "studies to evaluate: {study: {\"series\": {scan: …}}}")->check(CLI::ExistingFile)->excludes(scores)->excludes(embeddings);
      sub->add_option("--split", o.split, "folder of their voxels (default: the JSON's name up to its first underscore)")->excludes(scores)->excludes(embeddings);
    }
    if (std::string_view(set.name) == "ct-rate") {
      sub->add_option("--split", o.split, "split of the tree (default: valid)");
      sub->add_flag("--already-hu", o.already_hu, "the volumes are in HU: slope and intercept of the table are not applied")->excludes(scores)->excludes(embeddings);
      sub->add_option("--spacing-from", o.spacing_from,
                      "where the voxel size is taken from: the table, as HLIP does, or each file's "
                      "header, as zero_shot_ct_rate does")
          ->check(CLI::IsMember({"table", "header"}))
          ->capture_default_str()
          ->excludes(scores)
          ->excludes(embeddings);
    } else {
      labels->required();
    }
    if (set.chest) {
      sub->add_option("--template", o.prompts, "prompt template")->check(CLI::IsMember({"volume", "organ"}))->capture_default_str()->excludes(scores);
      sub->add_flag("--allow-absent", o.allow_absent, "evaluate the volumes that are there")->excludes(scores)->excludes(embeddings);
    }
    if (set.slices)
      sub->add_option(
             "--num-slices", o.num_slices,
             fmt::format("slices each scan is brought to (default: as in the training of the "
                         "checkpoint; for a file of weights {})",
                         std::string_view(set.name) == "pub-brain-5"
                             ? "144, or 48 for the later models …_scan_study_…, as published"
                             : "those a prepared scan has"))
          ->check(CLI::Range(1, 4096))
          ->excludes(scores)
          ->excludes(embeddings);
    sub->add_option("--save-inputs", o.save_inputs,
                    "folder for what the network is fed, input_NNNNNN.safetensors for each study: "
                    "to see or compare what preparation makes of it")
        ->excludes(scores)
        ->excludes(embeddings);
    sub->add_option("--out", o.out, "folder of the results")->required();
    sub->add_option("--resamples", o.bootstrap.resamples, "bootstrap resamples of the intervals")->check(CLI::Range(1, 1000000))->capture_default_str();
    sub->add_option("--confidence", o.bootstrap.confidence, "of the intervals")->check(CLI::Range(0.01, 0.999))->capture_default_str();
    sub->add_option("--seed", o.bootstrap.seed, "of the resamples")->capture_default_str();
    sub->add_option("--threads", o.threads, "compute threads (default: all cores)")->check(CLI::Range(0, 4096));
    add_device_option(*sub, o.device)->needs(checkpoint);
    add_precision_option(*sub, o.precision)->needs(checkpoint);
    if (std::string_view(set.name) != "ct-rate") root->excludes(scores)->excludes(embeddings);
  }
  return run_program(app, argc, argv, [&] {
    const auto wrong = [](const char* what) {
      fmt::print(stderr, "evaluate: {}\n", what);
      return 2;
    };
    if (o.scores.empty() && o.checkpoint.empty()) return wrong("give --checkpoint DIR, or --scores FILE to score a table again");
    const bool weights = is_file(o.checkpoint);
    if (weights && (o.model.empty() || o.vocab.empty())) return wrong("a file of weights needs --model NAME and --vocab FILE");
    if (!weights && !(o.model.empty() && o.vocab.empty())) return wrong("--model and --vocab say what a file of weights is: they mean nothing with a checkpoint folder, which says it itself");
    if (o.data_root.empty() && o.scores.empty() && o.embeddings.empty()) return wrong("give --data-root DIR, the folder of the images");
    if (app.got_subcommand("brain-mri") && o.studies.empty() && o.scores.empty() && o.embeddings.empty()) return wrong("give --studies FILE, the studies to evaluate");
    if (o.threads > 0) omp_set_num_threads(o.threads);
    std::error_code failed;
    for (const auto& folder : {o.out, o.save_inputs}) {
      if (!folder.empty()) std::filesystem::create_directories(folder, failed);
      if (failed) fail_file(folder, "", "cannot be made: {}", failed.message());
    }
    for (const auto& set : sets)
      if (app.got_subcommand(set.name)) return set.run(o);
    return 2;
  });
}
