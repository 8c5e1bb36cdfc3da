// hlip_bench: how long things take on this machine. One JSON line per measurement on stdout.
//
//   hlip_bench train --model vit_base_singlescan_h2_token2744 --batch 1 --scans 1 --threads 2
//              --provider eigen --steps 3
//   hlip_bench infer | text | self-distillation | encode | u-net | conv | decode | attention |
//              gemm | layernorm | elementwise | preprocess | load | tokenize | start | checkpoint
//              (--help after any of them)
//
// `seconds_per_step` is the median of the timed steps and `best` the fastest, both only good for
// ratios within one run; `peak_rss_bytes` is the most memory the process had resident until then.
// GFLOP/s count multiply-adds as two. In a build for a device, `--device cuda` measures that: it is
// waited for, and `peak_device_bytes` is what its memory pool had in use at most.
// docs/performance.md says what is compared with PyTorch and how.
#include "bench/conv.hpp"
#include "bench/data.hpp"
#include "bench/kernels.hpp"
#include "bench/llama.hpp"
#include "bench/models.hpp"
#include "bench/rad_dino.hpp"
#include "bench/start.hpp"

#include <hlip/cli/command_line.hpp>

#include <filesystem>

namespace {

/// Becomes the program beside this one that has the provider asked for: which one it is was decided
/// when it was linked.
[[noreturn]] void become_program_with(const std::string& provider, char** argv) {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  const auto other = self.parent_path() / (provider == "cblas" ? "hlip_bench_cblas" : "hlip_bench");
  if (other == self)
    hlip::fail("provider",
               "{} was linked with {} because of HLIP_BLAS: configure without it to measure both",
               self.filename().string(), bench::built_provider);
  ::execv(other.c_str(), argv);
  hlip::fail("provider",
             "{} was not built: it needs a CBLAS when CMake runs (Debian: libblis-openmp-dev or "
             "libopenblas-openmp-dev)",
             other.string());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures hlip on this machine: one JSON line per measurement.", "hlip_bench");
  app.require_subcommand(1);
  bench::Subjects subjects;
  bench::add_train(app, subjects);
  bench::add_infer(app, subjects);
  bench::add_text(app, subjects);
  bench::add_self_distillation(app, subjects);
  bench::add_encode(app, subjects);
  bench::add_u_net(app, subjects);
  bench::add_conv(app, subjects);
  bench::add_decode(app, subjects);
  bench::add_attention(app, subjects);
  bench::add_gemm(app, subjects);
  bench::add_layernorm(app, subjects);
  bench::add_elementwise(app, subjects);
  bench::add_preprocess(app, subjects);
  bench::add_load(app, subjects);
  bench::add_tokenize(app, subjects);
  bench::add_start(app, subjects);
  bench::add_checkpoint(app, subjects);
  return hlip::run_program(app, argc, argv, [&] {
    for (const auto& [subject, run] : subjects) {
      if (!subject->parsed()) continue;
      const auto* provider = subject->get_option_no_throw("--provider");
      const auto* named = subject->get_option_no_throw("--device");
      const std::string device = named ? named->as<std::string>() : "cpu";
      if (device != "cpu" && provider && provider->count() > 0) {
        std::fprintf(stderr,
                     "hlip_bench: --provider says who multiplies on the processor: it means "
                     "nothing with --device %s\n",
                     device.c_str());
        return 2;
      }
      if (provider && provider->count() > 0 && provider->as<std::string>() != bench::built_provider)
        become_program_with(provider->as<std::string>(), argv);
      if (const auto* precision = subject->get_option_no_throw("--precision"))
        hlip::apply_precision(device, precision->as<std::string>());
      run();
    }
    return 0;
  });
}
