#pragma once

#include <barrier>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kerncast/communicator.hpp"
#include "kerncast/kerncast.hpp"
#include "templates/reference/host_float.hpp"
#include "tests/templates/kernel_cache.hpp"
#include "tests/templates/samples.hpp"

/// Ranks that are threads of this process, each with a device.
namespace kerncast::test {

inline Runtime& ranks_runtime() {
  static const KernelCache cache;
  static Runtime runtime([] {
    RuntimeOptions options;
    options.cache_directory = cache.path();
    return options;
  }());
  return runtime;
}

/// The all-gather of `world` threads.
class ThreadGather {
 public:
  explicit ThreadGather(int world) : meeting_(world), parts_(static_cast<std::size_t>(world)) {}

  [[nodiscard]] auto of(int rank) {
    return [this, rank](const void* mine, std::size_t bytes, void* all) {
      std::vector<std::byte>& part = parts_.at(static_cast<std::size_t>(rank));
      part.resize(bytes);
      std::memcpy(part.data(), mine, bytes);
      meeting_.arrive_and_wait();
      for (std::size_t i = 0; i < parts_.size(); ++i) {
        std::memcpy(static_cast<std::byte*>(all) + i * bytes, parts_[i].data(), bytes);
      }
      meeting_.arrive_and_wait();
    };
  }

 private:
  std::barrier<> meeting_;
  std::vector<std::vector<std::byte>> parts_;
};

/// Runs `work(rank)` on a thread for each rank, with its device current. Returns what each threw, as text.
inline std::vector<std::string> on_ranks(int world, const std::function<void(int rank)>& work) {
  std::vector<std::string> errors(static_cast<std::size_t>(world));
  std::vector<std::thread> threads;
  threads.reserve(errors.size());
  for (int rank = 0; rank < world; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ranks_runtime().make_current(rank);
        work(rank);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  return errors;
}

inline void require_no_errors(const std::vector<std::string>& errors) {
  for (const std::string& error : errors) {
    REQUIRE(error == "");
  }
}

/// The communicators of `world` ranks. `change` may change the options of a rank.
class Group {
 public:
  explicit Group(int world, const std::function<void(CommunicatorOptions&)>& change = nullptr)
      : ranks(static_cast<std::size_t>(world)) {
    ThreadGather gather(world);
    errors = on_ranks(world, [&](int rank) {
      CommunicatorOptions options;
      options.rank = rank;
      options.world = world;
      options.max_bytes = std::size_t{1} << 16U;
      options.all_gather = gather.of(rank);
      if (change) {
        change(options);
      }
      ranks[static_cast<std::size_t>(rank)] = std::make_unique<Communicator>(ranks_runtime(), options);
    });
  }

  Communicator& operator[](int rank) { return *ranks.at(static_cast<std::size_t>(rank)); }

  std::vector<std::unique_ptr<Communicator>> ranks;
  std::vector<std::string> errors;  ///< what the constructors threw
};

/// The place of a rank's result of a call among those of all ranks and calls.
inline std::size_t place_of(int call, int world, int rank) {
  return static_cast<std::size_t>(call) * static_cast<std::size_t>(world) + static_cast<std::size_t>(rank);
}

/// The bytes of `count` elements of rank `rank` in call `call`. Some are -0, and some are large.
inline std::vector<std::byte> message_of(DType type, std::size_t count, int rank, int call) {
  std::vector<double> values =
      samples(count, 1000 * static_cast<std::uint64_t>(call) + static_cast<std::uint64_t>(rank),
              rank % 2 == 0 ? 1.0 : 37.0);
  for (std::size_t i = 0; i < count; i += 5) {
    values[i] = -0.0;
  }
  for (std::size_t i = 1; i < count; i += 7) {
    // Opposite values of two ranks cancel.
    values[i] = static_cast<double>(i % 100) * (rank % 2 == 0 ? 1.0 : -1.0);
  }
  return to_bytes(type, values);
}

/// The sum over the ranks in double, rounded to f32 after each addition as the op states, and to `type` at
/// the end; zeros are positive.
inline std::vector<std::byte> expected_sum(DType type, std::size_t count, int world, int call) {
  const auto size = static_cast<std::size_t>(size_of(type));
  std::vector<double> totals(count);
  for (int rank = 0; rank < world; ++rank) {
    const std::vector<std::byte> message = message_of(type, count, rank, call);
    for (std::size_t i = 0; i < count; ++i) {
      totals[i] = reference::rounded(DType::f32, totals[i] + reference::decode(type, &message[i * size]));
    }
  }
  for (double& total : totals) {
    total = reference::rounded(type, total);
    total = total == 0.0 ? 0.0 : total;
  }
  return to_bytes(type, totals);
}

}  // namespace kerncast::test
