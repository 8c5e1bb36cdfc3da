// Options of a program in a file: what --print-config writes, --config reads. Needs CLI11.
#pragma once

#include <hlip/cli/command_line.hpp>
#include <hlip/io/flat_toml.hpp>

#include <algorithm>
#include <istream>
#include <string>
#include <vector>

HLIP_BEGIN

/// The values that an option has when nobody gives any; none where it has no default worth writing
/// down.
inline std::vector<std::string> default_values(const CLI::Option& option) {
  const std::string text = option.get_default_str();
  if (text.empty()) return {};
  // CLI11 writes [a,b]
  return option.get_items_expected_max() > 1
             ? CLI::detail::split(text.substr(1, text.size() - 2), ',')
             : std::vector{text};
}

/// Writes the options of a program to a text, and reads those of a file into it; what the command
/// line gives stays. Not CLI11's own: its reader cuts values at # and at blanks and passes over
/// what it does not know, and its writer (2.1) escapes nothing, so that a value with both kinds of
/// quotes or the end of a line makes a file that no TOML reader takes.
class ConfigFile : public CLI::Config {
 public:
  explicit ConfigFile(CLI::App& app) : app_(app) {}

  /// What app.config_to_str(true) gives: all options as they stand - given, or with a default worth
  /// writing down - as a flat TOML table that from_config reads back. Neither descriptions nor
  /// prefixes: it is for programs without subcommands.
  /// @param defaults also those that were not given
  std::string to_config(const CLI::App* app, bool defaults, bool, std::string) const override {
    std::string text;
    for (const auto* option : app->get_options()) {
      if (!option->get_configurable() || option->get_lnames().empty()) continue;
      std::vector<std::string> values = option->results();
      if (values.empty() && defaults) values = default_values(*option);
      if (values.empty()) continue;
      std::string joined;
      for (const auto& v : values) joined += (joined.empty() ? "" : ", ") + toml_string(v);
      const bool several = option->get_items_expected_max() > 1;
      text += option->get_lnames().front() + " = " + (several ? "[" + joined + "]" : joined) + "\n";
    }
    return text;
  }

  /// Sets the options itself, so that what is wrong with one is said with file and line.
  /// @throws CLI::ConfigError when the file is no flat TOML, or an entry is no option or has a
  /// value that the option refuses
  std::vector<CLI::ConfigItem> from_config(std::istream& file) const override {
    constexpr std::size_t most = 1 << 20;
    const auto* named = app_.get_config_ptr();
    const std::string path = named->empty() ? named->get_default_str() : named->results().back();
    try {
      std::string text(most + 1, '\0');
      file.read(text.data(), static_cast<std::streamsize>(text.size()));
      text.resize(static_cast<std::size_t>(file.gcount()));
      if (text.size() > most)
        fail_file(path, "", "is longer than {} bytes, so it is no list of options", most);
      for (const auto& entry : parse_flat_toml(text, path)) set(entry, path);
    } catch (const error& e) {
      throw CLI::ConfigError(e.what());
    }
    return {};
  }

  /// Whether the file gave an option.
  bool gave(const CLI::Option* option) const {
    return std::find(given_.begin(), given_.end(), option) != given_.end();
  }

 private:
  void set(const TomlEntry& entry, const std::string& path) const {
    const std::string place = fmt::format("line {}", entry.line);
    CLI::Option* option = app_.get_option_no_throw("--" + entry.name);
    if (!option) {
      std::vector<std::string> names;
      for (const auto* o : app_.get_options())
        names.insert(names.end(), o->get_lnames().begin(), o->get_lnames().end());
      const std::string nearest = nearest_name(entry.name, names);
      fail_file(path, place, "{} is no option of {}{}", quote_text(entry.name), app_.get_name(),
                nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest));
    }
    if (!option->get_configurable())
      fail_file(path, place, "{} belongs on the command line, not into a file", entry.name);
    if (!option->empty()) return;  // the command line has the last word
    try {
      if (option->get_expected_min() > 0) option->add_result(entry.values);
      else if (entry.values.size() == 1)
        option->add_result(option->get_flag_value(entry.name, entry.values.front()));
      else
        fail_file(path, place, "{} has {} values, expected true or false", entry.name,
                  entry.values.size());
      option->run_callback();
    } catch (const CLI::ParseError& e) {
      fail_file(path, place, "{}", e.what());
    }
    given_.push_back(option);
  }

  CLI::App& app_;
  // mutable because CLI11 reads files in a const function
  mutable std::vector<const CLI::Option*> given_;
};

/// Whether an option was asked for: on the command line, or in a file with another value than its
/// default, which a file that --print-config has written names for all options.
inline bool is_given(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = app.get_option_no_throw(name);
  if (!option || option->empty()) return false;
  const auto* file = dynamic_cast<const ConfigFile*>(app.get_config_formatter().get());
  return !file || !file->gave(option) || option->results() != default_values(*option);
}

/// Names of the options that stand at their defaults, given or not.
inline std::vector<std::string> options_at_default(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options()) {
    const auto values = default_values(*option);
    if (option->get_lnames().empty() || values.empty()) continue;
    if (option->empty() || option->results() == values)
      names.push_back(option->get_lnames().front());
  }
  return names;
}

/// --config of a program that is configured by files.
/// @param stored a file to read when --config is not given, or nothing
inline void add_config_option(CLI::App& app, const std::string& stored = "") {
  app.config_formatter(std::make_shared<ConfigFile>(app));
  app.set_config("--config", stored,
                 "read options from a file as --print-config writes it; those of the command line "
                 "have the last word");
}

HLIP_END
