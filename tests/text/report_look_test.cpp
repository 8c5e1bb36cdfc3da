#include <hlip/text/report_look.hpp>
#include <hlip/text/wordpiece.hpp>
#include <hlip/text/wordpiece_learn.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE(
    "look_at_report: entities, control characters, lost characters and mis-decoded Turkish are "
    "counted, sound text is not") {
  const auto sound = look_at_report(
      "Sağ akciğer üst lobda şüpheli 5 mm nodül; İzlem önerilir.\nA & B, 3 < 5 \xC2\xB1 1 "
      "\xE2\x80\x93 déjà");
  CHECK(sound.entities + sound.controls + sound.replaced + sound.misdecoded == 0);
  CHECK(look_at_report("3 &lt; 5 &amp;amp; &#8211; &nbsp;x &foo; A&B").entities == 4);
  CHECK(look_at_report(std::string("a\x01"
                                   "b\x1B[0m\0c\t\r\n",
                                   12))
            .controls == 3);
  CHECK(look_at_report("nod\xFCl \xEF\xBF\xBD").replaced == 2);
  // nodül şüpheli akciğer çok
  CHECK(look_at_report("nodÃ¼l ÅŸÃ¼pheli akciÄŸer Ã§ok").misdecoded == 5);
}

TEST_CASE("reports of real life: what the tables hold reaches the tokenizer as text") {
  const WordPieceTokenizer tokenizer(learn_wordpiece(
      std::vector<std::string>{"no nodule in the right lung < 5 mm sag akciger izlem nodul"},
      {.min_count = 1}));
  const auto ids = [&](std::string_view text) {
    return tokenizer.encode_unpadded(clean_report(text), 64);
  };
  // escaped twice by an export
  CHECK(ids("No&nbsp;nodule &amp;lt; 5\n\n mm") == ids("no nodule < 5 mm"));
  // Control bytes vanish
  CHECK(ids(std::string("no\x01 nod\x7Fule\x1B in\0 the", 20)) == ids("no nodule in the"));
  // Turkish capitals: dotted I, soft g
  CHECK(ids("SAĞ AKCİĞER İZLEM") == ids("sag akciger izlem"));
  // letters that come in two pieces
  CHECK(ids("Sag\xCC\x86 akcig\xCC\x86"
            "er") == ids("sağ akciğer"));
  CHECK(ids("").size() == 2);
  CHECK(ids(" \t\n\xC2\xA0 &nbsp; ").size() == 2);
  // One endless word is one unknown word
  CHECK(ids(std::string(100000, 'a')).size() == 3);
  std::string longest;
  for (int i = 0; i < 5000; ++i) longest += "nodule ";
  const auto cut = ids(longest);
  CHECK(cut.size() == 64);
  CHECK(cut.back() == tokenizer.vocabulary().sep_id());
}
