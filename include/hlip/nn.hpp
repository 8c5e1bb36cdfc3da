// Layers: values with named parameters. Beside them: gated_cross_attention.hpp, and weights.hpp for
// weights of other programs.
#pragma once

#include <hlip/nn/attention_probabilities.hpp>
#include <hlip/nn/block.hpp>
#include <hlip/nn/channel_norm.hpp>
#include <hlip/nn/conv.hpp>
#include <hlip/nn/embedding.hpp>
#include <hlip/nn/grid_positions.hpp>
#include <hlip/nn/hierarchical_attention.hpp>
#include <hlip/nn/hierarchy.hpp>
#include <hlip/nn/init.hpp>
#include <hlip/nn/layer_norm.hpp>
#include <hlip/nn/layer_norm_2d.hpp>
#include <hlip/nn/layer_scale.hpp>
#include <hlip/nn/linear.hpp>
#include <hlip/nn/lora.hpp>
#include <hlip/nn/mlp.hpp>
#include <hlip/nn/module.hpp>
#include <hlip/nn/multihead_attention.hpp>
#include <hlip/nn/patch_dropout.hpp>
#include <hlip/nn/patch_embed.hpp>
#include <hlip/nn/pos_embed.hpp>
#include <hlip/nn/stochastic_depth.hpp>
#include <hlip/nn/swiglu.hpp>
