// The conformance table: every kernel of the contract (backend/backend.hpp) on every backend, type
// and shape, held against Reference in double. A new backend is one more name in
// `HLIP_TEST_BACKENDS`, a new kernel one more name in the list of ops of one of the
// conformance_*_test.cpp files (several, so that they compile side by side).
#pragma once

#include "conformance.hpp"

#include <bit>
#include <tuple>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace conformance {

using Backends = std::tuple<HLIP_TEST_BACKENDS>;

template <class List, class Fn> void for_each_type(Fn fn) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (fn(std::type_identity<std::tuple_element_t<I, List>>{}), ...);
  }
  (std::make_index_sequence<std::tuple_size_v<List>>{});
}

template <class Ops, class On = Backends> void expect_agreement_everywhere() {
  for_each_type<Ops>([]<class Op>(std::type_identity<Op>) {
    for (const Sizes& sizes : Op::sizes()) {
      const Outputs reference = Op::template run<double, Reference>(sizes);  // the slowest of all
      for_each_type<On>([&]<class B>(std::type_identity<B>) {
        expect_agreement<Op, float, B>(sizes, reference);
        if constexpr (!std::is_same_v<B, Reference>)
          expect_agreement<Op, double, B>(sizes, reference);
      });
    }
  });
}

/// Results must not depend on the number of threads, in any bit (a NaN equals itself here).
template <class Ops> void expect_same_bits_at_any_thread_count() {
#if defined(_OPENMP)
  const int before = omp_get_max_threads();
  for_each_type<Ops>([]<class Op>(std::type_identity<Op>) {
    for (const Sizes& sizes : Op::sizes()) {
      CAPTURE(Op::name);
      CAPTURE(describe(sizes));
      omp_set_num_threads(1);
      const Outputs one = Op::template run<float, Tested>(sizes);
      for (int threads : {2, 4}) {
        CAPTURE(threads);
        omp_set_num_threads(threads);
        const Outputs many = Op::template run<float, Tested>(sizes);
        for (std::size_t k = 0; k < one.size(); ++k) {
          CAPTURE(one[k].name);
          bool same = one[k].values.size() == many[k].values.size();
          for (std::size_t i = 0; same && i < one[k].values.size(); ++i)
            same = std::bit_cast<std::uint64_t>(one[k].values[i]) ==
                   std::bit_cast<std::uint64_t>(many[k].values[i]);
          CHECK(same);
        }
      }
    }
  });
  omp_set_num_threads(before);
#else
  WARN_MESSAGE(false, "built without OpenMP: nothing to compare");
#endif
}

}  // namespace conformance
