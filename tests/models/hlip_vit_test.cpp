#include "../support/gradients.hpp"

#include <hlip/models/hlip_vit.hpp>

using namespace test;

namespace {

using Blocks = std::vector<std::vector<int>>;

/// Two slices of 2 x 2 patches per scan, width 12.
HlipVitConfig small(const Blocks& blocks, index_t depth = 4, std::vector<index_t> outer = {}) {
  HlipVitConfig c;
  c.name = "small";
  c.img_size = {4, 4, 4}, c.patch_size = {2, 2, 2};
  c.embed_dim = 12, c.num_heads = 2, c.mlp_ratio = 2, c.depth = depth, c.init_std = 0.3;
  c.blocks_of_level = blocks, c.outer_groups = std::move(outer);
  return c;
}
template <int Levels> HlipVit<Levels, double, Cpu> encoder(const HlipVitConfig& c) {
  Initializer init(11);
  HlipVit<Levels, double, Cpu> vit(c, init);
  // The published start of 1e-6 would hide it
  vit.cls_token = Variable(numbers({1, 1, c.embed_dim}, 21), true);
  return vit;
}
Variable volumes(index_t studies, index_t scans, std::uint32_t stream = 1) {
  return Variable(numbers({studies, scans, 1, 4, 4, 4}, stream));
}

/// Features of `scans` scans without recording.
template <int Levels>
Array features(const HlipVitConfig& c, const Variable& x, const Context& context = {},
               const HlipVitInput<Cpu>& input = {}) {
  NoGrad guard;
  return encoder<Levels>(c)(x, context, input).value();
}

void check_encoder_gradient(const std::string& what, const HlipVitConfig& c) {
  Initializer init(11);
  HlipVit<3, double, Cpu> vit(c, init);
  std::vector<Array> inputs = {numbers({1, 2, 1, 4, 2, 4}, 1)};
  std::vector<Variable*> trained;
  for (auto& [name, p] : named_parameters(vit))
    if (p->requires_grad()) {
      trained.push_back(p);
      inputs.push_back(numbers(p->shape(), static_cast<std::uint32_t>(inputs.size()), -0.5, 0.5));
    }
  check_gradient(
      what,
      [&](const std::vector<Variable>& v) {
        for (std::size_t i = 0; i < trained.size(); ++i) *trained[i] = v[i + 1];
        return vit(v[0]);
      },
      inputs);
}

}  // namespace

TEST_CASE("encoder: with every block at the top level the nesting makes no difference") {
  const Blocks all{{0, 1, 2, 3}};
  const Variable x = volumes(2, 4);
  const Array plain = features<1>(small(all), x);
  CHECK(plain.shape() == Shape{2, 12});
  CHECK(largest_difference(features<2>(small({{}, {0, 1, 2, 3}}), x), plain) < 1e-12);
  CHECK(largest_difference(features<3>(small({{}, {}, {0, 1, 2, 3}}), x), plain) < 1e-12);
  CHECK(largest_difference(features<4>(small({{}, {}, {}, {0, 1, 2, 3}}, 4, {2}), x), plain) <
        1e-12);
  CHECK(largest_difference(features<5>(small({{}, {}, {}, {}, {0, 1, 2, 3}}, 4, {2, 2}), x),
                           plain) < 1e-12);
}

TEST_CASE("encoder: levels whose groups are the whole study are that study") {
  const Variable one_scan = volumes(2, 1);
  CHECK(largest_difference(features<3>(small({{}, {0, 2}, {1, 3}}), one_scan),
                           features<1>(small({{0, 1, 2, 3}}), one_scan)) < 1e-12);
  const Variable scans = volumes(2, 4);
  CHECK(largest_difference(features<4>(small({{0}, {1}, {2}, {3}}, 4, {1}), scans),
                           features<3>(small({{0}, {1}, {2, 3}}), scans)) < 1e-12);
  CHECK(largest_difference(features<2>(small({{0, 2}, {1, 3}}), scans),
                           features<3>(small({{}, {0, 2}, {1, 3}}), scans)) < 1e-12);
  CHECK(largest_difference(features<3>(small({{0, 2}, {}, {1, 3}}), scans),
                           features<3>(small({{}, {0, 2}, {1, 3}}), scans)) > 1e-3);
}

TEST_CASE("encoder: four and five levels run through every one of them") {
  const Variable x = volumes(1, 4);
  const Array four = features<4>(small({{0}, {1}, {2}, {3}}, 4, {2}), x),
              five = features<5>(small({{0}, {1}, {2}, {3}, {4}}, 5, {2, 2}), x);
  CHECK(four.shape() == Shape{1, 12});
  CHECK(five.shape() == Shape{1, 12});
  CHECK(largest_difference(four, features<4>(small({{0}, {1, 2}, {}, {3}}, 4, {2}), x)) > 1e-6);
  CHECK(error_of([&] {
          features<4>(small({{0}, {1}, {2}, {3}}, 4, {3}), x);
        }) == "small: 4 scans do not divide into 3 groups");
  CHECK(error_of([&] {
          features<5>(small({{0}, {1}, {2}, {3}}, 4, {2}), x);
        }) == "small: 1 outer groups for 5 levels");
}

TEST_CASE("encoder: no change of level copies a patch token") {
  for (bool first_at_study : {false, true}) {
    const Blocks blocks = first_at_study ? Blocks{{1, 4}, {2, 5}, {0, 3}}
                                         : Blocks{{0, 3}, {1, 4}, {2, 5}};
    const auto vit = encoder<3>(small(blocks, 6));
    int moves = 0, shared = 0;
    // What the encoder does between blocks, on what it really hands from block to block.
    std::vector<Tokens<3, double, Cpu>> results;
    const auto collect = [&](std::string_view stage, const auto& seen) {
      if constexpr (requires { seen.hierarchy; }) {
        if (stage != "tokens_out") results.push_back(seen);
      }
    };
    vit(volumes(1, 2), {}, {}, collect);
    REQUIRE(results.size() == 7);
    const std::vector<int> levels = small(blocks, 6).levels();
    const auto first_patch = [](const Tokens<3, double, Cpu>& t) {
      return t.x.value().data() + t.layout().patch_begin * t.x.dim(1);
    };
    for (std::size_t i = 0; i + 1 < results.size(); ++i) {
      const auto moved = move_to_level(results[i], levels[i]);
      if (moved.level == results[i].level) continue;
      ++moves;
      shared += moved.x.value().storage() == results[i].x.value().storage() &&
                first_patch(moved) == first_patch(results[i]);
    }
    CHECK(moves == 5);
    CHECK(shared == moves);
  }
}

TEST_CASE(
    "encoder: a change of level is one recorded operation, and there is none where the level "
    "stays") {
  const Variable x = volumes(2, 2);
  const auto count_moves = [](const Variable& y) {
    std::set<const Node<double, Cpu>*> seen;
    std::vector<const Node<double, Cpu>*> stack{y.node().get()};
    std::size_t moves = 0;
    while (!stack.empty()) {
      const auto* n = stack.back();
      stack.pop_back();
      if (!seen.insert(n).second) continue;
      moves += n->op == "move_to_level";
      for (const auto& in : n->inputs)
        if (in) stack.push_back(in.get());
    }
    return std::pair{moves, operations_behind(y)};
  };
  const auto [moves, nodes] = count_moves(encoder<3>(small({{0, 2}, {1}, {3}}))(x));
  const auto [no_moves, plain_nodes] = count_moves(encoder<3>(small({{}, {}, {0, 1, 2, 3}}))(x));
  CHECK(moves == 3);
  CHECK(no_moves == 0);
  CHECK(nodes == plain_nodes + moves);
}

TEST_CASE("encoder: gradients of every parameter and of the volume, through all three levels") {
  HlipVitConfig c = small({{0}, {1}, {2}}, 3);
  c.embed_dim = 6, c.num_heads = 1, c.mlp_ratio = 1, c.reg_tokens = 1, c.max_num_scans = 3;
  check_encoder_gradient("encoder", c);
}

TEST_CASE(
    "encoder: gradients of the variant that pools patches, has no table of scans and ends at the "
    "scan level") {
  HlipVitConfig c = small({{0}, {1}}, 2);
  c.embed_dim = 6, c.num_heads = 1, c.mlp_ratio = 1, c.reg_tokens = 1, c.max_num_scans = 0,
  c.pooling = VisualPooling::token_and_mean;
  check_encoder_gradient("token_and_mean", c);
}

TEST_CASE("encoder: gradient checkpointing changes no bit, random masks included") {
  HlipVitConfig c = small({{0, 2}, {1}, {3}});
  c.drop_path = 0.5, c.patch_dropout = 0.4, c.max_num_scans = 5;
  const Context context{true, {1, 2, 3}};
  std::vector<Array> results[2];
  for (bool checkpointing : {false, true}) {
    c.grad_checkpointing = checkpointing;
    auto vit = encoder<3>(c);
    const Variable y = vit(volumes(2, 2), context);
    y.backward(numbers(y.shape(), 5));
    results[checkpointing].push_back(y.value());
    for (auto& [name, p] : named_parameters(vit))
      if (p->requires_grad()) results[checkpointing].push_back(p->grad());
  }
  REQUIRE(results[0].size() == results[1].size());
  for (std::size_t i = 0; i < results[0].size(); ++i)
    CHECK(same_bits(results[0][i], results[1][i]));
}

TEST_CASE("encoder: a batch of two studies is two batches of one") {
  HlipVitConfig c = small({{0, 2}, {1}, {3}});
  c.max_num_scans = 4;
  const Variable x = volumes(2, 3);
  const Array both = features<3>(c, x);
  for (index_t s : {0, 1})
    CHECK(largest_difference(both.slice(0, s, s + 1),
                             features<3>(c, Variable(x.value().slice(0, s, s + 1)))) < 1e-13);
}

TEST_CASE("encoder: scan positions are rows of the table, drawn in training and counted outside") {
  HlipVitConfig c = small({{}, {0, 2}, {1, 3}});
  c.max_num_scans = 6;
  const Variable one = volumes(2, 1), three = volumes(2, 3);
  CHECK(same_bits(features<3>(c, three), features<3>(c, three, {}, {{0, 1, 2}, {}})));
  CHECK(same_bits(features<3>(c, one), features<3>(c, one, {}, {{0}, {}})));
  CHECK_FALSE(same_bits(features<3>(c, three), features<3>(c, three, {}, {{0, 2, 1}, {}})));
  const Context training{true, {1, 2, 3}};
  CHECK(same_bits(features<3>(c, three, training), features<3>(c, three, training)));
  std::set<double> seen;
  for (std::uint64_t step = 0; step < 40; ++step)
    seen.insert(features<3>(c, one, Context{true, {1, 2, step}}).at({0, 0}));
  CHECK(seen.size() == 6);  // one scan: each of the six rows comes up
  CHECK_THROWS_AS(features<3>(c, three, {}, {{0, 1}, {}}), error);
  CHECK_THROWS_AS(features<3>(c, three, {}, {{0, 1, 6}, {}}), error);
}

TEST_CASE(
    "encoder: the published quirk takes random scan positions for batches of more than one study, "
    "training or not") {
  HlipVitConfig c = small({{}, {0, 2}, {1, 3}});
  c.max_num_scans = 6;
  c.scan_positions_by_batch = true;
  const Variable one = volumes(1, 3), two = volumes(2, 3);
  CHECK(same_bits(features<3>(c, one, Context{true, {1, 2, 3}}),
                  features<3>(c, one, {}, {{0, 1, 2}, {}})));
  std::set<double> seen;
  for (std::uint64_t step = 0; step < 20; ++step)
    seen.insert(features<3>(c, two, Context{false, {1, 2, step}}).at({0, 0}));
  CHECK(seen.size() > 5);
}

TEST_CASE("encoder: more scans than the table has rows work outside training only") {
  HlipVitConfig c = small({{}, {0, 2}, {1, 3}});
  c.max_num_scans = 2;
  CHECK(features<3>(c, volumes(1, 3)).shape() == Shape{1, 12});
  CHECK(
      error_of([&] {
        features<3>(c, volumes(1, 3), Context{true, {}});
      }) ==
      "small: 3 scans in training, the scan-position table has 2 rows (hint: raise max_num_scans)");
}

TEST_CASE(
    "encoder: no table of scan positions, whether 0 or 1 rows are asked for, and then the order of "
    "scans does not matter") {
  HlipVitConfig c = small({{}, {0, 2}, {1, 3}});
  const Variable x = volumes(1, 3);
  const Array one = features<3>(c, x);
  c.max_num_scans = 0;
  CHECK(same_bits(features<3>(c, x), one));
  CHECK(same_bits(features<3>(c, x, Context{true, {1, 2, 3}}), one));
  const auto turned = index_select(x.value().reshape({3, 64}),
                                   Tensor<std::int64_t, Cpu>::from_values({3}, {2, 0, 1}))
                          .reshape({1, 3, 1, 4, 4, 4});
  CHECK(largest_difference(features<3>(c, Variable(turned)), one) < 1e-12);
  auto vit = encoder<3>(c);
  for (const auto& [name, p] : named_parameters(vit)) CHECK(name != "sequential_posemb");
}

TEST_CASE("encoder: a last block at the scan level ends in the mean of the scans' class tokens") {
  const HlipVitConfig ends_at_scan = small({{0, 2}, {1, 3}, {}}),
                      ends_at_study = small({{0, 2}, {}, {1, 3}});
  const Variable one_scan = volumes(2, 1);
  // A scan is the study
  CHECK(largest_difference(features<3>(ends_at_scan, one_scan),
                           features<3>(ends_at_study, one_scan)) < 1e-12);
  const Variable x = volumes(1, 3);
  const auto vit = encoder<3>(ends_at_scan);
  std::vector<double> mean(12);
  for (index_t s = 0; s < 3; ++s) {  // scans never meet, so each can be a study of its own
    const auto collect = [&](std::string_view stage, const auto& seen) {
      if constexpr (requires { seen.hierarchy; })
        if (stage == "block3")
          for (index_t k = 0; k < 12; ++k)
            mean[static_cast<std::size_t>(k)] +=
                seen.x.value().at({seen.layout().prefix_begin, k}) / 3;
    };
    vit(Variable(x.value().slice(1, s, s + 1)), {}, {}, collect);
  }
  CHECK(
      largest_difference(
          vit(x).value(),
          vit.norm(Variable(Array::from_values({1, 12}, std::span<const double>(mean)))).value()) <
      1e-12);
}

TEST_CASE(
    "encoder: with token_and_mean every prefix token is an output, the mean of all patch tokens "
    "behind it") {
  for (const Blocks& blocks : {Blocks{{0, 2}, {1}, {3}}, Blocks{{0, 2}, {1, 3}, {}}}) {
    HlipVitConfig c = small(blocks);
    c.reg_tokens = 2, c.pooling = VisualPooling::token_and_mean;
    Initializer init(11);
    HlipVit<3, double, Cpu> vit(c, init);
    vit.reg_token = Variable(numbers({1, 2, 12}, 22), true);
    std::vector<std::vector<double>> expected;
    const auto collect = [&](std::string_view stage, const auto& seen) {
      if constexpr (requires { seen.hierarchy; }) {
        if (stage != "tokens_out") return;
        const auto at = seen.layout();
        const Array x = seen.x.value();
        for (index_t s = 0; s < 2; ++s)
          for (index_t p = 0; p < 3; ++p) {
            std::vector<double> row;
            for (index_t k = 0; k < 12; ++k) row.push_back(x.at({at.prefix_begin + s * 3 + p, k}));
            for (index_t k = 0; k < 12; ++k) {
              double total = 0;
              for (index_t i = 0; i < at.patches; ++i)
                total += x.at({at.patch_begin + s * at.patches + i, k});
              row.push_back(total / static_cast<double>(at.patches));
            }
            expected.push_back(std::move(row));
          }
      }
    };
    const Array y = vit(volumes(2, 2), {}, {}, collect).value();
    CHECK(c.outputs() == 3);
    CHECK(c.output_width() == 24);
    REQUIRE(y.shape() == Shape{6, 24});
    REQUIRE(expected.size() == 6);
    double most = 0;
    for (index_t i = 0; i < 6; ++i)
      for (index_t k = 0; k < 24; ++k)
        most = std::max(
            most, std::abs(y.at({i, k}) -
                           expected[static_cast<std::size_t>(i)][static_cast<std::size_t>(k)]));
    CHECK(most < 1e-13);
    CHECK(largest_difference(Array(y.slice(0, 0, 1).slice(1, 12, 24)),
                             Array(y.slice(0, 2, 3).slice(1, 12, 24))) == 0);
    CHECK(largest_difference(Array(y.slice(0, 0, 1).slice(1, 0, 12)),
                             Array(y.slice(0, 2, 3).slice(1, 0, 12))) > 1e-3);
  }
}

TEST_CASE(
    "encoder: patch dropout keeps the given number of tokens of every row, and only in training") {
  HlipVitConfig c = small({{0, 2}, {1}, {3}});
  c.patch_dropout = 0.5;
  const auto vit = encoder<3>(c);
  index_t patches = 0;
  const auto observe = [&](std::string_view stage, const auto& seen) {
    if constexpr (requires { seen.hierarchy; })
      if (stage == "tokens_in") patches = seen.hierarchy.patches_per_study;
  };
  vit(volumes(2, 3), {}, {}, observe);
  CHECK(patches == 3 * 2 * 4);
  vit(volumes(2, 3), Context{true, {1, 2, 3}}, {}, observe);
  CHECK(patches == 3 * 2 * 2);
  c.patch_dropout = 0;
  const Array all = features<3>(c, volumes(1, 1));
  const auto every = Tensor<std::int64_t, Cpu>::from_values({2, 4}, {3, 1, 0, 2, 2, 3, 1, 0});
  // another order of the same tokens
  CHECK(largest_difference(features<3>(c, volumes(1, 1), {}, {{}, every}), all) < 1e-12);
  CHECK(error_of([&] {
          features<3>(c, volumes(1, 1), {}, {{}, every.slice(0, 0, 1)});
        }) == "patch_dropout: keep_indices is (1, 4), expected (rows = 2, kept)");
}

TEST_CASE("encoder: other image sizes get a resized position table, remainders are ignored") {
  const HlipVitConfig c = small({{0, 2}, {1}, {3}});
  const Array x = numbers({1, 1, 1, 6, 4, 8}, 1);
  CHECK(features<3>(c, Variable(x)).shape() == Shape{1, 12});
  const Array wide = numbers({1, 1, 1, 7, 4, 9}, 2);
  const Array cut = wide.slice(3, 0, 6).slice(5, 0, 8).clone();
  CHECK(same_bits(features<3>(c, Variable(wide)), features<3>(c, Variable(cut))));
}

TEST_CASE("encoder: level lists with a gap, an overlap or a block that does not exist are errors") {
  const auto build = [](const Blocks& blocks) {
    return error_of([&] { encoder<3>(small(blocks)); });
  };
  CHECK(build({{0, 1}, {}, {3}}) ==
        "small: block 2 is at no level (hint: every block belongs to exactly one of the slice, "
        "scan and study lists)");
  CHECK(build({{0, 1}, {1, 2}, {3}}) == "small: block 1 is listed at levels 1 and 2");
  CHECK(build({{0, 1, 1}, {2}, {3}}) == "small: block 1 is listed at levels 1 and 1");
  CHECK(build({{0, 1}, {2}, {3, 4}}) == "small: block 4 at level 3 does not exist, depth is 4");
  CHECK(build({{-1}, {0, 1, 2}, {3}}) == "small: block -1 at level 1 does not exist, depth is 4");
  CHECK(build({{0}, {1}, {2}, {3}}) == "small: 4 level lists, this encoder has 3 levels");
}

TEST_CASE("encoder: sizes that make no sense are errors") {
  const auto build = [](auto change) {
    HlipVitConfig c = small({{0, 2}, {1}, {3}});
    change(c);
    return error_of([&] { encoder<3>(c); });
  };
  CHECK(build([](auto& c) {
          c.img_size = {4, 4, 5};
        }) == "small: img_size (4, 4, 5) is not a multiple of patch_size (2, 2, 2)");
  CHECK(build([](auto& c) {
          c.patch_size = {2, 0, 2};
        }) == "small: patch_size (2, 0, 2), expected three positive sizes");
  CHECK(build([](auto& c) {
          c.patch_size = {2, 2};
        }) == "small: patch_size (2, 2), expected three positive sizes");
  CHECK(build([](auto& c) {
          c.img_size = {4, 4, -4};
        }) == "small: img_size (4, 4, -4), expected three positive sizes");
  CHECK(build([](auto& c) { c.num_heads = 5; }) ==
        "attention: embed_dim 12 does not divide into 5 heads");
  CHECK(build([](auto& c) { c.embed_dim = 16, c.num_heads = 2; }) ==
        "sincos: embed_dim 16, expected a multiple of 6 for a spatial table");
  CHECK(build([](auto& c) { c.max_num_scans = -1; }) ==
        "small: max_num_scans -1, expected at least 0");
  CHECK(build([](auto& c) { c.reg_tokens = -1; }) == "small: reg_tokens -1, expected at least 0");
  CHECK(build([](auto& c) { c.depth = -1; }) == "small: depth -1, expected at least 1");
  CHECK(build([](auto& c) { c.in_chans = 0; }) == "small: in_chans 0, expected at least 1");
  const auto vit = encoder<3>(small({{0, 2}, {1}, {3}}));
  CHECK(error_of([&] {
          vit(Variable(Array::ones({1, 1, 4, 4, 4})));
        }) == "hlip_vit: x is (1, 1, 4, 4, 4), expected (B, N, in_chans = 1, D, H, W)");
  CHECK(error_of([&] {
          vit(Variable(Array::ones({1, 1, 1, 4, 1, 4})));
        }) == "patch_embed (patch_embed): x is (1, 1, 4, 1, 4), smaller than one patch (2, 2, 2)");
}
