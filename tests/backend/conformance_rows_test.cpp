#include "conformance_row_ops.hpp"
#include "conformance_table.hpp"

using namespace conformance;

using RowOps = std::tuple<conformance::LayerNorm, conformance::Softmax, conformance::CrossEntropy, conformance::GatherScatter, conformance::Resample, conformance::AdamW>;

TEST_CASE("backends: row-wise, index, resampling and optimiser kernels agree with the reference") { expect_agreement_everywhere<RowOps>(); }
TEST_CASE("tested backend: row-wise, index, resampling and optimiser kernels give the same bits at 1, 2 and 4 threads") {
  expect_same_bits_at_any_thread_count<RowOps>();
}

TEST_CASE("backends: indices and labels outside the table are named") {
  for (std::int64_t wrong : {std::int64_t{-1}, std::int64_t{3}, std::int64_t{1} << 62}) {
    const std::string want = "index 1 is " + std::to_string(wrong);
    for_each_type<Backends>([&]<class B>(std::type_identity<B>) {
      const Buffer<float, B> table(6), out(6);
      const Buffer<std::int64_t, B> index(std::vector<std::int64_t>{0, wrong});
      const auto message = [&](auto call) -> std::string {
        try {
          call();
        } catch (const error& e) {
          return e.what();
        }
        return "";
      };
      CHECK(message([&] { gather_rows(B{}, table.data(), index.data(), out.data(), 2, 2, 3); }).find(want) != std::string::npos);
      CHECK(message([&] { scatter_add_rows(B{}, table.data(), index.data(), out.data(), 2, 2, 3); }).find(want) != std::string::npos);
      CHECK(message([&] { cross_entropy_forward(B{}, table.data(), index.data(), out.data(), out.data() + 2, 2, 3); }).find("label 1 is " + std::to_string(wrong)) !=
            std::string::npos);
    });
  }
}
