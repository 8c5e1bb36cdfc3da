// Work that consists of programs run one after another, and goes on where it was stopped.
#pragma once

#include <hlip/cli/child_program.hpp>
#include <hlip/train/progress.hpp>

#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

HLIP_BEGIN

/// A program to run. What it prints is in FOLDER/name.log; when it is done, FOLDER/name.done has
/// its command, until then FOLDER/name.begun.
struct ProgramStep {
  std::string name;                ///< a path below the folder, different for each step
  std::vector<std::string> words;  ///< the program and what decides what it makes
  std::vector<std::string> more;   ///< words behind these that do not, such as --threads
  std::string makes;               ///< a file that is there when it is done
  std::string program() const { return words.at(0).substr(words[0].rfind('/') + 1); }
  /// What decides what it makes: another build of the program is the same program.
  std::string command() const {
    std::vector<std::string> said = words;
    said[0] = program();
    return shell_command(said) + "\n";
  }
  std::vector<std::string> all_words() const {
    std::vector<std::string> all = words;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

namespace detail {
HLIP_LAZY bool step_is_done(const std::string& folder, const ProgramStep& step) {
  return is_file(folder + "/" + step.name + ".done") && is_file(step.makes);
}

HLIP_LAZY void expect_same_command(const std::string& mark, const ProgramStep& step) {
  if (!is_file(mark)) return;
  const std::string was = read_file(mark, std::size_t{1} << 20), is = step.command();
  if (was != is)
    fail_file(mark, "",
              "was made by another command than would be run now (hint: other options go into "
              "another folder)\n  then: {}  now:  {}",
              was, is);
}

HLIP_LAZY void run_step(const std::string& folder, const ProgramStep& step) {
  const std::string base = folder + "/" + step.name, begun = base + ".begun", log = base + ".log";
  std::filesystem::create_directories(std::filesystem::path(base).parent_path());
  std::filesystem::remove(base + ".done");
  atomic_write(begun, step.command());
  const ChildEnd end = run_child(step.all_words(), log);
  if (hlip::stop_requested()) return;
  const auto failed = [&](const std::string& how) {
    fail(step.program(), "{}; the end of {}:\n{}", how, log,
         last_lines(read_file(log, std::size_t{1} << 30), 12));
  };
  if (end.code == 2) std::filesystem::remove(begun);  // wrong usage: nothing was begun
  if (!end.good()) failed(to_string(end));
  if (!is_file(step.makes)) failed("ended without " + step.makes);
  std::filesystem::rename(begun, base + ".done");
}
}  // namespace detail

/// The steps that are not done, as a shell would run them, one a line.
HLIP_LAZY std::string commands_of(const std::string& folder,
                                  const std::vector<ProgramStep>& steps) {
  std::string text;
  for (const auto& step : steps)
    if (!detail::step_is_done(folder, step)) text += shell_command(step.all_words()) + "\n";
  return text;
}

/// Throws unless every program is there, and what was made or begun in the folder was made by the
/// same commands.
HLIP_LAZY void check_steps(const std::string& folder, const std::vector<ProgramStep>& steps) {
  std::set<std::string> names;
  for (const auto& step : steps) {
    expect(names.insert(step.name).second, "program_steps", "two steps are called {}",
           quote_text(step.name));
    if (::access(step.words.at(0).c_str(), X_OK) != 0)
      fail_file(step.words[0], "",
                "is not there or cannot be run (hint: the programs belong "
                "together, build them all)");
    for (const char* end : {".done", ".begun"})
      detail::expect_same_command(folder + "/" + step.name + end, step);
  }
}

/// Runs what is not done of the steps, in their order, and says so on stdout. A stop signal ends
/// the running program (see run_child), and the same steps go on later.
/// @return whether all are done; otherwise a stop signal came
/// @throws hlip::error as check_steps, before anything is run; and when a program fails, naming it
/// with the end of its log
HLIP_LAZY bool run_steps(const std::string& folder, const std::vector<ProgramStep>& steps) {
  check_steps(folder, steps);
  const StopAwaited awaited;
  std::size_t number = 0;
  for (const auto& step : steps) {
    ++number;
    if (detail::step_is_done(folder, step)) continue;
    ProgressLine line;
    line.show(fmt::format("{}/{} {}", number, steps.size(), step.name), false);
    const auto began = std::chrono::steady_clock::now();
    detail::run_step(folder, step);
    if (stop_requested()) return false;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    line.show(
        fmt::format("{}/{} {}, {}", number, steps.size(), step.name, format_duration(took.count())),
        true);
  }
  return true;
}

HLIP_END
