// The evaluations of Rad-ChestCT, Pub-Brain-5, RSNA and CQ500, from scores to tables, against
// values found by hand.
#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/datasets/public/evaluation_tables.hpp>
#include <hlip/datasets/public/head_ct_prompts.hpp>
#include <hlip/datasets/public/pub_brain_5.hpp>
#include <hlip/datasets/public/rad_chestct.hpp>
#include <hlip/eval/auc_table.hpp>
#include <hlip/eval/score_table.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {
std::string plain(std::string_view s) { return std::string(s); }
bool says(const std::string& message, std::string_view part) {
  if (message.find(part) != std::string::npos) return true;
  MESSAGE(message);
  return false;
}
constexpr BootstrapOptions few = {.resamples = 50};
}  // namespace

TEST_CASE("rad_chestct: fifteen prompts, of which the calcifications become one class") {
  const auto prompts = rad_chestct_prompts(PromptTemplate::organ);
  REQUIRE(prompts.size() == 15);
  // no "Mosaic attenuation pattern" before it
  CHECK(prompts[6].name == "Peribronchial thickening");
  CHECK(prompts[13].positive == "The heart shows: Coronary artery wall calcification.");
  std::vector<double> scores;
  std::vector<std::int64_t> labels;
  for (const auto& [a, b] : {std::pair{0.2, 0.4}, std::pair{0.6, 0.3}, std::pair{0.7, 0.9}}) {
    for (int c = 0; c < 13; ++c) scores.push_back(0.01 * c), labels.push_back(c % 2);
    scores.push_back(a), scores.push_back(b), labels.push_back(a > 0.5), labels.push_back(a > 0.5);
  }
  const MergedCalcification merged(scores, labels);
  CHECK(merged.names.size() == 14);
  CHECK(merged.names.back() == "Calcification");
  CHECK(merged.scores.size() == 42);
  CHECK(merged.scores[13] == 0.2);  // neither above one half: the smaller
  CHECK(merged.scores[27] == 0.6);
  CHECK(merged.scores[41] == 0.9);
  CHECK(merged.labels[13] == 0);
  CHECK(merged.labels[41] == 1);
  CHECK(merged.scores[14 + 12] == 0.12);
}

TEST_CASE("auc_table: ranks only; a finding without positives is left out of the mean and said") {
  const std::vector<std::string> names = {"a", "b, c", "never"};
  const std::vector<double> scores = {-0.3, 0.1, 0, 0.2, 0.1, 0, 0.4, 0.3, 0, 0.1, 0.2, 0};
  const std::vector<std::int64_t> labels = {0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0};
  const AucTable table(names, scores, labels, few);
  CHECK(table.rows()[0].auc == 0.75);   // 0.4 and 0.1 against -0.3 and 0.2: three of four pairs
  CHECK(table.rows()[1].auc == 0.625);  // 0.1 and 0.3 against 0.1 and 0.2: half, none, one, one
  CHECK(std::isnan(table.rows()[2].auc));
  CHECK(table.macro_auc() == 0.6875);
  CHECK(table.left_out() == std::vector<std::string>{"never"});
  CHECK(says(table.to_text(),
             "left out of the mean, because all studies have the same label: never"));
  CHECK(table.to_csv().starts_with(
      "finding,positives,negatives,auc,auc_low,auc_high,interval_note\na,2,2,0.75,"));
  CHECK(says(table.to_csv(), "\n\"b, c\",2,2,0.625,"));
  CHECK(says(table.to_csv(), "\nnever,0,4,,,,\nmean,,,0.6875,"));
  CHECK(table.to_text().find(interval_mark) == std::string::npos);
  const AucTable sole(std::vector<std::string>{"a"}, std::vector<double>{0.1, 0.9, 0.2},
                      std::vector<std::int64_t>{0, 1, 0}, few);
  CHECK(says(sole.to_text(), "1.000-1.000†\n† too narrow"));
  CHECK(says(sole.to_csv(), "\na,1,2,1,1,1,one positive: too narrow\n"));
}

TEST_CASE("head CT prompts: one template for RSNA, eighteen for CQ500") {
  CHECK(rsna_prompts().filled() ==
        std::vector<std::string>{"This CT study shows: intracranial hemorrhage.",
                                 "This CT study shows: intraparenchymal hemorrhage.",
                                 "This CT study shows: intraventricular hemorrhage.",
                                 "This CT study shows: subarachnoid hemorrhage.",
                                 "This CT study shows: subdural hemorrhage."});
  const auto cq500 = cq500_prompts();
  CHECK(cq500.findings.size() == 11);
  CHECK(cq500.templates.size() == 18);
  const auto filled = cq500.filled();
  CHECK(filled.size() == 198);
  CHECK(filled[18 * 9 + 1] == "This study shows: mass effect identified.");
  CHECK(filled.back() == "This study shows: compatible with midline shift.");
}

TEST_CASE("pub_brain_5: who takes part, and metrics by hand") {
  const std::vector<std::string> studies = {
      "x/open_bhb/1",       "x/open_bhb/2",           "x/stroke/1",   "x/stroke/2",
      "x/brats23/glioma/1", "x/brats23/meningioma/1", "x/nyu_mets/1", "x/ucsf_mets/1"};
  const std::vector<std::size_t> labels = {0, 0, 1, 1, 2, 3, 4, 4};
  const std::vector<double> logits = {5, 1, 1, 1, 1, 1, 2, 9, 1, 1, 1, 3, 1, 1, 1, 2, 1, 1, 1, 1,
                                      1, 1, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1, 1, 1, 6, 0, 1, 2, 1, 3};
  std::vector<PubBrainResult> results;
  for (const auto& task : pub_brain_5_tasks())
    results.push_back(score_pub_brain_task(task, studies, logits, labels, few));
  REQUIRE(results.size() == 6);
  // stroke: margins (stroke - normal) are -4, 1 for normal and 2, -1 for stroke. Right: normal 1 of
  // 2, stroke 1 of 2; pairs 3 of 4.
  CHECK(results[0].counts == std::vector<std::int64_t>{2, 2});
  CHECK(results[0].balanced_accuracy == 0.5);
  CHECK(results[0].auc == 0.75);
  CHECK(results[0].recall == 0.5);
  CHECK(results[0].precision == 0.5);
  CHECK(results[0].weighted_f1 == 0.5);
  // metastasis takes normal, nyu and ucsf: margins -4, 0 (a tie, which is normal) against 5 and 3.
  CHECK(results[3].studies() == 4);
  CHECK(results[3].balanced_accuracy == 1);
  CHECK(results[3].auc == 1);
  // tumor: glioma right, meningioma called glioma, metastases right: (1 + 0 + 1) / 3.
  CHECK(results[4].counts == std::vector<std::int64_t>{1, 1, 2});
  CHECK(results[4].balanced_accuracy == doctest::Approx(2.0 / 3));
  CHECK(std::isnan(results[4].recall));
  // disease: normal 1 of 2 (the other is called glioma), stroke 1 of 2, glioma, no meningioma,
  // metastasis 2 of 2.
  CHECK(results[5].studies() == 8);
  CHECK(results[5].balanced_accuracy == doctest::Approx((0.5 + 0.5 + 1 + 0 + 1) / 5));
  CHECK(results[5].auc_interval.low <= results[5].auc);
  const auto p = row_softmax(logits, 5);
  CHECK(
      results[5].auc ==
      doctest::Approx(macro_roc_auc(p, std::vector<std::int64_t>(labels.begin(), labels.end()), 5))
          .epsilon(1e-14));
  CHECK(says(pub_brain_csv(results), "\nstroke,4,0.5,"));
  CHECK(says(pub_brain_text(results), "disease"));
  CHECK(results[0].note().empty());
  CHECK(says(pub_brain_csv(results), ",one study of a class: too narrow\ndisease,"));
  CHECK(says(pub_brain_text(results), "† too narrow"));
}

TEST_CASE(
    "pub_brain_5: a task with one class has no metrics, a label outside of the task is refused") {
  const std::vector<std::string> studies = {"open_bhb/1", "open_bhb/2"};
  const std::vector<double> logits(10, 0.0);
  const auto tasks = pub_brain_5_tasks();
  const auto r = score_pub_brain_task(tasks[0], studies, logits, std::vector<std::size_t>{0, 0},
                                      few);
  CHECK(r.studies() == 2);
  CHECK(std::isnan(r.auc));
  CHECK(std::isnan(r.balanced_accuracy));
  // Nobody takes part
  CHECK(std::isnan(
      score_pub_brain_task(tasks[4], studies, logits, std::vector<std::size_t>{0, 0}, few).auc));
  CHECK(says(test::error_of([&] {
               score_pub_brain_task(tasks[0], studies, logits, std::vector<std::size_t>{0, 2}, few);
             }),
             "study open_bhb/2 is labelled Glioma"));
}

TEST_CASE("score tables: numbers come back exactly, studies meet by their bare names") {
  TempFolder folder;
  const ScoreTable table{{"A", "B, b"}, {"s1", "s2"}, {0.1, 1.0 / 3, 1e-17, 12345.678}};
  atomic_write(folder / "scores.csv", table.to_csv());
  const auto back = read_score_table(folder / "scores.csv", {"A", "B, b"}, plain);
  CHECK(back.studies == table.studies);
  CHECK(back.values == table.values);
  atomic_write(folder / "reference.csv", "recon,B,A\n/data/trn1.pt,0.5,0.25\n");
  const auto other = read_score_table(folder / "reference.csv", {"A", "B"}, bare_name<>);
  CHECK(other.studies == std::vector<std::string>{"trn1"});
  CHECK(other.values == std::vector<double>{0.25, 0.5});
  CHECK(bare_name("valid_1_a_1.nii.gz") == "valid_1_a_1");

  atomic_write(folder / "labels.csv", "id,a,Merged,C\ns2,1.0,0,0\ns1,0,1,1\nmore,0,0,0\n");
  const auto labels = read_label_table(folder / "labels.csv", "id", {{"A", "a"}, {"B", "Merged"}},
                                       plain);
  CHECK(labels.columns == std::vector<std::string>{"A", "B"});
  CHECK(labels_of(table, labels, "labels.csv") == std::vector<std::int64_t>{0, 1, 1, 0});
}

TEST_CASE("score tables: faults are named with their place") {
  TempFolder folder;
  const auto scores = [&](const std::string& text) {
    atomic_write(folder / "s.csv", text);
    return test::error_of([&] { read_score_table(folder / "s.csv", {"A"}, plain); });
  };
  CHECK(says(scores("study,A\nx,high\n"), "line 2, column A: is \"high\", expected a number"));
  CHECK(says(scores("study,A\nx,nan\n"), "expected a number"));
  CHECK(says(scores("study,A\nx,1\nx,2\n"), "line 3, column study: \"x\" is already in line 2"));
  CHECK(says(scores("study,B\nx,1\n"), "column A is absent"));
  const auto labels = [&](const std::string& text) {
    atomic_write(folder / "l.csv", text);
    return test::error_of([&] {
      read_label_table(folder / "l.csv", "study", {{"A", "a"}}, plain);
    });
  };
  CHECK(says(labels("study,A\nx,2\n"), "line 2, column A: is \"2\", expected 0 or 1"));
  CHECK(says(labels("study,A\nx,1\nx,1\n"), "is already in line 2"));
  CHECK(says(labels("study,B\nx,1\n"), "column A is absent"));
  atomic_write(folder / "l.csv", "study,A\nx,1\n");
  const auto table = read_label_table(folder / "l.csv", "study", {{"A"}}, plain);
  CHECK(says(test::error_of([&] {
               labels_of({{"A"}, {"y"}, {0.5}}, table, "l.csv");
             }),
             "study \"y\" has scores but no row of labels"));
}

TEST_CASE(
    "zero-shot tables: what was written is read, to the last digit, and nothing is computed "
    "again") {
  TempFolder folder;
  const std::vector<std::string> names = {"a", "b, c", "never"};
  std::vector<double> scores;
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 30; ++i)
    for (int c = 0; c < 3; ++c)
      scores.push_back(uniform_at({3, 1, 0}, static_cast<std::uint64_t>(3 * i + c))),
          labels.push_back(c < 2 && (i + c) % 3 == 0);
  const ZeroShotTable table(names, scores, labels, few);
  atomic_write(folder / "t.csv", table.to_csv());
  const ZeroShotTable back = read_zero_shot_table(folder / "t.csv");
  CHECK(back.to_csv() == table.to_csv());
  CHECK(back.to_text(true) == table.to_text(true));
  CHECK(back.last_line() == table.last_line());
  CHECK(back.left_out() == std::vector<std::string>{"never"});
  const std::string csv = table.to_csv();
  atomic_write(folder / "t.csv", csv.substr(0, csv.find("\nmean") + 1));
  CHECK(says(test::error_of([&] { read_zero_shot_table(folder / "t.csv"); }),
             "expected a last row \"mean\"; is the file cut?"));
  atomic_write(folder / "t.csv", csv.substr(0, csv.find('\n') + 1));
  CHECK(says(test::error_of([&] { read_zero_shot_table(folder / "t.csv"); }), "t.csv: "));
}

TEST_CASE(
    "inspect: every table that evaluate reads is known by its columns, and every fault in it has "
    "its line") {
  TempFolder folder;
  const auto look = [&](const std::string& text) {
    atomic_write(folder / "t.csv", text);
    return inspect_table_file(folder / "t.csv");
  };
  const auto line = [](std::size_t n, const char* value) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += std::string(",") + value;
    return out + "\n";
  };
  std::string rad = "NoteAcc_DEID", own = "NoteAcc_DEID";
  for (const auto& c : rad_chestct_columns) rad += "," + std::string(c.name);
  for (const char* c :
       {"nodule", "atelectasis", "emphysema", "opacity", "fibrosis", "pleural_effusion",
        "bronchial_wall_thickening", "consolidation", "bronchiectasis", "septal_thickening",
        "cardiomegaly", "pericardial_effusion", "hernia", "calcification", "air_trapping"})
    own += "," + std::string(c);
  auto report = look(rad + "\ntrn00001" + line(15, "0.0") + "trn00002" + line(15, "1.0"));
  CHECK(report.ok());
  CHECK(report.summary == "Rad-ChestCT table of labels, 2 studies");
  CHECK(report.details.front() == "Emphysema: 1 of 2");
  CHECK(look(own + "\ntrn00001" + line(15, "0")).ok());
  report = look(
      "study,Normal,Stroke,Glioma,Meningioma,Metastasis\n/data/pub_brain_5/stroke/a,0,1,0,0,0\n/"
      "data/pub_brain_5/stroke/b,0,2,0,0,x\n/data/pub_brain_5/stroke/a,0,1,0,0,0\n");
  CHECK(report.summary == "Pub-Brain-5 table of labels, 3 studies, 1 of them sound");
  REQUIRE(report.problems.size() == 3);
  CHECK(says(report.problems[0], "line 3, column Stroke: is \"2\", expected 0 or 1"));
  CHECK(says(report.problems[1], "line 3, column Metastasis: is \"x\""));
  CHECK(says(report.problems[2],
             "line 4, column study: \"/data/pub_brain_5/stroke/a\" is already in line 2"));
  CHECK(look("study,Any,Epidural,Intraparenchymal,Intraventricular,Subarachnoid,Subdural\nID_1" +
             line(6, "1"))
            .summary == "RSNA table of labels, 1 study");
  CHECK(look("study,ICH,IPH,IVH,SDH,EDH,SAH,BleedLocation-Left,BleedLocation-Right,ChronicBleed,"
             "Fracture,CalvarialFracture,OtherFracture,MassEffect,MidlineShift\nCQ500CT0" +
             line(14, "0"))
            .summary == "CQ500 table of labels, 1 study");
  CHECK(look("study,Acute stroke\ns1,1\n").summary == "table of labels, 1 study");
  CHECK(look("study,Acute stroke\ns1,0.25\ns2,1\n").summary ==
        "table of scores, 1 column of 2 studies");
  CHECK(look("recon,Emphysema,Atelectasis\nvalid_1_a_1.pt,0.1,1e-3\n").summary ==
        "table of scores, 2 columns of 1 study");
  CHECK(says(look("recon,Emphysema\nvalid_1_a_1.pt,high\n").problems.at(0),
             "line 2, column Emphysema: is \"high\", expected a number"));
  CHECK(says(look("VolumeName,Findings_EN,Impressions_EN\nvalid_1_a_1.nii.gz,fine,\n").summary,
             "CT-RATE table of reports"));
  CHECK(says(look("colour,shape\nred,round\n").problems.at(0), "VolumeName"));
  std::string wrong = "study,Acute stroke\n";
  for (int i = 0; i < 50; ++i) wrong += fmt::format("s{},?\n", i);
  report = look(wrong);
  CHECK(report.problems.size() == 21);
  CHECK(says(report.problems.back(), "and 30 more faults"));
}

TEST_CASE("pub_brain_5: scans get the slices of the evaluation that was published with the model") {
  CHECK(pub_brain_5_slices("vit_base_multiscan_h2_token1176") == 144);
  CHECK(pub_brain_5_slices("vit_base_scan_study_token1176") == 48);
  CHECK(pub_brain_5_slices("vit_large_scan_study_dualdinotxt1568") == 48);
  CHECK(pub_brain_5_slices("brain_phantom") == 144);
}
