// What text-informed pre-training trains: an encoder of volumes, a text tower, a block that lets
// the deepest map ask the report, and what turns that into an embedding and back into a volume.
// At transfer the encoder alone is kept.
// Source: reference document T3D §2. The abstract of the paper fixes the tasks; every size and the
// form of every part is this library's choice.
#pragma once

#include <hlip/autograd/functions/norm.hpp>
#include <hlip/models/bert.hpp>
#include <hlip/models/segmentation/feature_maps.hpp>
#include <hlip/nn/conv.hpp>
#include <hlip/nn/gated_cross_attention.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Tokens of reports: an embedding with positions, or a BERT.
template <class T = float, class B = Cpu> struct ReportTower {
  using value_type = T;
  using backend = B;
  Embedding<T, B> words;
  Var<T, B> places;        ///< (length, dim)
  Bert<T, B> transformer;  ///< in place of both

  ReportTower() = default;
  /// Words and places alone. @param length of the longest report, in tokens
  ReportTower(index_t vocab_size, index_t length, index_t dim, Initializer& init)
      : words(vocab_size, dim, 0.02, init), places(init.normal<T, B>({length, dim}, 0.02)) {}
  explicit ReportTower(Bert<T, B> bert) : transformer(std::move(bert)) {}
  template <class V> void visit(V&& v) {
    v("words", words);
    v("places", places);
    v("transformer", transformer);
  }
  index_t dim() const {
    return places.numel() > 0 ? places.dim(1) : transformer.config.hidden_size;
  }
  /// @param ids (N, L), 0 is padding; a row of nothing else is read as if it began with token 1:
  /// attention has to look at something. Who asks the tokens must hide them.
  /// @return (N, L, dim())
  /// @throws hlip::error for more tokens than there are places
  Var<T, B> operator()(const Tensor<std::int64_t, B>& ids, const Context& context = {}) const {
    expect_shape("report_tower", "ids", ids.shape(), {{"N"}, {"L"}});
    if (places.numel() == 0) {
      const auto first = Tensor<std::int64_t, B>::arange(ids.dim(1)).reshape({1, ids.dim(1)});
      const Tensor<std::int64_t, B> longest = max(ids, {1}, true),
                                    read = where(longest + first == 0, longest + 1, ids);
      return reshape(transformer(read, context), {ids.dim(0), ids.dim(1), dim()});
    }
    expect(ids.dim(1) <= places.dim(0), "report_tower", "{} tokens, there are {} places",
           ids.dim(1), places.dim(0));
    return words(ids) + slice(places, 0, 0, ids.dim(1));
  }
};

/// linear, ReLU, linear, under the names of torch.nn.Sequential.
template <class T = float, class B = Cpu> struct ContrastProjector {
  using value_type = T;
  using backend = B;
  Linear<T, B> first, second;

  ContrastProjector() = default;
  ContrastProjector(index_t dim, index_t embed_dim, Initializer& init)
      : first(dim, dim, true, 1.0 / std::sqrt(static_cast<double>(dim)), init),
        second(dim, embed_dim, true, 1.0 / std::sqrt(static_cast<double>(dim)), init) {}
  template <class V> void visit(V&& v) {
    v("0", first);
    v("2", second);
  }
  /// @param x (N, dim)  @return (N, embed_dim), of length 1
  Var<T, B> operator()(const Var<T, B>& x) const { return l2_normalize(second(relu(first(x)))); }
};

/// A volume from the deepest map alone: transposed convolutions with ReLU until it has its size
/// again, and a convolution of 3x3x3. It sees no finer map, which would show it what was hidden.
template <class T = float, class B = Cpu> struct RestorationDecoder {
  using value_type = T;
  using backend = B;
  std::vector<ConvTranspose3d<T, B>> up;
  Conv3d<T, B> last;

  RestorationDecoder() = default;
  /// @param dim channels of the map  @param stride voxels of the volume in one of the map, by axis
  /// @param widths channels after every step; the last stands for those that follow, too
  RestorationDecoder(index_t dim, std::array<index_t, 3> stride, const std::vector<index_t>& widths,
                     index_t out_chans, Initializer& init) {
    expect(!widths.empty(), "restoration_decoder", "no widths, expected at least one");
    const std::vector<Shape> factors = steps(stride);
    index_t in = dim;
    for (std::size_t i = 0; i < factors.size(); ++i) {
      const index_t out = widths[std::min(i, widths.size() - 1)];
      up.emplace_back(in, out, factors[i], init, ConvOptions{.stride = factors[i]});
      in = out;
    }
    last = Conv3d<T, B>(in, out_chans, {3}, init, {.padding{1}});
  }
  template <class V> void visit(V&& v) {
    for (std::size_t i = 0; i < up.size(); ++i) v("up" + std::to_string(i + 1), up[i]);
    v("last", last);
  }
  /// @param x (N, dim, d, h, w)  @return (N, out_chans, D, H, W)
  Var<T, B> operator()(const Var<T, B>& x) const {
    Var<T, B> y = x;
    for (const auto& larger : up) y = relu(larger(y));
    return last(y);
  }

 private:
  /// The prime factors of the strides, from the largest on: what every step enlarges each axis by.
  static std::vector<Shape> steps(const std::array<index_t, 3>& stride) {
    std::array<std::vector<index_t>, 3> primes;
    std::size_t count = 0;
    for (std::size_t a = 0; a < 3; ++a) {
      index_t left = stride[a];
      for (index_t p = 2; left > 1; left % p == 0 ? left /= p : ++p)
        if (left % p == 0) primes[a].insert(primes[a].begin(), p);
      count = std::max(count, primes[a].size());
    }
    std::vector<Shape> all;
    for (std::size_t i = 0; i < count; ++i) {
      Shape step;
      for (const auto& of_axis : primes) step.push_back(i < of_axis.size() ? of_axis[i] : 1);
      all.push_back(step);
    }
    return all;
  }
};

/// Sizes of what stands beside the encoder and the text tower.
struct TextInformedConfig {
  index_t fusion_heads = 8;
  index_t fusion_hidden_ratio = 2;  ///< of the MLP of the fusion, in widths of the deepest map
  index_t embed_dim = 128;          ///< of the embeddings that are compared
  std::vector<index_t> decoder_widths = {256, 128, 64, 32, 16};  ///< from coarse to fine
};

/// @tparam Visual an encoder of volumes: channels() and strides() of its maps, and
/// operator()(x, context) -> FeatureMaps from fine to coarse, as ResNet3d has them
template <class Visual, class T = float, class B = Cpu> struct TextInformedModel {
  using value_type = T;
  using backend = B;
  Visual visual;
  ReportTower<T, B> text;
  GatedCrossAttention<T, B> fusion;
  ContrastProjector<T, B> project;
  RestorationDecoder<T, B> decoder;
  Var<T, B> log_scale;  ///< (), of the logits; starts at ln(1 / 0.07)

  TextInformedModel() = default;
  TextInformedModel(Visual encoder, ReportTower<T, B> tower, const TextInformedConfig& c,
                    index_t in_chans, Initializer& init)
      : visual(std::move(encoder)), text(std::move(tower)) {
    const index_t dim = visual.channels().back();
    fusion = GatedCrossAttention<T, B>(dim, text.dim(), c.fusion_heads, c.fusion_hidden_ratio * dim,
                                       init);
    project = ContrastProjector<T, B>(dim, c.embed_dim, init);
    decoder = RestorationDecoder<T, B>(dim, visual.strides().back(), c.decoder_widths, in_chans,
                                       init);
    log_scale = Initializer::constant<T, B>(Shape{}, std::log(1 / 0.07));
  }
  template <class V> void visit(V&& v) {
    v("visual", visual);
    v("text", text);
    v("fusion", fusion);
    v("project", project);
    v("decoder", decoder);
    v("log_scale", log_scale);
  }

  /// Voxels of the deepest map as tokens. @param map (N, C, d, h, w)  @return (N, d·h·w, C)
  static Var<T, B> tokens_of(const Var<T, B>& map) {
    const index_t n = map.dim(0), c = map.dim(1);
    return transpose(reshape(map, {n, c, map.numel() / (n * c)}), 1, 2);
  }
  /// The embedding of tokens. @param tokens (N, L, C)  @return (N, embed_dim), of length 1
  Var<T, B> embed(const Var<T, B>& tokens) const { return project(mean(tokens, {1})); }

  /// The volumes that the encoder sees, restored with the help of their reports.
  /// @param x (N, in_chans, D, H, W)  @param report (N, L, dim)  @param mask (N, L), 0 hides
  /// @return the shape of x
  Var<T, B> restore(const Var<T, B>& x, const Var<T, B>& report,
                    const Tensor<std::uint8_t, B>& mask, const Context& context) const {
    const Var<T, B> map = visual(x, context).back(), fused = fusion(tokens_of(map), report, mask);
    return decoder(reshape(transpose(fused, 1, 2), map.shape()));
  }
};

HLIP_END
