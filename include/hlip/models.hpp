// The models.
#pragma once

#include <hlip/models/bert.hpp>
#include <hlip/models/clip.hpp>
#include <hlip/models/configs.hpp>
#include <hlip/models/hlip_vit.hpp>
