// What all programs do alike with their command line: usage errors exit with 2 and the nearest valid option, failures
// exit with 1 and one message. Needs CLI11.
#pragma once

#include <hlip/core/error.hpp>

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

HLIP_BEGIN

/// Edits (insert, delete, replace, exchange two neighbours) that turn one word into the other.
inline std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) next[j] = std::min(next[j], before[j - 2] + 1);
    }
    std::swap(before, row);
    std::swap(row, next);
  }
  return row[b.size()];
}

/// The name somebody may have meant: the first that begins with what was given (three letters or more), otherwise the nearest that is at most
/// a third of its letters away. Empty when there is none: a far-fetched suggestion is worse than no suggestion.
inline std::string nearest_name(const std::string& given, const std::vector<std::string>& names) {
  std::string nearest;
  std::size_t least = std::min(given.size(), (given.size() + 2) / 3 + 1);
  for (const auto& name : names) {
    if (given.size() >= 3 && name.starts_with(given)) return name;
    if (const std::size_t d = edit_distance(given, name); d < least) least = d, nearest = name;
  }
  return nearest;
}

/// All options as they stand - given, or with a default worth writing down - in a form that set_config reads back.
inline std::string config_text(const CLI::App& app) {
  std::string text;
  for (const auto* option : app.get_options()) {
    if (!option->get_configurable() || option->get_lnames().empty()) continue;
    std::vector<std::string> values = option->results();
    if (values.empty() && !option->get_default_str().empty()) values = CLI::detail::split_up(option->get_default_str(), option->get_expected_max() > 1 ? ',' : '\0');
    if (values.empty()) continue;
    std::string joined;
    for (std::string v : values) {
      if (option->get_expected_max() > 1) v.erase(std::remove_if(v.begin(), v.end(), [](char c) { return c == '[' || c == ']'; }), v.end());
      joined += (joined.empty() ? "\"" : ", \"") + v + "\"";
    }
    text += option->get_lnames().front() + " = " + (values.size() > 1 ? "[" + joined + "]" : joined) + "\n";
  }
  return text;
}

/// Makes waiting OpenMP threads sleep instead of spin, unless the environment says otherwise: beside loader threads or
/// other programs spinning starves the threads that work (measured on two busy cores: 19 samples/s against 137).
/// libgomp reads its environment before main, so the program starts itself once more; the process stays the same.
inline void let_waiting_threads_sleep(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  ::setenv("OMP_WAIT_POLICY", "passive", 1);
  ::execv("/proc/self/exe", argv);  // where this fails, the program goes on as it is
}

/// Runs a program: parses the command line, then calls body(). @return the exit code: 0 done, 1 failed, 2 wrong usage
template <class Body>
int run_program(CLI::App& app, int argc, char** argv, Body body) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), visible_text(e.what(), true).c_str());
    std::vector<const CLI::App*> levels{&app};  // the program's options, and those of the subcommand that was given
    for (const auto* subcommand : app.get_subcommands()) levels.push_back(subcommand);
    std::vector<std::string> options, subcommands;
    for (const auto* level : levels)
      for (const auto* option : level->get_options()) options.insert(options.end(), option->get_lnames().begin(), option->get_lnames().end());
    for (const auto* subcommand : app.get_subcommands(nullptr)) subcommands.push_back(subcommand->get_name());
    const auto suggest = [](const std::string& given, const std::vector<std::string>& names, const char* dashes) {
      if (std::find(names.begin(), names.end(), given) != names.end()) return;
      if (const std::string nearest = nearest_name(given, names); !nearest.empty()) std::fprintf(stderr, "%s%s is not known; did you mean %s%s?\n", dashes, visible_text(given).c_str(), dashes, nearest.c_str());
    };
    if (levels.size() == 1 && argc > 1 && argv[1][0] != '-') suggest(argv[1], subcommands, "");
    for (int i = 1; i < argc; ++i)
      if (const std::string given = argv[i]; given.rfind("--", 0) == 0 && given.size() > 2) suggest(given.substr(2, given.find('=') - 2), options, "--");
    std::fprintf(stderr, "%s --help lists the options\n", app.get_name().c_str());
    return 2;
  }
  try {
    return body();
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "%s: out of memory\n", app.get_name().c_str());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), visible_text(e.what(), true).c_str());
  }
  return 1;
}

HLIP_END
