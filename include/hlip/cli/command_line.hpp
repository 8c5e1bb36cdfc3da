// What all programs do alike with their command line: usage errors exit with 2 and the nearest
// valid option, failures exit with 1 and one message. Needs CLI11.
#pragma once

#include <hlip/cli/standard_files.hpp>
#include <hlip/core/error.hpp>
#include <hlip/core/visible.hpp>
#include <hlip/core/waiting_threads.hpp>
#include <hlip/version.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

HLIP_BEGIN

/// Edits (insert, delete, replace, exchange two neighbours) that turn one word into the other.
inline std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      next[j] = std::min(
          {row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        next[j] = std::min(next[j], before[j - 2] + 1);
    }
    std::swap(before, row);
    std::swap(row, next);
  }
  return row[b.size()];
}

/// The name somebody may have meant: the first that begins with what was given (three letters or
/// more), otherwise the nearest that is at most a third of its letters away. Empty when there is
/// none: a far-fetched suggestion is worse than no suggestion.
inline std::string nearest_name(const std::string& given, const std::vector<std::string>& names) {
  std::string nearest;
  std::size_t least = std::min(given.size(), (given.size() + 2) / 3 + 1);
  for (const auto& name : names) {
    if (given.size() >= 3 && name.starts_with(given)) return name;
    if (const std::size_t d = edit_distance(given, name); d < least) least = d, nearest = name;
  }
  return nearest;
}

namespace detail {
// What is wrong with a number as it was typed, or nothing. A whole number is left without leading
// zeros, which CLI11 takes for octal.
template <class T> std::string number_fault(std::string& text, const char* wanted) {
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  const char *begin = text.data() + (plus ? 1 : 0), *end = text.data() + text.size();
  T value{};
  const auto [at, code] = std::from_chars(begin, end, value);
  if (code == std::errc::result_out_of_range)
    return fmt::format("{} is out of range, expected {}", quote_text(text), wanted);
  if (code != std::errc() || at != end || !std::isfinite(static_cast<double>(value)))
    return fmt::format("{} is not {}", quote_text(text), wanted);
  if constexpr (std::is_integral_v<T>) text = fmt::format("{}", value);
  return "";
}
}  // namespace detail

/// Lets every numeric option of a program take decimal, finite numbers of its range and nothing
/// else. CLI11 by itself reads 010 as 8, -1 as the largest unsigned number, and lets NaN through
/// every range.
inline void expect_numbers(CLI::App& app) {
  for (auto* option : app.get_options()) {
    const std::string type = option->get_type_name();
    const auto check = [&](const char* prefix, std::string (*fault)(std::string&)) {
      if (type.starts_with(prefix)) option->transform(CLI::Validator(fault, ""));
    };
    check("INT", [](std::string& text) {
      return detail::number_fault<std::int64_t>(text, "a whole number");
    });
    check("UINT", [](std::string& text) {
      return detail::number_fault<std::uint64_t>(text, "a whole number from 0 on");
    });
    check("FLOAT",
          [](std::string& text) { return detail::number_fault<double>(text, "a finite number"); });
  }
  for (auto* subcommand : app.get_subcommands(nullptr)) expect_numbers(*subcommand);
}

/// For options from 0 on that must stay below 1.
inline CLI::Validator below_one() {
  return CLI::Validator(
      [](std::string& text) {
        return text.starts_with('-') || std::atof(text.c_str()) >= 1
                   ? quote_text(text) + " is not in [0, 1)"
                   : std::string();
      },
      "FLOAT in [0 - 1)");
}

/// Runs a program: parses the command line (every program has --help and --version), then calls
/// body(). @return the exit code: 0 done, 1 failed, 2 wrong usage
template <class Body> int run_program(CLI::App& app, int argc, char** argv, Body body) {
  open_standard_files();
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a log file shows every line when it is printed
  app.set_version_flag("--version", fmt::format("{} (hlip {})", app.get_name(), HLIP_VERSION),
                       "print the version and stop");
  expect_numbers(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), visible_text(e.what(), true).c_str());
    // the program's options, and those of the subcommand that was given
    std::vector<const CLI::App*> levels{&app};
    for (const auto* subcommand : app.get_subcommands()) levels.push_back(subcommand);
    std::vector<std::string> options, subcommands;
    for (const auto* level : levels)
      for (const auto* option : level->get_options())
        options.insert(options.end(), option->get_lnames().begin(), option->get_lnames().end());
    for (const auto* subcommand : app.get_subcommands(nullptr))
      subcommands.push_back(subcommand->get_name());
    const auto suggest = [](const std::string& given, const std::vector<std::string>& names,
                            const char* dashes) {
      if (std::find(names.begin(), names.end(), given) != names.end()) return;
      if (const std::string nearest = nearest_name(given, names); !nearest.empty())
        std::fprintf(stderr, "%s%s is not known; did you mean %s%s?\n", dashes,
                     visible_text(given).c_str(), dashes, nearest.c_str());
    };
    if (levels.size() == 1 && argc > 1 && argv[1][0] != '-') suggest(argv[1], subcommands, "");
    for (int i = 1; i < argc; ++i)
      if (const std::string given = argv[i]; given.rfind("--", 0) == 0 && given.size() > 2)
        suggest(given.substr(2, given.find('=') - 2), options, "--");
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
