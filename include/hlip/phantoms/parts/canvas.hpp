// The voxel grid a phantom is painted on: soft-edged bodies in patient millimetres, each within its
// bounding box.
#pragma once

#include <hlip/phantoms/parts/patient.hpp>
#include <hlip/phantoms/parts/structures.hpp>
#include <hlip/tensor/shape.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

HLIP_BEGIN

namespace detail {

/// A signed distance given at every voxel (mm, negative inside) that limits what is painted; none
/// where `distance` is null.
struct PhantomMask {
  const float* distance = nullptr;
  float offset = 0;
};

/// Half-open index ranges of a part of the grid.
struct PhantomBox {
  index_t z0 = 0, z1 = 0, y0 = 0, y1 = 0, x0 = 0, x1 = 0;
};

class PhantomCanvas {
 public:
  /// @param slices, pixels grid (z, y = x); @param thickness, pixel voxel size in mm
  /// @param turn rotation about z in radians; @param tip about x; @param shift of the body in mm
  PhantomCanvas(index_t slices, index_t pixels, float thickness, float pixel, float turn, float tip,
                PatientPoint shift)
      : soft(pixel),
        v(static_cast<std::size_t>(slices * pixels * pixels), -1000.f),
        n_{slices, pixels, pixels},
        step_{thickness, pixel, pixel} {
    const float cr = std::cos(turn), sr = std::sin(turn), ct = std::cos(tip), st = std::sin(tip);
    r_ = {{{cr, sr, 0}, {-sr * ct, cr * ct, st}, {sr * st, -cr * st, ct}}};
    shift_ = {shift.x, shift.y, shift.z};
  }

  /// width of an edge in mm: one voxel, which is what partial volume looks like
  float soft;
  std::vector<float> v;  ///< HU, (z, y, x), air to begin with
  /// the label map, likewise: the last marked body that has the voxel's centre inside of it; empty
  /// unless keep_labels() was called. (Not of bytes: a byte written may be part of anything, which
  /// costs the painting loops their registers.)
  std::vector<PhantomStructure> labels;

  /// From now on there is a label map, background everywhere.
  void keep_labels() { labels.assign(v.size(), PhantomStructure::background); }

  /// What the bodies to come are in the label map; nullopt: whatever they lie in, which suits what
  /// is a part of it.
  void mark_as(std::optional<PhantomStructure> structure) {
    marks_ = structure && !labels.empty();
    mark_ = structure.value_or(PhantomStructure::background);
  }

  PhantomBox whole() const { return {0, n_[0], 0, n_[1], 0, n_[2]}; }

  /// The voxels whose centres may lie between two corners given in patient space.
  PhantomBox box(PatientPoint low, PatientPoint high) const {
    std::array<float, 3> least, most;
    least.fill(1e30f), most.fill(-1e30f);
    for (int corner = 0; corner < 8; ++corner) {
      const std::array<float, 3> p = {(corner & 1 ? high : low).x + shift_[0],
                                      (corner & 2 ? high : low).y + shift_[1],
                                      (corner & 4 ? high : low).z + shift_[2]};
      // d: grid axis z, y, x = column 2, 1, 0 of the rotation, whose inverse is its transpose
      for (std::size_t d = 0; d < 3; ++d) {
        const std::size_t c = 2 - d;
        const float at = (r_[0][c] * p[0] + r_[1][c] * p[1] + r_[2][c] * p[2]) / step_[d] +
                         0.5f * static_cast<float>(n_[d] - 1);
        least[d] = std::min(least[d], at), most[d] = std::max(most[d], at);
      }
    }
    const auto from = [&](std::size_t d) {
      return std::clamp<index_t>(static_cast<index_t>(std::floor(least[d])) - 1, 0, n_[d]);
    };
    const auto to = [&](std::size_t d) {
      return std::clamp<index_t>(static_cast<index_t>(std::ceil(most[d])) + 2, 0, n_[d]);
    };
    return {from(0), to(0), from(1), to(1), from(2), to(2)};
  }

  /// Calls visit(point, voxel number) for the voxels of a box.
  template <class Visit> void each(const PhantomBox& b, Visit visit) const {
    for (index_t iz = b.z0; iz < b.z1; ++iz)
      for (index_t iy = b.y0; iy < b.y1; ++iy) {
        const float z = centred(iz, 0), y = centred(iy, 1);
        const float px = r_[0][1] * y + r_[0][2] * z - shift_[0],
                    py = r_[1][1] * y + r_[1][2] * z - shift_[1],
                    pz = r_[2][1] * y + r_[2][2] * z - shift_[2];
        auto at = static_cast<std::size_t>((iz * n_[1] + iy) * n_[2] + b.x0);
        for (index_t ix = b.x0; ix < b.x1; ++ix, ++at) {
          const float x = centred(ix, 2);
          visit(PatientPoint{px + r_[0][0] * x, py + r_[1][0] * x, pz + r_[2][0] * x}, at);
        }
      }
  }

  /// How much of a voxel lies inside, 0 … 1, from the signed distance of its centre.
  float cover(float distance) const { return std::clamp(0.5f - distance / soft, 0.f, 1.f); }

  /// Blends a voxel towards `hu` by cover(distance)·gain.
  void blend(std::size_t at, float distance, float hu, float gain = 1) {
    v[at] += cover(distance) * gain * (hu - v[at]);
    if (marks_ && distance < 0) labels[at] = mark_;
  }

  /// Sets a voxel, whatever lay there.
  void set(std::size_t at, float hu, PhantomStructure structure) {
    v[at] = hu;
    if (!labels.empty()) labels[at] = structure;
  }

  /// Ellipsoid of half axes r about c; `warp` (in units of the radius, at every voxel) makes its
  /// surface irregular.
  void ellipsoid(PatientPoint c, PatientPoint r, float hu, PhantomMask mask = {}, float gain = 1,
                 const float* warp = nullptr) {
    const PatientPoint m = r * 1.3f + PatientPoint{6, 6, 6}, inverse{1 / r.x, 1 / r.y, 1 / r.z};
    const float least = std::min({r.x, r.y, r.z}), reach = 1 + 0.5f * soft / least;
    each(box(c - m, c + m), [&](PatientPoint p, std::size_t at) {
      const float limit = mask.distance ? mask.distance[at] + mask.offset : -1e30f;
      if (limit >= 0.5f * soft) return;
      const float dx = (p.x - c.x) * inverse.x, dy = (p.y - c.y) * inverse.y,
                  dz = (p.z - c.z) * inverse.z;
      const float square = dx * dx + dy * dy + dz * dz;
      if (!warp && square >= reach * reach) return;
      const float q = std::sqrt(square) + (warp ? warp[at] : 0.f);
      blend(at, std::max((q - 1) * least, limit), hu, gain);
    });
  }

  void sphere(PatientPoint c, float r, float hu, PhantomMask mask = {}, float gain = 1,
              const float* warp = nullptr) {
    ellipsoid(c, {r, r, r}, hu, mask, gain, warp);
  }

  /// Tube from p to q whose radius goes from r0 to r1. One thinner than a voxel keeps its mean
  /// density by a lower gain.
  void tube(PatientPoint p, PatientPoint q, float r0, float r1, float hu, PhantomMask mask = {}) {
    const float widest = std::max(r0, r1), margin = widest + 6, reach = widest + 0.5f * soft;
    const float gain = std::min(1.f, widest * 2 / soft);
    const PatientPoint d = q - p, m{margin, margin, margin};
    const PatientPoint low{std::min(p.x, q.x), std::min(p.y, q.y), std::min(p.z, q.z)},
        high{std::max(p.x, q.x), std::max(p.y, q.y), std::max(p.z, q.z)};
    const float per_length = 1 / (d.x * d.x + d.y * d.y + d.z * d.z + 1e-6f);
    each(box(low - m, high + m), [&](PatientPoint at_mm, std::size_t at) {
      const float limit = mask.distance ? mask.distance[at] + mask.offset : -1e30f;
      if (limit >= 0.5f * soft) return;
      const PatientPoint a = at_mm - p;
      const float t = std::clamp((a.x * d.x + a.y * d.y + a.z * d.z) * per_length, 0.f, 1.f);
      const PatientPoint off = a - d * t;
      const float square = off.x * off.x + off.y * off.y + off.z * off.z;
      if (square >= reach * reach) return;
      blend(at, std::max(std::sqrt(square) - (r0 + (r1 - r0) * t), limit), hu, gain);
    });
  }

 private:
  float centred(index_t i, std::size_t d) const {
    return (static_cast<float>(i) - 0.5f * static_cast<float>(n_[d] - 1)) * step_[d];
  }

  bool marks_ = false;
  PhantomStructure mark_ = PhantomStructure::background;
  std::array<index_t, 3> n_;
  std::array<float, 3> step_;
  std::array<std::array<float, 3>, 3> r_{};
  std::array<float, 3> shift_{};
};

}  // namespace detail

HLIP_END
