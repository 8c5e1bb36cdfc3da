// --model of a program: a configuration by name or from a file. Needs CLI11 and nlohmann_json.
#pragma once

#include <hlip/cli/command_line.hpp>
#include <hlip/models/config_json.hpp>

#include <algorithm>
#include <string>

HLIP_BEGIN

/// The option, and what its names stand for at the end of --help.
/// @param says what the model is for; how it may be given is added
inline CLI::Option* add_model_option(CLI::App& app, std::string& model, const std::string& says) {
  app.footer([] { return "Configurations for --model:\n" + clip_config_table(); });
  const auto known = [](std::string& given) -> std::string {
    const auto names = clip_config_names();
    if (given.ends_with(".json") || std::find(names.begin(), names.end(), given) != names.end())
      return "";
    const std::string nearest = nearest_name(given, names);
    return fmt::format("{} is not known; {} (or a JSON file)", quote_text(given),
                       nearest.empty() ? fmt::format("it may be {}", clip_config_list())
                                       : fmt::format("did you mean {}?", nearest));
  };
  return app
      .add_option("--model", model,
                  says + ": a configuration by its name (listed at the end), or a JSON file")
      ->check(CLI::Validator(known, "NAME or FILE.json"));
}

HLIP_END
