// Kernels alone: matrix products, attention, and everything that should run at the speed of memory.
#pragma once

#include "options.hpp"

#include <hlip/hlip.hpp>

#include <array>
#include <memory>
#include <set>

namespace bench {

/// Without a model named: ViT-B on one chest CT, and a batch of the demo's tiny encoder.
inline std::vector<ModelOptions> kernel_models(const ModelOptions& asked, bool named) {
  if (named) return {asked};
  return {{"vit_base_singlescan_h2_token2744", 1, 1}, {"phantom", 32, 1}};
}

/// Shapes come from --model, --batch and --scans, or are given one by one. @param sizes the options
/// of single sizes
inline CLI::Option* add_shape_options(CLI::App* app, ModelOptions& o,
                                      const std::vector<CLI::Option*>& sizes) {
  auto* model = add_model(app, o.model)
                    ->description(
                        "configuration whose shapes are taken (default: ViT-B on one chest CT, and "
                        "the demo's encoder on 32)");
  add_count(app, "--batch", o.batch, "studies")->needs(model);
  add_count(app, "--scans", o.scans, "scans of a study")->needs(model);
  for (auto* size : sizes) model->excludes(size);
  return model;
}

inline bool any_given(const std::vector<CLI::Option*>& options) {
  return std::any_of(options.begin(), options.end(),
                     [](const CLI::Option* o) { return o->count() > 0; });
}

// ---- matrix products ----

/// Calls fn with a value of the element type that operands of products lie in now. (OpenBLAS has a
/// bfloat16 of its own.)
template <class B, class Fn> void in_operand_type(Fn fn) {
  if constexpr (stores_bfloat16<B>)
    if (stores_operands<float, B>()) return fn(hlip::bfloat16());
  fn(float());
}

/// S, R: what operands and result lie in memory as.
template <class S, class R, class B>
void bench_gemm(B, const RunOptions& o, Json what, index_t m, index_t n, index_t k, bool trans_a,
                bool trans_b) {
  const auto a = stored_as<S>(random_tensor<B>({m, k}, 1)),
             b = stored_as<S>(random_tensor<B>({k, n}, 2));
  const auto c = Tensor<R, B>::zeros({m, n});
  GemmArgs<float, S, R> g;
  g.m = m, g.n = n, g.k = k, g.a = a.data(), g.lda = trans_a ? m : k, g.trans_a = trans_a,
  g.b = b.data(), g.ldb = trans_b ? k : n, g.trans_b = trans_b;
  g.c = c.data(), g.ldc = n;
  what["m"] = m, what["n"] = n, what["k"] = k, what["trans_a"] = trans_a, what["trans_b"] = trans_b;
  const double flop = 2.0 * static_cast<double>(m) * static_cast<double>(n) *
                      static_cast<double>(k);
  for (const int threads : o.threads) {
    set_threads(threads);
    const Seconds seconds = seconds_of_kernel<B>(o.steps, [&] { gemm(B{}, g); });
    print<B>("gemm", what, threads, o.steps, seconds, {{"gflops", flop / seconds.median * 1e-9}});
  }
}

inline void add_gemm(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions, ModelOptions {
    index_t m = 2744, n = 768, k = 768;
    bool trans_a = false, trans_b = true;
    std::vector<CLI::Option*> sizes;
    CLI::Option* named = nullptr;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand(
      "gemm",
      "C (m, n) = op(A) op(B): forward, and both gradients, of the linear layers of a block");
  o->sizes = {
      add_count(app, "--m", o->m, "rows of C"), add_count(app, "--n", o->n, "columns of C"),
      add_count(app, "--k", o->k, "length of the sums"),
      app->add_option("--trans-a", o->trans_a, "A is stored (k, m)")->capture_default_str(),
      app->add_option("--trans-b", o->trans_b, "B is stored (n, k)")->capture_default_str()};
  o->named = add_shape_options(app, *o, o->sizes);
  add_run_options(app, *o, 15);
  add_device(app, *o);
  subjects.emplace_back(app, [o] {
    const auto measure = [&](const Json& what, index_t m, index_t n, index_t k, bool trans_a,
                             bool trans_b) {
      on_device(o->device, [&](auto device) {
        in_operand_type<decltype(device)>([&](auto as) {
          using S = decltype(as);
          // the gradient of a weight
          if (trans_a) bench_gemm<S, float>(device, *o, what, m, n, k, trans_a, trans_b);
          else bench_gemm<S, S>(device, *o, what, m, n, k, trans_a, trans_b);
        });
      });
    };
    if (any_given(o->sizes))
      return measure(Json::object(), o->m, o->n, o->k, o->trans_a, o->trans_b);
    for (const auto& model : kernel_models(*o, o->named->count() > 0)) {
      const HlipVitConfig v = clip_config(model.model).vision;
      const index_t rows = model.batch * model.scans * v.grid().numel(), c = v.embed_dim,
                    hidden = static_cast<index_t>(static_cast<double>(c) * v.mlp_ratio);
      for (const auto& [out, in] : {std::pair{3 * c, c}, {c, c}, {hidden, c}, {c, hidden}}) {
        measure(model.json(), rows, out, in, false, true);   // y = x · wᵀ
        measure(model.json(), rows, in, out, false, false);  // dx = dy · w
        measure(model.json(), out, in, rows, true, false);   // dw = dyᵀ · x
      }
    }
  });
}

// ---- attention ----

/// S: what rows lie in memory as.
template <class S, class B>
void bench_attention(B, const RunOptions& o, Json what, index_t sequences, index_t tokens,
                     index_t heads, index_t head_dim) {
  // As in the encoder: q, k, v are column blocks of one (rows, 3·C) matrix, one prefix token per
  // sequence.
  const index_t width = heads * head_dim, rows = sequences * tokens;
  const auto qkv = stored_as<S>(random_tensor<B>({rows, 3 * width}, 1)),
             dout = stored_as<S>(random_tensor<B>({rows, width}, 2));
  const auto out = Tensor<S, B>::zeros(dout.shape()), dqkv = Tensor<S, B>::zeros(qkv.shape());
  const auto lse = Tensor<float, B>::zeros({rows, heads});
  AttentionGradArgs<float, S> g;
  AttentionArgs<float, S>& a = g.forward;
  a.sequences = sequences, a.prefix = 1, a.patches = tokens - 1, a.heads = heads,
  a.head_dim = head_dim, a.scale = 1 / std::sqrt(static_cast<float>(head_dim));
  const auto part = [&](const Tensor<S, B>& x, index_t column, index_t stride) {
    return TokenRows<S>{x.data() + column, x.data() + sequences * stride + column, stride};
  };
  const auto read = [&](const Tensor<S, B>& x, index_t column, index_t stride) {
    const auto rows_of = part(x, column, stride);
    return TokenRows<const S>{rows_of.prefix, rows_of.patch, stride};
  };
  a.q = read(qkv, 0, 3 * width), a.k = read(qkv, width, 3 * width),
  a.v = read(qkv, 2 * width, 3 * width), a.out = part(out, 0, width), a.lse = lse.data();
  g.d_out = read(dout, 0, width), g.dq = part(dqkv, 0, 3 * width),
  g.dk = part(dqkv, width, 3 * width), g.dv = part(dqkv, 2 * width, 3 * width);
  what["sequences"] = sequences, what["tokens"] = tokens, what["heads"] = heads,
  what["head_dim"] = head_dim;
  // Two products forward and five backward, although backward computes the scores again.
  const double product = 2.0 * static_cast<double>(sequences * heads * head_dim) *
                         static_cast<double>(tokens) * static_cast<double>(tokens);
  for (const int threads : o.threads) {
    set_threads(threads);
    const auto measure = [&](const char* op, double products, auto kernel) {
      const Seconds seconds = seconds_of_kernel<B>(o.steps, kernel);
      print<B>(op, what, threads, o.steps, seconds,
               {{"gflops", products * product / seconds.median * 1e-9}});
    };
    measure("attention_forward", 2, [&] { attention_forward(B{}, a); });
    measure("attention_backward", 5, [&] { attention_backward(B{}, g); });
    measure("attention", 7, [&] { attention_forward(B{}, a), attention_backward(B{}, g); });
  }
}

inline void add_attention(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions, ModelOptions {
    index_t sequences = 1, tokens = 2745, heads = 12, head_dim = 64;
    std::vector<CLI::Option*> sizes;
    CLI::Option* named = nullptr;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand("attention",
                                  "forward, backward, and both, at every level of a model");
  o->sizes = {add_count(app, "--sequences", o->sequences, "sequences"),
              add_count(app, "--tokens", o->tokens,
                        "tokens of a sequence, the first of them its class token", 2),
              add_count(app, "--heads", o->heads, "heads"),
              add_count(app, "--head-dim", o->head_dim, "columns of a head")};
  o->named = add_shape_options(app, *o, o->sizes);
  add_run_options(app, *o, 15);
  add_device(app, *o);
  app->callback([o] {
    if (o->device == "cpu" && o->precision != "fp32")
      throw CLI::ValidationError("--precision",
                                 "attention on a processor is fp32 whatever matrix products are");
  });
  subjects.emplace_back(app, [o] {
    const auto measure = [&](const Json& what, index_t sequences, index_t tokens, index_t heads,
                             index_t head_dim) {
      on_device(o->device, [&](auto device) {
        in_operand_type<decltype(device)>([&](auto as) {
          bench_attention<decltype(as)>(device, *o, what, sequences, tokens, heads, head_dim);
        });
      });
    };
    if (any_given(o->sizes))
      return measure(Json::object(), o->sequences, o->tokens, o->heads, o->head_dim);
    for (const auto& model : kernel_models(*o, o->named->count() > 0)) {
      const HlipVitConfig v = clip_config(model.model).vision;
      const index_t groups[] = {model.batch * model.scans * v.grid()[0], model.batch * model.scans,
                                model.batch},
                    all = model.batch * model.scans * v.grid().numel();
      std::set<int> levels;
      for (const int level : v.levels()) levels.insert(level);
      for (const int level : levels)
        measure(model.json(), groups[level - 1], all / groups[level - 1] + 1, v.num_heads,
                v.embed_dim / v.num_heads);
    }
  });
}

// ---- at the speed of memory ----

/// Bytes a second of the STREAM triad c = a + s·b, counted as STREAM does: two arrays read, one
/// written. On a device it is a statement.
template <class B>
double triad_bytes_per_second(index_t elements, int threads, index_t steps, bool line) {
  const auto a = Tensor<float, B>::full({elements}, 1), b = Tensor<float, B>::full({elements}, 2),
             c = Tensor<float, B>::full({elements}, 0);
  const Seconds seconds = seconds_of_kernel<B>(steps, [=] {
    if constexpr (std::is_same_v<B, Cpu>) {
      const float *x = a.data(), *y = b.data();
      float* z = c.data();
#pragma omp parallel for simd schedule(static)
      for (index_t i = 0; i < elements; ++i) z[i] = x[i] + 3.f * y[i];
    } else {
      c.assign(a + 3.f * b);
    }
  });
  const double rate = 12.0 * static_cast<double>(elements) / seconds.median;
  if (line)
    print<B>("triad", {{"elements", elements}}, threads, steps, seconds,
             {{"gbytes_per_second", rate * 1e-9}});
  return rate;
}

/// Measures kernels on B against the triad: bytes are those of the arrays a kernel has to read or
/// write once.
template <class B> struct MemoryBench {
  int threads;
  index_t steps;
  double triad;
  template <class Kernel>
  void operator()(const char* op, const Json& what, double bytes, Kernel kernel) const {
    const Seconds seconds = seconds_of_kernel<B>(steps, kernel);
    const double rate = bytes / seconds.median;
    print<B>(op, what, threads, steps, seconds,
             {{"gbytes_per_second", rate * 1e-9}, {"of_triad", rate / triad}});
  }
};

template <class T, class B> double bytes_of(const Tensor<T, B>& x) {
  return static_cast<double>(x.numel()) * sizeof(T);
}

/// S: what y and dy lie in memory as.
template <class S, class B>
void bench_layernorm_as(const MemoryBench<B>& measure, const Json& what, index_t rows,
                        index_t cols) {
  const auto x = random_tensor<B>({rows, cols}, 1), weight = random_tensor<B>({cols}, 3);
  const auto dy = stored_as<S>(random_tensor<B>({rows, cols}, 2)),
             y = Tensor<S, B>::zeros({rows, cols});
  const auto dx = Tensor<float, B>::zeros({rows, cols}), mean = Tensor<float, B>::zeros({rows}),
             rstd = Tensor<float, B>::zeros({rows});
  const auto dweight = Tensor<float, B>::zeros({cols}), dbias = Tensor<float, B>::zeros({cols});
  LayerNormArgs<float, S> a;
  a.rows = rows, a.cols = cols, a.eps = 1e-6f, a.x = x.data(), a.weight = weight.data(),
  a.bias = weight.data(), a.y = y.data(), a.mean = mean.data(), a.rstd = rstd.data();
  LayerNormGradArgs<float, S> g;
  g.rows = rows, g.cols = cols, g.x = x.data(), g.weight = weight.data(), g.mean = mean.data(),
  g.rstd = rstd.data(), g.dy = dy.data();
  g.dx = dx.data(), g.dweight = dweight.data(), g.dbias = dbias.data();
  measure("layernorm_forward", what, bytes_of(x) + bytes_of(y),
          [&] { layer_norm_forward(B{}, a); });
  measure("layernorm_backward", what, 2 * bytes_of(x) + bytes_of(dy),
          [&] { layer_norm_backward(B{}, g); });
}
template <class B> void bench_layernorm(const MemoryBench<B>& measure, index_t rows, index_t cols) {
  Json what = {{"rows", rows}, {"cols", cols}};
  bench_layernorm_as<float>(measure, what, rows, cols);
  if constexpr (stores_bfloat16<B>) {
    what["result"] = "bfloat16";
    bench_layernorm_as<hlip::bfloat16>(measure, what, rows, cols);
  }
}

template <class B> void bench_softmax(const MemoryBench<B>& measure, index_t rows, index_t cols) {
  const auto x = random_tensor<B>({rows, cols}, 1), dy = random_tensor<B>({rows, cols}, 2),
             dloss = random_tensor<B>({rows}, 3);
  const auto y = Tensor<float, B>::zeros({rows, cols}), dx = Tensor<float, B>::zeros({rows, cols}),
             loss = Tensor<float, B>::zeros({rows}), lse = Tensor<float, B>::zeros({rows});
  std::vector<std::int64_t> classes(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<std::int64_t>(i) % cols;
  const auto labels = Tensor<std::int64_t, B>::from_values({rows},
                                                           std::span<const std::int64_t>(classes));
  const Json what = {{"rows", rows}, {"cols", cols}};
  measure("softmax_forward", what, 2 * bytes_of(x),
          [&] { softmax_forward(B{}, x.data(), y.data(), rows, cols); });
  measure("softmax_backward", what, 3 * bytes_of(x),
          [&] { softmax_backward(B{}, y.data(), dy.data(), dx.data(), rows, cols); });
  measure("cross_entropy_forward", what, bytes_of(x), [&] {
    cross_entropy_forward(B{}, x.data(), labels.data(), loss.data(), lse.data(), rows, cols);
  });
  measure("cross_entropy_backward", what, 2 * bytes_of(x), [&] {
    cross_entropy_backward(B{}, x.data(), labels.data(), lse.data(), dloss.data(), dx.data(), rows,
                           cols);
  });
}

template <class B> void bench_adamw(const MemoryBench<B>& measure, index_t n) {
  const auto p = random_tensor<B>({n}, 1), grad = random_tensor<B>({n}, 2),
             m = random_tensor<B>({n}, 3), v = Tensor<float, B>::full({n}, 0.1f);
  const AdamWParameter<float> parameter{n, p.data(), grad.data(), m.data(), v.data(), 0.2};
  AdamWArgs<float> a{{&parameter, 1}, 1e-4, 0.9, 0.98, 1e-6};
  // four arrays read, three written
  measure("adamw", {{"elements", n}}, 7 * bytes_of(p), [&] { adamw_update(B{}, a), ++a.step; });
}

/// Statements of operators over tensors and Vars, each one loop.
template <class B>
void bench_statements(const MemoryBench<B>& measure, index_t rows, index_t cols) {
  const Shape shape{rows, cols};
  const auto a = random_tensor<B>(shape, 1), b = random_tensor<B>(shape, 2),
             c = random_tensor<B>(shape, 3), y = Tensor<float, B>::zeros(shape);
  const auto factor = Tensor<float, B>::full({rows, 1}, 1.25f);
  const double bytes = bytes_of(a);
  const Json what = {{"rows", rows}, {"cols", cols}};
  measure("add", what, 3 * bytes, [&] { y.assign(a + b); });
  measure("multiply_add_multiply", what, 4 * bytes, [&] { y.assign((a * b + c) * 0.5); });
  measure("drop_path", what, 3 * bytes, [&] { y.assign(a + b * factor); });
  measure("gelu", what, 2 * bytes, [&] { y.assign(gelu(a)); });
  measure("multiply_add_multiply_new_memory", what, 4 * bytes,
          [&] { const Tensor<float, B> fresh = (a * b + c) * 0.5; });
  Var<float, B> va(a, true), vb(b, true);
  const Var<float, B> product((va * vb + va) * 0.5);
  // dy, a and b read, da and db written
  measure("backward_of_multiply_add_multiply", what, 5 * bytes, [&] {
    va.zero_grad(), vb.zero_grad();
    product.backward(c, true);
  });
}

/// MemoryBench on --device for every number of threads, with the triad on so many elements printed
/// first. @param run run(measure)
template <class Run> void for_each_memory_bench(const RunOptions& o, index_t elements, Run run) {
  on_device(o.device, [&](auto device) {
    using B = decltype(device);
    for (const int threads : o.threads) {
      set_threads(threads);
      run(MemoryBench<B>{threads, o.steps,
                         triad_bytes_per_second<B>(elements, threads, o.steps, true)});
    }
  });
}

inline void add_layernorm(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions, ModelOptions {
    index_t rows = 2744, cols = 768;
    std::vector<CLI::Option*> sizes;
    CLI::Option* named = nullptr;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand(
      "layernorm",
      "forward and backward on the tokens of a model, beside the triad on as many elements");
  o->sizes = {add_count(app, "--rows", o->rows, "rows"),
              add_count(app, "--cols", o->cols, "columns")};
  o->named = add_shape_options(app, *o, o->sizes);
  add_threads(app, *o);
  add_steps(app, *o, 15);
  add_device_option(*app, o->device);
  subjects.emplace_back(app, [o] {
    const auto run = [&](index_t rows, index_t cols) {
      for_each_memory_bench(*o, rows * cols,
                            [&](const auto& measure) { bench_layernorm(measure, rows, cols); });
    };
    if (any_given(o->sizes)) return run(o->rows, o->cols);
    for (const auto& model : kernel_models(*o, o->named->count() > 0)) {
      const HlipVitConfig v = clip_config(model.model).vision;
      run(model.batch * model.scans * (v.grid().numel() + 1), v.embed_dim);
    }
  });
}

inline void add_elementwise(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions {
    index_t rows = 32768, cols = 768;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand("elementwise",
                                  "statements, LayerNorm, softmax, cross-entropy and AdamW against "
                                  "the STREAM triad on as many elements");
  add_count(app, "--rows", o->rows,
            "rows; together with the columns enough that no cache holds them");
  add_count(app, "--cols", o->cols, "columns");
  add_threads(app, *o);
  add_steps(app, *o, 9);
  add_device_option(*app, o->device);
  subjects.emplace_back(app, [o] {
    for_each_memory_bench(*o, o->rows * o->cols, [&](const auto& measure) {
      bench_statements(measure, o->rows, o->cols);
      bench_layernorm(measure, o->rows, o->cols);
      bench_softmax(measure, o->rows, o->cols);
      bench_adamw(measure, o->rows * o->cols);
    });
  });
}

}  // namespace bench
