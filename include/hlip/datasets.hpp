// How collections of studies lie on disk, and their studies as samples: CT-RATE, brain MRI and
// chest radiographs. Needs libcsv, nlohmann_json, utf8proc and zlib. Beside it: what labellers of
// reports write (chest_xray/report_labels.hpp, chest_xray/radgraph.hpp).
#pragma once

#include <hlip/datasets/brain_mri/dataset.hpp>
#include <hlip/datasets/brain_mri/prompts.hpp>
#include <hlip/datasets/brain_mri/samples.hpp>
#include <hlip/datasets/brain_mri/scan.hpp>
#include <hlip/datasets/chest_xray/pictures.hpp>
#include <hlip/datasets/chest_xray/table.hpp>
#include <hlip/datasets/ct_rate/cache.hpp>
#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/datasets/ct_rate/load_volume.hpp>
#include <hlip/datasets/ct_rate/names.hpp>
#include <hlip/datasets/ct_rate/prompts.hpp>
#include <hlip/datasets/ct_rate/samples.hpp>
#include <hlip/datasets/ct_rate/tables.hpp>
#include <hlip/datasets/ct_rate/volume.hpp>
#include <hlip/datasets/report_text.hpp>
#include <hlip/datasets/study_json.hpp>
