// Whole steps of the towers: training and inference of the visual one, training of the text one.
#pragma once

#include "options.hpp"

#include <hlip/hlip.hpp>
#include <hlip/train/supervised.hpp>
#include <hlip/train/trainer.hpp>

#include <limits>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

namespace bench {

/// The loss of the golden fixtures, sum(features · cotangent): every feature gets a gradient of
/// ordinary size.
template <class B> Tensor<float, B> cotangent(index_t batch, index_t width) {
  return random_tensor<B>({batch, width}, 3);
}

/// A tower with the trainer that the programs train with.
template <class Tower, class Loss> class TowerTraining {
 public:
  /// @param loss called as loss(0, Context) -> Var
  TowerTraining(Tower& tower, Loss loss)
      : objective_(tower, {.weight_decay = 0.2}, std::move(loss)),
        trainer_(objective_, options(), CheckpointStore("", {"step"})) {}

  /// Gradients to zero, forward in training mode, loss, backward, AdamW; waits for the device.
  void step() {
    const StepResult result = trainer_.train_step(parts_);
    expect(result.finite, "hlip_bench", "the loss is {}, the gradient norm {}", result.loss,
           result.grad_norm);
    wait_for<typename Tower::backend>();
  }

 private:
  static TrainerOptions options() {
    TrainerOptions o;
    o.steps = std::numeric_limits<std::int64_t>::max();
    o.schedule = {.kind = LrScheduler::constant, .lr = 1e-4};
    o.seed = 1;
    return o;
  }

  Supervised<Tower, Loss> objective_;
  Trainer<Supervised<Tower, Loss>> trainer_;
  std::vector<int> parts_{0};
};

template <class B> Var<float, B> head_weight(index_t out, index_t in, Initializer& init) {
  return init.uniform<float, B>({out, in}, 1 / std::sqrt(static_cast<double>(in)));
}

/// Options of the subjects that run the visual tower.
struct VisualOptions : RunOptions, ModelOptions {
  std::string levels;  ///< empty: as the model has them
  index_t warmup = 1;

  Json json() const {
    Json what = ModelOptions::json();
    if (!levels.empty()) what["levels"] = levels;
    what["warmup"] = warmup;
    return what;
  }

  /// The model with its blocks at `levels`: all of them over the whole study, or in the pattern of
  /// a published configuration.
  ClipConfig config() const {
    ClipConfig c = clip_config(model);
    auto& blocks = c.vision.blocks_of_level;
    if (levels == "scan+study")
      blocks = clip_config("vit_base_multiscan_h2_token1176").vision.blocks_of_level;
    if (levels == "slice+scan+study")
      blocks = clip_config("vit_base_multiscan_h3_token1176").vision.blocks_of_level;
    if (levels == "study") {
      blocks = {{}, {}, std::vector<int>(static_cast<std::size_t>(c.vision.depth))};
      std::iota(blocks[2].begin(), blocks[2].end(), 0);
    }
    return c;
  }
};

/// Adds the options, and refuses levels that the model does not have when all are parsed.
inline void add_visual_options(CLI::App* app, VisualOptions& o, index_t steps) {
  add_model_options(app, o);
  add_run_options(app, o, steps);
  add_device(app, o);
  add_count(app, "--warmup", o.warmup, "steps before the timed ones", 0);
  app->add_option("--levels", o.levels,
                  "what the blocks attend over, instead of what the model has: study is full "
                  "attention in every block")
      ->check(CLI::IsMember({"study", "scan+study", "slice+scan+study"}));
  app->callback([&o] {
    if (!o.levels.empty() && o.levels != "study" && o.config().vision.max_num_scans == 1)
      throw CLI::ValidationError(
          "--levels", o.levels + " means nothing to " + o.model + ", whose studies are one scan");
  });
}

/// The visual tower of a configuration with random weights, and studies of noise for it.
template <class B> struct VisualBench {
  VisualTower<3, float, B> tower;
  Tensor<float, B> volumes;

  VisualBench(const VisualOptions& o, bool grad_checkpointing) {
    ClipConfig config = o.config();
    config.vision.grad_checkpointing = grad_checkpointing;
    Initializer init(1);
    tower.trunk = HlipVit<3, float, B>(config.vision, init);
    tower.head.proj.weight = head_weight<B>(config.embed_dim, config.vision.embed_dim, init);
    const Shape size = config.vision.img_size,
                shape{o.batch, o.scans, config.vision.in_chans, size[0], size[1], size[2]};
    volumes = random_tensor<B>(shape, 2);
  }
};

inline void add_train(CLI::App& root, Subjects& subjects) {
  struct Options : VisualOptions {
    bool grad_checkpointing = false;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand("train",
                                  "one training step of the visual tower: zero_grad, forward (drop "
                                  "path as configured), loss, backward, AdamW");
  add_visual_options(app, *o, 3);
  app->add_flag("--grad-checkpointing", o->grad_checkpointing,
                "recompute every block on the way back");
  subjects.emplace_back(app, [o] {
    on_device(o->device, [&](auto device) {
      using B = decltype(device);
      VisualBench<B> b(*o, o->grad_checkpointing);
      const auto weights = cotangent<B>(o->batch, b.tower.head.proj.weight.dim(0));
      TowerTraining training(b.tower, [&](int, const Context& context) {
        return Var<float, B>(sum(b.tower(Var<float, B>(b.volumes), context) * weights));
      });
      Json what = o->json();
      what["grad_checkpointing"] = o->grad_checkpointing;
      for (const int threads : o->threads) {
        set_threads(threads);
        print<B>("train", what, threads, o->steps,
                 seconds_of_steps(
                     o->steps, [&] { training.step(); }, o->warmup));
      }
    });
  });
}

inline void add_infer(CLI::App& root, Subjects& subjects) {
  auto o = std::make_shared<VisualOptions>();
  auto* app = root.add_subcommand("infer", "features of studies, without gradients");
  add_visual_options(app, *o, 3);
  subjects.emplace_back(app, [o] {
    on_device(o->device, [&](auto device) {
      using B = decltype(device);
      const VisualBench<B> b(*o, false);
      const NoGrad guard;
      for (const int threads : o->threads) {
        set_threads(threads);
        const auto step = [&] {
          // waits for a device
          const float first = b.tower(Var<float, B>(b.volumes)).value().at({0, 0});
          expect(std::isfinite(first), "hlip_bench", "the first feature is {}", first);
        };
        print<B>("infer", o->json(), threads, o->steps,
                 seconds_of_steps(o->steps, step, o->warmup));
      }
    });
  });
}

inline void add_text(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions {
    std::string model = "vit_base_singlescan_h2_token2744";
    index_t batch = 64, tokens = 256, warmup = 1;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand(
      "text", "one training step of the text tower, dropout off, no token padded");
  add_model(app, o->model)
      ->description("configuration whose text tower is taken (BERT-base in all but phantom)");
  add_count(app, "--batch", o->batch, "texts");
  add_count(app, "--tokens", o->tokens, "tokens of a text");
  add_run_options(app, *o, 3);
  add_device(app, *o);
  add_count(app, "--warmup", o->warmup, "steps before the timed ones", 0);
  subjects.emplace_back(app, [o] {
    ClipConfig config = clip_config(o->model);
    config.text.dropout = 0;
    on_device(o->device, [&](auto device) {
      using B = decltype(device);
      Initializer init(1);
      TextTower<float, B> tower;
      tower.transformer = Bert<float, B>(config.text, init);
      tower.proj.weight = head_weight<B>(config.embed_dim, config.text.hidden_size, init);
      tower.pooling = config.text_pooling;
      const auto drawn = Tensor<std::int64_t>::empty({o->batch, o->tokens});
      for (index_t i = 0; i < drawn.numel(); ++i)
        drawn.data()[i] = 1 + static_cast<std::int64_t>(
                                  uniform_at({1, 2, 0}, static_cast<std::uint64_t>(i)) *
                                  static_cast<double>(config.text.vocab_size - 1));
      const auto ids = on_backend<B>(drawn);
      const auto weights = cotangent<B>(o->batch, config.embed_dim);
      TowerTraining training(tower, [&](int, const Context& context) {
        return Var<float, B>(sum(tower(ids, context) * weights));
      });
      const Json what = {{"model", o->model}, {"batch", o->batch}, {"tokens", o->tokens}};
      for (const int threads : o->threads) {
        set_threads(threads);
        print<B>("text", what, threads, o->steps,
                 seconds_of_steps(
                     o->steps, [&] { training.step(); }, o->warmup));
      }
    });
  });
}

}  // namespace bench
