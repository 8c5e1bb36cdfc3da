// What a phantom radiograph is drawn on: for every pixel the line integral of attenuation along its
// ray, and what is left of the lungs along it. Bodies given in patient millimetres and HU replace
// the lung or the soft tissue that they lie in.
#pragma once

#include <hlip/phantoms/parts/ray_spans.hpp>
#include <hlip/tensor/shape.hpp>

#include <cstdint>
#include <span>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Attenuation of water at the energies of a chest radiograph, 1/mm.
inline constexpr float water_attenuation = 0.02f;
inline float attenuation(float hu) { return water_attenuation * (1 + hu / 1000); }
inline constexpr float soft_tissue_hu = 40;

/// Limits a body to what is left of one lung (0 right, 1 left); -1: to nothing.
struct ProjectionMask {
  int lung = -1;
};

/// How a picture is taken.
struct ProjectionPose {
  RayDirection ray;
  float pixel = 1;                 ///< mm
  float roll = 0;                  ///< radians, about the ray
  float shift_s = 0, shift_z = 0;  ///< mm
};

/// A thin line in the picture: a rib, a tube.
struct ProjectionStroke {
  float radius = 1;   ///< mm
  float wall = 0;     ///< share of the radius that is wall; 0: all of it
  float core_hu = 0;  ///< of what the wall holds
  float hu = 0;
};

HLIP_LAZY class ProjectionCanvas {
 public:
  /// @param size rows and columns
  ProjectionCanvas(index_t size, const ProjectionPose& pose)
      : pose_(pose), size_(size), cos_(std::cos(pose.roll)), sin_(std::sin(pose.roll)) {
    const auto n = static_cast<std::size_t>(size * size);
    sum.resize(n);
    lung[0].resize(n), lung[1].resize(n);
    nearest_.assign(n, far);
    stretch_.resize(n);
  }

  std::vector<float> sum;                      ///< line integrals; 0, air, to begin with
  std::array<std::vector<LungSpans>, 2> lung;  ///< right and left
  float lung_hu = -850;
  std::array<float, 2> lung_change{};  ///< HU by which one lung differs

  const RayDirection& ray() const { return pose_.ray; }
  float pixel() const { return pose_.pixel; }
  index_t size() const { return size_; }
  float lung_attenuation(std::size_t side) const {
    return attenuation(lung_hu + lung_change[side]);
  }

  /// Calls visit(s, z, pixel number) for the pixels that may lie between two corners, mm.
  template <class Visit> void each(float s0, float s1, float z0, float z1, Visit visit) const {
    const float half = 0.5f * static_cast<float>(size_ - 1);
    float row0 = 1e9f, row1 = -1e9f, column0 = 1e9f, column1 = -1e9f;
    for (int corner = 0; corner < 4; ++corner) {
      const float s = corner & 1 ? s1 : s0, z = corner & 2 ? z1 : z0;
      const float column = half + (s * cos_ - z * sin_ + pose_.shift_s) / pose_.pixel,
                  row = half - (s * sin_ + z * cos_ + pose_.shift_z) / pose_.pixel;
      row0 = std::min(row0, row), row1 = std::max(row1, row);
      column0 = std::min(column0, column), column1 = std::max(column1, column);
    }
    const auto whole = [&](float at) {
      return static_cast<index_t>(std::clamp(at, -2.f, static_cast<float>(size_) + 1));
    };
    const index_t r0 = std::max<index_t>(whole(row0), 0), r1 = std::min(whole(row1) + 2, size_),
                  c0 = std::max<index_t>(whole(column0), 0),
                  c1 = std::min(whole(column1) + 2, size_);
    for (index_t r = r0; r < r1; ++r) {
      const float w = (half - static_cast<float>(r)) * pose_.pixel - pose_.shift_z;
      for (index_t c = c0; c < c1; ++c) {
        const float u = (static_cast<float>(c) - half) * pose_.pixel - pose_.shift_s;
        visit(u * cos_ + w * sin_, w * cos_ - u * sin_, static_cast<std::size_t>(r * size_ + c));
      }
    }
  }
  template <class Visit> void each(Visit visit) const { each(-4e3f, 4e3f, -4e3f, 4e3f, visit); }

  /// A body along one ray.
  void replace(std::size_t at, RaySpan span, float hu, ProjectionMask mask, float gain) {
    const float mu = attenuation(hu);
    if (mask.lung >= 0) {
      const auto side = static_cast<std::size_t>(mask.lung);
      sum[at] += gain * (mu - lung_attenuation(side)) * lung[side][at].length(span);
      return;
    }
    float soft = span.length();
    for (std::size_t side = 0; side < 2; ++side) {
      const float removed = lung[side][at].cut(span);
      sum[at] += gain * (mu - lung_attenuation(side)) * removed;
      soft -= removed;
    }
    sum[at] += gain * (mu - attenuation(soft_tissue_hu)) * soft;
  }

  /// Ellipsoid of half axes r about c; `warp` (in units of the radius, at every pixel) makes its
  /// outline irregular.
  void ellipsoid(PatientPoint c, PatientPoint r, float hu, ProjectionMask mask = {}, float gain = 1,
                 const float* warp = nullptr) {
    const RayEllipse section(ray(), c.x, c.y, r.x, r.y);
    const float reach = section.reach() * (warp ? 1.9f : 1), height = r.z * (warp ? 1.9f : 1);
    each(section.centre() - reach, section.centre() + reach, c.z - height, c.z + height,
         [&](float s, float z, std::size_t at) {
           const float edge = warp ? std::max(1 - warp[at], 0.f) : 1.f, up = (z - c.z) / r.z;
           const RaySpan span = section.at(s, edge * edge - up * up);
           if (span.length() > 0) replace(at, span, hu, mask, gain);
         });
  }
  void sphere(PatientPoint c, float r, float hu, ProjectionMask mask = {}, float gain = 1,
              const float* warp = nullptr) {
    ellipsoid(c, {r, r, r}, hu, mask, gain, warp);
  }

  /// Tube from p to q whose radius goes from r0 to r1. One thinner than a pixel is widened and
  /// keeps its sum.
  void tube(PatientPoint p, PatientPoint q, float r0, float r1, float hu,
            ProjectionMask mask = {}) {
    const float s = ray().across(p), t = ray().along(p), ds = ray().across(q) - s,
                dt = ray().along(q) - t, dz = q.z - p.z;
    const float square = ds * ds + dz * dz, length = std::sqrt(square + dt * dt);
    const float least = 0.6f * pose_.pixel, reach = std::max({r0, r1, least});
    // an infinite cylinder's chord grows with the slope of its axis; a tube's ends with the tube
    const float slope = length / std::sqrt(square + 1e-6f);
    each(std::min(s, s + ds) - reach, std::max(s, s + ds) + reach, std::min(p.z, q.z) - reach,
         std::max(p.z, q.z) + reach, [&](float at_s, float at_z, std::size_t at) {
           const float u = at_s - s, w = at_z - p.z;
           const float f = std::clamp((u * ds + w * dz) / (square + 1e-6f), 0.f, 1.f);
           const float r = r0 + (r1 - r0) * f, wide = std::max(r, least);
           const float off_s = u - f * ds, off_z = w - f * dz,
                       inside = wide * wide - off_s * off_s - off_z * off_z;
           if (inside <= 0) return;
           const float half = std::min(std::sqrt(inside) * slope, 0.5f * length + wide),
                       middle = t + f * dt, gain = r * r / (wide * wide);
           replace(at, {middle - half, middle + half}, hu, mask, gain);
         });
  }

  /// A line through points, of round section, drawn as one body: where it crosses itself it is not
  /// twice as dense. It stands in soft tissue, wherever it lies: what it hides of a lung is too
  /// thin to tell.
  /// @param covered set to 255 where the line is, unless empty
  void stroke(std::span<const PatientPoint> points, const ProjectionStroke& how,
              std::span<std::uint8_t> covered = {}) {
    const float wide = std::max(how.radius, 0.6f * pose_.pixel);
    float s0 = 1e9f, s1 = -1e9f, z0 = 1e9f, z1 = -1e9f;
    for (std::size_t k = 0; k + 1 < points.size(); ++k) {
      const PatientPoint p = points[k], q = points[k + 1];
      const float s = ray().across(p), ds = ray().across(q) - s,
                  dt = ray().along(q) - ray().along(p), dz = q.z - p.z;
      const float square = ds * ds + dz * dz;
      const float slope = std::min(std::sqrt((square + dt * dt) / (square + 1e-6f)), 1.7f);
      const float a0 = std::min(s, s + ds) - wide, a1 = std::max(s, s + ds) + wide,
                  b0 = std::min(p.z, q.z) - wide, b1 = std::max(p.z, q.z) + wide;
      each(a0, a1, b0, b1, [&](float at_s, float at_z, std::size_t at) {
        const float u = at_s - s, w = at_z - p.z;
        const float f = std::clamp((u * ds + w * dz) / (square + 1e-6f), 0.f, 1.f);
        const float off_s = u - f * ds, off_z = w - f * dz, d = off_s * off_s + off_z * off_z;
        if (d < nearest_[at]) nearest_[at] = d, stretch_[at] = slope;
      });
      s0 = std::min(s0, a0), s1 = std::max(s1, a1), z0 = std::min(z0, b0), z1 = std::max(z1, b1);
    }
    const float mu = attenuation(how.hu) - attenuation(soft_tissue_hu),
                core = attenuation(how.core_hu) - attenuation(soft_tissue_hu);
    const float hollow = how.wall > 0 ? wide * (1 - how.wall) : 0,
                gain = how.radius * how.radius / (wide * wide);
    each(s0, s1, z0, z1, [&](float, float, std::size_t at) {
      const float d = nearest_[at];
      if (d == far) return;
      nearest_[at] = far;
      if (d >= wide * wide) return;
      const float outer = std::sqrt(wide * wide - d),
                  inner = d < hollow * hollow ? std::sqrt(hollow * hollow - d) : 0;
      sum[at] += 2 * gain * stretch_[at] * (mu * (outer - inner) + core * inner);
      if (!covered.empty()) covered[at] = 255;
    });
  }

 private:
  static constexpr float far = 1e30f;

  ProjectionPose pose_;
  index_t size_;
  float cos_, sin_;
  std::vector<float> nearest_, stretch_;  // of the stroke being drawn: distance² and slope
};

}  // namespace detail

HLIP_END
