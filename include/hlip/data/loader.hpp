// Loads batches in worker threads, ahead of their use. What comes out depends on the sampler alone:
// the same batches in the same order for any number of workers, and again after a resume.
#pragma once

#include <hlip/core/interruption.hpp>
#include <hlip/core/worker_thread.hpp>
#include <hlip/data/dataset.hpp>
#include <hlip/data/sampler.hpp>
#include <hlip/tensor/memory_statistics.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <type_traits>

HLIP_BEGIN

/// How a DataLoader orders and loads.
struct LoaderOptions {
  SamplerOptions sampler;
  index_t workers = 0;  ///< threads; 0 loads inside next()
  /// At most this many batches (or one sample per worker, if that is more) are held or under way
  index_t prefetch_batches = 2;
  /// Leave out samples that cannot be read, record them, and fill the batch with the samples that
  /// follow in the sampler's order.
  bool skip_bad = false;
};

/// A sample that could not be read.
struct BadSample {
  index_t epoch = 0, index = 0;
  std::string name, message;
};

/// What a DataLoader has done since it was made.
struct LoaderStatistics {
  index_t batches = 0, samples = 0;  ///< handed out
  double seconds_waited = 0;         ///< that next() kept its caller waiting
};

/// Batches of a data set.
/// @tparam Collate called as collate(std::vector<Sample>) -> batch, possibly from several threads
/// at once
template <Dataset D, class Collate> class DataLoader {
 public:
  using Sample = SampleOf<D>;
  using Batch = std::invoke_result_t<const Collate&, std::vector<Sample>>;

  struct Loaded {
    Batch data;
    std::vector<index_t> indices;  ///< of the samples, in the order of the batch
  };

  /// Starts the workers, which begin at `at`.
  /// @throws hlip::error if an option makes no sense or the position does not exist
  DataLoader(std::shared_ptr<const D> dataset, const LoaderOptions& options, Collate collate,
             const SamplerPosition& at = {})
      : dataset_(std::move(dataset)),
        options_(options),
        sampler_(static_cast<index_t>(dataset_->size()), options.sampler),
        collate_(std::move(collate)) {
    expect(options.workers >= 0 && options.workers <= 1024, "data loader",
           "workers is {}, expected 0 to 1024", options.workers);
    expect(options.prefetch_batches >= 1, "data loader",
           "prefetch_batches is {}, expected at least 1", options.prefetch_batches);
    expect(!options.skip_bad || options.sampler.world_size == 1, "data loader",
           "skip_bad with {} processes would give them different numbers of batches; leave the bad "
           "samples out of the data set instead",
           options.sampler.world_size);
    start(at);
    try {
      for (index_t i = 0; i < options.workers; ++i) threads_.emplace_back([this] { run_worker(); });
    } catch (const std::exception& e) {
      stop_workers();
      fail("data loader", "cannot start {} workers: {}", options.workers, e.what());
    }
  }
  DataLoader(D dataset, const LoaderOptions& options, Collate collate,
             const SamplerPosition& at = {})
      : DataLoader(std::make_shared<const D>(std::move(dataset)), options, std::move(collate), at) {
  }
  /// Waits for samples being read at this moment and drops everything that was loaded ahead.
  ~DataLoader() { stop_workers(); }
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  const D& dataset() const { return *dataset_; }
  const Sampler& sampler() const { return sampler_; }

  /// Goes to a position: a new epoch {epoch, 0}, or one that position() gave in an earlier run with
  /// the same options.
  /// @throws hlip::error if the position does not exist
  void start(const SamplerPosition& at) {
    auto order = sampler_.order(at.epoch);
    expect(at.position >= 0 && at.position <= static_cast<index_t>(order.size()), "data loader",
           "position {} does not exist in an epoch of {} samples; was the data set or the batch "
           "size changed?",
           at.position, order.size());
    {
      std::lock_guard lock(mutex_);
      ++generation_;
      order_ = std::move(order);
      started_ = position_ = at;
      claimed_ = assembled_ = at.position;
      produced_ = delivered_ = 0;
      finished_ = claimed_ == static_cast<index_t>(order_.size());
      slots_.clear(), samples_.clear(), indices_.clear(), bad_.clear(), ready_.clear();
    }
    work_.notify_all();
  }

  /// The next batch, or nothing at the end of the epoch; then start({epoch + 1, 0}) goes on.
  /// @throws hlip::error naming the sample if one cannot be read (with skip_bad: if none of an
  /// epoch can), or if collate throws;
  ///         interrupted in an Interruptible scope, after which the next call goes on
  std::optional<Loaded> next() {
    const auto begin = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    const auto outcome = [&] { return ready_.find(delivered_); };
    const auto decided = [&] {
      return outcome() != ready_.end() || (finished_ && delivered_ == produced_);
    };
    if (threads_.empty()) {
      while (!decided()) {
        interruption_point();
        load_one(lock);
      }
    } else {
      while (!done_.wait_for(lock, std::chrono::milliseconds(100), decided)) interruption_point();
    }
    statistics_.seconds_waited +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

    const auto at = outcome();
    if (at == ready_.end()) {  // end of the epoch
      record(bad_);
      if (started_.position == 0 && produced_ == 0 && !bad_samples_.empty())
        fail("data loader",
             "no batch could be formed in epoch {}: {} samples are bad, the first is \"{}\": {}",
             started_.epoch, bad_samples_.size(), bad_samples_.front().name,
             bad_samples_.front().message);
      return std::nullopt;
    }
    Ready& ready = at->second;
    record(ready.bad);
    if (!ready.loaded) throw error(ready.fault);  // stays there: asking again says the same
    std::optional<Loaded> loaded = std::move(ready.loaded);
    position_ = {started_.epoch, ready.next_position};
    ready_.erase(at);
    ++delivered_;
    ++statistics_.batches;
    statistics_.samples += static_cast<index_t>(loaded->indices.size());
    lock.unlock();
    work_.notify_all();
    return loaded;
  }

  /// Where the batches handed out so far end; start() with it goes on with the next batch.
  SamplerPosition position() const { return position_; }
  LoaderStatistics statistics() const { return statistics_; }
  /// Samples left out so far (with skip_bad), in the order of the sampler.
  const std::vector<BadSample>& bad_samples() const { return bad_samples_; }

 private:
  /// A sample claimed by a worker. Slots stand in the sampler's order; the first one is entry
  /// `assembled_` of the order.
  struct Slot {
    bool done = false;
    std::optional<Sample> sample;
    std::string fault, name;
    bool fatal = false;  // never to be skipped
  };
  struct Ready {
    std::optional<Loaded> loaded;
    std::string fault;
    std::vector<BadSample> bad;
    index_t next_position = 0;
  };
  using Lock = std::unique_lock<std::mutex>;

  // Samples are counted from the moment they are claimed until their batch is handed out; slots in
  // front of a batch that is not yet full can always be claimed, because fewer than one batch is
  // then held.
  bool may_claim() const {
    const index_t held = static_cast<index_t>(slots_.size() + samples_.size()) +
                         (produced_ - delivered_) * options_.sampler.batch_size;
    const index_t limit = std::max(options_.prefetch_batches * options_.sampler.batch_size,
                                   options_.workers);
    return !finished_ && claimed_ < static_cast<index_t>(order_.size()) && held < limit;
  }

  void run_worker() {
    use_one_openmp_thread();
    Lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [&] { return stop_ || may_claim(); });
      if (stop_) return;
      load_one(lock);
    }
  }

  /// Claims the next sample, loads it, and makes the batches that are complete with it. The lock is
  /// open meanwhile.
  void load_one(Lock& lock) {
    const MemoryScope scope(MemoryCategory::data);
    const auto generation = generation_;
    if (claimed_ < static_cast<index_t>(order_.size())) {
      const index_t entry = claimed_++, index = order_[static_cast<std::size_t>(entry)],
                    epoch = started_.epoch;
      slots_.emplace_back();
      lock.unlock();
      Slot loaded = load(index, epoch);
      lock.lock();
      if (generation != generation_) return;  // start() was called: nobody wants this sample
      slots_[static_cast<std::size_t>(entry - assembled_)] = std::move(loaded);
    }
    assemble(lock, generation);
  }

  Slot load(index_t index, index_t epoch) const {
    const Interruptible wholly(nullptr);
    Slot slot;
    slot.done = true;
    try {
      slot.sample.emplace(
          get_sample(*dataset_, index, sample_key(options_.sampler.seed, epoch, index)));
    } catch (const std::bad_alloc&) {
      slot.fault = "not enough memory";
      slot.fatal = true;  // says nothing about the sample
    } catch (const std::exception& e) {
      slot.fault = *e.what() ? e.what() : "failed without a message";
    } catch (...) {
      slot.fault = "failed with something that is no std::exception";
    }
    if (!slot.sample) slot.name = name_of(index);
    return slot;
  }

  std::string name_of(index_t index) const {
    try {
      return dataset_->name(index);
    } catch (...) {
      return "name unknown";
    }
  }

  /// Moves finished samples, strictly in order, into the batch being filled; collates full batches
  /// with the lock open.
  void assemble(Lock& lock, std::uint64_t generation) {
    while (generation == generation_ && !finished_) {
      const auto full = [&] {
        return static_cast<index_t>(samples_.size()) == options_.sampler.batch_size;
      };
      while (!full() && !slots_.empty() && slots_.front().done) {
        Slot slot = std::move(slots_.front());
        slots_.pop_front();
        const index_t index = order_[static_cast<std::size_t>(assembled_++)];
        if (slot.sample) {
          samples_.push_back(std::move(*slot.sample));
          indices_.push_back(index);
        } else if (options_.skip_bad && !slot.fatal) {
          bad_.push_back({started_.epoch, index, std::move(slot.name), std::move(slot.fault)});
        } else {
          Ready ready;
          ready.fault = fmt::format("data loader: sample {} \"{}\": {}", index, slot.name,
                                    slot.fault);
          finish(&ready);
          return;
        }
      }
      const bool at_end = assembled_ == static_cast<index_t>(order_.size());
      if (!full() && !at_end) break;
      if (!full() && (options_.sampler.drop_last || samples_.empty())) {
        finish(nullptr);
        return;
      }
      collate_batch(lock, generation);
    }
    work_.notify_all();  // skipped samples make room
  }

  void collate_batch(Lock& lock, std::uint64_t generation) {
    const index_t number = produced_++;
    Ready ready;
    ready.bad = std::exchange(bad_, {});
    ready.next_position = assembled_;
    auto samples = std::exchange(samples_, {});
    auto indices = std::exchange(indices_, {});
    lock.unlock();
    try {
      Batch data = collate_(std::move(samples));
      ready.loaded.emplace(Loaded{std::move(data), indices});
    } catch (const std::exception& e) {
      ready.fault = describe(indices, e.what());
    } catch (...) {
      ready.fault = describe(indices, "failed with something that is no std::exception");
    }
    lock.lock();
    if (generation != generation_) return;
    ready_.insert_or_assign(number, std::move(ready));
    done_.notify_all();
  }

  std::string describe(const std::vector<index_t>& indices, const char* what) const {
    return fmt::format(
        "data loader: a batch of {} samples from {} \"{}\" to {} \"{}\" cannot be put together: {}",
        indices.size(), indices.front(), name_of(indices.front()), indices.back(),
        name_of(indices.back()), what);
  }

  /// Nothing comes after this: the end of the order, or a fault in place of the next batch.
  void finish(Ready* fault) {
    finished_ = true;
    if (fault) ready_.insert_or_assign(produced_++, std::move(*fault));
    done_.notify_all();
  }

  void record(std::vector<BadSample>& bad) {
    for (auto& b : bad) bad_samples_.push_back(std::move(b));
    bad.clear();
  }

  void stop_workers() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    for (auto& t : threads_) t.join();
    threads_.clear();
  }

  std::shared_ptr<const D> dataset_;
  LoaderOptions options_;
  Sampler sampler_;
  Collate collate_;

  // Only the caller's thread touches these.
  SamplerPosition position_;
  LoaderStatistics statistics_;
  std::vector<BadSample> bad_samples_;

  // Everything below is guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable work_, done_;
  bool stop_ = false, finished_ = false;
  std::uint64_t generation_ = 0;  // counts start(); results of an older one are dropped
  SamplerPosition started_;
  std::vector<index_t> order_;
  index_t claimed_ = 0, assembled_ = 0;   // entries of order_ given to workers; moved into batches
  index_t produced_ = 0, delivered_ = 0;  // batches begun; handed out
  std::deque<Slot> slots_;                // entries assembled_ ... claimed_
  std::vector<Sample> samples_;           // of the batch being filled
  std::vector<index_t> indices_;
  std::vector<BadSample> bad_;  // met since the last full batch
  std::map<index_t, Ready> ready_;
  std::vector<std::thread> threads_;
};

HLIP_END
