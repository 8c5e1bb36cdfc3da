#include <hlip/text/clean_report.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("clean_report: entities are unescaped twice and white space collapses") {
  CHECK(clean_report("  No \n\n nodule\t.\r\n") == "No nodule .");
  CHECK(clean_report("size &lt; 3&nbsp;mm &amp;amp; &amp;lt;5&amp;gt;") == "size < 3 mm & <5>");
  CHECK(clean_report("\xC2\xA0\xE3\x80\x80x\xE2\x80\x83y\x1c") == "x y");
  CHECK(clean_report("") == "");
  CHECK(clean_report(" \n ") == "");
}

TEST_CASE(
    "unescape_html: numeric references in both bases, with Windows-1252 and out of range values as "
    "HTML has them") {
  CHECK(unescape_html("&#65;&#x42;&#X63;&#100") == "ABcd");
  CHECK(unescape_html("&#150;") == "\xE2\x80\x93");
  CHECK(unescape_html("&#0;&#xD800;&#99999999999999999999;") ==
        "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(unescape_html("&#;&#x;&# 1;") == "&#;&#x;&# 1;");
}

TEST_CASE("unescape_html: unknown and unfinished names stay as they are") {
  CHECK(unescape_html("A&B &foo; & &") == "A&B &foo; & &");
  CHECK(unescape_html("&ampx &le &le;") == "&x &le \xE2\x89\xA4");
  CHECK(unescape_html("&eacute;&plusmn;&frac12;") == "\xC3\xA9\xC2\xB1\xC2\xBD");
}

TEST_CASE(
    "utf8: every code point survives the round trip and malformed bytes become U+FFFD one by one") {
  std::vector<char32_t> all;
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 37)
    if (c < 0xD800 || c > 0xDFFF) all.push_back(c);
  CHECK(decode_utf8(encode_utf8(all)) == all);
  const char32_t bad = replacement_character;
  CHECK(decode_utf8("a\x80z") == std::vector<char32_t>{'a', bad, 'z'});
  CHECK(decode_utf8("\xC0\x80") == std::vector<char32_t>{bad, bad});
  CHECK(decode_utf8("\xED\xA0\x80") == std::vector<char32_t>{bad, bad, bad});
  CHECK(decode_utf8("\xF4\x90\x80\x80") == std::vector<char32_t>{bad, bad, bad, bad});
  CHECK(decode_utf8("\xE2\x82") == std::vector<char32_t>{bad, bad});
  CHECK(encode_utf8({0x110000}) == "\xEF\xBF\xBD");
}
