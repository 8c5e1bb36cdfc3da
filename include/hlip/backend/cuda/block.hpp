// Block programs: kernels written once, as phases of a block of threads with a barrier after each.
// nvcc makes a kernel of a program; a host compiler makes a loop over the blocks, which Thrust
// parallelises, and loops over the threads within. What a program computes depends on neither:
// blocks share nothing, and sums go by fixed trees.
//
// A program is a functor with `static constexpr int threads` (a multiple of 32) and
// `template <class Block> HLIP_FN void operator()(Block& block) const`. A `static constexpr int
// resident` says for how many blocks at a time a multiprocessor is to have registers; without it
// nvcc decides. Its block offers
//
//   index()                        which block this is
//   phase(fn)                      fn(thread) for every thread, then a barrier
//   barrier()                      a barrier alone
//   each(fn)                       the same without the barrier: for values of the thread's own
//   first_threads(n, fn)           fn(), in which only the first n threads take part (whole warps;
//                                  a barrier must not be in it)
//   shared<T>(n)                   n elements that all threads of the block see, uninitialised,
//                                  aligned to 16 bytes
//   per_thread<T, N>()             N values for every thread that live across phases, zero at
//                                  first: values(thread)[i]
//   reduce<Group>(values, op)      value by value, op over each group of Group <= 32 neighbouring
//                                  threads; all get the result.
//                                  op must be commutative
#pragma once

#include <hlip/backend/cuda/config.hpp>
#include <hlip/backend/cuda/runtime.hpp>
#include <hlip/core/error.hpp>
#include <hlip/tensor/shape.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#if !defined(HLIP_THRUST_CUDA)
#include <hlip/backend/cuda/loop.hpp>
#endif

HLIP_BEGIN

namespace detail {

#if defined(HLIP_THRUST_CUDA)

/// A block as one of its threads sees it. The bodies are for the device; the host only has to be
/// able to name them.
class DeviceBlock {
 public:
  template <class T, int N> struct PerThread {
    T values[N];
    HLIP_FN T (&operator()(int))[N] { return values; }
  };

  HLIP_FN explicit DeviceBlock(unsigned char* memory) : memory_(memory) {}
  HLIP_FN index_t index() const {
#if defined(__CUDA_ARCH__)
    return blockIdx.x;
#else
    return 0;
#endif
  }
  template <class Fn> HLIP_FN void each(Fn fn) {
#if defined(__CUDA_ARCH__)
    fn(static_cast<int>(threadIdx.x));
#endif
  }
  HLIP_FN void barrier() const {
#if defined(__CUDA_ARCH__)
    __syncthreads();
#endif
  }
  template <class Fn> HLIP_FN void phase(Fn fn) {
    each(fn);
    barrier();
  }
  template <class Fn> HLIP_FN void first_threads([[maybe_unused]] int n, [[maybe_unused]] Fn fn) {
#if defined(__CUDA_ARCH__)
    if (static_cast<int>(threadIdx.x) < n) fn();
#endif
  }
  template <class T> HLIP_FN T* shared(index_t n) {
    T* here = reinterpret_cast<T*>(memory_);
    memory_ += (static_cast<std::size_t>(n) * sizeof(T) + 15) / 16 * 16;
    return here;
  }
  template <class T, int N> HLIP_FN PerThread<T, N> per_thread() const { return {}; }
  template <int Group, class T, int N, class Op>
  HLIP_FN void reduce(PerThread<T, N>& own, Op op) const {
#if defined(__CUDA_ARCH__)
    for (int step = Group / 2; step > 0; step /= 2)
      for (int i = 0; i < N; ++i)
        own.values[i] = op(own.values[i], __shfl_xor_sync(0xffffffffu, own.values[i], step));
#endif
  }

 private:
  unsigned char* memory_;
};

template <class Program> constexpr int resident_blocks() {
  if constexpr (requires { Program::resident; }) return Program::resident;
  else return 0;
}
template <class Program>
__global__ void __launch_bounds__(Program::threads, resident_blocks<Program>())
    run_block(const Program program) {
  extern __shared__ __align__(128) unsigned char block_memory[];
  DeviceBlock block(block_memory);
  program(block);
}

#else

/// A block as a host thread runs it, all threads of the block in turn. Shared and per-thread memory
/// are allocations of their own, so that the address sanitizer sees a program that leaves them.
class HostBlock {
 public:
  template <class T, int N> class PerThread {
   public:
    explicit PerThread(int threads) : slots_(new Slot[static_cast<std::size_t>(threads)]()) {}
    T (&operator()(int thread))[N] { return slots_[static_cast<std::size_t>(thread)].values; }

   private:
    struct Slot {
      T values[N];
    };
    std::unique_ptr<Slot[]> slots_;
  };

  HostBlock(index_t index, int threads, std::size_t shared_bytes)
      : index_(index), threads_(threads), shared_left_(shared_bytes) {}
  index_t index() const { return index_; }
  int threads() const { return threads_; }
  template <class Fn> void each(Fn fn) {
    for (int thread = 0; thread < threads_; ++thread) fn(thread);
  }
  void barrier() const {}  // one thread after the other: what comes before is done
  template <class Fn> void phase(Fn fn) { each(fn); }
  template <class Fn> void first_threads(int n, Fn fn) {
    const int all = threads_;
    threads_ = n < all ? n : all;
    fn();
    threads_ = all;
  }
  template <class T> T* shared(index_t n) {
    const std::size_t bytes = (static_cast<std::size_t>(n) * sizeof(T) + 15) / 16 * 16;
    if (bytes > shared_left_)
      fail("launch_blocks",
           "a program asks for {} bytes of shared memory more than it was launched with",
           bytes - shared_left_);
    shared_left_ -= bytes;
    shared_.emplace_back(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{64})));
    return reinterpret_cast<T*>(shared_.back().get());
  }
  template <class T, int N> PerThread<T, N> per_thread() const { return PerThread<T, N>(threads_); }
  template <int Group, class T, int N, class Op> void reduce(PerThread<T, N>& values, Op op) const {
    for (int first = 0; first < threads_; first += Group) {
      for (int step = Group / 2; step > 0; step /= 2)
        for (int lane = first; lane < first + step; ++lane)
          for (int i = 0; i < N; ++i) values(lane)[i] = op(values(lane)[i], values(lane + step)[i]);
      for (int lane = first + 1; lane < first + Group; ++lane)
        for (int i = 0; i < N; ++i) values(lane)[i] = values(first)[i];
    }
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  index_t index_;
  int threads_;
  std::size_t shared_left_;
  std::vector<std::unique_ptr<std::byte, Free>> shared_;
};

#endif

/// Bytes of shared memory that a block may have.
inline std::size_t shared_memory_limit(Cuda) {
#if defined(HLIP_THRUST_CUDA)
  static_cast<void>(CudaRuntime::get());
  int bytes = 0;
  expect_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0),
              "launch_blocks");
  return static_cast<std::size_t>(bytes);
#else
  return std::size_t{227} << 10;  // as on a GPU of compute capability 9.0
#endif
}

/// Runs a program (see above) in `blocks` blocks, each with `shared_bytes` of shared memory.
template <class Program>
void launch_blocks(Cuda, index_t blocks, std::size_t shared_bytes, const Program& program) {
  static_assert(Program::threads % 32 == 0 && Program::threads <= 1024);
  if (blocks <= 0) return;
#if defined(HLIP_THRUST_CUDA)
  if (blocks > 0x7fffffff)
    fail("launch_blocks", "{} blocks, a device starts at most {}", blocks, 0x7fffffff);
  if (shared_bytes > 48 * 1024)  // more has to be asked for
    expect_cuda(
        cudaFuncSetAttribute(run_block<Program>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes)),
        "launch_blocks");
  run_block<<<static_cast<unsigned>(blocks), Program::threads, shared_bytes,
              CudaRuntime::get().stream>>>(program);
  expect_cuda(cudaGetLastError(), "launch_blocks");
#else
  for_each_index(Cuda{}, blocks, [program, shared_bytes](index_t index) {
    HostBlock block(index, Program::threads, shared_bytes);
    program(block);
  });
#endif
}

// What reductions add up or compare with; the maximum of NaN and anything is NaN.
struct Plus {
  template <class T> HLIP_FN T operator()(T a, T b) const { return a + b; }
};
struct Larger {
  template <class T> HLIP_FN T operator()(T a, T b) const { return a > b || a != a ? a : b; }
};

}  // namespace detail

HLIP_END
