// Operations on 8-bit pictures, the boxes of random crops, and views. Their exact values are those
// of the golden file augment_ops.
#include "../support/errors.hpp"

#include <doctest/doctest.h>
#include <hlip/imaging/augment/multi_crop.hpp>

#include <numeric>

using namespace hlip;

namespace {

BytePicture drawn_picture(index_t channels, index_t height, index_t width) {
  auto x = BytePicture::of_size(channels, height, width);
  RandomStream random(RandomKey{3});
  for (auto& v : x.levels) v = static_cast<std::uint8_t>(random.below(256));
  return x;
}
bool refuses(std::string_view part, const MultiCropOptions& o) {
  const auto x = drawn_picture(1, 32, 32);
  const std::string message = test::error_of([&] { multi_crop(x, o, {}); });
  if (message.starts_with("multi_crop: ") && message.find(part) != message.npos) return true;
  MESSAGE(message);
  return false;
}
MultiCropOptions small_crops() {
  auto o = dinov2_crops();
  o.global_size = 28, o.local_size = 14, o.local_count = 3;
  return o;
}

}  // namespace

TEST_CASE("resized_crop: the size of the box changes nothing, even grey stays even") {
  const auto x = drawn_picture(3, 20, 30);
  const auto same = resized_crop(x, {0, 0, 20, 30}, 20, 30);
  CHECK(same.levels == x.levels);
  const auto part = resized_crop(x, {4, 5, 6, 7}, 6, 7);
  CHECK(part.plane(2)[8] == x.plane(2)[5 * 30 + 6]);
  auto even = BytePicture::of_size(1, 9, 5);
  std::fill(even.levels.begin(), even.levels.end(), 77);
  for (const auto kernel : {ByteResize::bilinear, ByteResize::bicubic})
    for (const auto& [h, w] : {std::pair{50, 3}, std::pair{1, 200}, std::pair{7, 7}}) {
      const auto y = resized_crop(even, {0, 0, 9, 5}, h, w, kernel);
      CHECK(std::all_of(y.levels.begin(), y.levels.end(), [](int v) { return v == 77; }));
    }
}

TEST_CASE("resized_crop: a part is the part of the whole, and one pixel is enough") {
  const auto x = drawn_picture(1, 23, 17);
  const auto whole = resized_crop(x, {1, 2, 20, 15}, 40, 90);
  const auto part = resized_crop(x, {1, 2, 20, 15}, 40, 90, ByteResize::bicubic, {11, 30, 9, 25});
  bool equal = true;
  for (index_t r = 0; r < 9; ++r)
    for (index_t c = 0; c < 25; ++c)
      equal = equal && part.levels[static_cast<std::size_t>(r * 25 + c)] ==
                           whole.levels[static_cast<std::size_t>((r + 11) * 90 + c + 30)];
  CHECK(equal);
  const BytePicture dot{1, 1, 1, {200}};
  CHECK(resized_crop(dot, {0, 0, 1, 1}, 2, 2).levels == std::vector<std::uint8_t>(4, 200));
  CHECK(test::error_of([&] {
          resized_crop(x, {0, 0, 24, 3}, 2, 2);
        }).starts_with("resized_crop: a box of 24 x 3 at (0, 0) in a picture of 23 x 17"));
  CHECK(test::error_of([&] { resized_crop(x, {0, 0, 2, 2}, 0, 2); }) != "no error");
}

TEST_CASE("adjustments: factor 1 changes nothing, and grey pictures have no colour to change") {
  for (const index_t channels : {1, 3}) {
    const auto x = drawn_picture(channels, 12, 11);
    auto y = x;
    adjust_brightness(y, 1);
    adjust_contrast(y, 1);
    adjust_saturation(y, 1);
    CHECK(y.levels == x.levels);
    hflip(y);
    CHECK(y.plane(0)[0] == x.plane(0)[10]);
    hflip(y);
    solarize(y, 256);
    gaussian_blur(y, 0.05);
    CHECK(y.levels == x.levels);
  }
  const auto grey = drawn_picture(1, 12, 11);
  auto y = grey;
  adjust_saturation(y, 0);
  adjust_hue(y, 0.3);
  rgb_to_grayscale(y);
  CHECK(y.levels == grey.levels);
  // and what has three equal channels is treated as one channel is
  BytePicture three{3, 12, 11, grey.levels};
  for (int c = 0; c < 2; ++c)
    three.levels.insert(three.levels.end(), grey.levels.begin(), grey.levels.end());
  for (auto* p : {&y, &three}) {
    adjust_saturation(*p, 0.4);
    adjust_hue(*p, -0.2);
    adjust_contrast(*p, 1.3);
    adjust_brightness(*p, 0.7);
    gaussian_blur(*p, 1.2);
    solarize(*p, 100);
  }
  CHECK(std::equal(y.levels.begin(), y.levels.end(), three.plane(0)));
  CHECK(std::equal(y.levels.begin(), y.levels.end(), three.plane(2)));
  CHECK(test::error_of([&] { adjust_contrast(y, -1); }).starts_with("adjust_contrast: "));
  CHECK(test::error_of([&] { adjust_hue(three, 0.7); }).starts_with("adjust_hue: "));
}

TEST_CASE("gaussian_blur: pictures smaller than its kernel reflect again and again") {
  for (const auto& [h, w] : {std::pair{1, 1}, std::pair{2, 3}, std::pair{3, 2}}) {
    auto x = BytePicture::of_size(1, h, w);
    std::fill(x.levels.begin(), x.levels.end(), 90);
    gaussian_blur(x, 2);
    CHECK(std::all_of(x.levels.begin(), x.levels.end(), [](int v) { return v == 90; }));
  }
  BytePicture pair{1, 1, 2, {0, 200}};
  gaussian_blur(pair, 50);  // even weights of 9 pixels: 0 200 0 200 [0] 200 0 200 0
  CHECK(pair.levels == std::vector<std::uint8_t>{89, 111});
  CHECK(test::error_of([&] { gaussian_blur(pair, 0); }).starts_with("gaussian_blur: kernel 9"));
}

TEST_CASE("crop boxes: they lie inside, have the area and the aspect asked for, and fall back") {
  RandomStream random(RandomKey{5});
  const auto uniform = [&] { return random.uniform(); };
  double least = 1, most = 0, mean = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto box = sample_crop_box(300, 400, {0.2, 0.5}, {0.75, 4.0 / 3}, uniform);
    CHECK((box.top >= 0 && box.left >= 0 && box.top + box.height <= 300 &&
           box.left + box.width <= 400));
    const double area = static_cast<double>(box.height * box.width) / 120000,
                 aspect = static_cast<double>(box.width) / static_cast<double>(box.height);
    CHECK((aspect > 0.74 && aspect < 1.35));
    least = std::min(least, area), most = std::max(most, area), mean += area / 2000;
  }
  CHECK((least > 0.198 && least < 0.21));
  CHECK((most < 0.502 && most > 0.49));
  CHECK(std::abs(mean - 0.35) < 0.01);
  // too long for any box of that area
  int draws = 0;
  const auto half = [&] { return ++draws, 0.5; };
  CHECK(sample_crop_box(10, 1000, {0.9, 1}, {0.75, 4.0 / 3}, half) == CropBox{0, 493, 10, 13});
  CHECK(draws == 20);
  CHECK(sample_crop_box(1000, 10, {0.9, 1}, {0.75, 4.0 / 3}, half) == CropBox{493, 0, 13, 10});
  CHECK(sample_crop_box(1, 1, {0.5, 0.5}, {1, 1}, half) == CropBox{0, 0, 1, 1});
  CHECK(sample_square_box(100, 60, {0.5, 1}, half) == CropBox{28, 8, 45, 45});
  CHECK(sample_square_box(1, 9, {0.1, 0.2}, half).height == 1);
}

TEST_CASE("multi_crop: a pure function of picture, options and key, each view with its own draws") {
  const auto x = drawn_picture(1, 40, 50);
  auto o = small_crops();
  const RandomKey key{1, 2, 3};
  const auto a = multi_crop(x, o, key), b = multi_crop(x, o, key);
  CHECK(a.global.shape() == Shape{2, 3, 28, 28});
  CHECK(a.local.shape() == Shape{3, 3, 14, 14});
  CHECK(a.global.to_vector() == b.global.to_vector());
  CHECK(a.local.to_vector() == b.local.to_vector());
  CHECK(a.global.to_vector() != multi_crop(x, o, {1, 2, 4}).global.to_vector());
  CHECK(a.global.select(0, 0).to_vector() != a.global.select(0, 1).to_vector());
  o.local_count = 5;
  const auto more = multi_crop(x, o, key);
  CHECK(more.global.to_vector() == a.global.to_vector());
  CHECK(more.local.slice(0, 0, 3).contiguous().to_vector() == a.local.to_vector());
  o.local_count = 0;
  CHECK(multi_crop(x, o, key).local.numel() == 0);
}

TEST_CASE("multi_crop: one channel is what three equal ones are") {
  const auto grey = drawn_picture(1, 40, 50);
  BytePicture three{3, 40, 50, grey.levels};
  for (int c = 0; c < 2; ++c)
    three.levels.insert(three.levels.end(), grey.levels.begin(), grey.levels.end());
  auto o = small_crops();
  const auto from_grey = multi_crop(grey, o, {9}), from_three = multi_crop(three, o, {9});
  CHECK(from_grey.global.to_vector() == from_three.global.to_vector());
  CHECK(from_grey.local.to_vector() == from_three.local.to_vector());
  o.channels = 1;
  CHECK(multi_crop(grey, o, {9}).global.to_vector() ==
        from_grey.global.slice(1, 0, 1).contiguous().to_vector());
  CHECK(test::error_of([&] {
          multi_crop(three, o, {9});
        }).starts_with("multi_crop: a coloured picture"));
  const Radiograph radiograph{40, 50, 8, {grey.levels.begin(), grey.levels.end()}};
  CHECK(multi_crop(radiograph, small_crops(), {9}).global.to_vector() ==
        from_grey.global.to_vector());
}

TEST_CASE("multi_crop: without changes a view is its crop, normalised") {
  MultiCropOptions o = rad_dino_crops();
  CHECK(o.global_size == 518);
  CHECK(o.local_size == 196);
  CHECK(o.saturation + o.hue + o.gray + o.solarize == 0);
  o.global_size = 20, o.local_size = 10, o.local_count = 1;
  o.flip = o.jitter = o.local_blur = 0, o.global_blur = {0, 0};
  o.global_scale = {1, 1}, o.aspect = {1, 1};
  const auto x = drawn_picture(1, 20, 20);
  const auto views = multi_crop(x, o, {});
  CHECK(views.global.select(0, 0).to_vector() == normalize(x, rad_dino_levels).to_vector());
  CHECK(views.global.at({1, 2, 3, 4}) == doctest::Approx((x.levels[64] / 255.0 - 0.5307) / 0.2583));
  o.flip = 1;
  CHECK(multi_crop(x, o, {}).global.at({0, 0, 3, 0}) == views.global.at({0, 0, 3, 19}));
  o.mode = CropMode::side;
  o.flip = 0, o.local_scale = {1, 1};
  CHECK(multi_crop(x, o, {}).global.to_vector() == views.global.to_vector());
}

TEST_CASE("multi_crop: the blur has the rate asked for, or its complement") {
  // of a picture of fine noise: blurred views are smooth
  const auto x = drawn_picture(1, 28, 28);
  auto o = small_crops();
  o.local_count = 0, o.channels = 1;
  o.jitter = o.solarize = o.flip = 0, o.global_scale = {1, 1}, o.aspect = {1, 1};
  o.sigma = {1.5, 2};
  const auto blurred = [&] {
    std::array<int, 2> n{};
    for (std::uint64_t i = 0; i < 200; ++i) {
      const auto v = multi_crop(x, o, {4, 0, i}).global;
      for (index_t g = 0; g < 2; ++g) {
        double rough = 0;
        for (index_t c = 1; c < 28; ++c)
          rough += std::abs(v.at({g, 0, 9, c}) - v.at({g, 0, 9, c - 1}));
        n[static_cast<std::size_t>(g)] += rough < 20;
      }
    }
    return n;
  };
  const auto nominal = blurred();
  CHECK(nominal[0] == 200);
  CHECK((nominal[1] > 5 && nominal[1] < 40));
  o.complement_blur = true;
  const auto complement = blurred();
  CHECK(complement[0] == 0);
  CHECK((complement[1] > 160 && complement[1] < 195));
}

TEST_CASE("multi_crop: options that cannot be carried out are refused") {
  const auto with = [](auto change) {
    auto o = small_crops();
    change(o);
    return o;
  };
  CHECK(refuses("views of 0 and", with([](auto& o) { o.global_size = 0; })));
  CHECK(refuses("views of 28 and 5000", with([](auto& o) { o.local_size = 5000; })));
  CHECK(refuses("-1 local views", with([](auto& o) { o.local_count = -1; })));
  CHECK(refuses("a scale from 0.5 to 0.2", with([](auto& o) { o.local_scale = {0.5, 0.2}; })));
  CHECK(refuses("a scale from 0 to 1", with([](auto& o) { o.global_scale = {0, 1}; })));
  CHECK(refuses("an aspect from 2 to 1", with([](auto& o) { o.aspect = {2, 1}; })));
  CHECK(refuses("a probability or strength of 1.5", with([](auto& o) { o.flip = 1.5; })));
  CHECK(refuses("a probability or strength of nan", with([](auto& o) { o.gray = NAN; })));
  CHECK(refuses("a hue of 0.6", with([](auto& o) { o.hue = 0.6; })));
  CHECK(refuses("a sigma from 0 to 2", with([](auto& o) { o.sigma = {0, 2}; })));
  CHECK(refuses("a solarize_threshold of 300", with([](auto& o) { o.solarize_threshold = 300; })));
  CHECK(refuses("2 channels", with([](auto& o) { o.channels = 2; })));
  CHECK(test::error_of([] {
          multi_crop(BytePicture{}, small_crops(), {});
        }).starts_with("multi_crop: 0 levels for a picture"));
}
