#include "tools/run/steering_data.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "tests/temporary_directory.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/run/op_run.hpp"

namespace kerncast::tools {
namespace {

using Params = std::vector<std::pair<std::string, std::string>>;

const Params align_params = {{"experts", "64"}, {"top_k", "6"}};
const Params mask_params = {{"hidden", "64"}, {"experts", "32"}};

const OpDefinition& op_called(const char* name) {
  return OpRegistry::instance().require(name);
}

SteeringData data(const std::string& text) {
  return parse_steering_data("--data", text);
}

std::vector<std::int32_t> integers(const std::vector<HostTensor>& tensors, std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const HostTensor& tensor) { return tensor.name == name; });
  REQUIRE(found != tensors.end());
  std::vector<std::int32_t> values(found->bytes.size() / 4);
  std::memcpy(values.data(), found->bytes.data(), found->bytes.size());
  return values;
}

std::vector<std::int32_t> ids(const std::string& distribution, std::int64_t rows, std::uint64_t seed = 1) {
  return integers(
      steered_inputs(op_called("moe.align_block_size"), align_params, {}, rows, data(distribution), seed),
      "ids");
}

std::vector<std::int32_t> mask(const std::string& distribution, std::int64_t rows, std::uint64_t seed = 1) {
  return integers(
      steered_inputs(op_called("activation.silu_and_mul"), mask_params, {}, rows, data(distribution), seed),
      "masked_m");
}

/// Number of slots of each expert, the busiest first.
std::vector<int> loads(const std::vector<std::int32_t>& ids) {
  std::map<std::int32_t, int> counts;
  for (const std::int32_t id : ids) {
    ++counts[id];
  }
  std::vector<int> sorted;
  for (const auto& [id, count] : counts) {
    sorted.push_back(count);
  }
  std::sort(sorted.rbegin(), sorted.rend());
  return sorted;
}

void write_tensors(const std::string& path, const std::string& name, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int32_t>& values, DType type = DType::i32) {
  std::vector<std::byte> bytes(values.size() * 4);
  std::memcpy(bytes.data(), values.data(), bytes.size());
  write_safetensors(path, {{name, type, shape, bytes}});
}

TEST_CASE("expert ids and masks steer the time of an op, and nothing else does") {
  CHECK(steering_tensors(op_called("moe.align_block_size")) == std::vector<std::string>{"ids"});
  CHECK(steering_tensors(op_called("activation.silu_and_mul")) == std::vector<std::string>{"masked_m"});
  CHECK(steering_tensors(op_called("norm.rms_norm")).empty());
  const auto plain = synthetic_inputs(op_called("norm.rms_norm"), {{"hidden", "64"}}, {}, 3);
  const auto steered =
      steered_inputs(op_called("norm.rms_norm"), {{"hidden", "64"}}, {}, 3, data("zipf:1.1"), 7);
  REQUIRE(plain.size() == steered.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    CHECK(plain[i].bytes == steered[i].bytes);
  }
}

TEST_CASE("a token goes to different experts, all of them known, under every distribution") {
  for (const char* distribution : {"uniform", "zipf:1.1", "zipf:10"}) {
    const std::vector<std::int32_t> drawn = ids(distribution, 500);
    REQUIRE(drawn.size() == 500 * 6);
    for (std::size_t token = 0; token < 500; ++token) {
      const auto first = drawn.begin() + static_cast<std::ptrdiff_t>(6 * token);
      CHECK(std::set<std::int32_t>(first, first + 6).size() == 6);
    }
    CHECK(*std::min_element(drawn.begin(), drawn.end()) >= 0);
    CHECK(*std::max_element(drawn.begin(), drawn.end()) < 64);
  }
}

TEST_CASE("uniform loads the experts alike, and zipf by rank") {
  const std::vector<int> even = loads(ids("uniform", 4000));
  CHECK(even.size() == 64);
  CHECK(even.front() < 1.25 * even.back());
  // With one expert for each token the load of rank r is proportional to r^-1.
  const Params one = {{"experts", "64"}, {"top_k", "1"}};
  const std::vector<int> skewed = loads(
      integers(steered_inputs(op_called("moe.align_block_size"), one, {}, 40000, data("zipf:1"), 3), "ids"));
  double harmonic = 0;
  for (int rank = 1; rank <= 64; ++rank) {
    harmonic += 1.0 / rank;
  }
  for (const int rank : {1, 2, 4, 8}) {
    INFO(rank);
    CHECK(skewed[static_cast<std::size_t>(rank - 1)] == Approx(40000 / harmonic / rank).epsilon(0.06));
  }
}

TEST_CASE("the same seed draws the same data, and another seed has other popular experts") {
  CHECK(ids("zipf:1.1", 64, 5) == ids("zipf:1.1", 64, 5));
  CHECK(ids("zipf:1.1", 64, 5) != ids("zipf:1.1", 64, 6));
  CHECK(ids("zipf:1.1", 64, 5) != ids("zipf:1.2", 64, 5));
  CHECK(mask("uniform", 64, 5) == mask("uniform", 64, 5));
  CHECK(mask("uniform", 64, 5) != mask("uniform", 64, 6));
}

TEST_CASE("a mask counts from none to all rows, or by rank from all rows") {
  const std::vector<std::int32_t> even = mask("uniform", 100);
  REQUIRE(even.size() == 32);
  CHECK(*std::min_element(even.begin(), even.end()) >= 0);
  CHECK(*std::max_element(even.begin(), even.end()) <= 100);
  CHECK(std::set<std::int32_t>(even.begin(), even.end()).size() > 15);
  std::vector<std::int32_t> skewed = mask("zipf:1", 100);
  std::sort(skewed.rbegin(), skewed.rend());
  CHECK(skewed[0] == 100);
  CHECK(skewed[1] == 50);
  CHECK(skewed[2] == 33);
  CHECK(skewed[31] == 3);
}

TEST_CASE("a recording is repeated or cut to the rows, and named without its folders") {
  const TemporaryDirectory folder;
  const std::string path = folder.file("served.safetensors");
  write_tensors(path, "ids", {2, 6}, {0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 63});
  const std::string text = data("recorded:" + path).text();
  CHECK_THAT(text, Catch::StartsWith("recorded served.safetensors ") && !Catch::Contains(folder.path()));
  CHECK(data("recorded:" + path).text() == text);
  const std::vector<std::int32_t> three = ids("recorded:" + path, 3);
  CHECK(std::vector<std::int32_t>(three.begin() + 6, three.end()) ==
        std::vector<std::int32_t>{10, 11, 12, 13, 14, 63, 0, 1, 2, 3, 4, 5});
  CHECK(ids("recorded:" + path, 1) == std::vector<std::int32_t>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("recordings of one name and other content have other texts") {
  const TemporaryDirectory folder;
  const TemporaryDirectory other;
  const std::string name = "served.safetensors";
  write_tensors(folder.file(name), "ids", {1, 2}, {0, 1});
  write_tensors(other.file(name), "ids", {1, 2}, {0, 2});
  CHECK(data("recorded:" + folder.file(name)).text() != data("recorded:" + other.file(name)).text());
}

TEST_CASE("a recording that does not fit the call is refused with what would fit") {
  const TemporaryDirectory folder;
  const std::string path = folder.file("served.safetensors");
  const auto refuses = [&](const char* message) {
    CHECK_THROWS_AS(ids("recorded:" + path, 1), UsageError);
    CHECK_THROWS_WITH(ids("recorded:" + path, 1), Catch::Contains(message));
  };
  write_tensors(path, "topk_ids", {1, 6}, {0, 1, 2, 3, 4, 5});
  refuses("has no tensor 'ids', which steers the time of moe.align_block_size; it has topk_ids");
  write_tensors(path, "ids", {1, 4}, {0, 1, 2, 3});
  refuses("needs i32 [1, 6]");
  write_tensors(path, "ids", {1, 6}, {0, 1, 2, 3, 4, 5}, DType::f32);
  refuses("is f32");
  write_tensors(path, "ids", {1, 6}, {0, 1, 2, 3, 4, 64});
  refuses("holds expert 64, and the op has experts 0 to 63");
  write_tensors(path, "ids", {1, 6}, {0, 1, 2, 3, 4, -1});
  refuses("holds expert -1");
  write_tensors(path, "masked_m", {32}, std::vector<std::int32_t>(32, 9));
  CHECK_THROWS_WITH(mask("recorded:" + path, 8),
                    Catch::Contains("counts 9 rows of an expert, and the call has 8; give --rows 9"));
  CHECK(mask("recorded:" + path, 9) == std::vector<std::int32_t>(32, 9));
}

TEST_CASE("a distribution is written uniform, zipf:1.1 or recorded:FILE") {
  CHECK(data("uniform").text() == "uniform");
  CHECK(data("zipf:1.10").text() == "zipf 1.1");
  for (const char* bad :
       {"", "zipf", "zipf:", "zipf:0", "zipf:-1", "zipf:11", "zipf:x", "zipf:1e1", "zipf:1.1.1", "zipf:nan",
        "recorded", "recorded:", "uniform:1", "Uniform", "normal"}) {
    INFO(bad);
    CHECK_THROWS_AS(data(bad), UsageError);
    CHECK_THROWS_WITH(data(bad), Catch::Contains("--data"));
  }
  CHECK_THROWS_WITH(data("unifrm"), Catch::Contains("did you mean uniform?"));
  CHECK_THROWS_WITH(data("recorded:/no/such/file"), Catch::Contains("/no/such/file"));
}

}  // namespace
}  // namespace kerncast::tools
