// NIfTI-1 and -2, zipped or not.
#include "fuzz.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/imaging/nifti.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::within({1 << 24, 100}, size, [&] {  // voxels of 4 MiB, stored and as float
    NiftiOptions options;
    options.limits.max_bytes = 1 << 22;
    const Volume volume = read_nifti(fuzz::file(data, size), options);
    fuzz::promise(volume.voxels.numel() > 0 &&
                  static_cast<std::size_t>(volume.voxels.numel()) * sizeof(float) <=
                      options.limits.max_bytes);
    for (const double s : volume.spacing) fuzz::promise(s > 0);
  });
}
