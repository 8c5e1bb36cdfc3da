#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/datasets/volumes/table.hpp>
#include <hlip/io/file.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("read_volume_table: volumes of a study together, paths from the table's folder") {
  const TempFolder folder;
  for (const char* name : {"a.nii", "b.nii", "c.nii", "d.nii"})
    atomic_write(folder.string() + "/" + name, "x");
  const std::string path = folder.string() + "/volumes.csv";
  atomic_write(path,
               "study,volume,report,split\n"
               "s2,b.nii,\"a nodule, left\",train\n"
               "s1,a.nii,clear,train\n"
               "s2," +
                   folder.string() +
                   "/c.nii,,train\n"
                   "s3,d.nii,clear,valid\n");
  const CtRateDataset train = read_volume_table(path, "train");
  CHECK(train.problems.empty());
  REQUIRE(train.studies.size() == 2);
  CHECK(train.studies[0].name == "s1");
  REQUIRE(train.studies[1].recons.size() == 2);
  CHECK(train.studies[1].recons[0].path == folder.string() + "/b.nii");
  CHECK(train.studies[1].report == std::vector<std::string>{"a nodule, left"});
  CHECK(read_volume_table(path, "valid").studies.size() == 1);
  CHECK(read_volume_table(path, "").studies.size() == 3);
}

TEST_CASE("read_volume_table: every fault has its line, and the rest is used") {
  const TempFolder folder;
  for (const char* name : {"a.nii", "b.nii", "c.nii"})
    atomic_write(folder.string() + "/" + name, "x");
  const std::string path = folder.string() + "/t.csv";
  atomic_write(path,
               "volume,report,study\n"
               "a.nii,clear,s1\n"
               "gone.nii,clear,s2\n"
               ",clear,s3\n"
               "a.nii,clear,s1\n"
               "b.nii,other words,s1\n"
               "b.nii,clear,\n"
               "c.nii,,s4\n");
  const CtRateDataset data = read_volume_table(path, "");
  REQUIRE(data.studies.size() == 1);
  CHECK(data.studies[0].recons.size() == 1);
  const char* wanted[] = {"t.csv: line 3, column volume: \"gone.nii\" is not there",
                          "line 4, column volume: is empty",
                          "line 5, column volume: \"a.nii\" is there twice",
                          "line 6, column report: is another report of study \"s1\"",
                          "line 7, column study: is empty",
                          "study \"s4\" has no report"};
  REQUIRE(data.problems.size() == 6);
  for (std::size_t i = 0; i < 6; ++i)
    CHECK_MESSAGE(data.problems[i].find(wanted[i]) != std::string::npos, data.problems[i]);
  CHECK(read_volume_table(path, "", {.need_reports = false}).studies.size() == 2);
}

TEST_CASE("read_volume_table: label maps, where they are asked for") {
  const TempFolder folder;
  for (const char* name : {"a.nii", "b.nii", "m.nii"})
    atomic_write(folder.string() + "/" + name, "x");
  const std::string path = folder.string() + "/t.csv";
  atomic_write(path, "volume,mask\na.nii,m.nii\nb.nii,gone.nii\n");
  const auto data = read_volume_table(path, "", {.need_reports = false, .need_masks = true});
  REQUIRE(data.studies.size() == 1);
  CHECK(data.masks.at(folder.string() + "/a.nii") == folder.string() + "/m.nii");
  REQUIRE(data.problems.size() == 1);
  CHECK(data.problems[0].find("line 3, column mask: \"gone.nii\" is not there") !=
        std::string::npos);
  atomic_write(path, "volume,report\na.nii,clear\n");
  CHECK(test::error_of([&] { read_volume_table(path, "", {.need_masks = true}); }).find("mask") !=
        std::string::npos);
}

TEST_CASE("read_volume_table: a table without volumes or reports is refused by the column's name") {
  const TempFolder folder;
  const std::string path = folder.string() + "/t.csv";
  atomic_write(path, "file,report\nx,y\n");
  CHECK(test::error_of([&] { read_volume_table(path, ""); }).find("volume") != std::string::npos);
  atomic_write(path, "volume,text\nx,y\n");
  CHECK(test::error_of([&] { read_volume_table(path, ""); }).find("report") != std::string::npos);
}
