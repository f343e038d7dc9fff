#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include <kerncast/ops/norm/qk_norm_rope.hpp>
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

constexpr std::int64_t table_rows = 40;

struct Heads {
  std::int64_t q;
  std::int64_t kv;
  std::int64_t dim;
};

struct Rope {
  std::int64_t rotary;  ///< 0: none
  bool interleaved = false;
  DType positions = DType::i64;
  bool computed = false;
};

std::vector<std::byte> position_bytes(DType type, const std::vector<std::int64_t>& values) {
  std::vector<std::byte> bytes;
  for (const std::int64_t value : values) {
    const auto* first = reinterpret_cast<const std::byte*>(&value);
    bytes.insert(bytes.end(), first, first + size_of(type));  // little endian
  }
  return bytes;
}

std::vector<double> inverse_frequencies(std::int64_t rotary) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < rotary / 2; ++i) {
    values.push_back(std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(rotary)));
  }
  return values;
}

std::vector<double> cos_sin(std::int64_t rotary) {
  std::vector<double> table;
  for (std::int64_t position = 0; position < table_rows; ++position) {
    for (std::int64_t i = 0; i < rotary; ++i) {
      const auto pair = static_cast<double>(i % (rotary / 2));
      const double angle =
          static_cast<double>(position) * std::pow(10000.0, -2.0 * pair / static_cast<double>(rotary));
      table.push_back(i < rotary / 2 ? std::cos(angle) : std::sin(angle));
    }
  }
  return table;
}

OpCase make_case(std::int64_t tokens, Heads heads, Rope rope, DType type = DType::bf16,
                 DType weight = DType::bf16, std::uint64_t seed = 1) {
  const std::vector<std::int64_t> shape = {tokens, heads.q + 2 * heads.kv, heads.dim};
  const auto dim = static_cast<std::size_t>(heads.dim);
  OpCase made;
  made.op = rope.rotary == 0 ? "norm.qk_norm" : "norm.qk_norm_rope";
  made.tensors = {
      {.name = "qkv",
       .dtype = type,
       .shape = shape,
       .bytes = to_bytes(type, samples(static_cast<std::size_t>(tokens * shape[1]) * dim, seed, 1.7))},
      {.name = "qkv_out", .dtype = type, .shape = shape, .alias = "qkv"},
      {.name = "q_weight",
       .dtype = weight,
       .shape = {heads.dim},
       .bytes = to_bytes(weight, samples(dim, seed + 1, 0.3, 1.0))},
      {.name = "k_weight",
       .dtype = weight,
       .shape = {heads.dim},
       .bytes = to_bytes(weight, samples(dim, seed + 2, 0.3, 1.0))},
  };
  made.params = {{"q_heads", std::to_string(heads.q)}, {"kv_heads", std::to_string(heads.kv)}};
  made.scalars = {{"eps", 1e-6}};
  if (rope.rotary != 0) {
    std::vector<std::int64_t> places;
    for (std::int64_t i = 0; i < tokens; ++i) {
      places.push_back((i * 7 + 3) % table_rows);
    }
    if (rope.computed) {
      made.tensors.push_back({.name = "inv_freq",
                              .dtype = DType::f32,
                              .shape = {rope.rotary / 2},
                              .bytes = to_bytes(DType::f32, inverse_frequencies(rope.rotary))});
    } else {
      made.tensors.push_back({.name = "cos_sin",
                              .dtype = DType::f32,
                              .shape = {table_rows, rope.rotary},
                              .bytes = to_bytes(DType::f32, cos_sin(rope.rotary))});
    }
    made.tensors.push_back({.name = "positions",
                            .dtype = rope.positions,
                            .shape = {tokens},
                            .bytes = position_bytes(rope.positions, places)});
    made.params.emplace_back("rope_style", rope.interleaved ? "interleaved" : "neox");
  }
  return made;
}

TensorCase& tensor(OpCase& test, std::string_view name) {
  for (TensorCase& item : test.tensors) {
    if (item.name == name) {
      return item;
    }
  }
  throw std::out_of_range(std::string(name));
}

/// Sets shape, strides and offset of qkv, and of what it is after the call.
void place(OpCase& test, const std::vector<std::int64_t>& strides, std::int64_t offset = 0) {
  for (const char* name : {"qkv", "qkv_out"}) {
    tensor(test, name).strides = strides;
  }
  tensor(test, "qkv").offset = offset;
}

double out_at(const Outcome& outcome, std::size_t element) {
  const HostTensor& out = *outcome.input.tensor("qkv_out");
  return reference::decode(out.dtype,
                           out.bytes.data() + element * static_cast<std::size_t>(size_of(out.dtype)));
}

}  // namespace

TEST_CASE("q and k heads are right for the models") {
  const Heads heads = GENERATE(Heads{32, 4, 128}, Heads{64, 4, 128}, Heads{96, 8, 128}, Heads{24, 24, 128});
  const std::int64_t tokens = GENERATE(1, 17);
  const Rope rope = GENERATE(Rope{0}, Rope{128}, Rope{64}, Rope{128, true});
  require_good(make_case(tokens, heads, rope));
}

TEST_CASE("q and k heads are right for many tokens, in few turns and many") {
  const Rope rope = GENERATE(Rope{0}, Rope{64}, Rope{128, true});
  require_good(make_case(700, {5, 2, 128}, rope));
  require_good(make_case(260, {16, 4, 64}, {rope.rotary / 2, rope.interleaved}));
}

TEST_CASE("q and k heads are right in every combination of types") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType weight = GENERATE(DType::bf16, DType::f16, DType::f32);
  const Rope rope = GENERATE(Rope{0}, Rope{64}, Rope{64, true, DType::i32});
  const bool offset = GENERATE(true, false);
  OpCase test = make_case(23, {6, 2, 64}, rope, type, weight);
  test.params.emplace_back("unit_offset", offset ? "true" : "false");
  require_good(test);
}

TEST_CASE("q and k heads are right for other widths, rotated in part") {
  const std::int64_t dim = GENERATE(2, 6, 40, 72, 80, 96, 100, 192, 256, 576, 1024);
  const DType type = GENERATE(DType::bf16, DType::f32);
  const bool interleaved = GENERATE(false, true);
  require_good(make_case(3, {3, 1, dim}, {0}, type, type));
  for (const std::int64_t rotary : {dim, dim / 2 / 2 * 2, std::int64_t{2}}) {
    if (rotary >= 2) {
      require_good(make_case(3, {3, 1, dim}, {rotary, interleaved}, type, type));
    }
  }
}

TEST_CASE("q and k heads are right for odd widths") {
  const std::int64_t dim = GENERATE(1, 3, 33, 127, 1023);
  require_good(make_case(2, {2, 1, dim}, {0}));
  if (dim > 1) {
    require_good(make_case(2, {2, 1, dim}, {dim - 1}));
    require_good(make_case(2, {2, 1, dim}, {dim - 1, true}));
  }
}

TEST_CASE("q and k heads are right for no token and one") {
  const std::int64_t tokens = GENERATE(0, 1);
  require_good(make_case(tokens, {2, 1, 128}, {0}));
  require_good(make_case(tokens, {2, 1, 128}, {128}));
}

TEST_CASE("q and k heads are right if they lie apart, and before tokens") {
  const Rope rope = GENERATE(Rope{0}, Rope{64}, Rope{64, true});
  OpCase test = make_case(5, {4, 2, 64}, rope);
  place(test, {8 * 72, 72, 1});
  require_good(test);
  place(test, {64, 5 * 64, 1});
  require_good(test);
}

TEST_CASE("q and k heads are right for unaligned weights and tables") {
  const Rope rope = GENERATE(Rope{64}, Rope{64, true}, Rope{32});
  const std::int64_t offset = GENERATE(1, 2, 4);
  const char* which = GENERATE("q_weight", "k_weight", "cos_sin");
  OpCase test = make_case(3, {4, 2, 64}, rope);
  tensor(test, which).offset = offset;
  require_good(test);
  tensor(test, "cos_sin").strides = {67, 1};
  require_good(test);
}

TEST_CASE("q and k heads are right over leading dimensions") {
  OpCase test = make_case(6, {4, 2, 64}, {64});
  for (const char* name : {"qkv", "qkv_out"}) {
    tensor(test, name).shape = {2, 3, 8, 64};
  }
  tensor(test, "positions").shape = {2, 3};
  require_good(test);
}

TEST_CASE("a token whose position is outside of the table is only normalised") {
  const DType type = GENERATE(DType::i32, DType::i64);
  const bool interleaved = GENERATE(false, true);
  constexpr Heads heads{4, 2, 64};
  OpCase test = make_case(4, heads, {64, interleaved, type});
  const std::int64_t far =
      type == DType::i32 ? std::numeric_limits<std::int32_t>::max() : std::int64_t{1} << 40;
  tensor(test, "positions").bytes = position_bytes(type, {-1, table_rows, far, table_rows - 1});
  const Outcome outcome = require_good(test);
  const Outcome plain = require_good(make_case(4, heads, {0}));
  const std::size_t normed = 6 * 64;
  std::size_t same = 0;
  for (std::size_t i = 0; i < normed; ++i) {
    // The factors are applied in another order, so results may differ in the last place.
    const double unrotated = out_at(plain, i);
    CHECK(std::fabs(out_at(outcome, i) - unrotated) <= reference::unit(DType::bf16, unrotated));
    same += out_at(outcome, 3 * 8 * 64 + i) == out_at(plain, 3 * 8 * 64 + i) ? 1 : 0;
  }
  CHECK(same < normed / 2);
}

TEST_CASE("computed angles are right at near and far positions") {
  const std::int64_t rotary = GENERATE(128, 64);
  const bool interleaved = GENERATE(false, true);
  const DType type = GENERATE(DType::bf16, DType::f32);
  constexpr Heads heads{4, 2, 128};
  OpCase test = make_case(8, heads, {rotary, interleaved, DType::i64, true}, type, type);
  tensor(test, "positions").bytes =
      position_bytes(DType::i64, {0, 1, 11, 355, 131071, 1000003, (1 << 22) - 1, 710});
  require_good(test);
  test.scalars.emplace_back("attention_factor", 1.3465735902799727);
  require_good(test);
  tensor(test, "inv_freq").offset = 1;
  require_good(test);
}

TEST_CASE("computed angles are right for other widths and types, and for no token") {
  const std::int64_t dim = GENERATE(2, 6, 72, 96, 127, 192, 1023);
  const bool interleaved = GENERATE(false, true);
  require_good(make_case(3, {3, 1, dim}, {dim / 2 * 2, interleaved, DType::i32, true}));
  require_good(make_case(0, {3, 1, dim}, {dim / 2 * 2, interleaved, DType::i32, true}));
}

TEST_CASE("a token whose position has no computed angle is only normalised") {
  const bool interleaved = GENERATE(false, true);
  constexpr Heads heads{4, 2, 64};
  OpCase test = make_case(3, heads, {64, interleaved, DType::i64, true});
  tensor(test, "positions").bytes = position_bytes(DType::i64, {-1, 1 << 22, std::int64_t{1} << 40});
  const Outcome outcome = require_good(test);
  const Outcome plain = require_good(make_case(3, heads, {0}));
  for (std::size_t i = 0; i < 6 * 64; ++i) {
    const double unrotated = out_at(plain, i);
    CHECK(std::fabs(out_at(outcome, i) - unrotated) <= reference::unit(DType::bf16, unrotated));
  }
}

TEST_CASE("rotation keeps the length of a head") {
  const bool interleaved = GENERATE(false, true);
  const OpCase turned = make_case(9, {3, 2, 128}, {128, interleaved}, DType::f32, DType::f32);
  const Outcome with = require_good(turned);
  const Outcome without = require_good(make_case(9, {3, 2, 128}, {0}, DType::f32, DType::f32));
  for (std::size_t head = 0; head < 9 * 7; ++head) {
    double a = 0;
    double b = 0;
    for (std::size_t i = 0; i < 128; ++i) {
      a += std::pow(out_at(with, head * 128 + i), 2);
      b += std::pow(out_at(without, head * 128 + i), 2);
    }
    CHECK(a == Approx(b).epsilon(1e-6));
  }
}

TEST_CASE("q and k heads are right for zeros, infinity and NaN, each spoiling none but itself") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const Rope rope = GENERATE(Rope{0}, Rope{32}, Rope{64, true});
  constexpr std::size_t dim = 64;
  std::vector<double> values = samples(3 * 4 * dim, 9);
  std::fill_n(values.begin(), dim, 0.0);
  values[dim + 17] = std::nan("");
  values[2 * dim + 50] = std::numeric_limits<double>::infinity();
  values[4 * dim + 5] = -std::numeric_limits<double>::infinity();
  OpCase test = make_case(3, {2, 1, dim}, rope, type, type);
  tensor(test, "qkv").bytes = to_bytes(type, values);
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  const Outcome outcome = require_good(test);
  CHECK(out_at(outcome, 3) == 0.0);
  CHECK(std::isnan(out_at(outcome, dim + 40)));
  CHECK(std::isnan(out_at(outcome, 2 * dim + 50)));
  CHECK(std::isfinite(out_at(outcome, 5 * dim)));
}

TEST_CASE("q and k heads are right for large and tiny values") {
  const double scale = GENERATE(1e-37, 1e-30, 1e-19, 1e-6, 1e15, 1e18, 1e25, 1e37);
  const DType type = GENERATE(DType::bf16, DType::f32);
  const Rope rope = GENERATE(Rope{0}, Rope{64});
  OpCase test = make_case(2, {2, 1, 64}, rope, type, type);
  tensor(test, "qkv").bytes = to_bytes(type, samples(2 * 4 * 64, 3, scale));
  test.scalars = {{"eps", 0.0}};
  require_good(test);
}
