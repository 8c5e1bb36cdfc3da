// Encoders from everywhere, features of pictures, and what is drawn of them.
#include "../io/temp_folder.hpp"
#include "../support/gradients.hpp"

#include <hlip/io/png.hpp>
#include <hlip/systems/rad_dino/encode_pictures.hpp>
#include <hlip/systems/rad_dino/look.hpp>

#include <filesystem>

using namespace test;

namespace {

const std::string published = HLIP_SOURCE_DIR "/tests/golden/rad_dino_hf/model";

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
/// Smooth levels with some noise; another number gives another picture.
Radiograph picture(std::uint32_t number, index_t height = 140, index_t width = 120) {
  Radiograph x;
  x.height = height, x.width = width;
  for (index_t i = 0; i < height * width; ++i)
    x.levels.push_back(
        static_cast<std::uint16_t>(100 +
                                   60 * std::sin(0.05 * static_cast<double>(i / width) + number) *
                                       std::cos(0.07 * static_cast<double>(i % width)) +
                                   40 * uniform_at({9, number, 0}, static_cast<std::uint64_t>(i))));
  x.source = "generated";
  return x;
}
std::string written(const TempFolder& folder, const std::string& name, std::uint32_t number) {
  const Radiograph x = picture(number);
  const std::vector<std::uint8_t> bytes(x.levels.begin(), x.levels.end());
  atomic_write(folder / name, encode_grey_png(bytes, static_cast<std::size_t>(x.width),
                                              static_cast<std::size_t>(x.height)));
  return folder / name;
}
std::vector<float> cls_of(const PictureEncoder<>& e, const Radiograph& x) {
  NoGrad guard;
  return vit_features(e.vit, Var<float>(e.prepare(x))).cls.value().to_vector();
}
std::string fault_of(const std::string& from) {
  return error_of([&] { load_picture_encoder<Cpu>(from); });
}
void replace_in_file(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = read_file(path);
  REQUIRE(text.find(from) != text.npos);
  atomic_write(path, text.replace(text.find(from), from.size(), to));
}
VitConfig small() {
  VitConfig c = vit_config("radiograph_phantom");
  c.img_size = 32, c.depth = 2;
  return c;
}
/// A checkpoint of a run, whose teacher is `vit`.
std::string checkpoint(const TempFolder& folder, Vit<>& vit) {
  return CheckpointStore(folder.string(), {"step"}).save("step", 3, [&](const std::string& path) {
    SafetensorsWriter writer;
    each_parameter(
        vit, [&](const std::string& name, auto& p) { writer.add("backbone." + name, p.value()); });
    writer.add("dino_head.mlp.0.bias", Tensor<float>::ones({4}));
    writer.write(path + "/teacher.safetensors");
    for (const char* file : {"/model.safetensors", "/optimizer.safetensors", "/state.json"})
      atomic_write(path + file, "{}");
    write_encoder_files(path, vit.config, preparation_for(vit.config));
  });
}

}  // namespace

TEST_CASE("picture_encoder: a published folder, and what is written of it gives the same bits") {
  const PictureEncoder<> e = load_picture_encoder<Cpu>(published);
  CHECK((e.vit.config.embed_dim == 48 && e.preparation.crop == 112 && e.name == published));
  CHECK(has(e.table, "loaded          49"));
  const auto want = cls_of(e, picture(1));
  CHECK(want != cls_of(e, picture(2)));
  TempFolder folder;
  Vit<> vit = e.vit;
  write_hf_dinov2(folder.string(), vit);
  CHECK(has(fault_of(folder.string()), "preprocessor_config.json: is not there; it says how"));
  atomic_write(folder / "model.safetensors.tmp-12-0", "of a process that was killed");
  atomic_write(folder / "notes.tmp-1", "somebody's");
  write_picture_encoder(folder.string(), vit, e.preparation);
  CHECK_FALSE(is_file(folder / "model.safetensors.tmp-12-0"));
  CHECK(is_file(folder / "notes.tmp-1"));
  const PictureEncoder<> again = load_picture_encoder<Cpu>(folder.string());
  CHECK(again.preparation == e.preparation);
  CHECK(cls_of(again, picture(1)) == want);
}

TEST_CASE("picture_encoder: untrained ones by name and seed") {
  const auto a = load_picture_encoder<Cpu>("untrained:radiograph_phantom", 1),
             b = load_picture_encoder<Cpu>("untrained:radiograph_phantom", 1),
             c = load_picture_encoder<Cpu>("untrained:radiograph_phantom", 2);
  CHECK((a.vit.config.in_chans == 1 && a.preparation.crop == 64));
  CHECK(cls_of(a, picture(1)) == cls_of(b, picture(1)));
  CHECK(cls_of(a, picture(1)) != cls_of(c, picture(1)));
  CHECK(has(fault_of("untrained:unknown"),
            "'unknown' is not a known configuration, expected one of vit_small_patch14_dinov2"));
  CHECK(has(fault_of("untrained:vit_giant_patch16"), "is not a known configuration"));
}

TEST_CASE("picture_encoder: a run's teacher, by the run or by the checkpoint") {
  TempFolder folder;
  Initializer init(5);
  Vit<> vit(small(), init);
  const std::string path = checkpoint(folder, vit);
  PictureEncoder<> e;
  e.vit = vit, e.preparation = preparation_for(vit.config);
  const auto want = cls_of(e, picture(1));
  CHECK(cls_of(load_picture_encoder<Cpu>(folder.string()), picture(1)) == want);
  CHECK(cls_of(load_picture_encoder<Cpu>(path), picture(1)) == want);
  // a file of it says no number of heads, but they are 64 wide here, unlike this encoder's
  CHECK(load_picture_encoder<Cpu>(path + "/teacher.safetensors").vit.config.num_heads == 2);

  SUBCASE("a damaged file is noticed") {
    replace_in_file(path + "/model.json", "\"depth\": 2", "\"depth\": 3");
    CHECK(has(fault_of(path), "is not a sound checkpoint"));
    CHECK(has(fault_of(folder.string()), "holds no complete checkpoint; passed over: "));
  }
  SUBCASE("a checkpoint of another program has no teacher") {
    std::filesystem::remove(path + "/teacher.safetensors");
    CHECK(has(fault_of(path), "teacher.safetensors"));
  }
  SUBCASE("an empty folder") {
    TempFolder empty;
    CHECK(has(fault_of(empty.string()), "holds no complete checkpoint"));
  }
}

TEST_CASE(
    "picture_encoder: training goes on from a run, a folder or a file; positions are resized") {
  TempFolder folder;
  Initializer init(5), other(6);
  Vit<> vit(small(), init);
  const std::string path = checkpoint(folder, vit);
  std::string table;
  const auto started = [&](VitConfig c, const std::string& from) {
    Vit<> student(c, other);
    table = load_pretrained_encoder(student, from);
    return student;
  };
  const auto same = [](Var<float> a, Var<float> b) {
    return a.value().to_vector() == b.value().to_vector();
  };
  for (const std::string& from : {folder.string(), path, path + "/teacher.safetensors"}) {
    Vit<> student = started(small(), from);
    for (const auto& [name, var] : named_parameters(vit))
      for (const auto& mine : named_parameters(student))
        if (mine.first == name) CHECK_MESSAGE(same(*mine.second, *var), mine.first);
    CHECK(has(table, "resized          0"));
    CHECK(student.pos_embed.requires_grad());
  }
  VitConfig larger = small();
  larger.img_size = 48;
  Vit<> student = started(larger, folder.string());
  CHECK(has(table, "resized          1  pos_embed (1, 17, 128) → (1, 37, 128)"));
  CHECK(same(student.pos_embed, with_positions_for(vit, 48).pos_embed));
  CHECK(same(student.blocks[1].mlp.fc1.weight, vit.blocks[1].mlp.fc1.weight));
  // a published folder needs no levels for this, and heads that are not 64 wide are said by it
  const VitConfig theirs = load_picture_encoder<Cpu>(published).vit.config;
  TempFolder bare;
  for (const char* file : {"config.json", "model.safetensors"})
    std::filesystem::copy(published + "/" + file, bare / file);
  Vit<> tiny = started(theirs, bare.string());
  CHECK(same(tiny.cls_token, load_picture_encoder<Cpu>(published).vit.cls_token));
  CHECK(has(table, "loaded          49"));

  const auto fault = [&](VitConfig c, const std::string& from) {
    return error_of([&] { started(c, from); });
  };
  VitConfig heads = small(), deeper = small(), colour = small();
  heads.num_heads = 2, deeper.depth = 3, colour.in_chans = 3;
  CHECK(has(fault(heads, folder.string()), "model.json: is of an encoder with 4 heads, "));
  CHECK(has(fault(deeper, path), "teacher.safetensors: does not hold the encoder "));
  CHECK(has(fault(deeper, path), "missing         14  blocks. (14)"));
  CHECK(has(fault(colour, path), "wrong shape      1  patch_embed.proj.weight"));
  CHECK(has(fault(small(), published), "does not hold the encoder "));
  CHECK(has(fault(small(), folder / "absent"), "absent: is not there; expected a run, a folder"));
  CHECK(has(fault(small(), "untrained:radiograph_phantom"), "is not there; expected a run"));
}

TEST_CASE("picture_encoder: model.json that is not of the weights") {
  for (const auto& [from, to, part] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"\"depth\": 2", "\"depth\": 1024", "is not of the encoder in"},
           {"\"embed_dim\": 128", "\"embed_dim\": 16384", "is not of the encoder in"},
           {"\"mlp_ratio\": 4.0", "\"mlp_ratio\": 64.0",
            "numbers, an encoder of 2 blocks of width 128 has"},
           {"\"mlp_ratio\": 4.0", "\"mlp_ratio\": -1", "mlp_ratio: is -1"},
           {"\"num_heads\": 4", "\"num_heads\": 3", "num_heads: is 3"},
           {"\"ffn\": \"mlp\"", "\"ffn\": \"swiglu\"", "does not hold the encoder"},
           {"\"in_chans\": 1", "\"in_chans\": \"1\"", "in_chans"}}) {
    TempFolder folder;
    Initializer init(5);
    Vit<> vit(small(), init);
    const std::string path = checkpoint(folder, vit);
    replace_in_file(path + "/model.json", from, to);
    const std::string sums = path + "/COMPLETE", line = "  model.json";
    std::string text = read_file(sums);
    const auto at = text.find(line);
    text.replace(at - 8, 8, file_checksum(path + "/model.json"));
    atomic_write(sums, text);
    CHECK_MESSAGE(has(fault_of(folder.string()), part), fault_of(folder.string()));
  }
}

TEST_CASE("picture_encoder: folders and files that are something else are named") {
  TempFolder folder;
  CHECK(has(fault_of(folder / "absent"), "absent: is not there; expected a run, a folder"));
  atomic_write(folder / "text.pth", "no weights at all");
  CHECK(has(fault_of(folder / "text.pth"), "text.pth: "));
  atomic_write(folder / "empty.safetensors", "");
  CHECK(has(fault_of(folder / "empty.safetensors"), "empty.safetensors: "));
  SafetensorsWriter head;
  head.add("last_layer.weight_v", Tensor<float>::ones({16, 8}));
  head.write(folder / "dino_head.safetensors");
  CHECK(has(fault_of(folder / "dino_head.safetensors"),
            "patch_embed.proj.weight: is not there, so these are no weights of an encoder"));
  const auto copied = published + "/model.safetensors";
  CHECK(has(fault_of(copied), "is of an encoder of width 48: such a file does not say how many"));
  // weights beside no configuration are a folder that lacks it, not a run
  std::filesystem::copy(copied, folder / "model.safetensors");
  CHECK(has(fault_of(folder.string()), "config.json: is not there; expected a folder with"));
}

TEST_CASE("picture_encoder: a preparation that no encoder takes is named") {
  TempFolder folder;
  using std::filesystem::copy_options;
  std::filesystem::copy(published, folder.string(),
                        copy_options::recursive | copy_options::overwrite_existing);
  const std::string text = read_file(published + "/preprocessor_config.json");
  const auto told = [&](const std::string& side) {
    std::string other = text;
    for (auto at = other.find("112"); at != other.npos; at = other.find("112"))
      other.replace(at, 3, side);
    atomic_write(folder / "preprocessor_config.json", other);
    return fault_of(folder.string());
  };
  CHECK(told("126") == "no error");
  CHECK(has(told("13"), "crop_size: is 13, expected 14 (a patch of the encoder) to 4096"));
  CHECK(has(told("16384"), "crop_size: is 16384"));
  CHECK(has(told("99999"), "expected a whole number of 1 to 16384"));
}

TEST_CASE(
    "encode_pictures: features of every picture in its place, whatever the batch and threads") {
  TempFolder folder;
  std::vector<std::string> files, names;
  for (std::uint32_t i = 0; i < 5; ++i) {
    names.push_back(fmt::format("p{}.png", i));
    files.push_back(written(folder, names.back(), i));
  }
  const auto encoder = load_picture_encoder<Cpu>("untrained:radiograph_phantom");
  const auto quiet = [](index_t, index_t) {};
  EncodeOptions o;
  o.batch_size = 2;
  const EncodedPictures some = encode_pictures(encoder, files, names, o, quiet);
  const FeatureFile& f = some.features;
  CHECK((f.files == names && f.width == 128 && f.rows == 8 && f.columns == 8));
  CHECK((f.cls.size() == 5 * 128 && f.patches.size() == 5 * 64 * 128));
  for (std::size_t i = 0; i < 5; ++i) {
    const auto want = cls_of(encoder, read_radiograph(files[i]));
    const auto got = f.cls_of(i);
    double worst = 0;
    for (std::size_t k = 0; k < want.size(); ++k)
      worst = std::max(worst, static_cast<double>(std::abs(want[k] - got[k])));
    CHECK(worst < 1e-5);
  }
  o.patches = false;
  const EncodedPictures short_ones = encode_pictures(encoder, files, names, o, quiet);
  CHECK((short_ones.features.patches.empty() && short_ones.features.cls == f.cls));
  o.shuffle_patches = true;
  CHECK(encode_pictures(encoder, files, names, o, quiet).features.cls != f.cls);
}

TEST_CASE(
    "encode_pictures: bad pictures end it, or are left out and told; bad weights name a picture") {
  TempFolder folder;
  const std::string good = written(folder, "good.png", 1), bad = folder / "bad.png";
  atomic_write(bad, "GIF89a");
  auto encoder = load_picture_encoder<Cpu>("untrained:radiograph_phantom");
  const auto quiet = [](index_t, index_t) {};
  const auto encode = [&](const std::vector<std::string>& files, const EncodeOptions& o) {
    return encode_pictures(encoder, files, files, o, quiet);
  };
  EncodeOptions o;
  CHECK(has(error_of([&] { encode({good, bad}, o); }), "bad.png: byte 0: is neither PNG nor JPEG"));
  o.skip_bad = true;
  const EncodedPictures some = encode({bad, good, folder / "absent.png"}, o);
  CHECK(some.features.files == std::vector<std::string>{good});
  CHECK(some.problems.size() == 2);
  CHECK(has(error_of([&] { encode({bad}, o); }), "none of 1 pictures could be read: "));
  encoder.vit.norm.bias.value().fill(std::numeric_limits<float>::quiet_NaN());
  CHECK(has(error_of([&] { encode({good}, o); }),
            "good.png: a feature is nan (hint: the weights of untrained:radiograph_phantom may"));
  CHECK(has(error_of([&] { look_at(encoder, picture(1), "first"); }), "first: a feature is nan"));
}

TEST_CASE(
    "look: attention is a share of the class token's, and sheets have a tile for everything") {
  const auto encoder = load_picture_encoder<Cpu>("untrained:radiograph_phantom");
  std::vector<LookedAt> seen;
  for (std::uint32_t i = 0; i < 3; ++i)
    seen.push_back(look_at(encoder, picture(i), fmt::format("{}: a long name of a picture", i)));
  const LookedAt& first = seen.front();
  CHECK(first.attention.shape() == Shape{4, 8, 8});
  CHECK(first.patches.shape() == Shape{64, 128});
  for (const float share : sum(first.attention, {1, 2}).to_vector())
    CHECK((share > 0.5 && share < 1));
  // four tiles of 264 in a row, titles of 24 above them
  const Picture attention = draw_attention(seen, 6);  // 2 + 4 heads: two rows for each picture
  CHECK((attention.width() == 4 * 272 + 8 && attention.height() == 6 * 296 + 8));
  const Picture components = draw_components(seen);
  CHECK((components.width() == 4 * 272 + 8 && components.height() == 2 * 296 + 8));
  const std::vector<LookPoint> points{{0.5, 0.5}, {0, 0}, {1, 1}, {0.2, 0.9}, {0.4, 0.4}};
  const Picture alike = draw_correspondence(first, first, points);
  CHECK((alike.width() == 4 * 272 + 8 && alike.height() == 4 * 296 + 8));
  // of the picture with itself every point finds its own patch: a white ring about its middle
  CHECK(alike.at(8 + 264 * 9 / 16 + 8, 8 + 24 + 296 + 264 * 9 / 16) == Colour{255, 255, 255});
  CHECK(detail::short_title("0: a long name of a picture", 21).size() == 21);
  CHECK(has(error_of([&] { draw_correspondence(first, first, {{1.5, 0}}); }), "1"));
}
