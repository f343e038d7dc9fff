#include <catch2/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "tests/simulator/cuda/cuda_source.hpp"
#include "tests/simulator/kernel_runner.hpp"

// Kernels whose threads work together through cooperative groups, cuda::barrier, cuda::pipeline and cub.
namespace kerncast::simulator::testing {

namespace {

/// The libraries have one code path for each of these; compiling them takes seconds.
const std::vector<std::string> archs{"75", "90a", "120a"};

template <class F>
void for_archs(F f) {
  std::string why;
  const auto compiler = CudaCompiler::find(why);
  if (compiler == nullptr) {
    WARN("skipped: " << why);
    return;
  }
  for (const Arch& arch : compiler->known(archs)) {
    CAPTURE(arch.name);
    Runner runner(compiler->ptx("blocks.cu", arch), arch.sm);
    runner.checks = true;
    f(runner);
  }
}

std::vector<int> numbers(std::size_t count, int modulus) {
  std::vector<int> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(static_cast<int>((i * 2654435761U >> 7) % static_cast<unsigned>(modulus)));
  }
  return values;
}

/// kernel(y, x, n) on one block of 128 threads: `size` elements of y.
std::vector<int> run(Runner& runner, const char* kernel, const std::vector<int>& x, std::size_t size) {
  int* y = runner.zeros<int>(size);
  const Fault fault =
      runner.run(kernel, {1, 1, 1}, {128, 1, 1}, 0, y, runner.upload(x), static_cast<int>(x.size()));
  INFO(kernel << ": " << fault.message);
  CHECK(fault.kind == FaultKind::none);
  return Runner::download(y, size);
}

}  // namespace

TEST_CASE("The blocks of a cooperative grid meet at its barrier") {
  for_archs([](Runner& runner) {
    constexpr std::size_t element_count = 200;
    std::vector<int> x = numbers(element_count, 10);
    std::vector<int> rows = x;
    rows.resize(2 * element_count);
    int* buffer = runner.upload(rows);
    runner.cooperative = true;
    const Fault fault =
        runner.run("grid_rounds", {4, 1, 1}, {64, 1, 1}, 0, buffer, static_cast<int>(element_count), 6);
    REQUIRE(fault.message == "");
    for (int round = 0; round < 6; ++round) {
      const std::vector<int> before = x;
      for (std::size_t i = 0; i < element_count; ++i) {
        x[i] = before[i] + before[(i + 1) % element_count];
      }
    }
    CHECK(Runner::download(buffer, element_count) == x);
  });
}

TEST_CASE("Blocks copy ahead, wait at barriers and split into groups") {
  for_archs([](Runner& runner) {
    const std::vector<int> x = numbers(768, 1000);
    const std::vector<int> staged = run(runner, "staged", x, 128);
    const std::vector<int> mirrored = run(runner, "mirrored", x, x.size());
    const std::vector<int> values(x.begin(), x.begin() + 128);
    const std::vector<int> grouped = run(runner, "grouped", values, 384);
    for (std::size_t t = 0; t < 128; ++t) {
      int sum = 0;
      for (std::size_t i = 0; i < 6; ++i) {
        sum += x[i * 128 + t * 7 % 128];
        CHECK(mirrored[i * 128 + t] == x[i * 128 + 127 - t]);
      }
      CHECK(staged[t] == sum);
      const auto warp = values.begin() + static_cast<std::ptrdiff_t>(t / 32 * 32);
      const auto at = [&](std::size_t i) { return values.begin() + static_cast<std::ptrdiff_t>(i); };
      CHECK(grouped[t] == std::accumulate(warp, warp + 32, 0));
      CHECK(grouped[128 + t] == std::accumulate(at(t / 4 * 4), at(t + 1), 0));
      CHECK(grouped[256 + t] ==
            std::count_if(warp, warp + 32, [&](int v) { return v % 3 == values[t] % 3; }));
    }
  });
}

TEST_CASE("Blocks sort and scan with cub") {
  for_archs([](Runner& runner) {
    std::vector<std::uint32_t> keys;
    std::vector<int> order(512);
    std::iota(order.begin(), order.end(), 0);
    for (std::uint32_t i = 0; i < 512; ++i) {
      keys.push_back(i * 2654435761U ^ i << 20);
    }
    std::uint32_t* device_keys = runner.upload(keys);
    std::uint32_t* merged_keys = runner.upload(keys);
    int* device_order = runner.upload(order);
    const Fault fault = runner.run("sorted", {1, 1, 1}, {128, 1, 1}, 0, device_keys, device_order);
    REQUIRE(fault.message == "");
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)];
    });
    CHECK(Runner::download(device_order, 512) == order);
    std::sort(keys.begin(), keys.end());
    CHECK(Runner::download(device_keys, 512) == keys);

    // Merging loads a key that nobody wrote, and does not use it.
    runner.checks = true;
    const Fault merging = runner.run("merged", {1, 1, 1}, {128, 1, 1}, 0, merged_keys);
    REQUIRE(merging.message == "");
    CHECK(Runner::download(merged_keys, 512) == keys);

    const std::vector<int> x = numbers(128, 50);
    std::vector<int> sums(128);
    std::partial_sum(x.begin(), x.end(), sums.begin());
    CHECK(run(runner, "scanned", x, 128) == sums);
  });
}

TEST_CASE("A lock of cuda::atomic_ref guards a counter of the grid") {
  for_archs([](Runner& runner) {
    int* lock = runner.zeros<int>(1);
    int* counter = runner.zeros<int>(1);
    auto* sum = runner.zeros<unsigned long long>(1);
    const Fault fault = runner.run("locked", {5, 1, 1}, {64, 1, 1}, 0, lock, counter, sum);
    REQUIRE(fault.message == "");
    CHECK(Runner::download(counter, 1).front() == 10);
    CHECK(Runner::download(sum, 1).front() == 320 * 0x100000001ULL);
  });
}

}  // namespace kerncast::simulator::testing
