// Reports of pictures: tokens and prompt, loss, learning, checkpoints, rows of tables.
#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"
#include "../support/sanitizers.hpp"

#include <hlip/io/png.hpp>
#include <hlip/optim/adamw.hpp>
#include <hlip/phantoms/radiograph.hpp>
#include <hlip/systems/rad_dino/compare_reports.hpp>
#include <hlip/systems/rad_dino/generate_reports.hpp>
#include <hlip/systems/rad_dino/report_pictures.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using namespace test;

namespace {

const std::vector<std::string> reports{
    "No nodule is seen.", "A nodule of 12 mm, and no hernia.", "The heart is enlarged.",
    "There is a pneumothorax on the left, the heart is enlarged."};

WriterDescription description() {
  WriterDescription d;
  d.request = "Look: <image> findings?";
  return d;
}
ReportWriter<> writer_of(const ReportTokens& tokens) {
  Initializer init(3);
  return make_report_writer(load_picture_encoder<Cpu>("untrained:radiograph_phantom_tiny", 1),
                            description(), tokens, tiny_decoder_config(32, 1, tokens), init);
}
std::string written_picture(const TempFolder& folder, index_t i) {
  const PhantomRadiograph x = draw_radiograph(plan_radiograph({}, 3, i), 32);
  const std::string name = fmt::format("p{}.png", i);
  atomic_write(folder / name, encode_grey_png(x.pixels, 32, 32));
  return name;
}
/// A table of four pictures of phantoms with the reports above.
std::string table_of_four(const TempFolder& folder) {
  std::string csv = "image,split,report\n";
  for (std::size_t i = 0; i < reports.size(); ++i)
    csv += csv_row(std::vector<std::string>{written_picture(folder, static_cast<index_t>(i)),
                                            "train", reports[i]});
  atomic_write(folder / "table.csv", csv);
  return folder / "table.csv";
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("report writer: the prompt has the picture where <image> stands, or first") {
  const ReportTokens tokens = writer_tokens(description(), reports, 2);
  CHECK(tokens.words() != nullptr);
  const ReportPrompt p = report_prompt(tokens, description().request);
  CHECK(p.before.front() == tokens.bos());
  CHECK((tokens.decode(p.before) == "Look:" && tokens.decode(p.after) == "findings?"));
  const ReportPrompt q = report_prompt(tokens, "findings?");
  CHECK((q.before.size() == 1 && q.after == p.after));
  CHECK(tokens.decode({p.after[0], 9999}) == "findings");
  CHECK(has(error_of([&] { report_prompt(tokens, "<image> <image>"); }), "second <image>"));
}

TEST_CASE("report writer: the loss is that of the reports, however they are batched") {
  NoGrad guard;
  const ReportTokens tokens = writer_tokens(description(), reports, 1);
  const ReportWriter<> w = writer_of(tokens);
  CHECK(w.prompt_tokens() == 16 + 5);
  ReportBatch<Cpu> both;
  RandomStream random({1, 2, 3});
  std::vector<float> levels;
  for (int i = 0; i < 2 * 32 * 32; ++i) levels.push_back(static_cast<float>(random.normal()));
  both.pictures = Tensor<float>::from_values({2, 1, 32, 32}, std::span<const float>(levels));
  both.reports = {tokens.encode(reports[0]), tokens.encode(reports[1])};
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    both.reports[i].push_back(tokens.eos());
    const auto at = static_cast<index_t>(i);
    const ReportBatch<Cpu> one{both.pictures.slice(0, at, at + 1), {both.reports[i]}};
    const auto n = static_cast<double>(both.reports[i].size());
    sum += n * w.loss(one).item(), count += n;
    // by hand: the log-probability of each token behind those before it
    double total = 0;
    for (std::size_t t = 0; t < both.reports[i].size(); ++t) {
      const std::vector<std::int64_t> before(
          both.reports[i].begin(), both.reports[i].begin() + static_cast<std::ptrdiff_t>(t));
      const Var<float> states = w.decoder.hidden(w.prompts(
          one.pictures, Tensor<std::int64_t>::from_values({1, static_cast<index_t>(t)},
                                                          std::span<const std::int64_t>(before))));
      const auto logits = w.decoder.logits(select(states, 1, states.dim(1) - 1)).value();
      double all = 0;
      for (const float v : logits.to_vector()) all += std::exp(static_cast<double>(v));
      total += std::log(all) - static_cast<double>(logits.at({0, both.reports[i][t]}));
    }
    CHECK(w.loss(one).item() == doctest::Approx(total / n).epsilon(1e-4));
  }
  CHECK(w.loss(both).item() == doctest::Approx(sum / count).epsilon(1e-5));
}

TEST_CASE("report writer: learns four reports by heart, and writes them from its checkpoint") {
  TempFolder folder;
  Problems problems;
  const ReportRows rows = rows_with_reports(read_radiograph_table(table_of_four(folder)), "report",
                                            "train", problems);
  const ReportTokens tokens = writer_tokens(description(), rows.reports, 1);
  ReportWriter<> w = writer_of(tokens);
  const ReportPictures pictures(rows, tokens, w, "table.csv", problems);
  CHECK((pictures.size() == 4 && problems.empty()));
  std::vector<ReportPictures::Sample> all;
  for (index_t i = 0; i < 4; ++i) all.push_back(pictures.get(i));
  const ReportBatch<Cpu> batch = collate_reports<Cpu>(all);
  TrainedPart<ReportWriter<>> trained{&w};
  AdamW<float, Cpu> optimizer(optimized_parameters(named_parameters(trained), 0), {});
  const double before = w.loss(batch).item();
  for (int step = 0; step < (under_sanitizers ? 3 : 120); ++step) {
    optimizer.zero_grad();
    w.loss(batch).backward();
    optimizer.step(4e-3);
  }
  CHECK(w.loss(batch).item() < before);
  each_parameter(w.encoder.vit, [](const std::string&, auto& p) { CHECK_FALSE(p.has_grad()); });

  const std::string run = folder / "run";
  CheckpointStore(run, {"step"}).save("step", 1, [&](const std::string& path) {
    SafetensorsWriter weights;
    for (const auto& [name, p] : named_parameters(trained)) weights.add(name, p->value());
    weights.write(path + "/model.safetensors");
    for (const char* file : {"/optimizer.safetensors", "/state.json"})
      atomic_write(path + file, "{}");
    write_writer_files(path, w, description(), tokens);
  });
  write_picture_encoder(writer_encoder_folder(run), w.encoder.vit, w.encoder.preparation);
  const auto loaded = load_report_writer<Cpu>(run);
  GenerateOptions options;
  options.max_new_tokens = 20;
  const auto progress = [](index_t, index_t) {};
  const auto made = generate_reports(loaded, rows.images, 3, options, false, progress);
  CHECK(made.pictures == std::vector<std::size_t>{0, 1, 2, 3});
  if (!under_sanitizers) CHECK(made.texts == reports);
  CHECK(has(error_of([&] { load_report_writer<Cpu>(run, "untrained:radiograph_phantom"); }),
            "projector.0.weight: takes features of width 96, those of "
            "untrained:radiograph_phantom have 128 (hint: --encoder"));
  CHECK(has(error_of([&] { load_report_writer<Cpu>(run, "", "elsewhere"); }),
            "holds the whole decoder"));
  const std::string sizes = run + "/step_1/decoder_config.json";
  std::string text = read_file(sizes);
  text.replace(text.find("\"hidden_size\": 32"), 17, "\"hidden_size\": 96000");
  atomic_write(sizes, text);
  CHECK(has(error_of([&] { load_report_writer<Cpu>(run); }),
            "model.safetensors: decoder.model.embed_tokens.weight: is ("));
}

TEST_CASE("report writer: rows without a report, and reports that are too long, are told") {
  TempFolder folder;
  const std::string picture = written_picture(folder, 1), other = written_picture(folder, 2);
  atomic_write(folder / "table.csv",
               "image,report\n" + picture + ",\" \"\n" + other + ",no nodule no nodule\n");
  const RadiographTable table = read_radiograph_table(folder / "table.csv");
  Problems problems;
  const ReportRows rows = rows_with_reports(table, "report", "", problems);
  REQUIRE(problems.size() == 1);
  CHECK(has(problems[0], "line 2, column report: is empty, expected a report"));
  CHECK(rows.names == std::vector<std::string>{other});
  CHECK(has(error_of([&] { rows_with_reports(table, "text", "", problems); }), "text"));
  const ReportTokens tokens = writer_tokens(description(), rows.reports, 1);
  ReportWriter<> w = writer_of(tokens);
  w.decoder.config.max_positions = w.prompt_tokens() + 4;
  problems.clear();
  CHECK(has(error_of([&] { ReportPictures(rows, tokens, w, "t.csv", problems); }),
            "t.csv: line 3: a report of 5 tokens; behind the 21 of picture and prompt the decoder "
            "has place for 4"));
  WriterDescription lora = description();
  lora.decoder = folder.string();
  CHECK(has(error_of([&] { writer_tokens(lora, reports, 1); }), "config.json"));
}

TEST_CASE("compare_reports: findings by rules, or from tables; facts by number or picture") {
  TempFolder folder;
  const std::vector<std::string> names{"a.png", "b.png"},
      wanted{"A nodule of 3 mm is seen.", "The heart is enlarged."},
      said{"No nodule is seen.", "Cardiomegaly."};
  const ComparedReports rules = compare_reports(names, wanted, said, {});
  CHECK((rules.findings.size() == 10 && !rules.facts));
  CHECK(rules.references[0].labels[2] == 1);  // lung nodule
  CHECK(rules.hypotheses[0].labels[2] == 0);
  CHECK(rules.references[1].labels == rules.hypotheses[1].labels);
  const auto facts = [](const std::string& a, const std::string& b) {
    return "{\"" + a + "\": {\"entities\": {\"1\": {\"tokens\": \"nodule\", \"label\": \"x\", " +
           "\"relations\": []}}}, \"" + b + "\": {\"entities\": {}}}";
  };
  atomic_write(folder / "numbered.json", facts("0", "1"));
  atomic_write(folder / "named.json", facts("b.png", "a.png"));
  const ComparedReports both = compare_reports(
      names, wanted, said, {"", "", folder / "numbered.json", folder / "named.json"});
  CHECK((both.references[0].facts.size() == 1 && both.references[1].facts.empty()));
  CHECK((both.hypotheses[0].facts.empty() && both.hypotheses[1].facts == both.references[0].facts));
  atomic_write(folder / "short.json", facts("a.png", "c.png"));
  CHECK(has(error_of([&] {
              compare_reports(names, wanted, said,
                              {"", "", folder / "short.json", folder / "named.json"});
            }),
            "short.json: has no report \"b.png\""));
}
