#include <hlip/data/loader.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <set>

using namespace hlip;

namespace {

struct Sample {
  index_t index;
  double draw;
};

/// Numbers with a random draw each; can be slow, and some cannot be read.
struct Numbers {
  index_t count = 40;
  std::set<index_t> broken = {};
  bool slow = false;
  std::atomic<int>* alive = nullptr;   // samples being read
  std::atomic<int>* loaded = nullptr;  // samples read so far

  index_t size() const { return count; }
  std::string name(index_t i) const { return "study_" + std::to_string(i); }
  Sample get(index_t i, const RandomKey& key) const {
    if (alive) ++*alive;
    // finish out of order
    if (slow) std::this_thread::sleep_for(std::chrono::microseconds(300 * ((i * 7) % 5)));
    if (alive) --*alive;
    if (loaded) ++*loaded;
    if (broken.count(i)) fail("nifti", "file of study {} is cut off", i);
    return {i, RandomStream(key).uniform()};
  }
};

struct Collect {
  std::vector<Sample> operator()(std::vector<Sample> samples) const { return samples; }
};

using Loader = DataLoader<Numbers, Collect>;
using Batches = std::vector<std::vector<std::pair<index_t, double>>>;

void read_epoch(Loader& loader, Batches& out, std::size_t limit = 1000) {
  for (std::size_t n = 0; n < limit; ++n) {
    const auto batch = loader.next();
    if (!batch) return;
    REQUIRE(batch->indices.size() == batch->data.size());
    out.emplace_back();
    for (std::size_t i = 0; i < batch->data.size(); ++i) {
      CHECK(batch->data[i].index == batch->indices[i]);
      out.back().emplace_back(batch->data[i].index, batch->data[i].draw);
    }
  }
}

Batches read_epochs(const Numbers& data, const LoaderOptions& options, index_t epochs) {
  Loader loader(data, options, {});
  Batches out;
  for (index_t e = 0; e < epochs; ++e) {
    if (e > 0) loader.start({e, 0});
    read_epoch(loader, out);
  }
  return out;
}

LoaderOptions with_workers(index_t workers, index_t batch_size = 6) {
  LoaderOptions o;
  o.sampler.batch_size = batch_size;
  o.sampler.seed = 11;
  o.workers = workers;
  return o;
}

}  // namespace

static_assert(Dataset<Numbers> && Dataset<Subset<Numbers>>);
static_assert(!Dataset<int>);

TEST_CASE("loader: the same batches and draws for any number of workers and any prefetch") {
  Numbers data;
  data.slow = true;
  const auto want = read_epochs(data, with_workers(0), 3);
  CHECK(want.size() == 18);
  CHECK(want[0] != want[6]);
  for (const index_t workers : {1, 2, 4, 9}) {
    for (const index_t prefetch : {1, 3}) {
      auto options = with_workers(workers);
      options.prefetch_batches = prefetch;
      CAPTURE(workers);
      CHECK(read_epochs(data, options, 3) == want);
    }
  }
}

TEST_CASE(
    "loader: an epoch is the sampler's order cut into batches, the last one kept on request") {
  auto options = with_workers(2, 7);
  options.sampler.drop_last = false;
  const auto batches = read_epochs(Numbers{}, options, 1);
  REQUIRE(batches.size() == 6);
  CHECK(batches.back().size() == 5);
  std::vector<index_t> seen;
  for (const auto& b : batches)
    for (const auto& s : b) seen.push_back(s.first);
  CHECK(seen == Sampler(40, options.sampler).order(0));
}

TEST_CASE("loader: draws depend on epoch and sample, not on the place in the batch") {
  auto small = with_workers(1, 4), large = with_workers(3, 10);
  std::map<index_t, double> draws;
  for (const auto& b : read_epochs(Numbers{}, small, 1))
    for (const auto& [index, draw] : b) draws[index] = draw;
  for (const auto& b : read_epochs(Numbers{}, large, 1))
    for (const auto& [index, draw] : b) CHECK(draws.at(index) == draw);
}

TEST_CASE("loader: a run resumed after any batch goes on as if never interrupted") {
  Numbers data;
  data.broken = {3, 17, 18};
  for (const index_t workers : {0, 3}) {
    auto options = with_workers(workers);
    options.skip_bad = true;
    const auto want = read_epochs(data, options, 2);
    for (std::size_t stop = 0; stop <= want.size() / 2; ++stop) {
      Batches got;
      SamplerPosition saved;
      {
        Loader first(data, options, {});
        read_epoch(first, got, stop);
        saved = first.position();
      }
      Loader second(data, options, {}, saved);
      CHECK(second.position() == saved);
      read_epoch(second, got);
      second.start({1, 0});
      read_epoch(second, got);
      CAPTURE(stop);
      CHECK(got == want);
    }
  }
}

TEST_CASE("loader: a sample that cannot be read stops the run at its batch, with name and index") {
  Numbers data;
  data.slow = true;
  for (const index_t workers : {0, 1, 4}) {
    const auto options = with_workers(workers);
    const index_t bad = Sampler(data.size(), options.sampler).order(0)[14];  // in the third batch
    data.broken = {bad};
    Loader loader(data, options, {});
    CHECK(loader.next());
    CHECK(loader.next());
    const auto message = fmt::format(
        "data loader: sample {} \"study_{}\": nifti: file of study {} is cut off", bad, bad, bad);
    CHECK_THROWS_WITH_AS(loader.next(), message.c_str(), error);
    CHECK_THROWS_WITH_AS(loader.next(), message.c_str(), error);
    CHECK(loader.statistics().batches == 2);
    CHECK(loader.bad_samples().empty());
  }
}

TEST_CASE(
    "loader: skip_bad records bad samples and fills up in the sampler's order, for any number of "
    "workers") {
  Numbers data;
  data.slow = true;
  for (index_t i = 0; i < 40; i += 3) data.broken.insert(i);
  auto options = with_workers(0, 5);
  std::vector<index_t> good, bad;
  for (const index_t i : Sampler(data.size(), options.sampler).order(0))
    (data.broken.count(i) ? bad : good).push_back(i);
  options.skip_bad = true;
  for (const index_t workers : {0, 1, 4}) {
    options.workers = workers;
    Loader loader(data, options, {});
    Batches batches;
    read_epoch(loader, batches);
    CHECK(batches.size() == good.size() / 5);
    std::size_t at = 0;
    for (const auto& b : batches)
      for (const auto& s : b) CHECK(s.first == good[at++]);
    REQUIRE(loader.bad_samples().size() == bad.size());
    for (std::size_t i = 0; i < bad.size(); ++i) {
      CHECK(loader.bad_samples()[i].index == bad[i]);
      CHECK(loader.bad_samples()[i].name == data.name(bad[i]));
      CHECK(loader.bad_samples()[i].message ==
            fmt::format("nifti: file of study {} is cut off", bad[i]));
    }
  }
}

TEST_CASE(
    "loader: an epoch without a readable sample is an error, more bad samples than are prefetched "
    "are not") {
  Numbers data;
  for (index_t i = 0; i < 40; ++i) data.broken.insert(i);
  for (const index_t workers : {0, 4}) {
    auto options = with_workers(workers, 2);
    options.prefetch_batches = 1;
    options.skip_bad = true;
    Loader none(data, options, {});
    CHECK_THROWS_WITH_AS(
        none.next(), doctest::Contains("no batch could be formed in epoch 0: 40 samples are bad"),
        error);
    auto few = data;
    const auto order = Sampler(40, options.sampler).order(0);
    few.broken.erase(order[38]), few.broken.erase(order[39]);
    Loader last(few, options, {});
    const auto batch = last.next();
    REQUIRE(batch);
    CHECK(batch->indices == std::vector<index_t>{order[38], order[39]});
    CHECK_FALSE(last.next());
  }
}

TEST_CASE("loader: memory running out is not taken for a bad sample") {
  struct Greedy {
    index_t size() const { return 4; }
    std::string name(index_t) const { return "large"; }
    int get(index_t) const { throw std::bad_alloc(); }
  };
  const auto first = [](const std::vector<int>& v) { return v.front(); };
  LoaderOptions options;
  options.skip_bad = true;
  DataLoader loader(Greedy{}, options, first);
  CHECK_THROWS_WITH_AS(loader.next(), doctest::Contains("\"large\": not enough memory"), error);
}

TEST_CASE("loader: a collate that throws names the batch") {
  const auto picky = [](const std::vector<Sample>& samples) {
    for (const auto& s : samples)
      if (s.index == 5) fail("stack", "volume is (3, 4), expected (4, 4)");
    return samples.size();
  };
  for (const index_t workers : {0, 3}) {
    auto options = with_workers(workers, 4);
    options.sampler.shuffle = false;
    DataLoader loader(Numbers{}, options, picky);
    CHECK(loader.next()->data == 4);
    CHECK_THROWS_WITH_AS(
        loader.next(),
        doctest::Contains(
            "from 4 \"study_4\" to 7 \"study_7\" cannot be put together: stack: volume is"),
        error);
  }
}

TEST_CASE("loader: destruction and restart while workers are busy") {
  std::atomic<int> alive{0};
  Numbers data;
  data.slow = true;
  data.alive = &alive;
  for (int round = 0; round < 20; ++round) {
    Loader loader(data, with_workers(4, 3), {});
    if (round % 3 > 0) CHECK(loader.next());
    if (round % 3 > 1) loader.start({round, 0});
  }
  CHECK(alive == 0);

  Loader loader(data, with_workers(4), {});
  Batches got, want = read_epochs(data, with_workers(0), 3);
  for (index_t e = 0; e < 30; ++e) {  // results of an earlier start never leak into a later one
    loader.start({e % 3, 0});
    const auto batch = loader.next();
    REQUIRE(batch);
    CHECK(batch->data.front().draw == want[static_cast<std::size_t>(6 * (e % 3))].front().second);
  }
}

TEST_CASE("loader: no more than the prefetch is loaded ahead") {
  std::atomic<int> loaded{0};
  Numbers data;
  data.count = 1000;
  data.loaded = &loaded;
  auto options = with_workers(3, 4);
  options.prefetch_batches = 2;
  Loader loader(data, options, {});
  for (int b = 1; b <= 5; ++b) {
    CHECK(loader.next());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(loaded <= 4 * (b + 2));
  }
  CHECK(loader.statistics().samples == 20);
  CHECK(loader.statistics().seconds_waited >= 0);
}

TEST_CASE("loader: a position at the end of an epoch gives no batch and does not hang") {
  for (const index_t workers : {0, 2}) {
    Loader loader(Numbers{}, with_workers(workers), {}, {0, 40});
    CHECK_FALSE(loader.next());
    CHECK_FALSE(loader.next());
    loader.start({0, 38});
    CHECK_FALSE(loader.next());
    loader.start({1, 0});
    CHECK(loader.next());
    CHECK_THROWS_WITH_AS(loader.start({0, 41}),
                         doctest::Contains("position 41 does not exist in an epoch of 40 samples"),
                         error);
  }
}

TEST_CASE(
    "loader: waiting for a batch can be given up, between samples or beside busy workers, and goes "
    "on with the same batch") {
  static std::atomic<int> loaded;
  static int wanted;  // samples after which it is given up
  Numbers data{.slow = true, .loaded = &loaded};
  LoaderOptions options;
  options.sampler = {.batch_size = 40, .seed = 3};
  for (const index_t workers : {0, 2}) {
    CAPTURE(workers);
    options.workers = workers;
    loaded = 0;
    wanted = workers == 0 ? 5 : 0;
    // not within a tenth of a second
    if (workers > 0) data.count = 100'000, options.sampler.batch_size = 4000;
    Loader loader(data, options, {});
    {
      const Interruptible scope([] { return loaded >= wanted; });
      CHECK_THROWS_AS(loader.next(), interrupted);
    }
    CHECK(loaded < options.sampler.batch_size);
    const auto batch = loader.next();
    REQUIRE(batch);
    const auto order = loader.sampler().order(0);
    CHECK(std::equal(batch->indices.begin(), batch->indices.end(), order.begin()));
  }
}

TEST_CASE("loader: options that make no sense are refused") {
  auto options = with_workers(-1);
  CHECK_THROWS_AS(Loader(Numbers{}, options, {}), error);
  options = with_workers(0);
  options.prefetch_batches = 0;
  CHECK_THROWS_AS(Loader(Numbers{}, options, {}), error);
  options = with_workers(0);
  options.skip_bad = true;
  options.sampler.world_size = 2;
  CHECK_THROWS_WITH_AS(Loader(Numbers{}, options, {}),
                       doctest::Contains("leave the bad samples out"), error);
}

TEST_CASE("subset: the chosen samples of a data set under their own names") {
  const Subset<Numbers> some(std::make_shared<const Numbers>(), {5, 3});
  CHECK(some.size() == 2);
  CHECK(some.name(0) == "study_5");
  CHECK(get_sample(some, 1, {}).index == 3);
  CHECK_THROWS_AS(some.name(2), error);
  CHECK_THROWS_AS((Subset<Numbers>(std::make_shared<const Numbers>(), {40})), error);
}
