#include <hlip/distributed/thread_group.hpp>
#include <hlip/nn/linear.hpp>
#include <hlip/train/run.hpp>
#include <hlip/train/supervised.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <thread>

using namespace hlip;

namespace {

struct Line {
  using value_type = float;
  using backend = Cpu;
  Linear<> layer;
  explicit Line(std::uint64_t seed) {
    Initializer init(seed);
    layer = Linear<>(3, 1, true, 0.5, init);
  }
  template <class V> void visit(V&& v) { v("layer", layer); }
};

struct Point {
  std::vector<float> x;
  float y;
};
/// Points near a plane. @param bad a point that cannot be read, -1: none
struct Points {
  index_t bad = -1;
  index_t size() const { return 26; }
  std::string name(index_t i) const { return "point_" + std::to_string(i); }
  Point get(index_t i) const {
    if (i == bad) fail("points", "cannot be read");
    const auto at = [&](int k) {
      return static_cast<float>(std::sin(1.7 * static_cast<double>(i) + k));
    };
    return {{at(0), at(1), at(2)}, at(0) - 2 * at(1) + 0.1f * at(5)};
  }
};
struct PointBatch {
  Tensor<float> x, y;  // (B, 3), (B, 1)
};
const auto collate_points = [](const std::vector<Point>& points) {
  const auto n = static_cast<index_t>(points.size());
  PointBatch b{Tensor<float>::empty({n, 3}), Tensor<float>::empty({n, 1})};
  for (index_t i = 0; i < n; ++i) {
    const Point& p = points[static_cast<std::size_t>(i)];
    std::copy(p.x.begin(), p.x.end(), b.x.data() + 3 * i);
    b.y.data()[i] = p.y;
  }
  return b;
};

const std::vector<RunStage> two_stages{{"warm", "warm", "warm"}, {"main", "main", "main"}};

RunOptions options_of(const std::string& out, index_t batch) {
  RunOptions o;
  o.out = out, o.batch_size = batch, o.steps = 9, o.warmup = 2, o.lr = 0.05, o.workers = 0;
  o.log_every_n_steps = 1000, o.save_frequency_steps = 4, o.seed = 3;
  return o;
}

struct Outcome {
  std::vector<float> weights;
  StageResult result;
  std::string fault;
};

/// A whole run of one rank: the stage "warm" of three steps and "main" of o.steps.
template <class C>
Outcome run_of(const RunOptions& o, const C& communicator, const Points& points = {},
               bool frozen_bias = false) {
  Outcome out;
  try {
    Line model(7);
    set_requires_grad(model, !frozen_bias,
                      [](const std::string& name) { return name == "layer.bias"; });
    RunFolder folder(o, communicator);
    Run<C> run(o, folder, two_stages, communicator);
    run.find_origin("seed = \"3\"\nfresh = \"0\"\n");
    run.say_origin();
    const RunLength length = run_length(o, points.size(), communicator.size());
    Supervised objective(model, {.weight_decay = 0.01, .ema_decay = 0.5},
                         [&](const PointBatch& b, const Context&) {
                           return Var<float>(mean(square(model.layer(b.x) - b.y)));
                         });
    const auto samples = std::make_shared<const Points>(points);
    for (const auto& stage : two_stages) {
      if (run.is_past(stage.name)) continue;
      TrainerOptions t = trainer_options(o, length);
      t.stage = stage.name;
      if (stage.name == "warm") t.steps = 3;
      out.result = run.stage(objective, t, samples, o.batch_size, o.seed, collate_points);
    }
    for (const auto& [name, p] : named_parameters(model))
      for (const float v : p->value().to_vector()) out.weights.push_back(v);
  } catch (const error& e) {
    out.fault = e.what();
  }
  return out;
}

std::vector<Outcome> run_ranks(int ranks, const RunOptions& o, int rank_with_bad_point = -1) {
  const ThreadGroup group(ranks);
  std::vector<Outcome> outcomes(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] {
      outcomes[static_cast<std::size_t>(r)] = run_of(o, group.rank(r),
                                                     Points{r == rank_with_bad_point ? 5 : -1});
    });
  for (auto& t : threads) t.join();
  return outcomes;
}

double furthest(const std::vector<float>& a, const std::vector<float>& b) {
  double most = a.size() == b.size() ? 0 : 1e9;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    most = std::max(most, static_cast<double>(std::abs(a[i] - b[i])));
  return most;
}

}  // namespace

TEST_CASE(
    "run: four ranks end in the same bits as each other, where one process with their batches "
    "ends, and write as one") {
  const TempFolder one_folder, four_folder;
  const Outcome one = run_of(options_of(one_folder.string(), 8), SingleProcess{});
  REQUIRE(one.fault == "");
  const auto four = run_ranks(4, options_of(four_folder.string(), 2));
  for (const auto& rank : four) {
    CHECK(rank.fault == "");
    CHECK(rank.weights == four[0].weights);
    CHECK(rank.result.step == 9);
  }
  CHECK(furthest(four[0].weights, one.weights) < 1e-5);
  std::vector<std::string> files[2];
  for (const int k : {0, 1})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             (k == 0 ? one_folder : four_folder).string()))
      files[k].push_back(
          entry.path().string().substr((k == 0 ? one_folder : four_folder).string().size()));
  for (auto& list : files) std::sort(list.begin(), list.end());
  CHECK(files[0] == files[1]);
  const auto rows_of = [](const TempFolder& folder) {  // stage, step
    std::vector<std::string> rows;
    const std::string text = read_file(folder.string() + "/metrics.csv");
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      const std::string line = text.substr(at, end - at);
      rows.push_back(line.substr(0, line.find(',', line.find(',') + 1)));
    }
    return rows;
  };
  CHECK(rows_of(one_folder) == rows_of(four_folder));
  CHECK(rows_of(four_folder).size() == 1 + 3 + 9);
  CHECK(std::find(files[0].begin(), files[0].end(), "/main_8/model_ema.safetensors") !=
        files[0].end());
  // Where they stand in the epoch is counted over all ranks.
  CHECK(saved_position(one_folder.string() + "/main_8").at ==
        saved_position(four_folder.string() + "/main_8").at);
}

TEST_CASE("run: a run of four ranks goes on with two, or with one, on the same batches") {
  const TempFolder straight, stopped;
  const auto whole = run_ranks(4, options_of(straight.string(), 2));
  for (const int ranks : {1, 2}) {
    RunOptions o = options_of(stopped.string(), 2);
    std::filesystem::remove_all(stopped.string() + "/main_9");
    o.steps = 9, o.save_frequency_steps = 4;
    if (ranks == 1) REQUIRE(run_ranks(4, o)[0].fault == "");
    std::filesystem::remove_all(stopped.string() + "/main_9");
    o.resume = "latest", o.batch_size = 8 / ranks;
    const auto resumed = run_ranks(ranks, o);
    CHECK(resumed[0].fault == "");
    CHECK(furthest(resumed[0].weights, whole[0].weights) < 1e-5);
  }
}

TEST_CASE(
    "run: when one rank cannot load its batch, all of them end with an error, and no rank waits "
    "for another") {
  const TempFolder folder;
  const auto ranks = run_ranks(4, options_of(folder.string(), 2), 2);
  int named = 0;
  for (const auto& rank : ranks) {
    const bool own = rank.fault.find("point_5") != std::string::npos,
               other = rank.fault.find("another process has failed") != std::string::npos;
    CHECK(own != other);
    named += own;
  }
  CHECK(named == 1);
}

TEST_CASE("run: when the first rank cannot begin to write, all of them end with an error") {
  const TempFolder folder;
  std::filesystem::create_directories(folder.string() + "/metrics.csv");  // no file
  for (const auto& rank : run_ranks(3, options_of(folder.string(), 2))) CHECK(rank.fault != "");
  const TempFolder taken;
  const FolderLock lock(taken.string());
  for (const auto& rank : run_ranks(3, options_of(taken.string(), 2))) CHECK(rank.fault != "");
}

TEST_CASE(
    "run: stages are names: a run goes on in the one it was stopped in, and its log keeps the rows "
    "of those before") {
  const TempFolder folder;
  RunOptions o = options_of(folder.string(), 4);
  o.report_to = "tensorboard";
  REQUIRE(run_of(o, SingleProcess{}).fault == "");
  const std::string rows = read_file(folder.string() + "/metrics.csv");
  const auto steps_of = [](const std::string& text, const std::string& stage) {
    int n = 0;
    for (std::size_t at = 0; (at = text.find("\n" + stage + ",", at)) != std::string::npos; ++at)
      ++n;
    return n;
  };
  CHECK(steps_of(rows, "warm") == 3);
  CHECK(steps_of(rows, "main") == 9);
  CHECK(std::filesystem::is_directory(folder.string() + "/tensorboard/warm"));
  std::filesystem::remove_all(folder.string() + "/main_9");
  o.resume = "latest";
  const Outcome resumed = run_of(o, SingleProcess{});
  CHECK(resumed.fault == "");
  CHECK(resumed.result.step == 9);
  CHECK(steps_of(read_file(folder.string() + "/metrics.csv"), "warm") == 3);
  CHECK(steps_of(read_file(folder.string() + "/metrics.csv"), "main") == 9);
  o.resume = folder.string() + "/warm_3";  // back to the end of the first stage
  CHECK(run_of(o, SingleProcess{}).weights == resumed.weights);
  CHECK(steps_of(read_file(folder.string() + "/metrics.csv"), "main") == 9);
}

TEST_CASE(
    "run: a checkpoint that does not fit is refused with the options that changed, and nothing of "
    "the run is touched") {
  const TempFolder folder;
  RunOptions o = options_of(folder.string(), 4);
  REQUIRE(run_of(o, SingleProcess{}).fault == "");
  const std::string before = read_file(folder.string() + "/metrics.csv");
  atomic_write(folder.string() + "/config.toml", "seed = \"4\"\n");
  o.resume = "latest";
  const Outcome refused = run_of(o, SingleProcess{}, {}, /*frozen_bias=*/true);
  CHECK(refused.fault.find("was trained, and is not any more") != std::string::npos);
  CHECK(refused.fault.ends_with("changed since it was made: --seed, --fresh"));
  // An option of later versions at its default is not what has changed
  o.at_default = {"fresh", "seed"};
  CHECK(run_of(o, SingleProcess{}, {}, true).fault.ends_with("changed since it was made: --seed"));
  CHECK(read_file(folder.string() + "/metrics.csv") == before);
  CHECK(read_file(folder.string() + "/config.toml") == "seed = \"4\"\n");
}
