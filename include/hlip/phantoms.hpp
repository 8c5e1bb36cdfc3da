// Synthetic studies with reports, drawn and written as the real ones lie on disk. Needs libcsv,
// libpng, nlohmann_json and zlib.
#pragma once

#include <hlip/phantoms/brain_mri.hpp>
#include <hlip/phantoms/brain_mri_writer.hpp>
#include <hlip/phantoms/chest_ct.hpp>
#include <hlip/phantoms/chest_ct_writer.hpp>
#include <hlip/phantoms/radiograph.hpp>
#include <hlip/phantoms/radiograph_writer.hpp>
