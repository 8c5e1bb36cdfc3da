// The same encoder as train_rad_dino's, trained with labels: what the probe of an encoder that
// never saw one is to be compared with.
//
//   train_radiograph_labels --images radiographs.csv --model radiograph_phantom --out runs/labels
#include <hlip/hlip.hpp>

#include <hlip/cli/run_options.hpp>
#include <hlip/datasets/chest_xray/table.hpp>
#include <hlip/imaging/augment/multi_crop.hpp>
#include <hlip/imaging/read_radiograph.hpp>
#include <hlip/losses/binary_cross_entropy.hpp>
#include <hlip/systems/rad_dino/picture_encoder.hpp>
#include <hlip/train/report_problems.hpp>
#include <hlip/train/run.hpp>
#include <hlip/train/supervised.hpp>

#include <memory>

using namespace hlip;

namespace {

struct Options : RunOptions {
  std::string images, model = "vit_base_patch14_dinov2", split = "train";
};

/// Labelled radiographs: a random view of each, changed as the large views of self-distillation.
class Labelled {
 public:
  struct Sample {
    Tensor<float> view;  // (C, S, S)
    std::vector<float> labels;
  };
  std::vector<std::string> findings;

  Labelled(const Options& o, RunFolder& folder, const VitConfig& config)
      : crops_(rad_dino_crops()) {
    const RadiographTable table = read_radiograph_table(o.images);
    report_problems(o, folder, table.problems, o.images, "radiographs");
    findings = label_columns(table);
    if (findings.empty()) fail_file(o.images, "", "has no column of labels: 0, 1 or nothing");
    const auto labels = radiograph_labels(table, findings);
    for (const std::size_t i : pictures_of_split(table, o.split)) {
      files_.push_back(table.images[i]);
      const auto first = labels.begin() + static_cast<std::ptrdiff_t>(i * findings.size());
      labels_.emplace_back(first, first + static_cast<std::ptrdiff_t>(findings.size()));
    }
    crops_.global_size = config.img_size, crops_.local_count = 0;
    crops_.channels = config.in_chans;
  }
  index_t size() const { return static_cast<index_t>(files_.size()); }
  const std::string& name(index_t i) const { return files_[static_cast<std::size_t>(i)]; }
  Sample get(index_t i, const RandomKey& key) const {
    const auto views = multi_crop(read_radiograph(name(i)), crops_, key);
    return {views.global.select(0, 0).contiguous(), labels_[static_cast<std::size_t>(i)]};
  }

 private:
  MultiCropOptions crops_;
  std::vector<std::string> files_;
  std::vector<std::vector<float>> labels_;
};

template <class B> struct Batch {
  Tensor<float, B> views;   // (N, C, S, S)
  Tensor<float, B> labels;  // (N, findings), NaN where unknown
};
template <class B> Batch<B> collate(const std::vector<Labelled::Sample>& samples) {
  std::vector<Tensor<float>> views;
  std::vector<float> labels;
  for (const auto& s : samples) {
    views.push_back(s.view);
    labels.insert(labels.end(), s.labels.begin(), s.labels.end());
  }
  const auto n = static_cast<index_t>(samples.size());
  return {on_backend<B>(Tensor<float>(stack(views, 0))),
          Tensor<float, B>::from_values({n, static_cast<index_t>(labels.size()) / n},
                                        std::span<const float>(labels))};
}

/// The encoder with a linear layer on its class token.
template <class B> struct Classifier {
  using value_type = float;
  using backend = B;
  Vit<float, B> backbone;
  Linear<float, B> head;
  template <class V> void visit(V&& v) { v("backbone", backbone), v("head", head); }
  Var<float, B> operator()(const Tensor<float, B>& views, const Context& context) const {
    const VitTokens<float, B> tokens = backbone({Var<float, B>(views)}, context);
    return head(features_of(backbone.norm(tokens.x), tokens.grids[0]).cls);
  }
};

template <class B> int train(B, const Options& o, const std::string& resolved) {
  VitConfig config = vit_config(o.model);
  RunFolder folder(o);
  const auto samples = std::make_shared<const Labelled>(o, folder, config);
  Initializer init(o.seed);
  Classifier<B> model{Vit<float, B>(config, init), {}};
  model.head = Linear<float, B>(config.embed_dim, static_cast<index_t>(samples->findings.size()),
                                true, 0.02, init);
  const auto loss = [&](const Batch<B>& batch, const Context& context) {
    return binary_cross_entropy_with_logits(model(batch.views, context), batch.labels);
  };
  Supervised objective(model, {.weight_decay = o.wd, .ema_decay = o.model_ema_decay}, loss);
  Run run(o, folder, {{"step", "train", "train"}});
  run.find_origin(resolved);
  run.say("{} radiographs with labels of {} findings\n", samples->size(), samples->findings.size());
  const StageResult done = run.train(objective, samples, collate<B>);
  if (done.outcome == TrainOutcome::stopped || o.dry_run) return 0;
  objective.averages().take();
  const std::string encoder = o.out + "/encoder";
  write_picture_encoder(encoder, model.backbone, preparation_for(config));
  fmt::print("the encoder is in {}\n", encoder);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  CLI::App app("Train an encoder of radiographs with the labels of a table.",
               "train_radiograph_labels");
  Options o;
  o.epochs = 20, o.batch_size = 32, o.warmup = 50, o.lr = 1e-3, o.wd = 0.05, o.beta2 = 0.999;
  app.add_option("--images", o.images, "table (CSV) with a column image and columns of labels")
      ->required()
      ->group("Data");
  app.add_option("--split", o.split,
                 "rows to learn from, where there is a column split; '' for all")
      ->capture_default_str()
      ->group("Data");
  app.add_option("--model", o.model, "what is trained")
      ->check(CLI::IsMember(vit_config_names()))
      ->capture_default_str()
      ->group("Model");
  add_loading_options(app, o, "Data");
  add_schedule_options(app, o, "Schedule");
  add_loop_options(app, o, "Loop");
  const auto body = [](auto device, auto& given, auto& all) { return train(device, given, all); };
  return run_training_program(app, argc, argv, o, run_options_fault, no_recipe, body);
}
