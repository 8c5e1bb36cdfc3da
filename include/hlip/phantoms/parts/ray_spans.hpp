// Parallel rays through bodies with an elliptic outline: where a ray enters and leaves, in closed
// form, and what is left of a lung along it when other bodies take its place.
#pragma once

#include <hlip/phantoms/parts/patient.hpp>

#include <algorithm>
#include <array>
#include <cmath>

HLIP_BEGIN

namespace detail {

/// A piece of a ray, mm along it; empty unless `to` is above `from`.
struct RaySpan {
  float from = 0, to = 0;
  float length() const { return std::max(to - from, 0.f); }
};
inline RaySpan overlap(RaySpan a, RaySpan b) {
  return {std::max(a.from, b.from), std::min(a.to, b.to)};
}

/// The rays of a picture: horizontal and parallel. A picture's horizontal axis s and the depth t
/// along a ray are the patient's x and y turned by `angle` about the long axis: 0 is a frontal
/// picture, whose s runs to the patient's left and t to the back, 90° a lateral one, whose s runs
/// to the back.
struct RayDirection {
  float c = 1, s = 0;  ///< cosine and sine of the angle
  explicit RayDirection(float angle = 0) : c(std::cos(angle)), s(std::sin(angle)) {}
  float across(float x, float y) const { return c * x + s * y; }
  float along(float x, float y) const { return c * y - s * x; }
  float across(PatientPoint p) const { return across(p.x, p.y); }
  float along(PatientPoint p) const { return along(p.x, p.y); }
};

/// A horizontal section ((x-cx)/a)² + ((y-cy)/b)² < k seen by rays.
class RayEllipse {
 public:
  RayEllipse() = default;
  RayEllipse(const RayDirection& ray, float cx, float cy, float a, float b)
      : s_(ray.across(cx, cy)), t_(ray.along(cx, cy)) {
    const float mx = 1 / (a * a), my = 1 / (b * b);
    along_ = mx * ray.s * ray.s + my * ray.c * ray.c;
    shear_ = (mx - my) * ray.s * ray.c / along_;
    determinant_ = mx * my;
  }
  /// Where the ray at s lies inside; empty where it passes by.
  RaySpan at(float s, float k = 1) const {
    const float off = s - s_, square = along_ * k - off * off * determinant_;
    if (!(square > 0)) return {};
    const float half = std::sqrt(square) / along_, middle = t_ + off * shear_;
    return {middle - half, middle + half};
  }
  float centre() const { return s_; }
  /// Half its width in the picture where k is 1.
  float reach() const { return std::sqrt(along_ / determinant_); }

 private:
  float s_ = 0, t_ = 0, along_ = 1, shear_ = 0, determinant_ = 1;
};

/// What is left of a lung along one ray: up to three pieces (heart and diaphragm take a piece each;
/// of a further cut the smaller rest is given up, which is a few millimetres).
class LungSpans {
 public:
  LungSpans() = default;
  explicit LungSpans(RaySpan whole) { part_[0] = whole; }

  float length() const { return part_[0].length() + part_[1].length() + part_[2].length(); }
  /// How much of `span` is lung.
  float length(RaySpan span) const {
    float sum = 0;
    for (const auto& p : part_) sum += overlap(p, span).length();
    return sum;
  }
  /// Takes `hole` out. @return how much of it was lung
  float cut(RaySpan hole) {
    float removed = 0;
    for (auto& p : part_) {
      const RaySpan both = overlap(p, hole);
      if (both.length() <= 0) continue;
      removed += both.length();
      RaySpan before{p.from, both.from}, after{both.to, p.to};
      if (before.length() < after.length()) std::swap(before, after);
      p = before;
      if (after.length() <= 0) continue;
      for (auto& free : part_)
        if (free.length() <= 0) {
          free = after;
          break;
        }
    }
    return removed;
  }
  /// Leaves what lies in `span`. @return how much was taken away
  float keep(RaySpan span) {
    const float before = length();
    for (auto& p : part_) p = overlap(p, span);
    return before - length();
  }

 private:
  std::array<RaySpan, 3> part_{};
};

}  // namespace detail

HLIP_END
