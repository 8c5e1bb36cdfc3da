// Text: report clean-up, tokeniser, vocabularies. Optional header: needs utf8proc. Beside it:
// label_report.hpp, the labeller of reports, and sentencepiece.hpp, which needs libsentencepiece.
#pragma once

#include <hlip/core/utf8.hpp>
#include <hlip/text/clean_report.hpp>
#include <hlip/text/normalise.hpp>
#include <hlip/text/report_look.hpp>
#include <hlip/text/vocabulary.hpp>
#include <hlip/text/wordpiece.hpp>
#include <hlip/text/wordpiece_learn.hpp>
#include <hlip/text/words.hpp>
