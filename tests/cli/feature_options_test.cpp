#include <hlip/cli/command_line.hpp>
#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/feature_options.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {
struct Given {
  std::vector<std::string> files;
  std::string image = "image", subject;
  int threads = 0;
};
int parse(Given& given, std::vector<const char*> words) {
  CLI::App app("a test", "tester");
  add_features_option(app, given.files);
  add_picture_column_options(app, given.image, given.subject);
  add_threads_option(app, given.threads);
  words.insert(words.begin(), "tester");
  return run_program(app, static_cast<int>(words.size()), const_cast<char**>(words.data()),
                     [] { return 0; });
}
}  // namespace

TEST_CASE("options of features: files are required, columns have names, threads a range") {
  Given given;
  CHECK(parse(given, {"--features", "a", "b", "--features", "c", "--subject-column", "who",
                      "--threads", "3"}) == 0);
  CHECK(given.files == std::vector<std::string>{"a", "b", "c"});
  CHECK(given.image == "image");
  CHECK(given.subject == "who");
  CHECK(given.threads == 3);
  Given wrong;
  CHECK(parse(wrong, {}) == 2);
  CHECK(parse(wrong, {"--features", "a", "--threads", "-1"}) == 2);
}

TEST_CASE("use_compute_threads: so many from here on, 0 leaves them alone") {
  const int before = omp_get_max_threads();
  use_compute_threads(3);
  CHECK(omp_get_max_threads() == 3);
  use_compute_threads(0);
  CHECK(omp_get_max_threads() == 3);
  omp_set_num_threads(before);
}
