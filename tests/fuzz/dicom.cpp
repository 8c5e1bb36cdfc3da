// Radiographs as DICOM. They are read in a process of their own, because files exist that crash
// DCMTK and the decoders: that is an answer, no finding. A fault of hlip's own code is one there,
// too. Memory that both processes share tells of it, and of the edges that were taken.
#include "fuzz.hpp"

#include <hlip/imaging/augment/byte_picture.hpp>
#include <hlip/imaging/dicom/radiograph.hpp>

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

// How often each edge was taken: names that the linker gives.
extern "C" std::uint8_t __start___sancov_cntrs[], __stop___sancov_cntrs[];

using namespace hlip;

namespace {

::pid_t fuzzer = 0;
bool foreign = false;  // what a sanitizer has found is not hlip's

// Shared. libFuzzer looks at counters in this section as well; the last byte is for faults.
constexpr std::size_t shared_bytes = 1 << 14;
alignas(shared_bytes)
    __attribute__((section("__libfuzzer_extra_counters"))) std::uint8_t shared[shared_bytes];
std::uint8_t& fault = shared[shared_bytes - 1];

/// Shows the counters of this process to the fuzzer when it ends.
struct ShownEdges {
  ~ShownEdges() {
    const auto edges = static_cast<std::size_t>(__stop___sancov_cntrs - __start___sancov_cntrs);
    std::copy_n(__start___sancov_cntrs, std::min(edges, shared_bytes - 1), shared);
  }
};

/// Looks who called what the address sanitizer reports: frame 0, or frame 1 when that is a function
/// of the sanitizer in place of the C library's. Frames of other libraries name their .so.
void reported(const char* report) {
  std::string_view text(report);
  for (int frame = 0; frame < 2;) {
    const auto at = text.find("    #");
    if (at == text.npos) return;
    text.remove_prefix(at + 5);
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.find("libstdc++.so") != line.npos) continue;
    foreign = foreign || line.find(".so") != line.npos;
    ++frame;
  }
}

/// A sanitizer ends this process.
void died() {
  if (::getpid() == fuzzer) std::abort();  // libFuzzer keeps the input then
  if (!foreign) fault = 1;
}

void start() {
  if (fuzzer != 0) return;
  fuzzer = ::getpid();
  fuzz::promise(::mmap(shared, shared_bytes, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == shared);
  __asan_set_error_report_callback(reported);
  __sanitizer_set_death_callback(died);
  detail::start_dcmtk();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  start();
  const std::string& path = fuzz::file(data, size);
  const RadiographLimits limits{.max_pixels = 1 << 16, .max_inflated = 1 << 22};
  const int code = fuzz::within({1 << 28, 1000}, size, [&] {
    run_isolated(path, {.seconds = 10}, [&] {
      const ShownEdges shown;
      DicomLimits dicom;
      dicom.max_frame_pixels = limits.max_pixels, dicom.max_inflated = limits.max_inflated;
      dicom.max_frames = 1;
      const detail::DicomParser parser(path, dicom);
      fuzz::promise(!parser.samples().empty());
      return std::string("sound");
    });
    const Radiograph x = read_dicom_radiograph(path, limits);
    fuzz::promise(x.levels.size() == static_cast<std::size_t>(x.height * x.width) &&
                  x.height * x.width <= limits.max_pixels);
    fuzz::promise(x.bits >= 1 && x.bits <= 16 && std::isfinite(x.window[0]) &&
                  x.window[0] <= x.window[1]);
    for (const std::uint16_t level : x.levels) fuzz::promise(level >> x.bits == 0);
    fuzz::promise(to_byte_picture(x).levels.size() == x.levels.size());
  });
  fuzz::promise(fault == 0);
  return code;
}
