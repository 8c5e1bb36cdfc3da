#include "../support/errors.hpp"

#include <hlip/core/error.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("visible: well-formed text passes, broken bytes are found") {
  CHECK(find_invalid_utf8("plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\xA9\xBA") ==
        std::string_view::npos);
  CHECK(find_invalid_utf8("ab\xFF") == 2);
  CHECK(find_invalid_utf8("\xC0\xAF") == 0);          // overlong
  CHECK(find_invalid_utf8("\xED\xA0\x80") == 0);      // surrogate
  CHECK(find_invalid_utf8("\xF4\x90\x80\x80") == 0);  // beyond the last character
  CHECK(find_invalid_utf8("a\xE2\x82") == 1);         // cut
}

TEST_CASE("visible: quoting shows no control characters") {
  CHECK(quote_text("a\x1B[2J") == "\"a\\x1b[2J\"");
  CHECK(quote_text("abcdef", 3) == "\"abc\"...");
  CHECK(quote_text("\xE9") == "\"\\xe9\"");
  CHECK(quote_text("ab\xC3\xA9", 3) == "\"ab\"...");
}

TEST_CASE(
    "visible: letters stay, and what acts on a terminal or turns the direction of writing becomes "
    "its bytes") {
  CHECK(visible_text("résumé 漢字 €") == "résumé 漢字 €");
  CHECK(visible_text("a\r\n\tb\x7F") == "a\\x0d\\x0a\\x09b\\x7f");
  CHECK(visible_text("one\ntwo\r", true) == "one\ntwo\\x0d");
  // the control sequence introducer of Latin-1
  CHECK(visible_text("\xC2\x9B"
                     "2J") == "\\xc2\\x9b2J");
  CHECK(visible_text("a\xE2\x80\xAE"
                     "fdp") == "a\\xe2\\x80\\xaefdp");  // right-to-left override
  CHECK(visible_text("\xE2\x81\xA6x\xE2\x80\xA8") == "\\xe2\\x81\\xa6x\\xe2\\x80\\xa8");
  CHECK(visible_text("\xE2") == "\\xe2");
  CHECK(visible_text(std::string_view("\0", 1)) == "\\x00");
}

TEST_CASE("visible: no message carries raw control characters, whatever names stand in it") {
  const std::string name = "a\x1B]0;owned\x07\nb";
  CHECK(test::error_of([&] { fail_file(name, name, "holds {}", "x\x1B"); }) ==
        "a\\x1b]0;owned\\x07\\x0ab: a\\x1b]0;owned\\x07\\x0ab: holds x\\x1b");
  CHECK(test::error_of([&] { fail(name, "two\nlines\x1B"); }) ==
        "a\\x1b]0;owned\\x07\\x0ab: two\nlines\\x1b");
}
