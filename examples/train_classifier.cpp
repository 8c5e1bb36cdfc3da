// A program of your own: a data set, a model, a loss, and the run that trains it. Names the shape
// in a noisy volume: put your volumes in place of Shapes, and your classes in place of its three.
//
//   train_classifier --out runs/shapes                    about a minute
//   train_classifier --out runs/shapes --resume latest    goes on where the run stopped
#include <hlip/hlip.hpp>

#include <hlip/cli/run_options.hpp>
#include <hlip/train/run.hpp>
#include <hlip/train/supervised.hpp>

#include <cmath>

using namespace hlip;

namespace {
constexpr index_t side = 16, classes = 3;  // a ball, a box, a shell

/// What a data set needs: size, name, get. Volume i is drawn from its number alone.
struct Shapes {
  struct Sample {
    Tensor<float> volume;  // (1, D, H, W)
    std::int64_t label;
  };
  index_t first, count;
  index_t size() const { return count; }
  std::string name(index_t i) const { return fmt::format("volume {}", first + i); }
  Sample get(index_t i) const {
    RandomStream random({2026, 1, static_cast<std::uint64_t>(first + i)});
    const auto label = static_cast<std::int64_t>(random.below(classes));
    const double r = random.uniform(3, 6), shift = random.uniform(6.5, 8.5);
    const auto volume = Tensor<float>::empty({1, side, side, side});
    for (index_t v = 0; v < volume.numel(); ++v) {
      const auto off = [&](index_t along) { return static_cast<double>(v / along % side) - shift; };
      const double dx = off(1), dy = off(side), dz = off(side * side);
      const double ball = std::hypot(dx, dy, dz) / r;
      const double box = std::max({std::abs(dx), std::abs(dy), std::abs(dz)}) / (0.8 * r);
      const bool inside = label == 0 ? ball < 1 : label == 1 ? box < 1 : ball > 0.7 && ball < 1.1;
      volume.data()[v] = static_cast<float>((inside ? 1 : 0) + 0.3 * random.normal());
    }
    return {volume, label};
  }
};

template <class B> struct Batch {
  Tensor<float, B> volumes;        // (N, 1, 1, D, H, W): studies of one scan
  Tensor<std::int64_t, B> labels;  // (N)
};
template <class B> Batch<B> collate(const std::vector<Shapes::Sample>& samples) {
  std::vector<Tensor<float>> volumes;
  std::vector<std::int64_t> labels;
  for (const auto& s : samples) volumes.push_back(s.volume), labels.push_back(s.label);
  const auto n = static_cast<index_t>(samples.size());
  return {on_backend<B>(Tensor<float>(stack(volumes, 0).reshape({n, 1, 1, side, side, side}))),
          Tensor<std::int64_t, B>::from_values({n}, std::span<const std::int64_t>(labels))};
}

/// HLIP's encoder with a linear layer on top; any struct with `visit` would do.
template <class B> struct Classifier {
  using value_type = float;
  using backend = B;
  HlipVit<3, float, B> trunk;
  Linear<float, B> head;
  explicit Classifier(Initializer init) {
    HlipVitConfig c;
    c.img_size = {side, side, side}, c.patch_size = {4, 4, 4};
    c.embed_dim = 48, c.depth = 2, c.num_heads = 4;
    c.blocks_of_level = {{0}, {1}};  // the first looks at one slice, the second at the whole scan
    trunk = HlipVit<3, float, B>(c, init), head = Linear<float, B>(48, classes, true, 0.02, init);
  }
  template <class V> void visit(V&& v) { v("trunk", trunk), v("head", head); }
  Var<float, B> operator()(const Tensor<float, B>& volumes, const Context& context = {}) const {
    return head(trunk(Var<float, B>(volumes), context));
  }
};

template <class B> int train(B, const RunOptions& o, const std::string& resolved) {
  const auto samples = std::make_shared<const Shapes>(Shapes{0, 1200});
  Classifier<B> model{Initializer(o.seed)};
  const auto loss = [&](const Batch<B>& batch, const Context& context) {
    return cross_entropy(model(batch.volumes, context), batch.labels);
  };
  Supervised objective(model, {.weight_decay = o.wd, .ema_decay = o.model_ema_decay}, loss);
  RunFolder folder(o);
  Run run(o, folder, {{"step", "train", "train"}});
  run.find_origin(resolved);
  const StageResult done = run.train(objective, samples, collate<B>);
  if (done.outcome == TrainOutcome::stopped || o.dry_run) return 0;
  objective.averages().take();
  const LoaderOptions loading{.sampler = {.batch_size = 50, .shuffle = false}};
  DataLoader unseen(Shapes{100000, 300}, loading, collate<B>);
  const NoGrad guard;
  index_t right = 0;
  while (const auto batch = unseen.next()) {
    const auto named = argmax(model(batch->data.volumes).value(), 1).to_vector();
    const auto labels = batch->data.labels.to_vector();
    for (std::size_t i = 0; i < labels.size(); ++i) right += named[i] == labels[i];
  }
  fmt::print("{} of 300 volumes it was not trained on are named right\n", right);
  return 0;
}
}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  CLI::App app("Train a classifier of small volumes: start your own from it.", "train_classifier");
  RunOptions o;
  o.epochs = 15, o.batch_size = 32, o.warmup = 20, o.lr = 4e-3, o.wd = 0.05;
  add_loading_options(app, o, "Data");
  add_schedule_options(app, o, "Schedule");
  add_loop_options(app, o, "Loop");
  const auto body = [](auto device, auto& given, auto& all) { return train(device, given, all); };
  return run_training_program(app, argc, argv, o, run_options_fault, no_recipe, body);
}
