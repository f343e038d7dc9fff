// Many threads on several devices and streams, with misses, evictions and failures at once.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <kerncast/ops/norm/rms_norm.hpp>
#include "kerncast/kerncast.hpp"
#include "tests/temporary_directory.hpp"

using namespace kerncast;

namespace {

constexpr int thread_count = 32;
constexpr int device_count = 4;
constexpr int stream_count = 8;
constexpr int rounds = 24;
constexpr std::int64_t rows = 2;
constexpr std::array<std::int64_t, 6> sizes = {128, 256, 384, 512, 640, 768};

RuntimeOptions options(const std::string& cache) {
  RuntimeOptions out;
  out.driver = "sim";
  out.cache_directory = cache;
  out.cache_max_entries = 4;
  return out;
}

/// The functions of the driver that the test calls itself.
struct Driver {
  explicit Driver(const Runtime& runtime) {
    find(runtime, "cuMemAlloc", allocate);
    find(runtime, "cuMemFree", free);
    find(runtime, "cuMemcpyHtoD", upload);
    find(runtime, "cuMemcpyDtoH", download);
    find(runtime, "cuStreamCreate", create_stream);
    find(runtime, "cuStreamSynchronize", synchronize);
  }
  template <class Function>
  static void find(const Runtime& runtime, const char* name, Function& target) {
    target = reinterpret_cast<Function>(runtime.driver_symbol(name));
    REQUIRE(target != nullptr);
  }
  int (*allocate)(std::uint64_t*, std::size_t) = nullptr;
  int (*free)(std::uint64_t) = nullptr;
  int (*upload)(std::uint64_t, const void*, std::size_t) = nullptr;
  int (*download)(void*, std::uint64_t, std::size_t) = nullptr;
  int (*create_stream)(Stream*, unsigned) = nullptr;
  int (*synchronize)(Stream) = nullptr;
};

/// The first thing that went wrong in any thread.
class Defects {
 public:
  void add(const std::string& text) {
    const std::lock_guard lock(mutex_);
    first_ = first_.empty() ? text : first_;
  }
  void unless(bool good, const char* text) {
    if (!good) {
      add(text);
    }
  }
  [[nodiscard]] const std::string& first() const { return first_; }

 private:
  std::mutex mutex_;
  std::string first_;
};

/// Rows of twos in device memory, and a place for what the op makes of them: ones.
class Rows {
 public:
  Rows(const Driver& driver, int device, std::int64_t hidden)
      : driver_(driver), values_(static_cast<std::size_t>(rows * hidden), 2.0F) {
    ok_ =
        driver_.allocate(&memory_, 2 * bytes()) == 0 && driver_.upload(memory_, values_.data(), bytes()) == 0;
    call_.x = TensorView::contiguous(reinterpret_cast<void*>(memory_), DType::f32, {rows, hidden}, device);
    call_.y = TensorView::contiguous(reinterpret_cast<void*>(memory_ + bytes()), DType::f32, {rows, hidden},
                                     device);
    call_.eps = 0;
  }
  ~Rows() { driver_.free(memory_); }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  [[nodiscard]] const norm::RmsNorm& call() const { return call_; }
  [[nodiscard]] bool are_ones(Stream stream) {
    ok_ = ok_ && driver_.synchronize(stream) == 0 &&
          driver_.download(values_.data(), memory_ + bytes(), bytes()) == 0;
    for (const float value : values_) {
      ok_ = ok_ && value == 1.0F;
    }
    return ok_;
  }

 private:
  [[nodiscard]] std::size_t bytes() const { return values_.size() * sizeof(float); }

  const Driver& driver_;
  std::vector<float> values_;
  std::uint64_t memory_ = 0;
  norm::RmsNorm call_;
  bool ok_ = false;
};

template <class Call>
bool fails_with(ErrorCode code, Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code() == code;
  }
  return false;
}

/// One round of a thread: a failure, a look-up, and a launch whose result is checked.
void work(Runtime& runtime, const Driver& driver, int device, Stream stream, std::size_t turn,
          Defects& defects) {
  const std::int64_t hidden = sizes[turn % sizes.size()];
  Rows own(driver, device, hidden);
  switch (turn % 4) {
    case 0:
      launch(runtime, own.call(), stream);
      break;
    case 1:
      prepare(runtime, own.call()).launch(stream);
      break;
    case 2: {
      norm::RmsNorm wrong = own.call();
      wrong.y.dtype = DType::i32;
      defects.unless(fails_with(ErrorCode::invalid_argument, [&] { launch(runtime, wrong, stream); }),
                     "a wrong dtype was no error");
      launch(runtime, own.call(), stream);
      break;
    }
    default: {
      const OpDefinition& op = definition_of<norm::RmsNorm>();
      static_cast<void>(runtime.ensure(op, bind(own.call())));
      defects.unless(fails_with(ErrorCode::invalid_argument, [&] { static_cast<void>(runtime.arch(99)); }),
                     "a device that does not exist was no error");
      launch(runtime, own.call(), stream);
      break;
    }
  }
  defects.unless(own.are_ones(stream), "a result is wrong");
}

}  // namespace

TEST_CASE("32 threads launch on 4 devices and 8 streams while entries are evicted and calls fail") {
  ::setenv("KERNCAST_SIM_DEVICES", "4", 1);
  const TemporaryDirectory cache;
  Runtime shared(options(cache.path()));
  const Driver driver(shared);
  std::array<Stream, stream_count> streams{};
  for (int i = 0; i < stream_count; ++i) {
    shared.make_current(i % device_count);
    REQUIRE(driver.create_stream(&streams[static_cast<std::size_t>(i)], 1) == 0);
  }

  Defects defects;
  const auto run = [&](int number) {
    try {
      const int device = number % device_count;
      shared.make_current(device);
      for (int round = 0; round < rounds; ++round) {
        // Every eighth thread has a Runtime of its own in each round, which finds nothing in memory.
        std::unique_ptr<Runtime> own;
        if (number % 8 == 7) {
          own = std::make_unique<Runtime>(options(cache.path()));
        }
        work(own != nullptr ? *own : shared, driver, device,
             streams[static_cast<std::size_t>(number % stream_count)],
             static_cast<std::size_t>(number) + static_cast<std::size_t>(round), defects);
      }
    } catch (const std::exception& error) {
      defects.add(error.what());
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < thread_count; ++i) {
    threads.emplace_back(run, i);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(defects.first() == "");
  CHECK(shared.cache_counters().misses >= 1);
}
