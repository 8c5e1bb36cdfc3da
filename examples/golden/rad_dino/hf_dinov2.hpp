// Kind hf_dinov2: an encoder in the folder Hugging Face keeps it in, from the bytes of pictures to
// tokens. The folder lies beside the fixture; the pictures in --images, or where they lie beside
// the fixtures they came with.
#pragma once

#include "../fixture.hpp"

#include <hlip/imaging/read_radiograph.hpp>
#include <hlip/systems/rad_dino/picture_encoder.hpp>

#include <array>

namespace golden {

// Source: README.md beside the fixture. Half a grey level after normalisation, and of two sums of
// thirty thousand pixels what a few of them could come to.
inline constexpr Limit half_a_level{Limit::Scale::absolute, 0.0076};
inline constexpr Limit sums_of_pixels{Limit::Scale::each, 1e-4};
inline constexpr Limit published_features{Limit::Scale::tensor, 1e-4};

/// Every n-th row and column of a channel.
inline Tensor<float, Cpu> every_nth(const Tensor<float, Cpu>& channel, index_t n) {
  const index_t rows = (channel.dim(0) + n - 1) / n, columns = (channel.dim(1) + n - 1) / n;
  auto out = Tensor<float, Cpu>::empty({rows, columns});
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c) out.data()[r * columns + c] = channel.at({r * n, c * n});
  return out;
}

/// What is compared of one picture. @param out in front of the names of its tensors
template <class B>
void check_hf_picture(Fixture& f, const PictureEncoder<B>& encoder, const std::string& out,
                      const std::string& picture) {
  const Tensor<float, Cpu> three = prepare_radiograph(read_radiograph(picture),
                                                      encoder.preparation);
  double sum = 0, squares = 0;
  for (const float x : three.to_vector()) sum += x, squares += static_cast<double>(x) * x;
  f.compare(out + "sums", {sum, squares}, sums_of_pixels);
  f.compare(out + "pixels", every_nth(three.select(0, 0), 7), half_a_level);

  NoGrad guard;
  const auto features = [&](const Tensor<float, Cpu>& x) {
    return vit_features(encoder.vit, Var<float, B>(on_backend<B>(x).unsqueeze(0)));
  };
  const index_t width = encoder.vit.config.embed_dim;
  const std::array<Padding, 3> below_and_beside{{{0, 0}, {0, 14}, {0, 28}}};
  const VitFeatures<float, B> own = features(three),
                              larger = features(pad(three, below_and_beside, 0.0f));
  f.compare(out + "cls", own.cls.value().reshape({width}), published_features);
  f.compare(out + "patches", own.patches.value().reshape({own.patches.dim(1), width}),
            published_features);
  f.compare(out + "cls_larger", larger.cls.value().reshape({width}), published_features);
}

template <class B> void check_hf_dinov2(Fixture& f) {
  namespace fs = std::filesystem;
  const Json& images = list_of(entry(f.config(), "images"), "images");
  const Json& model = entry(f.config(), "model");
  if (!model.is_string()) fail("config", "model is {}, expected a folder's name", model.dump());
  const fs::path here = fs::path(f.path()).parent_path();
  const std::string folder = f.images().empty()
                                 ? (here / ".." / ".." / "data" / "cxr" / "images").string()
                                 : f.images();
  if (!fs::is_directory(folder))
    fail_file(folder, "", "is not there (hint: --images DIR says where its {} pictures are)",
              images.size());
  const auto encoder = load_picture_encoder<B>((here / model.get<std::string>()).string());
  for (std::size_t i = 0; i < images.size(); ++i) {
    const Json& image = images[i];
    if (!image.is_object() || !image.contains("file") || !image["file"].is_string())
      fail("config", "images[{}] is {}, expected an object with a file", i, image.dump());
    check_hf_picture(f, encoder, fmt::format("output.image{}.", i),
                     folder + "/" + image["file"].get<std::string>());
  }
}

}  // namespace golden
