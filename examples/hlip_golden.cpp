// hlip_golden FILE…: does this library compute what the reference computed? Rebuilds the case in
// every fixture file from its configuration, compares every output, gradient and final weight, and
// says how far off the worst one is.
//
// Prints a line per file and "N passed, N failed"; exit code 0 if all passed, 1 if not, 2 for wrong
// usage.
#include "golden/adamw.hpp"
#include "golden/hf_llama.hpp"
#include "golden/interpret.hpp"
#include "golden/losses.hpp"
#include "golden/lr_schedules.hpp"
#include "golden/posemb_tables.hpp"
#include "golden/pretrained_text.hpp"
#include "golden/rad_dino/augment_ops.hpp"
#include "golden/rad_dino/block_masking.hpp"
#include "golden/rad_dino/correspondence.hpp"
#include "golden/rad_dino/dino_head.hpp"
#include "golden/rad_dino/hf_dinov2.hpp"
#include "golden/rad_dino/linear_probe.hpp"
#include "golden/rad_dino/logistic_regression.hpp"
#include "golden/rad_dino/losses.hpp"
#include "golden/rad_dino/metrics.hpp"
#include "golden/rad_dino/report_decoder.hpp"
#include "golden/rad_dino/schedules.hpp"
#include "golden/rad_dino/segmentation_heads.hpp"
#include "golden/rad_dino/text_metrics.hpp"
#include "golden/rad_dino/trajectory.hpp"
#include "golden/rad_dino/unet.hpp"
#include "golden/rad_dino/vit.hpp"
#include "golden/t3d/corruptions.hpp"
#include "golden/t3d/encoder3d.hpp"
#include "golden/t3d/fusion.hpp"
#include "golden/t3d/losses.hpp"
#include "golden/t3d/ops3d.hpp"
#include "golden/t3d/trajectory.hpp"
#include "golden/t3d/transfer.hpp"
#include "golden/text_tower.hpp"
#include "golden/torch_zip.hpp"
#include "golden/training.hpp"
#include "golden/transformer_block.hpp"
#include "golden/visual_encoder.hpp"
#include "golden/volume_preparation.hpp"
#include "golden/wordpiece.hpp"
#include "golden/zero_shot_metrics.hpp"

#include <hlip/backend/reference.hpp>
#if defined(HLIP_WITH_DEVICE)
#include <hlip/backend/cuda.hpp>
#endif
#include <hlip/cli/command_line.hpp>

#include <cstdio>

using namespace golden;

namespace {

/// Compares everything in the fixture on backend B.
template <class B> void check(Fixture& f) {
  // One function: a list of all kinds.
  const std::map<std::string, void (*)(Fixture&)> kinds = {
      {"adamw", check_adamw<B>},
      {"augment_ops", check_augment_ops<B>},
      {"block_masking", check_block_masking<Cpu>},  // of the host, whatever B is
      {"contrastive", check_contrastive<B>},
      {"correspondence", check_correspondence<B>},
      {"corruptions", check_corruptions<Cpu>},  // of the host, whatever B is
      {"dino_head", check_dino_head<B>},
      {"dino_loss_centering", check_dino_loss_centering<B>},
      {"dino_loss_sinkhorn", check_dino_loss_sinkhorn<B>},
      {"encoder3d", check_encoder3d<B>},
      {"fusion", check_fusion<B>},
      {"hf_dinov2", check_hf_dinov2<B>},
      {"hf_llama", check_hf_llama<B>},
      {"ibot_loss", check_ibot_loss<B>},
      {"interpret", check_interpret<B>},
      {"koleo", check_koleo<B>},
      {"linear_probe", check_linear_probe<B>},
      {"logistic_regression", check_logistic_regression<B>},
      {"losses", check_losses<B>},
      {"lr_schedules", check_lr_schedules<B>},
      {"metrics", check_metrics<Cpu>},  // of the host, whatever B is
      {"ops3d", check_ops3d<B>},
      {"param_groups", check_param_groups<Cpu>},  // of the host, whatever B is
      {"posemb_tables", check_posemb_tables<B>},
      {"pretrained_text", check_pretrained_text<B>},
      {"report_decoder", check_report_decoder<B>},
      {"restoration_losses", check_restoration_losses<B>},
      {"schedules_ema", check_schedules_ema<B>},
      {"segmentation_heads", check_segmentation_heads<B>},
      {"text_metrics", check_text_metrics<Cpu>},  // of the host, whatever B is
      {"text_tower", check_text_tower<B>},
      {"torch_zip", check_torch_zip<B>},
      {"training", check_training<B>},
      {"trajectory", check_text_informed<B>},
      {"trajectory_centering", check_trajectory<B>},
      {"trajectory_sinkhorn", check_trajectory<B>},
      {"transfer", check_transfer<B>},
      {"transformer_block", check_transformer_block<B>},
      {"unet", check_unet<B>},
      {"visual_encoder", check_visual_encoder<B>},
      {"vit_antialias", check_vit<B>},
      {"vit_offset", check_vit<B>},
      {"vit_plain", check_vit<B>},
      {"volume_preparation", check_volume_preparation<B>},
      {"wordpiece", check_wordpiece<B>},
      {"zero_shot_metrics", check_zero_shot_metrics<B>},
  };
  auto at = kinds.find(f.kind());
  if (at == kinds.end())  // a file's name: see Fixture::kind
    for (auto kind = kinds.begin(); kind != kinds.end(); ++kind)
      if (f.kind().starts_with(kind->first + "_")) at = kind;
  if (at == kinds.end()) {
    std::string known;
    for (const auto& [name, fn] : kinds) known += (known.empty() ? "" : ", ") + name;
    fail_file(f.path(), "kind", "{} is not known, expected one of {}", quote_text(f.kind()), known);
  }
  at->second(f);
  f.finish();
}

#if defined(HLIP_WITH_DEVICE)
/// A machine without the device is one failure, not one for every file.
template <class B> void expect_device() { deallocate(B{}, allocate(B{}, 1), 1); }
#endif

void print_failure(const std::string& kind, const std::string& path, std::string reason) {
  const std::string shown = visible_text(path);
  if (reason.starts_with(shown + ": ")) reason.erase(0, shown.size() + 2);
  for (char& c : reason)
    if (c == '\n') c = ' ';
  fmt::print("FAIL {} {} {}\n", visible_text(kind), shown, visible_text(reason));
}

/// One line about one file. @return whether it passed
bool report(const std::string& path, const std::string& images, const std::string& backend) {
  std::string kind = "-";
  try {
    Fixture f(path, images);
    kind = f.kind();
#if defined(HLIP_WITH_DEVICE)
    if (backend == "cuda") check<Cuda>(f);
#else
    if (backend == "reference") check<Reference>(f);
#endif
    else check<Cpu>(f);
    const auto& failures = f.failures();
    if (failures.empty()) {
      fmt::print("PASS {} {} worst: {} error {:.3g} / tolerance {:.3g}\n", visible_text(kind),
                 visible_text(path), visible_text(f.worst().name), f.worst().error,
                 f.worst().tolerance);
      return true;
    }
    constexpr std::size_t shown = 5;
    std::string reason;
    for (std::size_t i = 0; i < failures.size() && i < shown; ++i)
      reason += (i > 0 ? "; " : "") + failures[i];
    if (failures.size() > shown) reason += fmt::format("; and {} more", failures.size() - shown);
    print_failure(kind, path, reason);
  } catch (const std::exception& e) {
    print_failure(kind, path, e.what());
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Checks this library against golden fixtures of the reference implementation.",
               "hlip_golden");
  std::vector<std::string> files;
  std::string images, backend = "cpu";
#if defined(HLIP_WITH_DEVICE)
  const std::vector<std::string> backends = {"cpu", "cuda"};
  const char* what = "cpu, or cuda: the device this program was built for";
#else
  const std::vector<std::string> backends = {"cpu", "reference"};
  const char* what = "cpu, or reference: plain loops (cuda: in builds for a device)";
#endif
  app.add_option("FILE", files, "fixtures (.safetensors)")->required();
  app.add_option("--images", images,
                 "folder of the pictures that fixtures name (default: where they lie beside them)");
  app.add_option("--device,--backend", backend, what)
      ->check(CLI::IsMember(backends))
      ->capture_default_str();
  return run_program(app, argc, argv, [&] {
#if defined(HLIP_WITH_DEVICE)
    if (backend == "cuda") expect_device<Cuda>();
#endif
    int passed = 0;
    for (const auto& file : files) {
      passed += report(file, images, backend);
      std::fflush(stdout);
    }
    const int failed = static_cast<int>(files.size()) - passed;
    fmt::print("{} passed, {} failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
  });
}
