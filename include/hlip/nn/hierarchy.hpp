// The nesting of tokens: patch tokens in slices, slices in scans, scans in a study, to any depth. A
// level is a number (1 = finest), not a class, and changing level moves no patch token: patch rows
// stay where they are in memory, and the few prefix (class and register) rows are written in front
// of or behind them. Source: HLIP (arXiv 2505.21862); design decision D4.
#pragma once

#include <hlip/autograd/functions/attention.hpp>
#include <hlip/autograd/fused.hpp>
#include <hlip/autograd/var.hpp>

#include <array>

HLIP_BEGIN

/// How many rows (sequences) one study has at each level. `groups[l-1]` for level l; the top level
/// has one.
template <int Levels>
requires(Levels >= 1) struct Hierarchy {
  index_t studies = 0;
  index_t prefix = 0;  ///< prefix tokens of every row
  index_t patches_per_study = 0;
  std::array<index_t, Levels> groups{};  ///< rows of one study; groups[Levels-1] == 1

  /// From group sizes, finest first: {tokens per slice, slices per scan, scans per study}.
  static Hierarchy from_sizes(index_t studies, index_t prefix,
                              const std::array<index_t, Levels>& sizes) {
    Hierarchy h{studies, prefix, 1, {}};
    for (index_t s : sizes) h.patches_per_study *= s;
    index_t rows = 1;
    for (int l = Levels - 1; l >= 0; --l) {
      h.groups[static_cast<std::size_t>(l)] = rows;
      rows *= sizes[static_cast<std::size_t>(l)];
    }
    return h;
  }

  index_t rows(int level) const { return studies * groups[static_cast<std::size_t>(level - 1)]; }
  index_t patches(int level) const {
    return patches_per_study / groups[static_cast<std::size_t>(level - 1)];
  }
  index_t patch_rows() const { return studies * patches_per_study; }
  /// Rows of memory to keep free beside the patch rows, enough for the prefix rows of any level.
  index_t room() const { return prefix * rows(1); }
  void check_level(int level) const {
    expect(1 <= level && level <= Levels, "hierarchy", "level {}, expected 1 to {}", level, Levels);
    expect(patches_per_study % groups[static_cast<std::size_t>(level - 1)] == 0, "hierarchy",
           "{} patch tokens of a study do not divide into {} rows of level {}", patches_per_study,
           groups[static_cast<std::size_t>(level - 1)], level);
  }
};

/// The tokens of a batch at one level: one (rows, C) matrix of patch rows and prefix rows.
template <int Levels, class T, class B> struct Tokens {
  Var<T, B> x;  ///< (rows·(P + L), C)
  Hierarchy<Levels> hierarchy;
  int level = 1;
  bool prefix_first = false;  ///< prefix rows lie before the patch rows (else after them)
  index_t free_rows = 0;      ///< rows of memory on the other side that nobody else uses

  TokenLayout layout() const {
    const index_t r = hierarchy.rows(level), p = hierarchy.prefix;
    return {r, p, hierarchy.patches(level), prefix_first ? 0 : hierarchy.patch_rows(),
            prefix_first ? r * p : 0};
  }

  /// Memory for a result of the same layout, with room on the free side for the prefix rows of any
  /// level (hierarchy.room() rows: whoever puts the result into x sets free_rows to it).
  Tensor<T, B> empty_like(index_t columns) const {
    return allocate(hierarchy, x.dim(0), columns, prefix_first);
  }

  static Tensor<T, B> allocate(const Hierarchy<Levels>& h, index_t rows, index_t columns,
                               bool prefix_first) {
    const index_t room = h.room();
    const index_t begin = prefix_first ? 0 : room;
    return Tensor<T, B>::empty({rows + room, columns}).slice(0, begin, begin + rows);
  }
};

namespace detail {

/// Writes the prefix rows of a level change: mean over `children` going up, copies going down.
template <class T, class B>
void move_prefix(const Tensor<T, B>& from, const Tensor<T, B>& to, index_t prefix,
                 bool mean_of_children) {
  const index_t c = from.dim(-1), rows_from = from.dim(0) / prefix, rows_to = to.dim(0) / prefix;
  if (rows_from >= rows_to) {
    const auto grouped = from.reshape({rows_to, rows_from / rows_to, prefix, c});
    to.assign((mean_of_children ? mean(grouped, {1}) : sum(grouped, {1})).reshape(to.shape()));
  } else {
    const index_t k = rows_to / rows_from;
    const auto spread = from.reshape({rows_from, 1, prefix, c})
                            .expand({rows_from, k, prefix, c})
                            .reshape(to.shape());
    if (mean_of_children) to.assign(spread);
    else to.assign(spread * (1.0 / static_cast<double>(k)));
  }
}

}  // namespace detail

/// The same tokens at another level. Patch rows are not copied: the result shares their memory.
/// Prefix rows become the mean of their children going up and a copy of their parent going down.
/// Only tokens without room for the new prefix rows (free_rows; the encoder's blocks always leave
/// some) are copied to where there is room first.
template <int Levels, class T, class B>
Tokens<Levels, T, B> move_to_level(const Tokens<Levels, T, B>& given, int level) {
  if (level == given.level) return given;
  const Hierarchy<Levels> h = given.hierarchy;
  h.check_level(level);
  Tokens<Levels, T, B> tokens = given;
  if (tokens.free_rows < h.rows(level) * h.prefix)
    tokens.x = evaluate_into(given.x * T(1), given.empty_like(given.x.dim(-1)));
  const index_t p = h.prefix, c = tokens.x.dim(-1), before = h.rows(tokens.level) * p,
                after = h.rows(level) * p, patches = h.patch_rows();
  const bool first = tokens.prefix_first;  // the result has its prefix on the other side
  const Tensor<T, B> old = tokens.x.value();
  T* patch = old.data() + (first ? before * c : 0);
  const auto moved = Tensor<T, B>::wrap(old.storage(), first ? patch : patch - after * c,
                                        {patches + after, c});
  const auto old_prefix = old.slice(0, first ? 0 : patches, first ? before : patches + before);
  if (p > 0)
    detail::move_prefix(
        old_prefix, moved.slice(0, first ? patches : 0, first ? patches + after : after), p, true);

  Tokens<Levels, T, B> out = tokens;
  out.level = level;
  out.prefix_first = !first;
  out.free_rows = 0;  // the old prefix rows are still there for whoever holds the old tokens
  out.x = record(
      "move_to_level", moved, {tokens.x}, [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
        const auto dx = Tensor<T, B>::empty({patches + before, c});
        const index_t at = first ? before : 0, from = first ? 0 : after;
        dx.slice(0, at, at + patches).assign(dy.slice(0, from, from + patches));
        if (p > 0)
          detail::move_prefix(dy.slice(0, first ? patches : 0, first ? patches + after : after),
                              dx.slice(0, first ? 0 : patches, first ? before : patches + before),
                              p, false);
        grads.add(0, dx);
      });
  return out;
}

HLIP_END
