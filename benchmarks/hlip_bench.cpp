// hlip_bench: how fast the kernels are on this machine. One JSON line per measurement and thread count.
//
//   hlip_bench gemm [--m 2744] [--n 768] [--k 768] [--trans-a 0] [--trans-b 1] [--repeat 15] [--threads 1,2]
//   hlip_bench attention [--sequences 1] [--tokens 2745] [--heads 12] [--head-dim 64]
//   hlip_bench layernorm [--rows 2744] [--cols 768]
//
// Without sizes each measures a list of shapes: ViT-B on one chest CT, and the tiny encoder of the demo. `seconds` is the
// median of the repeats, rates come from it, `best_seconds` is the fastest; all are only good for ratios within one run.
// GFLOP/s count multiply-adds as two (backward attention:
// five products, although two are recomputed), layernorm gives GB/s of the arrays it must touch.
#include <hlip/backend/cpu.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

using namespace hlip;

namespace {

struct Options {
  std::map<std::string, index_t> value;
  std::vector<int> threads;
  bool has(const char* name) const { return value.count(name) != 0; }
  index_t get(const char* name, index_t otherwise) const {
    const auto it = value.find(name);
    return it == value.end() ? otherwise : it->second;
  }
};

void set_threads([[maybe_unused]] int n) {
#if defined(_OPENMP)
  omp_set_num_threads(n);
#endif
}

std::vector<float> random_floats(index_t n, std::uint32_t stream) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(uniform_at({1, stream, 0}, i) - 0.5);
  return v;
}

struct Seconds {
  double median, best;
};

/// Seconds of one call; short calls are timed in groups of at least a millisecond.
template <class Fn>
Seconds seconds_of(index_t repeat, Fn fn) {
  const auto time = [&](int calls) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) fn();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls;
  };
  fn();
  const int calls = static_cast<int>(std::clamp(1e-3 / std::max(time(1), 1e-9), 1.0, 1e4));
  std::vector<double> seconds;
  for (index_t i = 0; i < repeat; ++i) seconds.push_back(time(calls));
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds[0]};
}

void print(const std::string& op, const std::string& shape, int threads, Seconds seconds, const char* unit, double amount) {
  fmt::print("{{\"op\": \"{}\", \"shape\": \"{}\", \"threads\": {}, \"seconds\": {:.6g}, \"best_seconds\": {:.6g}, \"{}\": {:.4g}}}\n", op, shape, threads, seconds.median,
             seconds.best, unit, amount / seconds.median * 1e-9);
  std::fflush(stdout);
}

void bench_gemm(const Options& o, index_t m, index_t n, index_t k, bool trans_a, bool trans_b) {
  const auto a = random_floats(m * k, 1), b = random_floats(k * n, 2);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  GemmArgs<float> g;
  g.m = m, g.n = n, g.k = k, g.a = a.data(), g.lda = trans_a ? m : k, g.trans_a = trans_a, g.b = b.data(), g.ldb = trans_b ? k : n, g.trans_b = trans_b;
  g.c = c.data(), g.ldc = n;
  for (int threads : o.threads) {
    set_threads(threads);
    const Seconds seconds = seconds_of(o.get("repeat", 15), [&] { gemm(Cpu{}, g); });
    print(fmt::format("gemm {}{}", trans_a ? 't' : 'n', trans_b ? 't' : 'n'), fmt::format("{}x{}x{}", m, n, k), threads, seconds, "gflops",
          2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k));
  }
}

void bench_attention(const Options& o, index_t sequences, index_t tokens, index_t heads, index_t head_dim) {
  // As in the encoder: q, k, v are column blocks of one (rows, 3·C) matrix, one prefix token per sequence.
  const index_t width = heads * head_dim, rows = sequences * tokens;
  auto qkv = random_floats(rows * 3 * width, 1), dout = random_floats(rows * width, 2);
  std::vector<float> out(dout.size()), dqkv(qkv.size()), lse(static_cast<std::size_t>(rows * heads));
  AttentionGradArgs<float> g;
  AttentionArgs<float>& a = g.forward;
  a.sequences = sequences, a.prefix = 1, a.patches = tokens - 1, a.heads = heads, a.head_dim = head_dim, a.scale = 1 / std::sqrt(static_cast<float>(head_dim));
  const auto part = [&](std::vector<float>& x, index_t column, index_t stride) { return TokenRows<float>{x.data() + column, x.data() + sequences * stride + column, stride}; };
  const auto read = [&](std::vector<float>& x, index_t column, index_t stride) {
    const auto rows_of = part(x, column, stride);
    return TokenRows<const float>{rows_of.prefix, rows_of.patch, stride};
  };
  a.q = read(qkv, 0, 3 * width), a.k = read(qkv, width, 3 * width), a.v = read(qkv, 2 * width, 3 * width), a.out = part(out, 0, width), a.lse = lse.data();
  g.d_out = read(dout, 0, width), g.dq = part(dqkv, 0, 3 * width), g.dk = part(dqkv, width, 3 * width), g.dv = part(dqkv, 2 * width, 3 * width);
  const double product = 2.0 * static_cast<double>(sequences * heads * head_dim) * static_cast<double>(tokens) * static_cast<double>(tokens);
  const std::string shape = fmt::format("{}x{}x{}x{}", sequences, tokens, heads, head_dim);
  for (int threads : o.threads) {
    set_threads(threads);
    print("attention forward", shape, threads, seconds_of(o.get("repeat", 15), [&] { attention_forward(Cpu{}, a); }), "gflops", 2 * product);
    print("attention backward", shape, threads, seconds_of(o.get("repeat", 15), [&] { attention_backward(Cpu{}, g); }), "gflops", 5 * product);
  }
}

void bench_layernorm(const Options& o, index_t rows, index_t cols) {
  const auto x = random_floats(rows * cols, 1), dy = random_floats(rows * cols, 2), weight = random_floats(cols, 3);
  std::vector<float> y(x.size()), dx(x.size()), mean(static_cast<std::size_t>(rows)), rstd(mean), dweight(weight), dbias(weight);
  LayerNormArgs<float> a;
  a.rows = rows, a.cols = cols, a.eps = 1e-6f, a.x = x.data(), a.weight = weight.data(), a.bias = weight.data(), a.y = y.data(), a.mean = mean.data(), a.rstd = rstd.data();
  LayerNormGradArgs<float> g;
  g.rows = rows, g.cols = cols, g.x = x.data(), g.weight = weight.data(), g.mean = mean.data(), g.rstd = rstd.data(), g.dy = dy.data();
  g.dx = dx.data(), g.dweight = dweight.data(), g.dbias = dbias.data();
  const double bytes = static_cast<double>(x.size() * sizeof(float));
  const std::string shape = fmt::format("{}x{}", rows, cols);
  for (int threads : o.threads) {
    set_threads(threads);
    print("layernorm forward", shape, threads, seconds_of(o.get("repeat", 15), [&] { layer_norm_forward(Cpu{}, a); }), "gbytes_per_second", 2 * bytes);
    print("layernorm backward", shape, threads, seconds_of(o.get("repeat", 15), [&] { layer_norm_backward(Cpu{}, g); }), "gbytes_per_second", 3 * bytes);
  }
}

constexpr const char* usage = "usage: hlip_bench gemm|attention|layernorm [--NAME VALUE ...]   (names: see the first lines of benchmarks/hlip_bench.cpp)\n";

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const std::map<std::string, std::vector<std::string>> known = {{"gemm", {"m", "n", "k", "trans-a", "trans-b"}},
                                                                 {"attention", {"sequences", "tokens", "heads", "head-dim"}},
                                                                 {"layernorm", {"rows", "cols"}}};
  if (what == "--help") {
    fmt::print("{}", usage);
    return 0;
  }
  const auto names = known.find(what);
  if (names == known.end() || argc % 2 != 0) {
    fmt::print(stderr, "{}", usage);
    return 2;
  }
  Options o;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = std::strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "";
    const bool ours = name == "repeat" || name == "threads" || std::find(names->second.begin(), names->second.end(), name) != names->second.end();
    // A list of positive numbers; all options but --threads take one, and --trans-* take 0 or 1.
    std::vector<index_t> numbers;
    const char *at = argv[i + 1], *end = at + std::strlen(at);
    bool good = ours;
    while (good && at < end) {
      index_t value = 0;
      const auto [next, fault] = std::from_chars(at, end, value);
      good = fault == std::errc() && value >= (name.rfind("trans", 0) == 0 ? 0 : 1) && value <= (name == "threads" ? 1024 : 1 << 20) && (next == end || *next == ',');
      numbers.push_back(value);
      at = next < end ? next + 1 : end;
    }
    if (!good || numbers.empty() || (name != "threads" && numbers.size() != 1)) {
      fmt::print(stderr, "hlip_bench: {} {}: not an option of {} with such a value\n{}", argv[i], argv[i + 1], what, usage);
      return 2;
    }
    if (name == "threads") o.threads.assign(numbers.begin(), numbers.end());
    else o.value[name] = numbers[0];
  }
  if (o.threads.empty()) {
    o.threads = {1};
#if defined(_OPENMP)
    if (omp_get_max_threads() > 1) o.threads.push_back(omp_get_max_threads());
#endif
  }
  try {
    const bool one_shape = std::any_of(names->second.begin(), names->second.end(), [&](const std::string& n) { return o.has(n.c_str()); });
    if (what == "gemm") {
      if (one_shape) {
        bench_gemm(o, o.get("m", 2744), o.get("n", 768), o.get("k", 768), o.get("trans-a", 0) != 0, o.get("trans-b", 1) != 0);
      } else {
        for (auto [m, n, k] : {std::array<index_t, 3>{2744, 768, 768}, {2744, 3072, 768}, {2744, 768, 3072}, {2048, 96, 384}, {2048, 384, 96}}) {
          bench_gemm(o, m, n, k, false, true);   // y = x · wᵀ
          bench_gemm(o, m, k, n, false, false);  // dx = dy · w
          bench_gemm(o, n, k, m, true, false);   // dw = dyᵀ · x
        }
      }
    } else if (what == "attention") {
      if (one_shape) {
        bench_attention(o, o.get("sequences", 1), o.get("tokens", 2745), o.get("heads", 12), o.get("head-dim", 64));
      } else {
        bench_attention(o, 1, 2745, 12, 64);
        bench_attention(o, 14, 197, 12, 64);
        bench_attention(o, 128, 17, 3, 32);
        bench_attention(o, 32, 65, 3, 32);
      }
    } else if (one_shape) {
      bench_layernorm(o, o.get("rows", 2744), o.get("cols", 768));
    } else {
      bench_layernorm(o, 2744, 768);
      bench_layernorm(o, 2176, 96);
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "hlip_bench: {}\n", e.what());
    return 1;
  }
  return 0;
}
