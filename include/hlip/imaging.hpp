// Volumes with their geometry: NIfTI files, orientation, Hounsfield units, and preparing CT and MRI
// for a network. Needs zlib. Headers of their own have what needs more, and radiographs: DICOM
// (imaging/dicom.hpp); files of radiographs (imaging/read_radiograph.hpp), their preparation
// (imaging/prepare_radiograph.hpp), random views (imaging/augment/multi_crop.hpp) and corrupted
// volumes (imaging/augment/corrupt_volume.hpp).
#pragma once

#include <hlip/imaging/ct_grid.hpp>
#include <hlip/imaging/ct_scan.hpp>
#include <hlip/imaging/hu_range.hpp>
#include <hlip/imaging/nifti.hpp>
#include <hlip/imaging/nifti_write.hpp>
#include <hlip/imaging/plausible_ct.hpp>
#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/imaging/preprocess_mri.hpp>
#include <hlip/imaging/preset_text.hpp>
#include <hlip/imaging/volume.hpp>
