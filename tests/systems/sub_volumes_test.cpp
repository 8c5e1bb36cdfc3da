#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"
#include "../support/gradients.hpp"

#include <hlip/imaging/nifti_write.hpp>
#include <hlip/models/resnet3d.hpp>
#include <hlip/systems/t3d/checkpoint_files.hpp>
#include <hlip/systems/t3d/ct_volumes.hpp>
#include <hlip/systems/t3d/evaluation.hpp>
#include <hlip/systems/t3d/sub_volumes.hpp>
#include <hlip/text/wordpiece_learn.hpp>

using namespace test;

namespace {

/// Volumes of 8 x 10 x 12 voxels whose values say where they are; every second is air.
class Drawn : public StudyScans {
 public:
  index_t size() const override { return 4; }
  const std::string& name(index_t i) const override {
    static const std::vector<std::string> names{"a", "b", "c", "d"};
    return names[static_cast<std::size_t>(i)];
  }
  std::size_t scans(index_t) const override { return 1; }
  const std::string& path(index_t i, std::size_t) const override { return name(i); }
  Tensor<float, Cpu> load(index_t i, std::size_t) const override {
    const auto x = Tensor<float, Cpu>::empty({8, 10, 12});
    for (index_t v = 0; v < x.numel(); ++v)
      x.data()[v] = v % 12 < 6 ? 0.0f : static_cast<float>(v + i) / 1000;
    return x;
  }
};

std::shared_ptr<const WordPieceTokenizer> tokenizer() {
  const std::vector<std::string> texts{"the left lung is clear", "a nodule in the right lung"};
  return std::make_shared<const WordPieceTokenizer>(learn_wordpiece(texts, {.max_size = 60}));
}
std::vector<ReportText> reports() {
  std::vector<ReportText> all(4);
  all[0].whole = {"the left lung is clear"};
  all[1].whole = {"a nodule in the right lung"};
  all[2].whole = {"the left lung is clear"};
  all[3].whole = {"the right lung is clear"};
  return all;
}
SubVolumeOptions small() {
  SubVolumeOptions o;
  o.size = {4, 5, 6};
  return o;
}
SubVolumes samples(const SubVolumeOptions& o) {
  return SubVolumes(std::make_shared<const Drawn>(), reports(), tokenizer(), o);
}

}  // namespace

TEST_CASE("SubVolumes: a sample is a function of its key, and its views lie in the volume") {
  const SubVolumes all = samples(small());
  const RandomKey key{3, 5, 7};
  const SubVolumeSample one = all.get(1, key), again = all.get(1, key),
                        other = all.get(1, {3, 5, 8});
  CHECK(same_bits(one.corrupt_a, again.corrupt_a));
  CHECK(same_bits(one.view_b, again.view_b));
  CHECK(one.ids == again.ids);
  CHECK_FALSE(same_bits(one.corrupt_a, other.corrupt_a));
  CHECK_FALSE(same_bits(one.view_a, one.view_b));
  for (const auto* view : {&one.view_a, &one.view_b}) {
    CHECK(view->shape() == Shape{4, 5, 6});
    // neighbours along the first axis are 120 voxels apart, wherever the box lies
    for (index_t x = 0; x < 6; ++x)
      if (view->at({0, 0, x}) > 0)
        CHECK(view->at({1, 0, x}) - view->at({0, 0, x}) == doctest::Approx(0.12));
  }
  index_t changed = 0, told = 0;
  for (index_t v = 0; v < one.view_a.numel(); ++v) {
    const bool differs = one.view_a.data()[v] != one.corrupt_a.data()[v];
    changed += differs, told += differs && one.changed_a.data()[v] == 0;
  }
  CHECK(changed > 0);
  CHECK(told == 0);  // what differs is said to
}

TEST_CASE("SubVolumes: studies whose reports are alike have one number") {
  const SubVolumes all = samples(small());
  const auto number = [&](index_t i) { return all.get(i, {}).study; };
  CHECK(number(0) == number(2));
  CHECK(number(0) != number(1));
  CHECK(number(1) != number(3));
}

TEST_CASE("SubVolumes: the report is the own one, another's or none") {
  SubVolumeOptions o = small();
  const auto own = samples(o);
  o.report = ReportUse::none;
  CHECK(samples(o).get(0, {}).ids.empty());
  o.report = ReportUse::shuffled;
  o.seed = 4;
  const auto shuffled = samples(o);
  std::vector<std::vector<std::int64_t>> mine, theirs;
  int alike = 0;
  for (index_t i = 0; i < 4; ++i) {
    mine.push_back(own.get(i, {}).ids), theirs.push_back(shuffled.get(i, {}).ids);
    alike += mine.back() == theirs.back();
  }
  CHECK(alike <= 1);  // reports 0 and 2 have the same words
  CHECK(mine != theirs);
  std::sort(mine.begin(), mine.end()), std::sort(theirs.begin(), theirs.end());
  CHECK(mine == theirs);  // dealt out anew, none invented
}

TEST_CASE("place_sub_volume: with a share of foreground, where there is some") {
  SubVolumeOptions o = small();
  const Tensor<float, Cpu> volume = Drawn().load(0, 0);
  const auto share = [&](std::uint64_t seed) {
    RandomStream random({seed, 1, 0});
    const auto part = voxels_of(volume, place_sub_volume(volume, o, random));
    return static_cast<double>(std::count_if(part.data(), part.data() + part.numel(),
                                             [](float x) { return x > 0.1f; })) /
           static_cast<double>(part.numel());
  };
  double without = 0, with = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) without += share(seed) / 40;
  o.foreground = 0.9;
  for (std::uint64_t seed = 0; seed < 40; ++seed) with += share(seed) / 40;
  CHECK(without < 0.6);
  CHECK(with > 0.8);
}

TEST_CASE("SubVolumes: a volume without room, and options that make no sense, are refused") {
  SubVolumeOptions o = small();
  o.size = {4, 11, 6};
  CHECK(error_of([&] { samples(o).get(0, {}); }).find("a sub-volume 4 x 11 x 6 (hint: ") !=
        std::string::npos);
  o = small();
  o.size[1] = 0;
  CHECK(error_of([&] { samples(o); }).find("a side of 0 voxels") != std::string::npos);
  o = small();
  o.corruptions.nonlinear = 2;
  CHECK(error_of([&] { samples(o); }).find("nonlinear") != std::string::npos);
  CHECK(error_of([&] {
          SubVolumes(std::make_shared<const Drawn>(), {}, tokenizer(), small());
        }).find("4 studies and 0 reports") != std::string::npos);
}

TEST_CASE(
    "collate_sub_volumes: volumes with a channel, tokens padded, no report as padding alone") {
  SubVolumeOptions o = small();
  const SubVolumes all = samples(o);
  o.report = ReportUse::none;
  const auto pairs = collate_sub_volumes<Cpu>({all.get(0, {}), samples(o).get(1, {})});
  CHECK(pairs.view_a.shape() == Shape{2, 1, 4, 5, 6});
  CHECK(pairs.changed_b.shape() == Shape{2, 1, 4, 5, 6});
  CHECK(pairs.ids.at({0, 0}) != 0);
  CHECK(Tensor<std::int64_t, Cpu>(max(pairs.ids, {1})).at({1}) == 0);
  CHECK(pairs.studies.shape() == Shape{2});
}

TEST_CASE("prepare_ct_volume: at the working spacing, turned to RAS, the window from 0 to 1") {
  const TempFolder folder;
  const std::string path = folder.string() + "/x.nii";
  // stored left and back: value 100·x + 10·y + z of the patient's axes
  std::vector<float> stored;
  for (int z = 0; z < 4; ++z)
    for (int y = 0; y < 6; ++y)
      for (int x = 0; x < 8; ++x)
        stored.push_back(static_cast<float>(100 * (7 - x) + 10 * (5 - y) + z));
  write_nifti<float>(path, stored, {4, 6, 8},
                     {{{-2, 0, 0, 0}, {0, -2, 0, 0}, {0, 0, 3, 0}, {0, 0, 0, 1}}});
  CtRateVolume recon;
  recon.path = path;
  VolumePreparation how;
  how.spacing = {3, 2, 2}, how.window_hu = {0, 1000}, how.already_hu = true;
  const Volume v = prepare_ct_volume(recon, how);
  CHECK(orientation_code(v.affine) == "RAS");
  CHECK(v.voxels.shape() == Shape{4, 6, 8});
  CHECK(v.voxels.at({2, 3, 5}) == doctest::Approx(0.532));
  how.window_hu = {100, 300};
  const Volume narrow = prepare_ct_volume(recon, how);
  CHECK(narrow.voxels.at({0, 0, 0}) == 0);
  CHECK(narrow.voxels.at({0, 0, 7}) == 1);
}

TEST_CASE("prepare_ct_volume: the spacing is that of the patient's axes, however the file lies") {
  const TempFolder folder;
  CtRateVolume recon;
  recon.path = folder.string() + "/sagittal.nii";
  // i to the head, j to the back, k to the right: stored (right, back, head) = (10, 6, 8) of 2 mm
  write_nifti<float>(recon.path, std::vector<float>(480), {10, 6, 8},
                     {{{0, 0, 2, 0}, {0, -2, 0, 0}, {2, 0, 0, 0}, {0, 0, 0, 1}}});
  VolumePreparation how;
  how.spacing = {4, 1, 2}, how.already_hu = true;
  CHECK(prepare_ct_volume(recon, how).voxels.shape() == Shape{4, 12, 10});
  CtRateDataset data;
  data.studies.resize(1);
  data.studies[0].recons = {recon};
  leave_out_small_volumes(data, how, {4, 12, 10});
  CHECK(data.problems.empty());
  leave_out_small_volumes(data, how, {5, 10, 10});
  CHECK(data.problems.size() == 1);
}

TEST_CASE("leave_out_small_volumes: what has no room is a problem with name and hint") {
  const TempFolder folder;
  CtRateDataset data;
  data.root = folder.string();
  for (const index_t n : {8, 20}) {
    CtRateStudy study;
    study.name = fmt::format("study{}", n);
    CtRateVolume recon;
    recon.path = fmt::format("{}/{}.nii", folder.string(), n);
    write_nifti<float>(recon.path, std::vector<float>(static_cast<std::size_t>(n * n * n)),
                       {n, n, n}, scaling_affine({3, 3, 3}));
    study.recons = {recon};
    data.studies.push_back(study);
  }
  VolumePreparation how;
  CHECK(leave_out_small_volumes(data, how, {32, 32, 32}) == 40 * 40 * 40);
  REQUIRE(data.studies.size() == 1);
  CHECK(data.studies[0].name == "study20");
  REQUIRE(data.problems.size() == 1);
  CHECK(
      data.problems[0].find("8.nii: has 16 x 16 x 16 voxels at the working spacing, a sub-volume, "
                            "as the file lies, 32 x 32 x 32 (hint: ") != std::string::npos);
}

TEST_CASE("an encoder that is written comes back, and a folder that holds none is refused") {
  const TempFolder folder;
  ResNet3dConfig c = resnet3d_config("resnet_phantom");
  c.norm_groups = 4;
  Initializer init(5);
  ResNet3d<float, Cpu> encoder(c, init);
  SubVolumeInput input;
  input.size = {24, 32, 40}, input.preparation.window_hu = {-175, 250};
  write_volume_encoder(folder.string() + "/e", encoder, input);
  const auto files = read_volume_encoder_files(folder.string() + "/e");
  CHECK(files.input.size == input.size);
  CHECK(files.input.preparation.window_hu == input.preparation.window_hu);
  const auto back = read_volume_encoder<Cpu>(folder.string() + "/e", files);
  const Var<float, Cpu> x(numbers({1, 1, 8, 8, 8}, 1).template to<float>());
  CHECK(same_bits(back(x).back().value(), encoder(x).back().value()));
  CHECK(error_of([&] { read_volume_encoder_files(folder.string()); }).find("model.json") !=
        std::string::npos);
}

TEST_CASE("score_text_informed: restoration by three conditions, and the same figures every time") {
  Initializer init(3);
  ResNet3dConfig c = resnet3d_config("resnet_phantom");
  TextInformedConfig heads;
  heads.fusion_heads = 2, heads.embed_dim = 8, heads.decoder_widths = {8};
  const auto words = tokenizer();
  ResNet3d<float, Cpu> visual(c, init);
  using Model = TextInformedModel<ResNet3d<float, Cpu>, float, Cpu>;
  Model model(visual, ReportTower<float, Cpu>(words->vocab_size(), 256, 12, init), heads, 1, init);
  SubVolumeOptions o;
  o.size = {8, 8, 8};
  const auto all = std::make_shared<const SubVolumes>(std::make_shared<const Drawn>(), reports(),
                                                      words, o);
  const auto closed = score_text_informed(model, all, 4, 0);
  CHECK(closed.studies == 4);
  CHECK(closed.own == closed.none);  // the gates are closed: no report is heard
  CHECK(closed.own == closed.other);
  CHECK(closed.chance == doctest::Approx(0.25));
  model.fusion.gate.value().fill(2);
  const auto open = score_text_informed(model, all, 4, 0),
             again = score_text_informed(model, all, 4, 1);
  CHECK(open.own != open.other);
  CHECK(open.own != open.none);
  CHECK(open.own == again.own);
  CHECK(open.shuffled_pairs == again.shuffled_pairs);
  CHECK(open.line().find("(4 studies)") != std::string::npos);
}
