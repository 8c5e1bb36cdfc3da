// The classes of a chest phantom's label map, and where a written one lies.
#pragma once

#include <hlip/core/error.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

HLIP_BEGIN

/// What a voxel of a label map belongs to. Lesions are nodules, opacities, consolidations and
/// pleural effusions; a lung has its vessels, bands and cysts; whatever has no class of its own
/// (the fat of the heart and fluid around it, airways, spine, stomach) is background.
enum class PhantomStructure : std::uint8_t {
  background,
  right_lung,
  left_lung,
  heart,
  aorta,
  liver,
  lesion
};
inline constexpr int phantom_structure_count = 7;

/// Names of the structures, by their number in a label map.
inline constexpr std::array<std::string_view, phantom_structure_count> phantom_structure_names = {
    "background", "right_lung", "left_lung", "heart", "aorta", "liver", "lesion"};

/// Where the label map of a written volume lies: masks/<split>/<file> in the dataset's folder.
/// @param dataset the folder that has <split>/ in it: PhantomDataset::dataset
/// @param volume the volume's name or its path; only what follows the last '/' counts
HLIP_LAZY std::string phantom_mask_path(std::string_view dataset, std::string_view split,
                                        std::string_view volume) {
  const auto slash = volume.rfind('/');
  return fmt::format("{}/masks/{}/{}", dataset, split,
                     slash == volume.npos ? volume : volume.substr(slash + 1));
}

HLIP_END
