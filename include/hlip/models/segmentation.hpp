// Decoders of masks over the feature maps of an encoder, the U-Net, and volumes larger than what a
// network takes. In no other umbrella: who segments includes this one.
#pragma once

#include <hlip/models/segmentation/conv_bn_relu.hpp>
#include <hlip/models/segmentation/feature_maps.hpp>
#include <hlip/models/segmentation/linear_head.hpp>
#include <hlip/models/segmentation/pyramid_decoder.hpp>
#include <hlip/models/segmentation/simple_pyramid.hpp>
#include <hlip/models/segmentation/sliding_window.hpp>
#include <hlip/models/segmentation/u_net.hpp>
#include <hlip/models/segmentation/uper_net.hpp>
#include <hlip/models/segmentation/vit_feature_maps.hpp>
