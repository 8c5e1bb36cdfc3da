// Tokens of any bytes: ids of the vocabulary, within the length asked for. The first line decides
// the length.
#include "fuzz.hpp"

#include <hlip/text/wordpiece.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const WordPieceTokenizer tokenizer = WordPieceTokenizer::load(
      HLIP_SOURCE_DIR "/tests/golden/interop/vocab.txt");
  return fuzz::within({1 << 20, 200}, size, [&] {
    const std::int64_t limit = size > 0 ? 2 + data[0] : 2;
    const auto ids = tokenizer.encode_unpadded(fuzz::text(data, size), limit);
    fuzz::promise(ids.size() >= 2 && static_cast<std::int64_t>(ids.size()) <= limit);
    for (const std::int64_t id : ids) fuzz::promise(id >= 0 && id < tokenizer.vocab_size());
  });
}
