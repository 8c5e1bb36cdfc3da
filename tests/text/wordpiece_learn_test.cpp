#include <hlip/text.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace hlip;

namespace {
const std::vector<std::string> reports = {"No nodule. Small effusion.", "Nodule seen; no effusion.",
                                          "Effusions, nodules and no opacity."};
}

TEST_CASE(
    "learn_wordpiece: specials, characters, continuations, then the words seen twice by "
    "frequency") {
  const std::vector<std::string> texts = {"bb a bb cc", "cc Bb d"};
  const auto v = learn_wordpiece(texts);
  CHECK(v.pieces() == std::vector<std::string>{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a",
                                               "b", "c", "d", "##a", "##b", "##c", "##d", "bb",
                                               "cc"});
  CHECK(learn_wordpiece(texts, {.min_count = 3}).pieces().back() == "bb");
  CHECK(learn_wordpiece(texts, {.min_count = 3}).find("cc") == -1);
}

TEST_CASE("learn_wordpiece: the order of the texts does not matter") {
  auto reversed = reports;
  std::reverse(reversed.begin(), reversed.end());
  CHECK(learn_wordpiece(reports) == learn_wordpiece(reversed));
  const WordPieceLearnOptions merged = {.max_size = 60, .merges = true};
  CHECK(learn_wordpiece(reports, merged) == learn_wordpiece(reversed, merged));
}

TEST_CASE("learn_wordpiece: no learned text holds an unknown piece, and it decodes to itself") {
  for (const auto& options :
       {WordPieceLearnOptions{}, WordPieceLearnOptions{.max_size = 50, .merges = true}}) {
    const WordPieceTokenizer t(learn_wordpiece(reports, options));
    for (const auto& text : reports) {
      const auto ids = t.encode_unpadded(text);
      CHECK(std::find(ids.begin(), ids.end(), t.vocabulary().unknown_id()) == ids.end());
    }
    CHECK(t.decode(t.encode("No nodule", 32)) == "no nodule");
  }
}

TEST_CASE("learn_wordpiece: max_size is kept and merges join the most frequent pair first") {
  const auto small = learn_wordpiece(reports, {.max_size = 52});
  CHECK(small.size() <= 52);
  const std::vector<std::string> texts = {"aab aab aab xb xb"};
  const auto v = learn_wordpiece(texts, {.max_size = 14, .merges = true});
  // 5 specials, 3 characters, 3 continuations; aa|b and a|ab are equally frequent and "##a ##b"
  // sorts first
  CHECK(std::vector<std::string>(v.pieces().begin() + 11, v.pieces().end()) ==
        std::vector<std::string>{"##ab", "aab", "xb"});
  CHECK(learn_wordpiece(texts, {.max_size = 1000, .merges = true}).size() == 14);
}

TEST_CASE("learn_wordpiece: senseless options are refused") {
  CHECK_THROWS_WITH_AS(learn_wordpiece(reports, {.min_count = 0}),
                       doctest::Contains("min_count is 0"), error);
  CHECK_THROWS_WITH_AS(learn_wordpiece(reports, {.max_size = 10}),
                       doctest::Contains("max_size is 10, but"), error);
  CHECK_THROWS_AS(learn_wordpiece(reports, {.merges = true}), error);
  CHECK(learn_wordpiece({}).size() == 5);
}
