// Volumes, CT-RATE trees, preprocessing, loaders, phantoms. Needs zlib, libcsv and nlohmann_json.
#pragma once

#include <hlip/data/brain_mri.hpp>
#include <hlip/data/brain_phantom.hpp>
#include <hlip/data/brain_phantom_writer.hpp>
#include <hlip/data/brain_scan.hpp>
#include <hlip/data/ct_cache.hpp>
#include <hlip/data/ct_rate.hpp>
#include <hlip/data/ct_rate_names.hpp>
#include <hlip/data/ct_rate_tables.hpp>
#include <hlip/data/ct_scan.hpp>
#include <hlip/data/dataset.hpp>
#include <hlip/data/gzip.hpp>
#include <hlip/data/hu_range.hpp>
#include <hlip/data/inspect.hpp>
#include <hlip/data/load_ct_rate.hpp>
#include <hlip/data/loader.hpp>
#include <hlip/data/nifti.hpp>
#include <hlip/data/nifti_write.hpp>
#include <hlip/data/phantom.hpp>
#include <hlip/data/phantom_writer.hpp>
#include <hlip/data/preprocess_ct.hpp>
#include <hlip/data/preprocess_mri.hpp>
#include <hlip/data/problems.hpp>
#include <hlip/data/sampler.hpp>
#include <hlip/data/study_json.hpp>
#include <hlip/data/volume.hpp>
