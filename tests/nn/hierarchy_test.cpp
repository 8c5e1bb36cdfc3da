#include "../support/gradients.hpp"

#include <hlip/autograd/functions/matmul.hpp>
#include <hlip/nn/hierarchical_attention.hpp>

using namespace test;

namespace {

enum Level { slice_level = 1, scan_level = 2, study_level = 3 };

/// 2 studies of 3 scans of 2 slices of 4 tokens.
Hierarchy<3> three_levels(index_t prefix) { return Hierarchy<3>::from_sizes(2, prefix, {4, 2, 3}); }

/// Tokens whose rows are those of `rows`, in memory with room for moves.
template <int Levels>
Tokens<Levels, double, Cpu> tokens_at(const Hierarchy<Levels>& h, int level, bool prefix_first,
                                      const Variable& rows) {
  Tokens<Levels, double, Cpu> t;
  t.hierarchy = h, t.level = level, t.prefix_first = prefix_first;
  REQUIRE(rows.dim(0) == t.layout().rows());
  t.x = evaluate_into(
      rows * 1.0, Tokens<Levels, double, Cpu>::allocate(h, rows.dim(0), rows.dim(1), prefix_first));
  t.free_rows = h.room();
  return t;
}
template <int Levels> index_t token_rows(const Hierarchy<Levels>& h, int level) {
  return h.patch_rows() + h.rows(level) * h.prefix;
}
template <int Levels> Array patches_of(const Tokens<Levels, double, Cpu>& t) {
  const index_t at = t.layout().patch_begin;
  return t.x.value().slice(0, at, at + t.hierarchy.patch_rows());
}
/// (rows, prefix, C)
template <int Levels> Array prefixes_of(const Tokens<Levels, double, Cpu>& t) {
  const TokenLayout l = t.layout();
  return t.x.value()
      .slice(0, l.prefix_begin, l.prefix_begin + l.sequences * l.prefix)
      .reshape({l.sequences, l.prefix, t.x.dim(1)});
}

}  // namespace

TEST_CASE("hierarchy: rows and patches of every level follow from the group sizes") {
  const auto h = three_levels(1);
  CHECK(h.rows(slice_level) == 12);
  CHECK(h.rows(scan_level) == 6);
  CHECK(h.rows(study_level) == 2);
  CHECK(h.patches(slice_level) == 4);
  CHECK(h.patches(scan_level) == 8);
  CHECK(h.patches(study_level) == 24);
  CHECK(h.patch_rows() == 48);
  const auto one = Hierarchy<1>::from_sizes(2, 0, {24});
  CHECK(one.rows(1) == 2);
  const auto five = Hierarchy<5>::from_sizes(1, 2, {3, 2, 2, 2, 2});
  CHECK(five.rows(1) == 16);
  CHECK(five.rows(5) == 1);
}

TEST_CASE("hierarchy: levels that do not exist and uneven splits are errors") {
  auto h = three_levels(1);
  CHECK(error_of([&] { h.check_level(0); }) == "hierarchy: level 0, expected 1 to 3");
  CHECK(error_of([&] { h.check_level(4); }) == "hierarchy: level 4, expected 1 to 3");
  h.patches_per_study = 25;
  CHECK(error_of([&] { h.check_level(scan_level); }) ==
        "hierarchy: 25 patch tokens of a study do not divide into 3 rows of level 2");
  CHECK(error_of([&] { h.check_level(study_level); }) == "no error");
}

TEST_CASE("move_to_level: from every level to every other, patch tokens keep address and value") {
  for (index_t prefix : {0, 1, 3})
    for (bool prefix_first : {false, true})
      for (int from = slice_level; from <= study_level; ++from)
        for (int to = slice_level; to <= study_level; ++to) {
          const auto h = three_levels(prefix);
          const auto t = tokens_at(h, from, prefix_first,
                                   Variable(numbers({token_rows(h, from), 5}, 1)));
          const Array before = t.x.value().clone(), patches = patches_of(t).clone();
          const auto moved = move_to_level(t, to);
          CHECK(moved.level == to);
          CHECK(patches_of(moved).data() == patches_of(t).data());
          CHECK(same_bits(patches_of(moved), patches));
          CHECK(moved.layout().rows() == moved.x.dim(0));
          CHECK(same_bits(t.x.value(), before));  // whoever holds the old tokens sees no change
        }
}

TEST_CASE("move_to_level: tokens without room beside them are copied, not written past") {
  const auto h = three_levels(2);
  auto t = tokens_at(h, study_level, false, Variable(numbers({token_rows(h, study_level), 5}, 1)));
  const Array patches = patches_of(t).clone();
  // No block in between makes new room
  for (int level : {slice_level, scan_level, study_level, slice_level}) {
    const Array before = t.x.value().clone();
    const auto moved = move_to_level(t, level);
    CHECK(same_bits(t.x.value(), before));
    CHECK(same_bits(patches_of(moved), patches));
    t = moved;
  }
}

TEST_CASE(
    "move_to_level: prefix tokens become the mean of their children and the copy of their parent") {
  const auto h = three_levels(2);
  const auto slices = tokens_at(h, slice_level, false,
                                Variable(numbers({token_rows(h, slice_level), 5}, 1)));
  const Array own = prefixes_of(slices).clone();  // (12, 2, 5)
  const Array scans = prefixes_of(move_to_level(slices, scan_level)).clone();
  CHECK(largest_difference(scans, mean(own.reshape({6, 2, 2, 5}), {1})) < 1e-15);
  // the same numbers as another layout
  const auto again = tokens_at(h, slice_level, true, slices.x.detach());
  const Array first = prefixes_of(again).clone();
  CHECK(largest_difference(prefixes_of(move_to_level(again, study_level)),
                           mean(first.reshape({2, 6, 2, 5}), {1})) < 1e-15);

  const auto studies = tokens_at(h, study_level, false,
                                 Variable(numbers({token_rows(h, study_level), 5}, 2)));
  const Array parent = prefixes_of(studies).clone();
  const Array copies = prefixes_of(move_to_level(studies, slice_level));
  for (index_t row = 0; row < 12; ++row)
    CHECK(same_bits(copies.select(0, row), parent.select(0, row / 6)));
}

TEST_CASE("move_to_level: gradients of every move, whichever side the prefix is on") {
  for (index_t prefix : {0, 1, 2})
    for (int from : {slice_level, scan_level, study_level})
      for (int to : {slice_level, scan_level, study_level})
        for (bool first : {false, true}) {
          const auto h = Hierarchy<3>::from_sizes(2, prefix, {1, 2, 2});
          check_gradient(
              fmt::format("{} to {}", from, to),
              [&](const std::vector<Variable>& v) {
                return Variable(square(move_to_level(tokens_at(h, from, first, v[0]), to).x));
              },
              {numbers({token_rows(h, from), 2}, 1)});
        }
}

TEST_CASE("move_to_level: gradients of a chain of moves") {
  const auto h = Hierarchy<3>::from_sizes(1, 1, {2, 2, 2});
  check_gradient("slice, scan, study, slice",
                 [&](const std::vector<Variable>& v) {
                   auto t = tokens_at(h, slice_level, false, v[0]);
                   for (int level : {scan_level, study_level, slice_level})
                     t = move_to_level(t, level);
                   return Variable(square(t.x));
                 },
                 {numbers({token_rows(h, slice_level), 2}, 1)});
}

TEST_CASE("move_to_level: to the level the tokens have is no move") {
  const auto h = three_levels(1);
  const auto t = tokens_at(h, scan_level, false,
                           Variable(numbers({token_rows(h, scan_level), 5}, 1), true));
  CHECK(move_to_level(t, scan_level).x.node() == t.x.node());
}

TEST_CASE("hierarchical attention: a group never sees its neighbour, at any level") {
  Initializer init(3);
  const HierarchicalAttention<3, double, Cpu> layer(6, 2, 0.5, init);
  const auto h = three_levels(1);
  NoGrad guard;
  for (int level : {slice_level, scan_level, study_level}) {
    const Array rows = numbers({token_rows(h, level), 6}, 1), changed = rows.clone();
    const auto at = [&](const Array& values) {
      const auto t = tokens_at(h, level, level == scan_level, Variable(values));
      return layer(t.x, t).value();
    };
    const TokenLayout l = tokens_at(h, level, level == scan_level, Variable(rows)).layout();
    changed.select(0, l.patch_begin + l.patches).fill(5);  // the first patch token of group 1
    const Array a = at(rows), b = at(changed);
    for (index_t group = 0; group < l.sequences; ++group) {
      const index_t p = l.patch_begin + group * l.patches, c = l.prefix_begin + group * l.prefix;
      const bool same = same_bits(a.slice(0, p, p + l.patches), b.slice(0, p, p + l.patches)) &&
                        same_bits(a.slice(0, c, c + l.prefix), b.slice(0, c, c + l.prefix));
      CAPTURE(level);
      CAPTURE(group);
      CHECK(same == (group != 1));
    }
  }
}
