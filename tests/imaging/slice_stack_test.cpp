#include "../support/errors.hpp"

#include <hlip/imaging/slice_stack.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

/// n axial slices 2 mm apart, named s0, s1, …
std::vector<SlicePlane> axial(int n) {
  std::vector<SlicePlane> planes;
  for (int k = 0; k < n; ++k)
    planes.push_back(
        {fmt::format("s{}", k), {-100, -80, 50 + 2.0 * k}, {1, 0, 0}, {0, 1, 0}, {0.5, 0.7}});
  return planes;
}
std::string fault(const std::vector<SlicePlane>& planes) {
  return test::error_of([&] { stack_slices(planes); });
}
bool says(const std::string& message, std::string_view part) {
  return message.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("stack_slices: the order is that of the positions, whatever the order given") {
  auto planes = axial(4);
  std::swap(planes[0], planes[2]);
  const auto stack = stack_slices(planes);
  CHECK(stack.order == std::vector<std::size_t>{2, 1, 0, 3});
  // LPS to RAS: x and y change sign. Columns of the affine: i with the distance between columns, j
  // between rows, k between slices.
  const Affine want = {{{-0.7, 0, 0, 100}, {0, -0.5, 0, 80}, {0, 0, 2, 50}, {0, 0, 0, 1}}};
  CHECK(stack.affine == want);
  CHECK(orientation_code(stack.affine) == "LPS");
}

TEST_CASE("stack_slices: oblique and sagittal planes go along their normal") {
  std::vector<SlicePlane> planes;
  const double c = std::cos(0.3), s = std::sin(0.3);
  for (int k = 0; k < 3; ++k)
    planes.push_back({fmt::format("s{}", k),
                      {10, 20 - 3 * s * k, 30 + 3 * c * k},
                      {1, 0, 0},
                      {0, c, s},
                      {1, 1}});
  const auto oblique = stack_slices(planes);
  CHECK(spacing_of(oblique.affine)[0] == doctest::Approx(3));
  CHECK(oblique.affine[1][2] == doctest::Approx(3 * s));
  CHECK(oblique.affine[2][2] == doctest::Approx(3 * c));
  for (auto& p : planes) p.along_row = {0, 1, 0}, p.along_column = {0, 0, -1};
  for (int k = 0; k < 3; ++k) planes[static_cast<std::size_t>(k)].position = {5.0 * k, 0, 0};
  // The normal is (-1, 0, 0): the slice furthest left comes first
  const auto sagittal = stack_slices(planes);
  CHECK(sagittal.order == std::vector<std::size_t>{2, 1, 0});
  CHECK(orientation_code(sagittal.affine) == "PIR");
  CHECK(sagittal.affine[0][3] == -10);
}

TEST_CASE("stack_slices: distances that are equal compare equal, however the stack is turned") {
  std::vector<SlicePlane> planes;
  const double c = std::cos(0.3), s = std::sin(0.3);
  for (int k = 0; k < 40; ++k)
    planes.push_back({fmt::format("s{}", k),
                      {10, 20 - 0.7 * s * k, 30 + 0.7 * c * k},
                      {1, 0, 0},
                      {0, c, s},
                      {0.7, 0.7}});
  CHECK(stack_slices(planes).spacing == std::array<double, 3>{0.7, 0.7, 0.7});
}

TEST_CASE("stack_slices: rounded positions are no fault") {
  auto planes = axial(6);
  planes[2].position[2] += 0.05;
  planes[4].position[1] += 0.05;
  CHECK(spacing_of(stack_slices(planes).affine)[0] == doctest::Approx(2));
}

TEST_CASE("stack_slices: one slice is as thick as it says") {
  const auto stack = stack_slices(axial(1), 5);
  CHECK(spacing_of(stack.affine) == std::array<double, 3>{5, 0.5, 0.7});
}

TEST_CASE("stack_slices: what is no regular grid is refused, by name") {
  auto planes = axial(12);
  planes.erase(planes.begin() + 5);
  CHECK(says(
      fault(planes),
      "s6: ImagePositionPatient: is 4 mm from s4, 2 times the usual 2 mm: a slice is missing"));
  planes.erase(planes.begin() + 5);
  CHECK(says(fault(planes), "3 times the usual 2 mm: slices are missing"));
  planes = axial(5);
  planes[3].position[2] += 0.5;
  CHECK(says(fault(planes), "unevenly spaced"));
  planes = axial(8);
  planes[7].position = planes[3].position;
  CHECK(says(fault(planes),
             "s7: ImagePositionPatient: is at the same place as s3: a slice is there twice"));
  planes = axial(3);
  for (int k = 0; k < 3; ++k) planes.push_back(planes[static_cast<std::size_t>(k)]);
  CHECK(says(fault(planes), "several volumes"));
  planes = axial(20);
  for (std::size_t k = 0; k < planes.size(); ++k)
    planes[k].position[1] += 0.3 * static_cast<double>(k);
  CHECK(says(fault(planes), "the stack leans by 8.53 degrees (gantry tilt)"));
  planes = axial(5);
  planes[2].position[0] += 3;
  CHECK(says(fault(planes), "s2: ImagePositionPatient: lies 3 mm beside"));
}

TEST_CASE("stack_slices: planes that cannot be of one volume are refused") {
  CHECK(says(fault({}), "there are no slices"));
  const auto with = [](auto change) {
    auto planes = axial(3);
    change(planes[1]);
    return fault(planes);
  };
  CHECK(says(with([](SlicePlane& p) {
               p.along_row = {1, 0.2, 0};
             }),
             "s1: ImageOrientationPatient: (1, 0.2, 0)"));
  CHECK(says(with([](SlicePlane& p) { p.along_row = {0, 0, 0}; }), "perpendicular unit vectors"));
  CHECK(says(with([](SlicePlane& p) {
               p.along_column = {0, std::cos(0.1), std::sin(0.1)};
             }),
             "its plane is turned against that of s0"));
  CHECK(says(with([](SlicePlane& p) {
               p.spacing = {0.5, 0.8};
             }),
             "s1: PixelSpacing: is 0.5 x 0.8 mm, but 0.5 x 0.7 in s0"));
  CHECK(says(with([](SlicePlane& p) { p.spacing = {0, 0.7}; }), "s1: PixelSpacing"));
  CHECK(
      says(with([](SlicePlane& p) { p.position[0] = std::nan(""); }), "s1: ImagePositionPatient"));
}
