#include "conformance_row_ops.hpp"
#include "conformance_table.hpp"

using namespace conformance;

using RowOps = std::tuple<LayerNormOf<false>, LayerNormOf<true>, conformance::Softmax,
                          conformance::CrossEntropy, conformance::GatherScatter,
                          conformance::Resample, conformance::AdamW, conformance::SumsOfSquares>;

TEST_CASE("backends: row-wise, index, resampling and optimiser kernels agree with the reference") {
  expect_agreement_everywhere<RowOps>();
}
TEST_CASE(
    "tested backend: row-wise, index, resampling and optimiser kernels give the same bits at 1, 2 "
    "and 4 threads") {
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
          out.values();  // the latest moment to say it
        } catch (const error& e) {
          return e.what();
        }
        return "";
      };
      CHECK(message([&] {
              gather_rows(B{}, table.data(), index.data(), out.data(), 2, 2, 3);
            }).find(want) != std::string::npos);
      CHECK(message([&] {
              scatter_add_rows(B{}, table.data(), index.data(), out.data(), 2, 2, 3);
            }).find(want) != std::string::npos);
      CHECK(message([&] {
              cross_entropy_forward(B{}, table.data(), index.data(), out.data(), out.data() + 2, 2,
                                    3);
            }).find("label 1 is " + std::to_string(wrong)) != std::string::npos);
    });
  }
}

#if defined(HLIP_WITH_DEVICE)
TEST_CASE(
    "cuda: a wrong index is passed over, and named with its module when a value is read, once") {
  const auto message_of_read = [](const Buffer<float, Cuda>& buffer) -> std::string {
    try {
      buffer.values();
    } catch (const error& e) {
      return e.what();
    }
    return "";
  };
  const Buffer<float, Cuda> table(std::vector<float>{1, 2, 3, 4, 5, 6}), out(6), sums(6, 0.0f);
  const Buffer<std::int64_t, Cuda> index(std::vector<std::int64_t>{2, 3, -1});
  {
    const ModuleScope path("embeddings");
    gather_rows(Cuda{}, table.data(), index.data(), out.data(), 3, 2, 3);
  }
  scatter_add_rows(Cuda{}, table.data(), index.data(), sums.data(), 3, 2, 3);
  CHECK(message_of_read(table) ==
        "embeddings (gather_rows): index 1 is 3, expected 0 to 2 (the table has 3 rows)");
  CHECK(out.values() == std::vector<double>{5, 6, 0, 0, 0, 0});
  CHECK(sums.values() == std::vector<double>{0, 0, 0, 0, 1, 2});

  const Buffer<float, Cuda> loss(3), lse(3);
  cross_entropy_forward(Cuda{}, table.data(), index.data(), loss.data(), lse.data(), 2, 3);
  CHECK(message_of_read(loss) == "cross_entropy: label 1 is 3, expected 0 to 2");
  CHECK(std::isfinite(loss.values()[0]));
  CHECK(std::isnan(loss.values()[1]));

  std::vector<std::int64_t> many(5000, 1);
  many[2049] = -5, many[2050] = 7, many[4999] = 7;
  const Buffer<std::int64_t, Cuda> places(many);
  const Buffer<float, Cuda> rows(10000);
  gather_rows(Cuda{}, table.data(), places.data(), rows.data(), 5000, 2, 3);
  CHECK(message_of_read(rows) ==
        "gather_rows: index 2049 is -5, expected 0 to 2 (the table has 3 rows)");
}
#endif
