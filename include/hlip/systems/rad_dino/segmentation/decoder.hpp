// The decoders of masks behind one face: which one it is, a configuration says.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/models/segmentation/linear_head.hpp>
#include <hlip/models/segmentation/simple_pyramid.hpp>
#include <hlip/models/segmentation/u_net.hpp>
#include <hlip/models/segmentation/uper_net.hpp>

#include <string>
#include <utility>
#include <variant>

HLIP_BEGIN

/// Which decoder.
struct MaskDecoderConfig {
  std::string head = "unet";  ///< linear, vitdet, upernet or unet
  index_t dim = 1;            ///< channels of the maps; of the pictures, for unet
  index_t classes = 1;
  index_t width = 32;  ///< of vitdet, upernet and unet
  int levels = 5;      ///< of unet
};

/// A folder may not ask for more.
inline constexpr index_t most_decoder_width = 1024;

/// The usual width of a head; 0: it has none.
HLIP_LAZY index_t usual_width(const std::string& head) {
  return head == "upernet" ? 512 : head == "vitdet" ? 256 : head == "unet" ? 32 : 0;
}

/// One of the decoders. It sees an encoder through its feature maps alone; a U-Net takes the
/// pictures themselves for a map.
template <class T = float, class B = Cpu> struct MaskDecoder {
  using value_type = T;
  using backend = B;
  std::variant<LinearHead<T, B>, SimplePyramidHead<T, B>, UPerNet<T, B>, UNet<T, B>> decoder;

  MaskDecoder() = default;
  /// @throws hlip::error for a head that there is not, and what the decoder itself refuses
  MaskDecoder(const MaskDecoderConfig& c, Initializer& init) {
    if (c.head == "linear") decoder = LinearHead<T, B>(c.dim, c.classes, init);
    else if (c.head == "vitdet") decoder = SimplePyramidHead<T, B>(c.dim, c.width, c.classes, init);
    else if (c.head == "upernet") decoder = UPerNet<T, B>(c.dim, c.width, c.classes, init);
    else if (c.head == "unet") decoder = UNet<T, B>({c.dim, c.classes, c.width, c.levels}, init);
    else fail("head", "{} is none of linear, vitdet, upernet and unet", quote_text(c.head));
  }
  template <class V> void visit(V&& v) {
    std::visit([&](auto& chosen) { v("decoder", chosen); }, decoder);
  }
  /// @param maps as the decoder takes them, see there  @param side of the pictures, in pixels
  /// @return logits (N, classes, side, side)
  Var<T, B> operator()(const FeatureMaps<T, B>& maps, index_t side,
                       const Context& context = {}) const {
    const Var<T, B> logits = std::visit(
        [&](const auto& chosen) {
          if constexpr (requires { chosen(maps, context); }) return chosen(maps, context);
          else return chosen(maps.back(), context);
        },
        decoder);
    return resize_map(logits, side, side);
  }
};

HLIP_END
