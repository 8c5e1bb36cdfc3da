// Tokens of language models; ids recorded from the Python package are compared by hlip_golden.
#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/io/file.hpp>
#include <hlip/text/sentencepiece.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {
const std::string path = std::string(HLIP_SOURCE_DIR) +
                         "/tests/golden/llama_hf/model/tokenizer.model";
}

TEST_CASE("SentencePiece: what is encoded is decoded to the same text, unknown bytes included") {
  const SentencePiece tokenizer(path);
  CHECK(tokenizer.vocab_size() > 256);
  CHECK((tokenizer.bos() == 1 && tokenizer.eos() == 2));
  for (const std::string text : {"the heart is of normal size", "", "größer ≥ 3 µm 🫁"}) {
    const auto ids = tokenizer.encode(text);
    CHECK(tokenizer.decode(ids) == text);
    for (const std::int64_t id : ids) CHECK((id > 2 && id < tokenizer.vocab_size()));
  }
  // control tokens are no text
  auto ids = tokenizer.encode("no effusion");
  ids.insert(ids.begin(), tokenizer.bos());
  ids.push_back(tokenizer.eos());
  CHECK(tokenizer.decode(ids) == "no effusion");
}

TEST_CASE("SentencePiece: files that are none and ids outside the vocabulary are named") {
  TempFolder folder;
  CHECK(test::error_of([&] {
          SentencePiece(folder / "none.model");
        }).find("none.model: is no SentencePiece model") != std::string::npos);
  const std::string whole = read_file(path);
  for (const std::size_t length : {std::size_t{0}, std::size_t{7}, whole.size() / 2}) {
    atomic_write(folder / "cut.model", whole.substr(0, length));
    CHECK(test::error_of([&] {
            SentencePiece(folder / "cut.model");
          }).find("cut.model: is no SentencePiece model") != std::string::npos);
  }
  const SentencePiece tokenizer(path);
  CHECK(test::error_of([&] {
          tokenizer.decode({5, tokenizer.vocab_size()});
        }).find("id 1 is ") != std::string::npos);
  CHECK(test::error_of([&] { tokenizer.decode({-1}); }).find("id 0 is -1") != std::string::npos);
}
