#include <hlip/datasets/study_samples.hpp>
#include <hlip/distributed/thread_group.hpp>
#include <hlip/systems/hlip/training.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <thread>

using namespace hlip;

namespace {

ClipConfig tiny_config(std::int64_t vocab_size) {
  ClipConfig c;
  c.name = "tiny";
  c.embed_dim = 8, c.context_length = 8;
  c.vision.img_size = {4, 4, 4}, c.vision.patch_size = {2, 2, 2};
  c.vision.embed_dim = 12, c.vision.depth = 1, c.vision.num_heads = 2;
  c.vision.blocks_of_level = {{}, {}, {0}};
  c.text = {.vocab_size = vocab_size,
            .hidden_size = 8,
            .num_layers = 1,
            .num_heads = 2,
            .intermediate_size = 16,
            .max_positions = 8,
            .dropout = 0.0,
            .init_std = 0.3};
  return c;
}

/// Studies that differ, without a file.
struct Studies {
  index_t size() const { return 8; }
  std::string name(index_t i) const { return "study_" + std::to_string(i); }
  StudySample get(index_t i) const {
    StudySample s{Tensor<float, Cpu>::empty({1, 4, 4, 4}), {2, 4 + i % 2, 3}, {}};
    for (index_t k = 0; k < s.volume.numel(); ++k)
      s.volume.data()[k] = static_cast<float>(std::sin(0.37 * static_cast<double>(64 * i + k)));
    return s;
  }
};

/// One rank of a whole run that starts from weights. @return the fault, or nothing
template <class C>
std::string run_of(HlipOptions o, const C& communicator,
                   const std::shared_ptr<const WordPieceTokenizer>& tokenizer) {
  try {
    RunFolder folder(o, communicator);
    const auto samples = std::make_shared<const Studies>();
    HlipTraining<Cpu, C> run(o, folder, tiny_config(tokenizer->vocab_size()), "", tokenizer,
                             samples->size(), communicator);
    run.begin("8 studies", "seed = \"0\"\n");
    run.image_stage(samples, 1, 0, [](std::int64_t) { return std::vector<Evaluation>(); });
    run.write_report("tiny", {}, [](Json&, auto fact) { fact("training", "8 studies"); });
    return "";
  } catch (const error& e) {
    return e.what();
  }
}

}  // namespace

TEST_CASE("training of HLIP: several ranks load the same weights, and the first alone reports") {
  const TempFolder folder;
  const auto tokenizer = std::make_shared<const WordPieceTokenizer>(
      Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"}));
  Clip<3, float, Cpu> model(tiny_config(tokenizer->vocab_size()), 5);
  SafetensorsWriter weights;
  each_parameter(model, [&](const std::string& name, auto& p) { weights.add(name, p.value()); });
  weights.write(folder / "weights.safetensors");
  HlipOptions o;
  o.out = folder / "run", o.batch_size = 2, o.steps = 2, o.warmup = 1, o.workers = 0;
  o.save_frequency = 0, o.pretrained = folder / "weights.safetensors";
  const auto faults = [&] {
    const ThreadGroup group(2);
    std::vector<std::string> of(2);
    std::vector<std::thread> threads;
    for (int r = 0; r < 2; ++r)
      threads.emplace_back(
          [&, r] { of[static_cast<std::size_t>(r)] = run_of(o, group.rank(r), tokenizer); });
    for (auto& t : threads) t.join();
    return of;
  };
  CHECK(faults() == std::vector<std::string>{"", ""});
  CHECK(is_file(folder / "run/step_2/model.safetensors"));
  CHECK(read_file(folder / "run/report.html").find("8 studies") != std::string::npos);
  o.pretrained = folder / "none.safetensors";  // both end, and neither waits for the other
  for (const auto& fault : faults()) CHECK(fault.find("none.safetensors") != std::string::npos);
}
