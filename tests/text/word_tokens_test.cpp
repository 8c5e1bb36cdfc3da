#include "../support/errors.hpp"

#include <hlip/text/word_tokens.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using namespace test;

TEST_CASE("WordTokenizer: texts come back as they were, but for white space") {
  const std::vector<std::string> texts{
      "The heart is not enlarged. No air-rim, no (lung) nodule.", "A nodule of 12 mm: 3.5 x 4?",
      "Épanchement pleural à gauche; ##odd ## marks [CLS] and \"quotes\".", "CLEAR clear Clear"};
  const WordTokenizer t = WordTokenizer::learn(texts);
  for (const auto& text : texts) {
    const auto ids = t.encode(text);
    CHECK(t.decode(ids) == text);
    for (const auto id : ids) CHECK((id > 3 && id < t.vocab_size()));
  }
  CHECK(t.decode(t.encode("  no\n\tnodule. ")) == "no nodule.");
  CHECK(t.encode("").empty());
  const auto ids = t.encode("clear");
  CHECK(t.decode(std::vector<std::int64_t>{t.bos(), ids[0], t.eos(), 0}) == "clear");
  const WordTokenizer again(Vocabulary(t.vocabulary().pieces()));
  CHECK(again.encode(texts[0]) == t.encode(texts[0]));
}

TEST_CASE("WordTokenizer: words by frequency, rare and long ones unknown") {
  const std::vector<std::string> texts{"b a. b", "c " + std::string(101, 'x')};
  const WordTokenizer t = WordTokenizer::learn(texts);
  CHECK(t.vocabulary().pieces() ==
        std::vector<std::string>{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "b", "##.", "a", "c"});
  CHECK(t.decode(t.encode("b d.")) == "b [UNK].");
  CHECK(t.decode(t.encode(std::string("a\0b\xff", 4))) == "a [UNK]");
  CHECK(WordTokenizer::learn(texts, 2).vocab_size() == 5);
  CHECK(error_of([&] { WordTokenizer::learn(texts, 0); }) ==
        "word_tokens: min_count is 0, expected at least 1");
}
