// Losses.
#pragma once

#include <hlip/losses/contrastive.hpp>
