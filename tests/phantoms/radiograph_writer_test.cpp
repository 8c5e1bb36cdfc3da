#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/datasets/chest_xray/table.hpp>
#include <hlip/phantoms/radiograph_writer.hpp>

#include <doctest/doctest.h>

#include <map>
#include <set>

using namespace hlip;

namespace {

RadiographPhantomSet small(index_t pictures) {
  RadiographPhantomSet set;
  set.pictures = pictures, set.size = 32, set.data_seed = 3;
  return set;
}

// Every file below a folder with its bytes.
std::map<std::string, std::string> files_of(const std::string& root) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    if (entry.is_regular_file())
      files[std::filesystem::relative(entry.path(), root).string()] = read_file(
          entry.path().string());
  return files;
}

}  // namespace

TEST_CASE("radiograph writer: the table reads back as the pictures it came from") {
  const TempFolder folder;
  RadiographPhantomSet set = small(40);
  set.masks = true;
  const auto written = write_radiograph_dataset(folder / "set", set, 2);
  CHECK_FALSE(written.reused);
  const auto all = read_radiograph_table(written.table);
  CHECK(all.problems.empty());
  REQUIRE(all.size() == 40);
  const std::vector<std::string> names(radiograph_finding_names.begin(),
                                       radiograph_finding_names.end());
  const auto labels = radiograph_labels(all, names);
  std::map<std::string_view, std::set<std::string_view>> split_of;
  std::map<std::string_view, int> pictures;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto plan = plan_radiograph(set.options, 3, static_cast<index_t>(i));
    const auto picture = draw_radiograph(plan, 32);
    CHECK(all.names[i] == fmt::format("images/synthetic_{:06d}.png", i));
    CHECK(all.text(i, "view") == to_string(plan.view));
    CHECK(all.text(i, "sex") == (plan.female ? "F" : "M"));
    CHECK(table_number<int>(all.table, i, all.column_of("age")) == plan.age);
    CHECK(table_number<double>(all.table, i, all.column_of("size")) ==
          doctest::Approx(plan.size).epsilon(1e-3));
    CHECK(all.text(i, "report") == picture.findings);
    CHECK(all.text(i, "impression") == picture.impression);
    for (std::size_t f = 0; f < names.size(); ++f)
      CHECK(labels[i * names.size() + f] == static_cast<float>(plan.labels[f]));
    CHECK(read_file(all.images[i]) == encode_grey_png(picture.pixels, 32, 32));
    CHECK(
        read_file(fmt::format("{}/set/masks/left_lung/synthetic_{:06d}.png", folder.string(), i)) ==
        encode_grey_png(picture.mask(RadiographMask::left_lung), 32, 32));
    CHECK(all.text(i, "tube") == fmt::format("masks/tube/synthetic_{:06d}.png", i));
    split_of[all.text(i, "subject")].insert(all.text(i, "split"));
    ++pictures[all.text(i, "split")];
  }
  for (const auto& [subject, splits] : split_of) CHECK(splits.size() == 1);
  CHECK(pictures == std::map<std::string_view, int>{{"train", 28}, {"valid", 4}, {"test", 8}});
  CHECK(read_file(folder / "set/README.txt").find("SYNTHETIC") != std::string::npos);
}

TEST_CASE("radiograph writer: the same bytes for any number of threads, and after a stop") {
  const TempFolder folder;
  write_radiograph_dataset(folder / "one", small(12), 1);
  const auto want = files_of(folder / "one");
  CHECK(want.size() == 15);
  for (const int threads : {2, 4}) {
    const std::string root = folder / fmt::format("{}", threads);
    write_radiograph_dataset(root, small(12), threads);
    CHECK(files_of(root) == want);
  }
  CHECK_THROWS_AS(write_radiograph_dataset(folder / "stopped", small(12), 2,
                                           [](index_t done, index_t) {
                                             if (done == 5) fail("test", "stopped");
                                           }),
                  error);
  CHECK_FALSE(is_file(folder / "stopped/phantom.json"));
  CHECK_FALSE(is_file(folder / "stopped/radiographs.csv"));
  atomic_write(folder / "stopped/images/synthetic_000009.png.tmp-1-0", "cut off");
  CHECK_FALSE(write_radiograph_dataset(folder / "stopped", small(12), 2).reused);
  CHECK(files_of(folder / "stopped") == want);
  CHECK(write_radiograph_dataset(folder / "stopped", small(12), 2).reused);
}

TEST_CASE("radiograph writer: other settings and foreign folders are refused and left alone") {
  const TempFolder folder;
  write_radiograph_dataset(folder / "set", small(2), 1);
  const auto before = files_of(folder / "set");
  CHECK_THROWS_AS(write_radiograph_dataset(folder / "set", small(4), 1), error);
  RadiographPhantomSet larger = small(2);
  larger.size = 40;
  CHECK_THROWS_AS(write_radiograph_dataset(folder / "set", larger, 1), error);
  CHECK(files_of(folder / "set") == before);
  std::filesystem::create_directories(folder / "mine/images");
  CHECK_THROWS_AS(write_radiograph_dataset(folder / "mine", small(2), 1), error);
  RadiographPhantomSet tiny = small(2);
  tiny.size = 4;
  CHECK(test::error_of([&] {
          write_radiograph_dataset(folder / "tiny", tiny, 1);
        }).find("expected 16 to 2048") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder / "tiny"));
}
