// What programs on frozen features of pictures have alike: files of features, and the columns of
// the table beside them. Needs CLI11.
#pragma once

#include <hlip/core/abi.hpp>

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// --features. @param files one for each encoder
inline CLI::Option* add_features_option(CLI::App& app, std::vector<std::string>& files) {
  return app
      .add_option("--features", files,
                  "features of the pictures (safetensors), one file for each encoder")
      ->required();
}

/// --image-column and --subject-column. @param image, subject the names that hold without them;
/// an empty subject leaves it to the table
inline void add_picture_column_options(CLI::App& app, std::string& image, std::string& subject) {
  app.add_option("--image-column", image, "names the picture")->capture_default_str();
  app.add_option("--subject-column", subject,
                 "names the subject (default: subject or patient, if there is one)");
}

HLIP_END
