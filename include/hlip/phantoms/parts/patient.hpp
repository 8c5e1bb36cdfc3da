// Where things lie in the chest that every phantom of it draws, in patient millimetres. All numbers
// but those of the diaphragm's height are for a body of size 1.
#pragma once

#include <hlip/core/random.hpp>

#include <array>

HLIP_BEGIN

namespace detail {

/// A point in patient millimetres: x to the patient's left, y to the back, z to the head, origin in
/// the body's centre.
struct PatientPoint {
  float x = 0, y = 0, z = 0;
  friend PatientPoint operator+(PatientPoint a, PatientPoint b) {
    return {a.x + b.x, a.y + b.y, a.z + b.z};
  }
  friend PatientPoint operator-(PatientPoint a, PatientPoint b) {
    return {a.x - b.x, a.y - b.y, a.z - b.z};
  }
  friend PatientPoint operator*(PatientPoint a, float s) { return {a.x * s, a.y * s, a.z * s}; }
};

inline float draw(RandomStream& random, double low, double high) {
  return static_cast<float>(random.uniform(low, high));
}

/// Uniform in [-half, half].
inline float draw_about(RandomStream& random, double half) { return draw(random, -half, half); }

/// Right is 0 and left is 1 wherever a side is an index; the left is at positive x.
inline constexpr std::array<float, 2> side_sign = {-1.f, 1.f};

/// A lung is an ellipse from front to back at every height, narrowing to a dome above `shoulder`,
/// and ends at `medial` beside the midline.
struct LungShape {
  static constexpr float centre_x = 68, centre_y = 2, half_width = 60, half_depth = 82, medial = 23,
                         shoulder = 15, dome = 100;
};

/// The diaphragm rises by height·exp(-(x/half_width)² - (y/half_depth)²) about a lung's centre line
/// from `foot` below its reference height.
struct DiaphragmShape {
  static constexpr float height = 34, foot = 22, centre_y = -8, half_width = 52, half_depth = 62;
};

/// The heart's centre. @param to_left, lower how far it lies off its usual place
inline PatientPoint heart_centre(float size, float diaphragm, float to_left, float lower) {
  return {16 * size + to_left, -22 * size, diaphragm + 46 * size + lower};
}
/// Its half axes. @param heart_size relative to a normal heart
inline PatientPoint heart_half_axes(float heart_size) {
  return PatientPoint{50, 42, 45} * heart_size;
}

}  // namespace detail

HLIP_END
