// The systems that are built on the rest: HLIP, trained and as something to use, and what RAD-DINO
// learns by. Needs nlohmann_json, utf8proc and zlib. What knows a data set or weights of other
// programs is not part of it (systems/hlip/zero_shot_ct.hpp, published_model.hpp): an umbrella may
// take three seconds.
#pragma once

#include <hlip/systems/hlip/contrastive.hpp>
#include <hlip/systems/hlip/encode_pairs.hpp>
#include <hlip/systems/hlip/trained_model.hpp>
#include <hlip/systems/hlip/zero_shot.hpp>
#include <hlip/systems/rad_dino/schedules.hpp>
#include <hlip/systems/rad_dino/self_distillation.hpp>
