#include "../io/temp_folder.hpp"

#include <hlip/models/configs.hpp>
#include <hlip/systems/hlip/published_model.hpp>
#include <hlip/systems/hlip/trained_model.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

// A run with one checkpoint of a small model that was never trained.
Clip<> save_small_model(const std::string& run) {
  ClipConfig config = clip_config("phantom");
  const Vocabulary vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "lung"});
  config.text.vocab_size = vocabulary.size();
  Clip<> model(config, 3);
  CheckpointStore(run, stage_names(hlip_stages())).save("step", 7, [&](const std::string& path) {
    SafetensorsWriter weights;
    each_parameter(model, [&](const std::string& name, auto& p) { weights.add(name, p.value()); });
    weights.write(path + "/model.safetensors");
    atomic_write(path + "/optimizer.safetensors", "moments");
    write_model_files(path, config, to_string(CtPreset{}), vocabulary);
  });
  return model;
}

void damage(const std::string& path) {
  auto bytes = read_file(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  atomic_write(path, bytes);
}

}  // namespace

TEST_CASE(
    "trained model: weights are those of the file, where they lie in it, and changing them changes "
    "no file") {
  TempFolder folder;
  Clip<> saved = save_small_model(folder / "run");
  const std::string file = folder / "run" + "/step_7/model.safetensors", before = read_file(file);
  TrainedModel<> loaded = load_trained_model(folder / "run");
  CHECK(loaded.path == folder / "run" + "/step_7");
  const auto want = named_parameters(saved), got = named_parameters(loaded.model);
  REQUIRE(got.size() == want.size());
  std::size_t mapped = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].first == want[i].first);
    CHECK(got[i].second->value().to_vector() == want[i].second->value().to_vector());
    CHECK(got[i].second->requires_grad() == want[i].second->requires_grad());
    mapped += got[i].second->value().use_count() > 2;  // all share one map
  }
  CHECK(mapped == got.size());
  got[0].second->value().fill(42);
  CHECK(read_file(file) == before);
  CHECK(load_trained_model(folder / "run").model.logit_scale.item() == saved.logit_scale.item());
}

TEST_CASE("trained model: damage is noticed in what is used, and only there") {
  TempFolder folder;
  save_small_model(folder / "run");
  const std::string checkpoint = folder / "run" + "/step_7";
  damage(checkpoint + "/optimizer.safetensors");
  CHECK(load_trained_model(folder / "run").path == checkpoint);
  CHECK_FALSE(CheckpointStore::verify(checkpoint).empty());
  damage(checkpoint + "/model.safetensors");
  CHECK_THROWS_WITH_AS(load_trained_model(folder / "run"),
                       doctest::Contains("holds no complete checkpoint; passed over"), error);
  CHECK_THROWS_WITH_AS(load_trained_model(checkpoint),
                       doctest::Contains("is not a sound checkpoint"), error);
}

TEST_CASE("trained model: a checkpoint whose list of sums lacks a file it needs is not sound") {
  TempFolder folder;
  save_small_model(folder / "run");
  const std::string checkpoint = folder / "run" + "/step_7";
  auto sums = read_file(checkpoint + "/COMPLETE");
  const auto at = sums.find("vocab.txt");
  REQUIRE(at != std::string::npos);
  atomic_write(checkpoint + "/COMPLETE", sums.substr(0, at - 10) + sums.substr(at + 10));
  CHECK_THROWS_WITH_AS(load_trained_model(checkpoint), doctest::Contains("does not name vocab.txt"),
                       error);
}

TEST_CASE("trained model: a file of weights is what the caller says it is, all of it or an error") {
  TempFolder folder;
  ClipConfig config = clip_config("phantom");
  config.text.vocab_size = 6, config.text.lora_rank = 2, config.text.lora_alpha = 2,
  config.siglip = true;
  Clip<> saved(config, 3);
  const auto write = [&](bool whole) {
    SafetensorsWriter weights;
    each_parameter(saved, [&](const std::string& name, auto& p) {
      if (whole || name != "text.proj.weight") weights.add("state_dict.module." + name, p.value());
    });
    weights.write(folder / "epoch_1.safetensors");
  };
  atomic_write(folder / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nlung\n");
  const auto load = [&] {
    return load_published_model(folder / "epoch_1.safetensors", clip_config("phantom"),
                                folder / "vocab.txt");
  };
  write(true);
  TrainedModel<> loaded = load();
  CHECK(loaded.model.config.siglip);
  CHECK(loaded.model.config.text.lora_rank == 2);
  CHECK(loaded.model.config.text.vocab_size == 6);  // one more than there are words
  CHECK(loaded.preset.size[2] == 64);
  const auto want = named_parameters(saved), got = named_parameters(loaded.model);
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(got[i].second->value().to_vector() == want[i].second->value().to_vector());

  write(false);
  const auto fault = [&] {
    try {
      load();
      return std::string("no error");
    } catch (const error& e) {
      return std::string(e.what());
    }
  };
  CHECK(fault().find("does not hold all of the model phantom\nweights of ") != std::string::npos);
  CHECK(fault().find("missing          1  text.proj.weight") != std::string::npos);
  write(true);
  atomic_write(folder / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\n");
  CHECK(fault().find("vocab.txt: has 7 pieces, the weights 6") != std::string::npos);
}
