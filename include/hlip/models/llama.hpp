// The language model of Llama's kind. In no other umbrella: who writes reports includes this one.
// Beside it: hf_llama.hpp and write_hf_llama.hpp, which need nlohmann-json.
#pragma once

#include <hlip/models/llama/generate.hpp>
#include <hlip/models/llama/splice.hpp>
