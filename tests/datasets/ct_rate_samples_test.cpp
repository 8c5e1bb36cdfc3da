#include <hlip/datasets/ct_rate/samples.hpp>
#include <hlip/text/wordpiece_learn.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE(
    "report lengths: reports that can be longer than the model reads are counted, and the longest "
    "is named") {
  const auto tokenizer = std::make_shared<const WordPieceTokenizer>(
      WordPieceTokenizer(learn_wordpiece(
          std::vector<std::string>{"a b the volume shows looks like"}, {.min_count = 1})));
  std::vector<CtRateStudy> studies(3);
  for (std::size_t i = 0; i < 3; ++i) studies[i].name = fmt::format("train_{}_a", i + 1);
  studies[0].report = {"a b", "a"};
  studies[1].report = {"a b a b a b a b a b"};
  studies[2].report = {"a b a b a b"};
  const auto lengths = [&](std::int64_t limit) {
    CtRateSamples::Options options;
    options.context_length = limit;
    return report_lengths(CtRateSamples(studies, {}, tokenizer, options), *tokenizer);
  };
  CHECK(lengths(12).cut == 0);  // ten words, [CLS] and [SEP]
  CHECK(lengths(11).cut == 1);
  CHECK(lengths(7).cut == 2);
  CHECK(
      to_string(lengths(12)) ==
      "reports: all 3 fit into the 12 tokens the model reads (the longest, of train_2_a, has 12)");
  CHECK(to_string(lengths(7)) ==
        "reports: 2 of 3 can be longer than the 7 tokens the model reads, and are cut there (the "
        "longest, of train_2_a, has 12)");
}

TEST_CASE("report lengths: what sentence sampling draws is never longer than what is counted") {
  const ReportText t{{"unused"},
                     {"I one.", "I two."},
                     {"F.", "F two three.", "F two three four.", "F two three four five.", "F two.",
                      "F six seven eight nine ten."}};
  const auto words = [](const std::string& text) {
    return std::count(text.begin(), text.end(), ' ');
  };
  const auto longest = words(longest_text(t, ReportSampling::sentences));
  std::ptrdiff_t most = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    RandomStream random({2, 0, i});
    most = std::max(most, words(sample_report(t, ReportSampling::sentences, random)));
  }
  CHECK(most == longest);
}
