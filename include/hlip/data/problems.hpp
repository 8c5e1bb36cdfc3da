// What a reader of data sets does with faults: it collects them all, and its caller decides.
#pragma once

#include <hlip/core/error.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Faults found so far, one finished message each; of one file no more than its first twenty, and a
/// line that says how many more.
struct Problems : std::vector<std::string> {
  using std::vector<std::string>::vector;
  /// Adds a message, fit to be printed.
  void push_back(std::string_view message) {
    std::vector<std::string>::push_back(visible_text(message, true));
  }
  std::size_t unlisted = 0;  ///< faults beyond those that have a line of their own or count as one

  /// All faults, listed or not.
  std::size_t count() const { return size() + unlisted; }
};

/// Faults of the rows of a table or of the studies of an annotation file, on their way to a list. A
/// small file can be wrong in millions of places: only the first twenty become messages, the others
/// are counted, and one line says how many they are.
class FileProblems {
 public:
  static constexpr std::size_t most = 20;

  /// @param problems outlives this object, which adds its last line when it ends  @param path
  /// begins that line
  FileProblems(Problems& problems, std::string path)
      : problems_(problems), path_(std::move(path)) {}
  FileProblems(const FileProblems&) = delete;
  FileProblems& operator=(const FileProblems&) = delete;
  ~FileProblems() {
    if (count_ <= most) return;
    problems_.push_back(fmt::format("{}: and {} more faults", visible_text(path_), count_ - most));
    problems_.unlisted += count_ - most - 1;
  }

  /// A fault of the file. @param message makes its text, "place: fault"; it is only called when the
  /// fault is listed
  template <class Message> void add(Message message) {
    if (++count_ <= most)
      problems_.push_back(fmt::format("{}: {}", visible_text(path_), message()));
  }
  /// Faults so far, listed or not.
  std::size_t count() const { return count_; }

 private:
  Problems& problems_;
  std::string path_;
  std::size_t count_ = 0;
};

/// How closely volumes are looked at while a data set is read.
enum class VolumeCheck { none, exists, header, voxels };

/// Reads "none", "exists", "header" or "voxels". @throws hlip::error on anything else
inline VolumeCheck volume_check_named(std::string_view name) {
  constexpr std::string_view names[] = {"none", "exists", "header", "voxels"};
  for (int i = 0; i < 4; ++i)
    if (name == names[i]) return static_cast<VolumeCheck>(i);
  fail("volume check", "unknown check \"{}\", expected none, exists, header or voxels", name);
}

/// Throws one error that lists the problems, or the first hundred of them, when there are any.
inline void expect_no_problems(const Problems& problems, std::string_view root,
                               std::string_view split) {
  if (problems.empty()) return;
  constexpr std::size_t most = 100;
  std::string list;
  for (std::size_t i = 0; i < problems.size() && i < most; ++i) list += "\n  " + problems[i];
  if (problems.size() > most) list += fmt::format("\n  and {} more", problems.size() - most);
  fail_file(root, split, "{} problem{}:{}", problems.count(), problems.count() == 1 ? "" : "s",
            list);
}

HLIP_END
