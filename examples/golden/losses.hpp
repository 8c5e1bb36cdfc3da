// Kind losses: CLIP and SigLIP in one process and over ranks, each rank a thread; loss and
// gradients of every rank before any averaging.
#pragma once

#include "fixture.hpp"

#include <hlip/core/worker_thread.hpp>
#include <hlip/distributed/thread_group.hpp>

#include <exception>
#include <thread>

namespace golden {

/// The inputs of one rank as leaves, and what came out.
template <class B> struct LossCase {
  Var<float, B> image, text, scale, bias, loss;

  LossCase(const Fixture& f, index_t rank)
      : image(f.tensor<B>(fmt::format("input.image{}", rank)), true),
        text(f.tensor<B>(fmt::format("input.text{}", rank)), true),
        scale(f.tensor<B>("input.logit_scale"), true),
        bias(f.tensor<B>("input.logit_bias"), true) {}

  /// @param suffix of the names in the file: "" or the rank
  void compare(Fixture& f, const std::string& name, const std::string& suffix, bool with_bias) {
    f.compare("output." + name + ".loss" + suffix, loss.value().reshape({}), forward);
    f.compare_grad("grad." + name + ".image" + suffix, image);
    f.compare_grad("grad." + name + ".text" + suffix, text);
    f.compare_grad("grad." + name + ".logit_scale" + suffix, scale);
    // The bias of a CLIP loss cancels; a file may list its zero gradient or not.
    if (with_bias || f.contains("grad." + name + ".logit_bias" + suffix))
      f.compare_grad("grad." + name + ".logit_bias" + suffix, bias);
  }
};

/// Runs fn(case, communicator) -> loss on as many threads as ranks and compares every rank's
/// results.
template <class B, class Fn>
void check_ranks(Fixture& f, index_t ranks, const std::string& name, bool with_bias, Fn fn) {
  std::vector<LossCase<B>> cases;
  for (index_t r = 0; r < ranks; ++r) cases.emplace_back(f, r);
  const ThreadGroup group(static_cast<int>(ranks));
  std::vector<std::exception_ptr> thrown(cases.size());
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < cases.size(); ++r)
    threads.emplace_back([&, r] {
      use_one_openmp_thread();
      try {
        cases[r].loss = fn(cases[r], group.rank(static_cast<int>(r)));
        cases[r].loss.backward();
      } catch (...) {
        thrown[r] = std::current_exception();
      }
    });
  for (auto& t : threads) t.join();
  for (const auto& e : thrown)
    if (e) std::rethrow_exception(e);
  for (std::size_t r = 0; r < cases.size(); ++r)
    cases[r].compare(f, name, std::to_string(r), with_bias);
}

template <class B> void check_losses(Fixture& f) {
  const Json& j = f.config();
  const index_t ranks = size_at(j, "ranks"), batch = size_at(j, "batch"), dim = size_at(j, "dim");
  // All shapes before any thread starts: a rank that gives up would leave the others waiting.
  for (const char* name : {"input.logit_scale", "input.logit_bias"})
    if (f.shape(name).numel() != 1)
      fail_file(f.path(), name, "is {}, expected one element", to_string(f.shape(name)));
  for (index_t r = 0; r < ranks; ++r)
    for (const char* side : {"image", "text"})
      f.require(fmt::format("input.{}{}", side, r), {batch, dim});
  if (ranks > 64) fail_file(f.path(), "config", "{} ranks, at most 64 are supported", ranks);

  const auto single = [&](const std::string& name, bool with_bias, auto fn) {
    LossCase<B> c(f, 0);
    c.loss = fn(c);
    c.loss.backward();
    c.compare(f, name, "", with_bias);
  };
  single("clip", false, [](const auto& c) { return clip_loss(c.image, c.text, c.scale); });
  single("clip_bias", false,
         [](const auto& c) { return clip_loss(c.image, c.text, c.scale, c.bias); });
  single("siglip", true,
         [](const auto& c) { return siglip_loss(c.image, c.text, c.scale, c.bias); });
  for (const bool local : {false, true})
    for (const bool with_grad : {false, true})
      check_ranks<B>(f, ranks, fmt::format("clip_gather_local{:d}_grad{:d}", local, with_grad),
                     false, [=](const auto& c, const auto& rank) {
                       return clip_loss(c.image, c.text, c.scale, {}, rank,
                                        ContrastiveOptions{local, with_grad});
                     });
  check_ranks<B>(f, ranks, "siglip_ranks", true, [](const auto& c, const auto& rank) {
    return siglip_loss(c.image, c.text, c.scale, c.bias, rank);
  });
}

}  // namespace golden
