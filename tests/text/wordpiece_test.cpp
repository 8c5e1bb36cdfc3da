#include <hlip/io/safetensors.hpp>
#include <hlip/text/wordpiece.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace hlip;

namespace {

const std::string golden = std::string(HLIP_SOURCE_DIR) + "/tests/golden/interop/";

std::string shared_folder() {
  const char* named = std::getenv("HLIP_SHARED");
  return named ? named : std::string(HLIP_SOURCE_DIR) + "/../shared";
}

/// Compares every string of a fixture; returns how many there were.
std::size_t check_fixture(const std::string& path, const WordPieceTokenizer& tokenizer) {
  const SafetensorsFile file(path);
  const auto bytes = file.values<std::uint8_t>("input.utf8");
  const auto text_lengths = file.values<std::int64_t>("input.utf8_lengths"),
             id_lengths = file.values<std::int64_t>("output.ids_lengths");
  const auto ids = file.values<std::int64_t>("output.ids"),
             ids16 = file.values<std::int64_t>("output.ids16");
  REQUIRE(text_lengths.size() == id_lengths.size());
  std::ptrdiff_t text_at = 0, id_at = 0;
  for (std::size_t i = 0; i < text_lengths.size(); ++i) {
    const std::string text(bytes.begin() + text_at, bytes.begin() + text_at + text_lengths[i]);
    const std::vector<std::int64_t> want(ids.begin() + id_at, ids.begin() + id_at + id_lengths[i]);
    const auto first16 = ids16.begin() + static_cast<std::ptrdiff_t>(16 * i);
    CAPTURE(text);
    CHECK(tokenizer.encode_unpadded(text, 512) == want);
    CHECK(tokenizer.encode(text, 16) == std::vector<std::int64_t>(first16, first16 + 16));
    text_at += text_lengths[i], id_at += id_lengths[i];
  }
  return text_lengths.size();
}

WordPieceTokenizer tiny() {
  return WordPieceTokenizer(Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "lung", "##s", "clear",
                                        ".", "un", "##cle", "##ar", "a"}));
}

}  // namespace

TEST_CASE("wordpiece: hard strings give the ids of the reference tokeniser") {
  const auto tokenizer = WordPieceTokenizer::load(golden + "vocab.txt");
  CHECK(tokenizer.vocab_size() == 30522);
  CHECK(check_fixture(golden + "wordpiece.safetensors", tokenizer) > 0);
}

TEST_CASE("wordpiece: real reports give the ids of the reference tokeniser") {
  const std::string path = shared_folder() + "/golden/interop/wordpiece_reports.safetensors";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: " << path << " is not there");
    CHECK_FALSE(std::filesystem::exists(path));
    return;
  }
  CHECK(check_fixture(path, WordPieceTokenizer::load(golden + "vocab.txt")) > 0);
}

TEST_CASE("wordpiece: the longest piece wins and a word that cannot be covered is one [UNK]") {
  const auto t = tiny();
  CHECK(t.pieces("Lungs clear.") == std::vector<std::int64_t>{4, 5, 6, 7});
  CHECK(t.pieces("unclear") == std::vector<std::int64_t>{8, 9, 10});
  CHECK(t.pieces("unclearx a") == std::vector<std::int64_t>{1, 11});
  CHECK(t.pieces(std::string(100, 's')) == std::vector<std::int64_t>{1});
  CHECK(t.pieces(std::string(101, 'a') + " a") == std::vector<std::int64_t>{1, 11});
  CHECK(t.pieces("") == std::vector<std::int64_t>{});
}

TEST_CASE("wordpiece: truncation keeps [SEP], padding is 0") {
  const auto t = tiny();
  CHECK(t.encode_unpadded("a a a a a a", 4) == std::vector<std::int64_t>{2, 11, 11, 3});
  CHECK(t.encode_unpadded("lungs", 3) == std::vector<std::int64_t>{2, 4, 3});
  CHECK(t.encode_unpadded("a", 2) == std::vector<std::int64_t>{2, 3});
  CHECK(t.encode("a", 5) == std::vector<std::int64_t>{2, 11, 3, 0, 0});
  CHECK_THROWS_WITH_AS(t.encode("a", 1),
                       doctest::Contains("context_length is 1, expected at least 2"), error);
  CHECK_THROWS_AS(t.encode("a", -1), error);
  CHECK_THROWS_AS(t.encode_unpadded("a", 0), error);
}

TEST_CASE("wordpiece: decode joins pieces and leaves out what encode added") {
  const auto t = tiny();
  CHECK(t.decode(t.encode("Lungs clear. a", 16)) == "lungs clear . a");
  CHECK(t.decode(t.encode("unknown", 4)) == "[UNK]");
  const std::vector<std::int64_t> bad = {4, 12};
  CHECK_THROWS_WITH_AS(t.decode(bad), doctest::Contains("id 12"), error);
}

TEST_CASE("wordpiece: any bytes give ids and no crash") {
  const auto t = WordPieceTokenizer::load(golden + "vocab.txt");
  CHECK(t.pieces("lung\xFF\xC3 s\xE2\x82 \xED\xA0\x80 \xF8\x88\x80\x80\x80 \xC0\x80") ==
        t.pieces("lung s"));
  CHECK(t.pieces(std::string("lu\0n\x1b\x7fg", 7)) == t.pieces("lung"));
  std::string noise;
  std::uint32_t state = 1;
  for (int i = 0; i < 20000; ++i)
    noise += static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  const auto ids = t.encode(noise, 512);
  CHECK(ids.size() == 512);
  for (const auto id : ids) CHECK(id < t.vocab_size());
  CHECK(t.pieces(std::string(200000, '[')).size() == 200000);
}

TEST_CASE(
    "vocabulary: a file is written and read back unchanged, CRLF and a missing last line end "
    "included") {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("hlip_vocabulary_" + std::to_string(std::hash<std::string>{}(golden) ^
                                                           static_cast<std::size_t>(std::rand())));
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "vocab.txt").string();
  const auto write = [&](const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  };

  const auto v = tiny().vocabulary();
  v.save(path);
  CHECK(Vocabulary::load(path) == v);
  write("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\nlung");
  CHECK(Vocabulary::load(path).find("lung") == 4);

  write("[PAD]\n[UNK]\n[CLS]\n[SEP]\nlung\n\nheart\n");
  CHECK_THROWS_WITH_AS(Vocabulary::load(path), doctest::Contains("vocab.txt: line 6: empty"),
                       error);
  write("[PAD]\n[UNK]\n[CLS]\n[SEP]\nlung\nlung\n");
  CHECK_THROWS_WITH_AS(Vocabulary::load(path),
                       doctest::Contains("line 6: the same piece as in line 5"), error);
  write("[UNK]\n[PAD]\n[CLS]\n[SEP]\n");
  CHECK_THROWS_WITH_AS(Vocabulary::load(path), doctest::Contains("[PAD] is id 1, expected 0"),
                       error);
  write("lung\nheart\n");
  CHECK_THROWS_WITH_AS(Vocabulary::load(path), doctest::Contains("[PAD] is missing"), error);
  write(std::string(1 << 20, '\0'));
  CHECK_THROWS_WITH_AS(Vocabulary::load(path), doctest::Contains("line 1: more than 1024 bytes"),
                       error);
  write("");
  CHECK_THROWS_AS(Vocabulary::load(path), error);
  CHECK_THROWS_WITH_AS(Vocabulary::load(folder.string()), doctest::Contains("is no regular file"),
                       error);
  CHECK_THROWS_AS(Vocabulary::load(path + ".missing"), error);
  std::filesystem::remove_all(folder);
}
