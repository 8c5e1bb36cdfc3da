#include "../io/temp_folder.hpp"
#include "../io/torch_bytes.hpp"
#include "../support/errors.hpp"

#include <hlip/datasets/public/studies.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

std::string npy(const std::string& descr, const std::string& shape, const std::string& values) {
  const std::string header = "{'descr': '" + descr +
                             "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  return std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size() & 255) +
         static_cast<char>(header.size() >> 8) + header + values;
}
bool says(const std::string& message, std::string_view part) {
  if (message.find(part) != std::string::npos) return true;
  MESSAGE(message);
  return false;
}
constexpr ScanPreparation small = {
    .preset = {.num_slices = 2, .resize = 2, .crop = 2, .mean = 0, .std = 1},
    .raw = RawScans::refuse};

}  // namespace

TEST_CASE("public studies: a folder's scans are found in order, masks and other files are none") {
  TempFolder folder;
  CHECK(says(test::error_of([&] { scan_files(folder.string()); }), "holds no scans"));
  for (const char* name : {"t2.nii.gz", "flair.npy", "t1_seg.nii.gz", "brain_mask.npy", "img.pt",
                           ".hidden.npy", "a.safetensors"})
    atomic_write(folder / name, "x");
  CHECK(scan_files(folder.string()) ==
        std::vector<std::string>{folder / "a.safetensors", folder / "flair.npy", folder / "img.pt",
                                 folder / "t2.nii.gz"});
  CHECK(says(test::error_of([&] { scan_files(folder / "absent"); }), "cannot be listed"));
  CHECK(says(test::error_of([&] { folders_in(folder.string()); }), "holds no folders"));
}

TEST_CASE(
    "public studies: prepared arrays of bytes are divided by 255, values beyond 0 to 1 are "
    "refused") {
  TempFolder folder;
  atomic_write(folder / "u.npy",
               npy("|u1", "(2, 2, 2)", std::string("\xff\0\x33\xff\0\xff\0\xff", 8)));
  const auto x = load_public_scan(folder / "u.npy", small).input;
  CHECK(x.shape() == Shape{2, 2, 2});
  CHECK(x.to_vector() == std::vector<float>{1, 0, 0.2f, 1, 0, 1, 0, 1});
  atomic_write(folder / "four.npy",
               npy("|u1", "(1, 2, 2, 2)", std::string("\xff\1\0\2\xff\3\xff\4", 8)));
  CHECK(load_public_scan(folder / "four.npy", small).input.to_vector() ==
        std::vector<float>{1, 0, 1, 1, 1, 0, 1, 1});  // first channel, one slice for two
  atomic_write(folder / "hu.npy", npy("<f4", "(1, 1, 1)", std::string("\0\0\x7a\xc4", 4)));
  CHECK(says(test::error_of([&] { load_public_scan(folder / "hu.npy", small); }),
             "is not a prepared scan: its values go from -1000 to 0, expected 0 to 1 (or uint8)"));
  atomic_write(folder / "flat.npy", npy("|u1", "(2, 2)", "abcd"));
  CHECK(says(test::error_of([&] { load_public_scan(folder / "flat.npy", small); }),
             "the array is (2, 2), expected (slices, rows, columns)"));
  CHECK(says(test::error_of([&] { load_public_scan(folder / "ct.nii.gz", small); }),
             "is not prepared"));
}

TEST_CASE("public studies: the published .pt files are read like arrays, without PyTorch") {
  TempFolder folder;
  const std::string bytes("\xff\0\x33\xff\0\xff\0\xff", 8);
  atomic_write(folder / "u.npy", npy("|u1", "(2, 2, 2)", bytes));
  atomic_write(folder / "u.pt", test::torch::file_of({2, 2, 2}, bytes));
  CHECK(load_public_scan(folder / "u.pt", small).input.to_vector() ==
        load_public_scan(folder / "u.npy", small).input.to_vector());
  const Volume ct = read_rad_chestct(folder / "u.pt");
  CHECK(ct.spacing == std::array<double, 3>{3, 1, 1});
  CHECK(ct.voxels.to_vector() == std::vector<float>{255, 0, 51, 255, 0, 255, 0, 255});
  atomic_write(folder / "two.pt",
               test::torch::checkpoint(test::torch::dict(
                   test::torch::text("w") +
                   test::torch::tensor(test::torch::storage("0", 6), 0, {2, 3}, {3, 1}))));
  CHECK(says(test::error_of([&] { load_public_scan(folder / "two.pt", small); }),
             "it has no tensor \"img\""));
}

TEST_CASE(
    "public studies: prepared scans are recognised and left alone; the files of Pub-Brain-5 have "
    "their own sizes and never are") {
  TempFolder folder;
  std::string bytes(6 * 14 * 14, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 % 256);
  const auto grey = [&](std::size_t i) {
    return (static_cast<float>(static_cast<unsigned char>(bytes[i])) / 255 - 0.449f) / 0.226f;
  };
  atomic_write(folder / "img.pt", test::torch::file_of({6, 14, 14}, bytes));
  ScanPreparation how{.preset = {24, 16, 14}};
  how.keep_slices = true;
  auto scan = load_public_scan(folder / "img.pt", how);
  CHECK(scan.was_prepared);
  REQUIRE(scan.input.shape() == Shape{6, 14, 14});
  for (std::size_t i = 0; i < bytes.size(); ++i) CHECK(scan.input.data()[i] == grey(i));
  how.keep_slices = false;  // --num-slices: in depth only
  scan = load_public_scan(folder / "img.pt", how);
  CHECK(scan.was_prepared);
  REQUIRE(scan.input.shape() == Shape{24, 14, 14});
  for (index_t z = 0; z < 24; ++z)
    CHECK(scan.input.at({z, 3, 5}) == grey(static_cast<std::size_t>(z / 4 * 196 + 3 * 14 + 5)));
  how.by_size = false;  // Pub-Brain-5
  scan = load_public_scan(folder / "img.pt", how);
  CHECK_FALSE(scan.was_prepared);
  const auto want = mri_network_input(read_prepared_scan(open_weights(folder / "img.pt")),
                                      how.preset);
  CHECK(scan.input.to_vector() == want.to_vector());
  how.keep_slices = true;
  write_brain_scan(folder / "img.safetensors", Tensor<float>::zeros({6, 14, 14}),
                   {{"stamp", "mri=2 bytes=1"}});
  scan = load_public_scan(folder / "img.safetensors", how);
  CHECK(scan.was_prepared);
  CHECK(scan.input.shape() == Shape{6, 14, 14});
  CHECK(scan.warnings == std::vector<std::string>{"all voxels are equal"});
  CHECK(to_string(how) ==
        "mri num_slices=24 resize=16 crop=14 mean=0.449 std=0.226; scans that preprocess_brain_mri "
        "wrote of 14 x 14 are fed as they are");
}
