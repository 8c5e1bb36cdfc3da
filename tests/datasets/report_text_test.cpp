#include <hlip/datasets/report_text.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace hlip;

TEST_CASE(
    "report text: sentences end at full stops, not inside numbers or abbreviations in small "
    "letters") {
  const auto s = split_sentences(
      "A nodule of 5.2 mm is seen. Heart size e.g. normal? No effusion. 3 lesions");
  CHECK(s == std::vector<std::string>{"A nodule of 5.2 mm is seen.", "Heart size e.g. normal?",
                                      "No effusion. 3 lesions"});
  CHECK(split_sentences("").empty());
  CHECK(split_sentences("one") == std::vector<std::string>{"one"});
}

TEST_CASE("report text: whole sampling uses every string of the annotation") {
  const ReportText t{{"A.", "B.", "C."}, {}, {}};
  std::set<std::string> seen;
  for (std::uint64_t i = 0; i < 100; ++i) {
    RandomStream random({1, 0, i});
    seen.insert(sample_report(t, ReportSampling::whole, random));
  }
  CHECK(seen.size() == 6);  // every order of three
  CHECK(seen.count("C. A. B.") == 1);
}

TEST_CASE(
    "report text: sentence sampling gives the impression, in about 40 % with one to four findings "
    "sentences") {
  const ReportText t{{"unused"}, {"I1.", "I2."}, {"F1.", "F2.", "F3.", "F4.", "F5.", "F6."}};
  int with_findings = 0;
  std::set<std::size_t> lengths;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    RandomStream random({2, 0, i});
    const std::string text = sample_report(t, ReportSampling::sentences, random);
    CHECK(text.rfind("The volume shows: I", 0) == 0);
    const auto at = text.find(" The volume looks like: ");
    if (at == std::string::npos) {
      CHECK(text.size() == std::string("The volume shows: I1. I2.").size());
      continue;
    }
    ++with_findings;
    lengths.insert((text.size() - at - std::string(" The volume looks like: ").size() + 1) / 4);
  }
  CHECK(with_findings > 720);  // 0.4 · 2000 ± 4 standard deviations
  CHECK(with_findings < 880);
  CHECK(lengths == std::set<std::size_t>{1, 2, 3, 4});
}

TEST_CASE(
    "report text: the sections of a pair come from one report, and a missing section is replaced") {
  RandomStream random({3, 0, 0});
  const auto [a, b] = sample_sections({{"W."}, {"I."}, {"F1.", "F2."}}, random);
  CHECK(a == "The volume shows: I.");
  CHECK((b == "The volume shows: F1. F2." || b == "The volume shows: F2. F1."));
  const auto [c, d] = sample_sections({{"W."}, {}, {}}, random);
  CHECK(c == "The volume shows: W.");
  CHECK(d == c);
}

TEST_CASE(
    "report text: the halves of a report share no sentence and leave none out; a single sentence "
    "is on both sides") {
  const std::vector<std::string> sentences{"A.", "B.", "C.", "D.", "E."};
  std::set<std::string> first;
  for (std::uint64_t i = 0; i < 50; ++i) {
    RandomStream random({3, 0, i});
    const auto [a, b] = sample_halves(sentences, "Lead: ", random);
    CHECK(a.rfind("Lead: ", 0) == 0);
    CHECK(a.size() + b.size() == 2 * 6 + 5 * 2 + 3);  // leads, sentences, blanks
    for (const auto& s : sentences)
      CHECK((a.find(s) != std::string::npos) != (b.find(s) != std::string::npos));
    first.insert(a);
  }
  CHECK(first.size() > 10);
  RandomStream random({3, 0, 0});
  CHECK(sample_halves({"A."}, "Lead: ", random) ==
        std::pair<std::string, std::string>{"Lead: A.", "Lead: A."});
}

TEST_CASE(
    "report text: a single sentence is one of the impression, one of the annotation's strings, or "
    "one sentence of its only string") {
  const auto drawn = [](const ReportText& t) {
    std::set<std::string> texts;
    for (std::uint64_t i = 0; i < 60; ++i) {
      RandomStream random({5, 0, i});
      texts.insert(sample_sentence(t, random));
    }
    return texts;
  };
  CHECK(drawn({{"unused"}, {"I1.", "I2."}, {"F."}}) ==
        std::set<std::string>{"The volume shows: I1.", "The volume shows: I2."});
  CHECK(drawn({{"The lung shows: A. B.", "The heart shows: C."}, {}, {}}) ==
        std::set<std::string>{"The lung shows: A. B.", "The heart shows: C."});
  CHECK(drawn({{"The volume shows: A. The volume looks like: B."}, {}, {}}) ==
        std::set<std::string>{"The volume shows: A.", "The volume looks like: B."});
}
