// Synthetic studies with reports, drawn and written as the real ones lie on disk. Needs libcsv,
// nlohmann_json and zlib. Radiographs have headers of their own: phantoms/radiograph.hpp,
// phantoms/radiograph_terms.hpp (the words of their reports), and phantoms/radiograph_writer.hpp,
// which needs libpng.
#pragma once

#include <hlip/phantoms/brain_mri.hpp>
#include <hlip/phantoms/brain_mri_writer.hpp>
#include <hlip/phantoms/chest_ct.hpp>
#include <hlip/phantoms/chest_ct_writer.hpp>
