#include <catch2/catch.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "runtime/simulator/machine/tensor_map.hpp"
#include "tests/simulator/cuda/cuda_source.hpp"
#include "tests/simulator/kernel_runner.hpp"

// A compiled matrix product of sm_90a: tensor maps, mbarriers, warp groups with registers of their own,
// wgmma, and clusters that multicast.
namespace kerncast::simulator::testing {

namespace {

constexpr std::uint32_t side = 64;
constexpr std::uint32_t shared_bytes = 2 * 2 * side * side * 2 + 32 + 992;

TensorMap map_of(const std::uint16_t* at, std::uint32_t rows, std::uint32_t columns, std::uint16_t box_rows) {
  TensorMap map;
  map.marked = TensorMap::mark;
  map.address = reinterpret_cast<std::uint64_t>(at);
  map.stride[0] = 2;
  map.stride[1] = std::uint64_t{columns} * 2;
  map.last[0] = columns - 1;
  map.last[1] = rows - 1;
  map.box[0] = side;
  map.box[1] = box_rows;
  map.step[0] = map.step[1] = 1;
  map.rank = 2;
  map.element_bytes = 2;
  map.span = 8;
  return map;
}

/// Values of bf16 whose products and sums are exact in f32.
std::vector<std::uint16_t> values(std::size_t count, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<std::uint16_t> result(count);
  for (std::uint16_t& value : result) {
    const auto small = static_cast<float>(static_cast<int>(random() % 31) - 15);
    value = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(small) >> 16);
  }
  return result;
}

float value_of(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::string compiled() {
  std::string why;
  const auto compiler = CudaCompiler::find(why);
  if (compiler == nullptr || compiler->known({"90a"}).empty()) {
    WARN("skipped: " << why);
    return "";
  }
  return compiler->ptx("hopper.cu", compiler->known({"90a"}).front());
}

struct Product {
  Fault fault;
  unsigned wrong = 0;
};

/// Runs `kernel` on matrices of m rows and n columns with k products each, in clusters of `blocks`.
Product run(const char* kernel, std::uint32_t blocks, std::uint32_t m, std::uint32_t n, std::uint32_t k) {
  Runner runner(compiled());
  runner.checks = true;
  runner.cluster = {blocks, 1, 1};
  const std::vector<std::uint16_t> a = values(std::size_t{m} * k, 1);
  const std::vector<std::uint16_t> b = values(std::size_t{n} * k, 2);
  float* d = runner.upload(std::vector<float>(std::size_t{m} * n, -1));
  Product result;
  result.fault = runner.run(kernel, {m / side, n / side, 1}, {256, 1, 1}, shared_bytes,
                            map_of(runner.upload(a), m, k, side),
                            map_of(runner.upload(b), n, k, static_cast<std::uint16_t>(side / blocks)), d,
                            static_cast<int>(n), static_cast<int>(k));
  const std::vector<float> got = Runner::download(d, std::size_t{m} * n);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::size_t x = 0; x < k; ++x) {
        sum += static_cast<double>(value_of(a[i * k + x])) * static_cast<double>(value_of(b[j * k + x]));
      }
      result.wrong += static_cast<double>(got[i * n + j]) == sum ? 0 : 1;
    }
  }
  return result;
}

}  // namespace

TEST_CASE("A compiled product of Hopper multiplies, alone and in clusters") {
  if (compiled().empty()) {
    return;
  }
  for (const std::uint32_t k : {64U, 256U, 320U}) {
    const Product alone = run("product_1", 1, 128, 128, k);
    CHECK(alone.fault.message == "");
    CHECK(alone.wrong == 0);
    const Product pairs = run("product_2", 2, 256, 64, k);
    CHECK(pairs.fault.message == "");
    CHECK(pairs.wrong == 0);
  }
  // The last tile along k is half beyond the tensor, where there are zeros.
  const Product ragged = run("product_1", 1, 64, 64, 96);
  CHECK(ragged.fault.message == "");
  CHECK(ragged.wrong == 0);
}

TEST_CASE("A stage that is freed before its products are done is reported") {
  if (compiled().empty()) {
    return;
  }
  const Product early = run("product_early", 1, 64, 64, 320);
  CHECK(early.fault.kind == FaultKind::violation);
  CHECK_THAT(early.fault.message, Catch::Matchers::Contains("in a race"));
}

}  // namespace kerncast::simulator::testing
