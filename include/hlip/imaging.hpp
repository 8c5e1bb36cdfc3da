// Volumes with their geometry: NIfTI files, orientation, Hounsfield units, and preparing CT and MRI
// for a network. DICOM needs DCMTK and has a header of its own, imaging/dicom.hpp. Needs zlib.
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
