#include <catch2/catch.hpp>
#include <set>
#include <vector>

#include <kerncast/ops/moe/grouped_gemm.hpp>
#include "runtime/simulator/watch/profile_abi.hpp"
#include "tests/templates/moe/grouped_gemm_case.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

/// Sectors of global memory that the launch of a case reads, by the virtual GPU's count.
std::uint64_t sectors_read(OpCase test) {
  const auto set =
      reinterpret_cast<decltype(kerncastSimProfile)*>(runtime().driver_symbol("kerncastSimProfile"));
  const auto launch_of = reinterpret_cast<decltype(kerncastSimProfileLaunch)*>(
      runtime().driver_symbol("kerncastSimProfileLaunch"));
  REQUIRE(set != nullptr);
  REQUIRE(launch_of != nullptr);
  std::uint64_t sectors = 0;
  const OpDefinition& op = definition_of<moe::GroupedGemm>();
  test.launch = [&, copy = test](Runtime& on, const Views& views) {
    const Call call = op.bind(bindings_of(copy, views));
    set(1);
    on.dispatch(op, call, nullptr);
    synchronize();
    set(0);
    const KerncastSimLaunch* launch = launch_of(0);
    REQUIRE(launch != nullptr);
    for (std::size_t i = 0; i < launch->instruction_count; ++i) {
      if (std::string_view(launch->instructions[i].unit) == "load") {
        sectors += launch->instructions[i].counts.global_sectors;
      }
    }
  };
  require_good(test);
  return sectors;
}

/// `tokens` tokens with top_k different experts each.
std::vector<double> distinct_ids(std::int64_t tokens, std::int64_t top_k, std::int64_t experts) {
  std::vector<double> ids;
  Samples random(7);
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::set<std::uint64_t> drawn;
    while (drawn.size() < static_cast<std::size_t>(top_k)) {
      drawn.insert(random.bits() % static_cast<std::uint64_t>(experts));
    }
    ids.insert(ids.end(), drawn.begin(), drawn.end());
  }
  return ids;
}

}  // namespace

TEST_CASE("grouped_gemm reads the matrix of each expert once for up to 64 tokens") {
  if (runtime().driver_symbol("kerncastSimProfile") == nullptr) {
    return;
  }
  const std::int64_t tokens = GENERATE(1, 8, 31, 64);
  // 64 columns at the depth of DeepSeek V3; and many experts, with fewer slots each than a block holds.
  const bool many_experts = GENERATE(false, true);
  const GemmCase of{.tokens = tokens,
                    .n = many_experts ? 256 : 64,
                    .k = many_experts ? 512 : 7168,
                    .experts = many_experts ? 128 : 12,
                    .top_k = 4,
                    .block = many_experts ? 16 : 64,
                    .weighted = many_experts,
                    .expanded = many_experts};
  const std::vector<double> ids = distinct_ids(tokens, of.top_k, of.experts);
  const std::set<double> touched(ids.begin(), ids.end());
  const double matrices = static_cast<double>(touched.size()) * static_cast<double>(of.n * of.k) * 2 / 32;
  const double rows = static_cast<double>(tokens * of.top_k * of.k) * 2 / 32;
  const auto sectors = static_cast<double>(sectors_read(make_case(of, ids)));
  INFO(sectors << " sectors, " << matrices << " of matrices and " << rows << " of rows");
  CHECK(sectors <= 1.02 * (matrices + rows));
  CHECK(sectors >= matrices + rows);
}

TEST_CASE("grouped_gemm reads matrices with small scales once for up to 64 tokens") {
  if (runtime().driver_symbol("kerncastSimProfile") == nullptr) {
    return;
  }
  const std::int64_t tokens = GENERATE(1, 8, 64);
  // A tile of columns at the depth of DeepSeek V3 and Kimi K2. Bytes of an element of k: of a, its scales, b,
  // its scales.
  struct Bytes {
    double a;
    double a_scales;
    double b;
    double b_scales;
  };
  GemmCase of{.tokens = tokens, .n = 128, .k = 7168, .experts = 6, .top_k = 4, .block = 64};
  Bytes bytes{};
  SECTION("blocks") {
    of.type = DType::fp8_e4m3;
    of.scales = 3;
    bytes = {1, 4.0 / 128, 1, 4.0 / 128 / 128};
  }
  SECTION("mxfp4") {
    of.bits = 4;
    bytes = {2, 0, 0.5, 1.0 / 32};
  }
  SECTION("int4") {
    of.bits = 4;
    of.packed_scales = DType::bf16;
    bytes = {2, 0, 0.5, 2.0 / 32};
  }
  const std::vector<double> ids = distinct_ids(tokens, of.top_k, of.experts);
  const std::set<double> touched(ids.begin(), ids.end());
  const double matrices =
      static_cast<double>(touched.size()) * static_cast<double>(of.n * of.k) * (bytes.b + bytes.b_scales);
  const double rows = static_cast<double>(tokens * of.top_k * of.k) * (bytes.a + bytes.a_scales);
  const auto sectors = static_cast<double>(sectors_read(make_case(of, ids)));
  INFO(sectors << " sectors, " << matrices / 32 << " of matrices and " << rows / 32 << " of rows");
  CHECK(sectors <= 1.02 * (matrices + rows) / 32);
  CHECK(sectors >= (matrices + rows) / 32);
}
