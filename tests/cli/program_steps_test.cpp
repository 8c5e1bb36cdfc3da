#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/cli/program_steps.hpp>

#include <doctest/doctest.h>

#include <pthread.h>

#include <csignal>

using namespace hlip;

namespace {
/// A step that is a shell script, which gets the file to make as $1.
ProgramStep shell_step(const TempFolder& folder, const std::string& name, const std::string& script,
                       std::vector<std::string> more = {}) {
  const std::string makes = folder / (name + ".made");
  return {name, {"/bin/sh", "-c", script, "sh", makes}, std::move(more), makes};
}
std::string count_in(const std::string& file) {
  return "echo run >>" + file + "; echo said; echo wrong >&2; touch \"$1\"";
}
}  // namespace

TEST_CASE("run_steps: what is done is not repeated, what is lost is; logs are kept") {
  TempFolder folder;
  const std::string count = folder / "count";
  std::vector<ProgramStep> steps = {shell_step(folder, "deep/first", count_in(count)),
                                    shell_step(folder, "second", count_in(count))};
  CHECK(commands_of(folder.string(), steps).find("/bin/sh -c 'echo run") == 0);
  CHECK(run_steps(folder.string(), steps));
  CHECK(read_file(count) == "run\nrun\n");
  CHECK(read_file(folder / "deep/first.log") == "said\nwrong\n");
  CHECK(read_file(folder / "second.done").starts_with("sh -c 'echo run"));
  CHECK(!is_file(folder / "second.begun"));
  CHECK(commands_of(folder.string(), steps).empty());
  steps[1].more = {"--threads", "3"};  // decides nothing
  CHECK(run_steps(folder.string(), steps));
  CHECK(read_file(count) == "run\nrun\n");
  std::filesystem::remove(steps[0].makes);
  CHECK(run_steps(folder.string(), steps));
  CHECK(read_file(count) == "run\nrun\nrun\n");
}

TEST_CASE("run_steps: a program that fails is named with the end of its log, and runs again") {
  TempFolder folder;
  const auto fails = [&](const std::string& script) {
    return test::error_of([&] {
      run_steps(folder.string(),
                {shell_step(folder, "ok", "touch \"$1\""), shell_step(folder, "bad", script),
                 shell_step(folder, "never", "touch \"$1\"")});
    });
  };
  const std::string flag = "test -e \"$1.flag\" && touch \"$1\" && exit 0; touch \"$1.flag\"; ";
  const std::string said = fails(flag +
                                 "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do echo line $i; "
                                 "done; exit 3");
  CHECK(said.find("sh: exit code 3; the end of " + (folder / "bad.log") + ":\nline 2\n") == 0);
  CHECK(said.ends_with("line 13"));
  CHECK(is_file(folder / "ok.done"));
  CHECK(is_file(folder / "bad.begun"));
  CHECK(!is_file(folder / "never.log"));
  // another command in the same place is refused before anything is run
  CHECK(fails("touch \"$1\"").find("bad.begun: was made by another command") != std::string::npos);
  CHECK(fails(flag + "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do echo line $i; done; exit 3") ==
        "no error");
  CHECK(is_file(folder / "never.done"));
}

TEST_CASE("run_steps: a signal, a missing result and a missing program are told apart") {
  TempFolder folder;
  const auto fails = [&](const ProgramStep& step) {
    return test::error_of([&] { run_steps(folder.string(), {step}); });
  };
  CHECK(fails(shell_step(folder, "killed", "kill -9 $$")).find("ended by signal 9 (Killed)") !=
        std::string::npos);
  CHECK(fails(shell_step(folder, "lazy", "true")).find("ended without " + (folder / "lazy.made")) !=
        std::string::npos);
  CHECK(fails({"absent", {folder / "nothing"}, {}, "x"}).find("nothing: is not there or cannot") !=
        std::string::npos);
  CHECK(test::error_of([&] {
          run_steps(folder.string(),
                    {shell_step(folder, "twice", "true"), shell_step(folder, "twice", "true")});
        }).find("two steps are called") != std::string::npos);
}

TEST_CASE("run_child: words arrive as they are, stdin is empty") {
  TempFolder folder;
  const std::string log = folder / "log", hard = "a b\n'\"$HOME\\ *";
  CHECK(run_child({"/bin/sh", "-c", "printf %s \"$1\"; cat", "sh", hard}, log).good());
  CHECK(read_file(log) == hard);
  CHECK(run_child({"/bin/sh", "-c", "exit 7"}, log).code == 7);
  CHECK(run_child({folder.string()}, log).code == 127);
  CHECK(test::error_of([&] {
          run_child({"/bin/sh"}, folder / "no/log");
        }).find("no/log: cannot be written") != std::string::npos);
}

TEST_CASE("run_child: a stop signal before the program is started, or while it is, is not lost") {
  TempFolder folder;
  const std::string log = folder / "log", made = folder / "made";
  const std::vector<std::string> words = {"/bin/sh", "-c", "touch \"$1\"", "sh", made};
  hlip::detail::stop_requested = 1;
  CHECK(run_child(words, log).signal == SIGTERM);
  hlip::detail::stop_requested = 0;
  CHECK(!is_file(made));
  // in the new process, before the handler of the old one is gone
  static bool between = false;
  static const int told = ::pthread_atfork(nullptr, nullptr, [] {
    if (between) std::raise(SIGTERM);
  });
  CHECK(told == 0);
  const auto handler = std::signal(SIGTERM, [](int) {});
  between = true;
  CHECK(run_child(words, log).signal == SIGTERM);
  between = false;
  CHECK(!is_file(made));
  CHECK(run_child(words, log).good());
  CHECK(is_file(made));
  sigset_t held;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &held);
  CHECK(!::sigismember(&held, SIGTERM));
  std::signal(SIGTERM, handler);
}

TEST_CASE("shell_command and last_lines: what people see of a command and of its log") {
  CHECK(shell_command({"a/b", "--x=1", "two words", "it's", ""}) ==
        "a/b --x=1 'two words' 'it'\\''s' ''");
  CHECK(last_lines("a\nb\nc\n\n", 2) == "b\nc");
  CHECK(last_lines("a", 5) == "a");
  CHECK(last_lines("", 5).empty());
  CHECK(last_lines(std::string(9000, 'x'), 5).size() == 4000);
  CHECK(std::filesystem::is_directory(own_folder()));
}
