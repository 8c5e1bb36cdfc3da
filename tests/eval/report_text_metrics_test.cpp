#include "../support/errors.hpp"

#include <hlip/eval/bleu.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/rouge.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using doctest::Approx;
using Texts = std::vector<std::string>;

namespace {

std::int64_t common_length(const Texts& a, const Texts& b) {
  return longest_common_subsequence(NumberedWords(a, b));
}

// By the table of all prefixes.
std::int64_t plain_length(const Texts& a, const Texts& b) {
  std::vector<std::vector<std::int64_t>> best(a.size() + 1,
                                              std::vector<std::int64_t>(b.size() + 1));
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j)
      best[i][j] = a[i - 1] == b[j - 1] ? best[i - 1][j - 1] + 1
                                        : std::max(best[i - 1][j], best[i][j - 1]);
  return best[a.size()][b.size()];
}

Texts random_words(std::uint64_t seed, std::int64_t count, std::int64_t distinct) {
  RandomStream random({seed, 1, 2});
  Texts words;
  for (std::int64_t i = 0; i < count; ++i)
    words.push_back(fmt::format("w{}", random.below(distinct)));
  return words;
}

std::string joined(const Texts& words) {
  std::string text;
  for (const auto& w : words) text += w + " ";
  return text;
}

}  // namespace

TEST_CASE("words: lower-case, between white space or of letters and digits alone") {
  CHECK(white_space_words(" The\tHeart  is large.\n5 mm\xC2\xA0wide ") ==
        Texts{"the", "heart", "is", "large.", "5", "mm", "wide"});
  CHECK(white_space_words("\xC3\x89t\xC3\xA9 \xFF") == Texts{"\xC3\x89t\xC3\xA9", "\xEF\xBF\xBD"});
  CHECK(alphanumeric_words("X-ray: 2.5 mm, caf\xC3\xA9s.") ==
        Texts{"x", "ray", "2", "5", "mm", "caf", "s"});
  CHECK(white_space_words("").empty());
  CHECK(alphanumeric_words(" ... ").empty());
}

TEST_CASE("longest_common_subsequence: as the table of all prefixes, across words of 64 bits") {
  CHECK(common_length({"a", "b", "c", "d"}, {"b", "x", "d", "a"}) == 2);
  CHECK(common_length({}, {"a"}) == 0);
  CHECK(common_length({"a"}, {}) == 0);
  for (const std::int64_t size : {1, 63, 64, 65, 128, 200})
    for (const std::int64_t distinct : {1, 2, 5, 300}) {
      const Texts a = random_words(static_cast<std::uint64_t>(size), size, distinct),
                  b = random_words(7, 150, distinct);
      CHECK(common_length(a, b) == plain_length(a, b));
      CHECK(common_length(b, a) == plain_length(b, a));
    }
}

TEST_CASE("longest_common_subsequence: long texts take memory for their words alone") {
  // 20 000 x 20 000 numbers would be 3 GiB; words that are all different and words that are one
  const Texts all = [] {
    Texts words;
    for (int i = 0; i < 20000; ++i) words.push_back(fmt::format("w{}", i));
    return words;
  }();
  CHECK(common_length(all, all) == 20000);
  CHECK(common_length(Texts(all.rbegin(), all.rend()), all) == 1);
  CHECK(common_length(Texts(20000, "a"), Texts(15000, "a")) == 15000);
  const Texts too_many(longest_rouge_text + 1, "a");
  CHECK_THROWS_WITH_AS(common_length(too_many, {"a"}), doctest::Contains("262145 and 1 words"),
                       error);
}

TEST_CASE("rouge_l: precision, recall and F1 by hand") {
  // common: the, lungs, clear
  const auto s = rouge_l("The lungs are clear.", "the LUNGS appear quite clear today");
  CHECK(s.precision == Approx(3.0 / 6));
  CHECK(s.recall == Approx(3.0 / 4));
  CHECK(s.f1 == Approx(0.6));
  CHECK(rouge_l("no effusion", "no effusion").f1 == 1);
  for (const auto& [reference, hypothesis] :
       {std::pair{"", "a"}, {"a", ""}, {"", ""}, {"...", "a"}, {"a", "b"}}) {
    const auto none = rouge_l(reference, hypothesis);
    CHECK(none.precision == 0);
    CHECK(none.recall == 0);
    CHECK(none.f1 == 0);
  }
}

TEST_CASE("rouge_n: an n-gram counts as often as both have it") {
  CHECK(rouge_n("a b a", "a a a a", 1).precision == Approx(2.0 / 4));
  CHECK(rouge_n("a b a", "a a a a", 1).recall == Approx(2.0 / 3));
  CHECK(rouge_n("a b c", "b c a", 2).f1 == Approx(0.5));
  CHECK(rouge_n("a", "a", 2).f1 == 0);
  CHECK_THROWS_WITH_AS(rouge_n("a", "a", 0), doctest::Contains("n is 0, expected 1 to 4"), error);
  CHECK_THROWS_AS(rouge_n("a", "a", 5), error);
}

TEST_CASE("f_beta: recall weighs beta times as much; 0 of nothing") {
  CHECK(f_beta(0.5, 0.75, 1) == Approx(0.6));
  CHECK(f_beta(1, 0.8, 1.2) == Approx(2.44 * 0.8 / 2.24));
  CHECK(f_beta(0, 0, 1.2) == 0);
}

TEST_CASE("bleu: clipped matches, brevity penalty and the geometric mean by hand") {
  // 1-grams 5 of 5 ("the" twice in both), 2-grams 3 of 4, 3-grams 0 of 3, 4-grams 0 of 2
  const auto counts = bleu_counts("the left lung and the heart", "the heart and the left");
  CHECK(counts.matches == std::array<std::int64_t, 4>{5, 3, 0, 0});
  CHECK(counts.totals == std::array<std::int64_t, 4>{5, 4, 3, 2});
  CHECK(counts.brevity_penalty() == Approx(std::exp(1 - 6.0 / 5)));
  CHECK(bleu(counts, 1) == Approx(std::exp(-0.2)));
  CHECK(bleu(counts, 2) == Approx(std::exp(-0.2) * std::sqrt(0.75)));
  CHECK(bleu(counts) == 0);
  CHECK(bleu(counts, 4, BleuSmoothing::epsilon) ==
        Approx(std::exp(-0.2) * std::pow(0.75 * 0.1 / 3 * 0.1 / 2, 0.25)));
  CHECK(bleu(counts, 4, BleuSmoothing::add_one) ==
        Approx(std::exp(-0.2) * std::pow(4.0 / 5 * 1 / 4 * 1 / 3, 0.25)));
  CHECK(bleu_counts("a b", "a a a").matches[0] == 1);
  // 4 of 5 ("left" twice, once in the reference), 4 of 4, 2 of 3, 1 of 2
  CHECK(bleu(bleu_counts("the left lung and the heart", "left lung and the left")) ==
        Approx(std::exp(-0.2) * std::pow(4.0 / 5 * 2 / 3 / 2, 0.25)));
  CHECK_THROWS_WITH_AS(bleu(counts, 5), doctest::Contains("order is 5, expected 1 to 4"), error);
  CHECK_THROWS_AS(bleu(counts, 0), error);
}

TEST_CASE("bleu: nothing said is 0, whatever the smoothing") {
  for (const auto smoothing :
       {BleuSmoothing::none, BleuSmoothing::epsilon, BleuSmoothing::add_one}) {
    CHECK(bleu(bleu_counts("a b c d", ""), 4, smoothing) == 0);
    CHECK(bleu(bleu_counts("", "a b c d"), 4, smoothing) == 0);
    CHECK(bleu(bleu_counts("", ""), 4, smoothing) == 0);
  }
  CHECK(bleu_counts("a", "").brevity_penalty() == 0);
  CHECK(corpus_bleu4(Texts{}, Texts{}) == 0);
}

TEST_CASE("bleu: a hypothesis of fewer than n words adds nothing to the total of n-grams, or one") {
  CHECK(bleu_counts("a b", "a").totals == std::array<std::int64_t, 4>{1, 0, 0, 0});
  CHECK(bleu_counts("a b", "a", ShortHypothesis::adds_one).totals ==
        std::array<std::int64_t, 4>{1, 1, 1, 1});
  // the corpus: 4-grams 1 of 1; with the other rule 1 of 2
  const Texts references = {"a b c d", "e"}, hypotheses = {"a b c d", "e"};
  CHECK(corpus_bleu4(references, hypotheses) == Approx(1));
  CHECK_THROWS_WITH_AS(corpus_bleu4(references, Texts{"a"}),
                       doctest::Contains("2 references and 1 hypotheses"), error);
}

TEST_CASE("bleu: counts drawn again give intervals; one drawn twice is the corpus with it twice") {
  const Texts references = {"a b c d e", "f g h i"}, hypotheses = {"a b c d x", "f g y i"};
  std::vector<BleuCounts> each;
  for (std::size_t i = 0; i < references.size(); ++i)
    each.push_back(bleu_counts(references[i], hypotheses[i]));
  BleuCounts drawn;
  drawn.add(each[0], 2), drawn.add(each[1]);
  CHECK(bleu(drawn) == Approx(corpus_bleu4(Texts{references[0], references[0], references[1]},
                                           Texts{hypotheses[0], hypotheses[0], hypotheses[1]})));
  const auto interval = bootstrap_intervals(2, 1, [&](auto weights, std::span<double> out) {
    BleuCounts sum;
    for (std::size_t i = 0; i < each.size(); ++i) sum.add(each[i], weights[i]);
    out[0] = bleu(sum);
  })[0];
  CHECK(interval.low == 0);  // the second alone has no 4-gram
  CHECK(interval.high == Approx(bleu(each[0])));
}

TEST_CASE("rouge and bleu: texts of a hundred thousand words are scored") {
  const std::string a = joined(random_words(1, 100000, 3000)),
                    b = joined(random_words(2, 1000, 3000));
  CHECK(rouge_l(a, b).precision > 0.1);
  CHECK(rouge_l(a, b).recall < 0.01);
  CHECK(bleu(bleu_counts(b, a), 1) < 0.05);
  CHECK(bleu(bleu_counts(b, a), 1) > 0);
}
