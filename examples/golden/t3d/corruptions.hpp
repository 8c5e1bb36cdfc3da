// Kind corruptions: every operator under its tape of uniforms, to the box and the voxel.
#pragma once

#include "../tape.hpp"
#include "../tolerances.hpp"

#include <hlip/imaging/augment/corruptions.hpp>

namespace golden {

namespace detail {

/// Boxes as the file has them: (count, from and size of each).
inline void compare_boxes(Fixture& f, const std::string& op, const std::vector<VoxelBox>& boxes) {
  std::vector<std::int64_t> rows;
  for (const VoxelBox& box : boxes) {
    rows.insert(rows.end(), box.from.begin(), box.from.end());
    rows.insert(rows.end(), box.size.begin(), box.size.end());
  }
  f.compare_exact("output." + op + ".boxes", rows, {static_cast<index_t>(boxes.size()), 6});
}

inline void compare_corrupted(Fixture& f, const std::string& op, const Corrupted& got) {
  f.compare("output." + op, got.volume, exact);
  if (f.contains("output." + op + ".boxes")) compare_boxes(f, op, got.boxes);
  if (!f.contains("output." + op + ".changed")) return;
  const auto changed = got.changed.to_vector();
  f.compare_exact("output." + op + ".changed", {changed.begin(), changed.end()},
                  got.changed.shape());
}

/// An operator of boxes: how many of which sides stands beside its tape.
template <class Operator>
void check_boxes(Fixture& f, const std::string& op, const Tensor<float, Cpu>& volume,
                 Operator corrupt) {
  Tape tape(f.reals("input." + op + ".tape"), op);
  const auto numbers = f.reals("input." + op + ".count_lo_hi");
  if (numbers.size() != 3) fail_file(f.path(), op, "count_lo_hi has {} numbers", numbers.size());
  const auto count = static_cast<index_t>(numbers[0]);
  compare_corrupted(f, op,
                    corrupt(volume, count, std::array<double, 2>{numbers[1], numbers[2]}, tape));
  f.demand(tape.over(), "{}: numbers of the tape are left", op);
}

inline void check_nonlinear(Fixture& f, const std::string& op, const Tensor<float, Cpu>& volume) {
  f.require("input." + op + ".points", {2, 2});
  const auto p = f.reals("input." + op + ".points");
  const IntensityCurve curve = bezier_curve({p[0], p[1]}, {p[2], p[3]});
  const bool descending = f.integers("input." + op + ".descending").at(0) != 0;
  f.compare("output." + op, apply_curve(volume, curve, descending), of_an_operator);
  // the file has every 37th of the 1000 samples, both ends among them
  std::vector<double> rows;
  for (const auto* axis : {&curve.x, &curve.y})
    for (std::size_t i = 0; i < axis->size(); i += 37) rows.push_back((*axis)[i]);
  f.compare("output." + op + ".lut", rows, {2, static_cast<index_t>(rows.size()) / 2},
            of_an_operator);
}

}  // namespace detail

template <class B> void check_corruptions(Fixture& f) {
  const auto volume = f.tensor<Cpu>("input.volume");
  for (int k = 0; f.contains(fmt::format("input.nonlinear{}.points", k)); ++k)
    detail::check_nonlinear(f, fmt::format("nonlinear{}", k), volume);

  Tape tape(f.reals("input.local_shuffle.tape"), "local_shuffle");
  detail::compare_corrupted(
      f, "local_shuffle",
      shuffle_voxels(volume, f.integers("input.local_shuffle.blocks").at(0), tape));
  f.demand(tape.over(), "local_shuffle: numbers of the tape are left");

  detail::check_boxes(f, "inpaint", volume,
                      [](const auto& v, index_t n, const auto& share, Tape& uniform) {
                        return paint_inside(v, n, share, uniform);
                      });
  detail::check_boxes(f, "outpaint", volume,
                      [](const auto& v, index_t n, const auto& share, Tape& uniform) {
                        return paint_outside(v, n, share, uniform);
                      });
  detail::check_boxes(f, "cutout", volume,
                      [](const auto& v, index_t n, const auto& share, Tape& uniform) {
                        return cut_out(v, n, share, uniform);
                      });

  const auto dropped = f.integers("input.patchdrop.mask");
  detail::compare_corrupted(
      f, "patchdrop",
      drop_patches(volume, f.integers("input.patchdrop.patch").at(0),
                   std::vector<std::uint8_t>(dropped.begin(), dropped.end())));
}

}  // namespace golden
