// Files: bounded reads and atomic writes, JSON, CSV, safetensors. Needs nlohmann_json and libcsv.
#pragma once

#include <hlip/io/csv.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/json.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/io/safetensors_writer.hpp>
