#include "toy_backend.hpp"

#include "../io/temp_folder.hpp"

#include <hlip/data/loader.hpp>
#include <hlip/hlip.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/io/safetensors_writer.hpp>
#include <hlip/systems/hlip/contrastive.hpp>
#include <hlip/systems/hlip/encode_pairs.hpp>
#include <hlip/train/trainer.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <cmath>

#include <unistd.h>

using namespace hlip;
using toy::Toy;

namespace {

/// Whether the processor may read a byte: the system looks, and answers instead of stopping the
/// program.
bool readable(const void* p) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const bool yes = write(ends[1], p, 1) == 1;
  if (!yes) CHECK(errno == EFAULT);
  close(ends[0]);
  close(ends[1]);
  return yes;
}

/// A small joint model with everything that draws at random switched on.
ClipConfig small_config() {
  ClipConfig c = clip_config("vit_base_multiscan_h3_token1176");
  c.embed_dim = 8;
  c.vision.img_size = {4, 8, 8}, c.vision.patch_size = {2, 2, 2};
  c.vision.embed_dim = 12, c.vision.num_heads = 2, c.vision.depth = 3;
  c.vision.blocks_of_level = {{0}, {1}, {2}};
  c.vision.drop_path = 0.3, c.vision.patch_dropout = 0.25, c.vision.reg_tokens = 1;
  c.text = {.vocab_size = 20,
            .hidden_size = 6,
            .num_layers = 2,
            .num_heads = 2,
            .intermediate_size = 12,
            .max_positions = 16};
  c.siglip = true;
  return c;
}

/// Two ranks that always hold the same, in one process.
struct Twins {
  int rank() const { return 1; }
  int size() const { return 2; }
  void barrier() const {}
  void all_gather(const void* mine, void* all, std::size_t bytes) const {
    for (int r = 0; r < 2; ++r)
      std::memcpy(static_cast<char*>(all) + static_cast<std::size_t>(r) * bytes, mine, bytes);
  }
  template <class T> void all_reduce_sum(std::span<T> values) const {
    for (T& v : values) v *= 2;
  }
};

/// Everything a training step computes, as numbers on the host: losses, the gradient norm, the
/// parameters and their averages after it.
template <class B> std::vector<double> training_step(bool checkpointing) {
  ClipConfig config = small_config();
  config.vision.grad_checkpointing = checkpointing;
  Clip<3, float, B> model(config, 1);
  const auto named = named_parameters(model);
  AdamW<float, B> optimizer(optimized_parameters(named, 0.2), {});
  Ema<float, B> average(named, 0.5);

  std::vector<float> voxels(2 * 3 * 4 * 8 * 8);
  for (std::size_t i = 0; i < voxels.size(); ++i)
    voxels[i] = static_cast<float>(normal_at({3, 1, 0}, i));
  const Var<float, B> x(
      Tensor<float, B>::from_values({2, 3, 1, 4, 8, 8}, std::span<const float>(voxels)));
  const auto ids = Tensor<std::int64_t, B>::from_values({2, 5}, {2, 7, 3, 0, 0, 2, 9, 9, 4, 3});
  const Context context{true, {7, 1, 2}};
  const auto image = model.encode_image(x, context), text = model.encode_text(ids, context);
  const Var<float, B> scale = exp(model.logit_scale);
  const auto clip = clip_loss(image, text, scale),
             siglip = siglip_loss(image, text, scale, model.logit_bias);
  const Var<float, B> loss = clip + siglip * 0.1;
  loss.backward();
  std::vector<double> result = {static_cast<double>(clip.item()),
                                static_cast<double>(siglip.item()),
                                grad_norm(optimizer.parameters())};
  optimizer.step(0.01, clip_scale(result.back(), 1.0));
  average.update();
  average.swap_with_parameters();
  for (const auto& list : {&average.averages()})
    for (const auto& t : *list)
      for (float v : t.to_vector()) result.push_back(static_cast<double>(v));
  for (const auto& [name, p] : named)
    for (float v : p->value().to_vector()) result.push_back(static_cast<double>(v));
  return result;
}

/// Studies of three scans and a text.
struct Study {
  Tensor<float> volume;
  std::vector<std::int64_t> ids, sentence;
};
struct Studies {
  index_t size() const { return 16; }
  std::string name(index_t i) const { return "study_" + std::to_string(i); }
  Study get(index_t i) const {
    return {Tensor<float>::full({3, 4, 8, 8}, 0.1f * static_cast<float>(i)), {2, 1 + i, 3}, {}};
  }
};

/// How often the host waits for the device while a run makes so many steps and writes a checkpoint.
int waits_of_run(std::int64_t steps, index_t accum_freq) {
  const TempFolder folder;
  Clip<3, float, Toy> model(small_config(), 1);
  TrainerOptions options;
  options.steps = steps, options.accum_freq = accum_freq;
  options.schedule.lr = 1e-3, options.grad_clip_norm = 1;
  options.log_every_n_steps = 1000;
  ContrastiveSettings settings;
  settings.ema_decay = 0.5, settings.siglip = true;
  ContrastiveObjective objective(model, settings,
                                 [&](const ImageTextBatch<Toy>& batch, const Context& context) {
                                   return encode_pairs(model, batch, context);
                                 });
  Trainer trainer(objective, options, CheckpointStore(folder.string(), {"step"}));
  MetricsLog log(folder / "metrics.csv", [](const std::string&, std::int64_t) { return true; });
  ProgressLine progress;
  LoaderOptions loading;
  loading.sampler = {.batch_size = 2, .seed = 5};
  DataLoader loader(Studies{}, loading, CollateImageText<Toy>{});
  toy::Memory::instance().calls.clear();
  REQUIRE(trainer.run(
              loader, [](const std::string&) {}, &log, progress, [](std::int64_t) {}) ==
          TrainOutcome::finished);
  CHECK(trainer.skipped_steps() == 0);
  // volumes and texts of every batch
  CHECK(toy::Memory::instance().calls["upload_ahead"] == 2 * steps * accum_freq);
  return toy::Memory::instance().calls["copy_to_host"];
}

}  // namespace

namespace unfinished {
struct Unfinished {
  static constexpr std::string_view name = "unfinished";
};
inline void* allocate(Unfinished, std::size_t) { return nullptr; }
}  // namespace unfinished

TEST_CASE("contract: all backends have everything, and one that lacks something is none") {
  static_assert(Backend<Cpu> && Backend<Reference> && Backend<Toy>);
  static_assert(!BackendMemory<unfinished::Unfinished> && !Backend<unfinished::Unfinished>);
  CHECK(!Backend<int>);
}

TEST_CASE(
    "toy backend: its memory can be read by the functions of the contract and by nobody else") {
  const auto x = Tensor<float, Toy>::from_values({3}, {1, 2, 3});
  CHECK_FALSE(readable(x.data()));
  {
    const toy::Call open("test");
    CHECK(readable(x.data()));
  }
  CHECK_FALSE(readable(x.data()));
  CHECK(x.to_vector() == std::vector<float>{1, 2, 3});
  for (float v : Tensor<float, Toy>::empty({3}).to_vector()) CHECK(std::isnan(v));
  CHECK_THROWS_AS(gather_rows(Toy{}, x.data(), Tensor<std::int64_t, Toy>::arange(1, 5).data(),
                              x.data(), 1, 1, 3),
                  error);
  CHECK_FALSE(readable(x.data()));  // closed after an error, too
}

TEST_CASE(
    "contract: a training step touches a backend's memory through it only, and gives the numbers "
    "of the Cpu") {
  for (bool checkpointing : {false, true}) {
    CAPTURE(checkpointing);
    toy::Memory::instance().calls.clear();
    const auto got = training_step<Toy>(checkpointing), want = training_step<Cpu>(checkpointing);
    REQUIRE(got.size() == want.size());
    double most = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      REQUIRE(std::isfinite(got[i]));
      most = std::max(most, std::abs(got[i] - want[i]) / (1 + std::abs(want[i])));
    }
    CHECK(most < 2e-5);
    auto& calls = toy::Memory::instance().calls;
    for (const char* function : {"allocate",
                                 "copy_from_host",
                                 "copy_to_host",
                                 "copy_strided",
                                 "fill_strided",
                                 "map",
                                 "map_pull",
                                 "for_each_index",
                                 "reduce",
                                 "gemm",
                                 "attention_forward",
                                 "attention_backward",
                                 "layer_norm_forward",
                                 "layer_norm_backward",
                                 "cross_entropy_forward",
                                 "cross_entropy_backward",
                                 "gather_rows",
                                 "scatter_add_rows",
                                 "adamw_update",
                                 "sums_of_squares"})
      CHECK_MESSAGE(calls[function] > 0, function);
  }
}

TEST_CASE("contract: a training step waits for the device once, whatever belongs to it") {
  for (const index_t accum_freq : {1, 2}) {
    CAPTURE(accum_freq);
    CHECK(waits_of_run(4, accum_freq) - waits_of_run(2, accum_freq) == 2);
  }
}

TEST_CASE(
    "contract: features of several ranks, and files, do not touch a backend's memory either") {
  const auto run = [&]<class B>(std::type_identity<B>) {
    std::vector<float> values(12);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(normal_at({3, 2, 0}, i));
    const Var<float, B> x(Tensor<float, B>::from_values({3, 4}, std::span<const float>(values)),
                          true),
        y(x.value() * 0.5f + 0.1f, true);
    const Var<float, B> scale(Tensor<float, B>::scalar(2)), bias(Tensor<float, B>::scalar(-1));
    const Var<float, B> loss = clip_loss(x, y, scale, {}, Twins{},
                                         {.local_loss = true, .gather_with_grad = true}) +
                               siglip_loss(x, y, scale, bias, Twins{});
    loss.backward();
    const TempFolder folder;
    SafetensorsWriter writer;
    writer.add("x", x.grad());
    writer.add("y", y.grad().transpose(0, 1));
    writer.write(folder / "a.safetensors");
    const SafetensorsFile file(folder / "a.safetensors");
    auto all = file.tensor<float, B>("x").to_vector();
    for (float f : file.tensor<float, B>("y").to_vector()) all.push_back(f);
    all.push_back(loss.item());
    return all;
  };
  const auto got = run(std::type_identity<Toy>{}), want = run(std::type_identity<Cpu>{});
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-4));
}

TEST_CASE("contract: functions that a training step has no use for") {
  const auto values = std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7};
  const auto run = [&]<class B>(std::type_identity<B>) {
    const auto x = Tensor<float, B>::from_values({2, 4}, std::span<const float>(values));
    const Var<float, B> v(x, true);
    const Var<float, B> y = sum(softmax(v) * Var<float, B>(x));
    y.backward();
    auto all = v.grad().to_vector();
    for (float f : interpolate(x.reshape({1, 1, 2, 4}), {3, 5}, Interpolation::linear).to_vector())
      all.push_back(f);
    return all;
  };
  const auto got = run(std::type_identity<Toy>{}), want = run(std::type_identity<Cpu>{});
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-5));
}
