// Text: report clean-up, tokeniser, vocabularies, labeller of reports. Optional header: needs
// utf8proc. Beside it: sentencepiece.hpp, which needs libsentencepiece.
#pragma once

#include <hlip/core/utf8.hpp>
#include <hlip/text/clean_report.hpp>
#include <hlip/text/label_report.hpp>
#include <hlip/text/mention.hpp>
#include <hlip/text/normalise.hpp>
#include <hlip/text/report_cues.hpp>
#include <hlip/text/report_look.hpp>
#include <hlip/text/report_sentences.hpp>
#include <hlip/text/vocabulary.hpp>
#include <hlip/text/wordpiece.hpp>
#include <hlip/text/wordpiece_learn.hpp>
#include <hlip/text/words.hpp>
