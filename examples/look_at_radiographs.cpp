// What an encoder sees in radiographs: where its class token looks, which patches of the second
// picture are like points of the first, and patches coloured by what they have in common. PNG files
// and one page.
//
//   look_at_radiographs a.png b.png --model runs/x --out look
#include <hlip/hlip.hpp>

#include <hlip/cli/command_line.hpp>
#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/device.hpp>
#include <hlip/imaging/read_radiograph.hpp>
#include <hlip/io/png.hpp>
#include <hlip/report/html.hpp>
#include <hlip/systems/rad_dino/look.hpp>

#include <filesystem>
#include <utility>

using namespace hlip;

namespace {

struct Options {
  std::string model, out = "look", device = "cpu";
  std::vector<std::string> pictures;
  std::vector<double> points;
  index_t heads = 6;
  std::uint64_t seed = 0;
  int threads = 0;
};

/// Points of --points, or four that lie in the lungs, the heart and beside the spine of most
/// frontal radiographs.
std::vector<LookPoint> points_of(const Options& o) {
  if (o.points.empty()) return {{0.35, 0.28}, {0.35, 0.72}, {0.6, 0.58}, {0.3, 0.5}};
  if (o.points.size() % 2 != 0)
    fail("look_at_radiographs", "--points has {} numbers, expected pairs of y and x",
         o.points.size());
  std::vector<LookPoint> points;
  for (std::size_t i = 0; i < o.points.size(); i += 2)
    points.push_back({o.points[i], o.points[i + 1]});
  return points;
}

template <class B> int look(B, const Options& o) {
  const PictureEncoder<B> encoder = load_picture_encoder<B>(o.model, o.seed);
  fmt::print("{}", encoder.table);
  const std::vector<LookPoint> points = points_of(o);
  std::vector<LookedAt> seen;
  std::vector<std::pair<std::string, std::string>> listed;
  for (const auto& file : o.pictures) {
    const Radiograph picture = read_radiograph(file);
    const std::string name = fmt::format("{}: {}", seen.size() + 1,
                                         std::filesystem::path(file).stem().string());
    listed.emplace_back(fmt::format("{}", seen.size() + 1),
                        fmt::format("{}, {} x {} pixels", file, picture.height, picture.width));
    seen.push_back(look_at(encoder, picture, name));
  }

  std::filesystem::create_directories(o.out);
  const VitConfig& c = encoder.vit.config;
  std::string body =
      html_pairs(listed) +
      fmt::format(
          "<p class=\"soft\">Encoder {}: {} blocks of width {}, {} heads, patches "
          "of {} pixels; it sees the centre of every picture at {} x {} pixels.</p>\n",
          escape_html(encoder.name), c.depth, c.embed_dim, c.num_heads, c.patch_size,
          encoder.preparation.crop, encoder.preparation.crop);
  const auto add = [&](const std::string& name, const Picture& picture, const std::string& title,
                       const std::string& caption) {
    const std::string png = encode_png(picture.pixels(), static_cast<std::size_t>(picture.width()),
                                       static_cast<std::size_t>(picture.height()));
    const std::string path = o.out + "/" + name + ".png";
    atomic_write(path, png);
    fmt::print("{}\n", visible_text(path));
    body += fmt::format("<h2>{}</h2>\n", escape_html(title)) + html_figure(png, caption);
  };
  add("attention", draw_attention(seen, o.heads), "Where the class token looks",
      "Attention of the class token over patches in the last block, by head; blue is the least and "
      "red the most of each map. It says where information is taken from, not what for.");
  if (seen.size() > 1)
    add("correspondence", draw_correspondence(seen[0], seen[1], points), "Which patches are alike",
        "Above: a point of the first picture (red ring). Below: cosine similarity of its patch "
        "with "
        "every patch of the second, blue the lowest and red the highest of each map; the white "
        "ring "
        "marks the most similar one, whose similarity stands above.");
  add("components", draw_components(seen), "What patches have in common",
      "The three directions in which the patches of these pictures differ most, as red, green and "
      "blue: one colour means one thing in all of them.");
  body += "<p class=\"soft\">For research; not a medical device.</p>\n";
  const std::string page = o.out + "/look.html";
  atomic_write(page, html_page("Radiographs as an encoder sees them", body));
  fmt::print("{}\n", visible_text(page));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  CLI::App app("Pictures of what an encoder sees in radiographs, and a page of them.",
               "look_at_radiographs");
  Options o;
  app.add_option("FILE", o.pictures,
                 "radiographs (PNG, JPEG, DICOM), 16 at most; the first two are compared")
      ->expected(1, 16)
      ->required();
  app.add_option("--model", o.model,
                 "the encoder: a run of train_rad_dino, a Hugging Face folder (DINOv2, RAD-DINO), "
                 "a file of weights, or untrained:NAME for random weights")
      ->required();
  app.add_option("--out", o.out, "folder of the pictures and the page")->capture_default_str();
  app.add_option("--points", o.points,
                 "y x y x ...: points of the first picture, as shares of its height and width; 16 "
                 "at most (default: four in lungs, heart and mediastinum)")
      ->expected(2, 32)
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--heads", o.heads, "heads that are shown")
      ->check(CLI::Range(0, 16))
      ->capture_default_str();
  app.add_option("--seed", o.seed, "of random weights")->capture_default_str();
  add_threads_option(app, o.threads);
  add_device_option(app, o.device);
  return run_program(app, argc, argv, [&] {
    use_compute_threads(o.threads);
    return on_device(o.device, [&](auto device) { return look(device, o); });
  });
}
