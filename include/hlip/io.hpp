// Files: bounded reads and atomic writes, JSON, CSV, safetensors, PyTorch checkpoints. Needs
// nlohmann_json, libcsv, libdeflate and zlib.
#pragma once

#include <hlip/io/csv.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/json.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/io/safetensors_writer.hpp>
#include <hlip/io/torch_file.hpp>
#include <hlip/io/weight_shards.hpp>
#include <hlip/io/weights_file.hpp>
