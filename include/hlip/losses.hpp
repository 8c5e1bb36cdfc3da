// Losses. Beside them, for text-informed pre-training: view_contrast.hpp and restoration.hpp.
#pragma once

#include <hlip/losses/binary_cross_entropy.hpp>
#include <hlip/losses/contrastive.hpp>
#include <hlip/losses/dice_cross_entropy.hpp>
#include <hlip/losses/koleo.hpp>
#include <hlip/losses/prototype_cross_entropy.hpp>
#include <hlip/losses/prototype_targets.hpp>
