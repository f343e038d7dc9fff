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
};

std::vector<std::byte> position_bytes(DType type, const std::vector<std::int64_t>& values) {
  std::vector<std::byte> bytes;
  for (const std::int64_t value : values) {
    const auto* first = reinterpret_cast<const std::byte*>(&value);
    bytes.insert(bytes.end(), first, first + size_of(type));  // little endian
  }
  return bytes;
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
    made.tensors.push_back({.name = "cos_sin",
                            .dtype = DType::f32,
                            .shape = {table_rows, rope.rotary},
                            .bytes = to_bytes(DType::f32, cos_sin(rope.rotary))});
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

/// Sets shape, strides and offset of qkv, before and after the call.
void place(OpCase& test, const std::vector<std::int64_t>& strides, std::int64_t offset = 0) {
  for (const char* name : {"qkv", "qkv_out"}) {
    tensor(test, name).strides = strides;
  }
  tensor(test, "qkv").offset = offset;
}

norm::QkNorm heads_of(const Views& views, Heads heads) {
  return {.qkv = views.at("qkv"),
          .q_weight = views.at("q_weight"),
          .k_weight = views.at("k_weight"),
          .q_heads = static_cast<int>(heads.q),
          .kv_heads = static_cast<int>(heads.kv)};
}

double out_at(const Outcome& outcome, std::size_t element) {
  const HostTensor& out = *outcome.input.tensor("qkv_out");
  return reference::decode(out.dtype,
                           out.bytes.data() + element * static_cast<std::size_t>(size_of(out.dtype)));
}

}  // namespace

TEST_CASE("q and k heads of the models") {
  const Heads heads = GENERATE(Heads{32, 4, 128}, Heads{64, 4, 128}, Heads{96, 8, 128}, Heads{24, 24, 128});
  const std::int64_t tokens = GENERATE(1, 17);
  const Rope rope = GENERATE(Rope{0}, Rope{128}, Rope{64}, Rope{128, true});
  require_good(make_case(tokens, heads, rope));
}

TEST_CASE("q and k heads of many tokens, in few turns and many") {
  const Rope rope = GENERATE(Rope{0}, Rope{64}, Rope{128, true});
  require_good(make_case(700, {5, 2, 128}, rope));
  require_good(make_case(260, {16, 4, 64}, {rope.rotary / 2, rope.interleaved}));
}

TEST_CASE("q and k heads in every combination of types") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType weight = GENERATE(DType::bf16, DType::f16, DType::f32);
  const Rope rope = GENERATE(Rope{0}, Rope{64}, Rope{64, true, DType::i32});
  const bool offset = GENERATE(true, false);
  OpCase test = make_case(23, {6, 2, 64}, rope, type, weight);
  test.params.emplace_back("unit_offset", offset ? "true" : "false");
  require_good(test);
}

TEST_CASE("q and k heads of other widths, rotated in part") {
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

TEST_CASE("q and k heads of odd widths") {
  const std::int64_t dim = GENERATE(1, 3, 33, 127, 1023);
  require_good(make_case(2, {2, 1, dim}, {0}));
  if (dim > 1) {
    require_good(make_case(2, {2, 1, dim}, {dim - 1}));
    require_good(make_case(2, {2, 1, dim}, {dim - 1, true}));
  }
}

TEST_CASE("q and k heads of no token and of one") {
  const std::int64_t tokens = GENERATE(0, 1);
  require_good(make_case(tokens, {2, 1, 128}, {0}));
  require_good(make_case(tokens, {2, 1, 128}, {128}));
}

TEST_CASE("q and k heads of strided tokens and of unaligned views") {
  const Rope rope = GENERATE(Rope{0}, Rope{64}, Rope{64, true});
  const std::int64_t stride = GENERATE(8 * 64, 8 * 64 + 8, 8 * 64 + 4, 8 * 64 + 1);
  const std::int64_t offset = GENERATE(0, 1, 2, 4);
  OpCase test = make_case(5, {4, 2, 64}, rope);
  place(test, {stride, 64, 1}, offset);
  require_good(test);
}

TEST_CASE("q and k heads that lie apart, and of heads before tokens") {
  const Rope rope = GENERATE(Rope{0}, Rope{64}, Rope{64, true});
  OpCase test = make_case(5, {4, 2, 64}, rope);
  place(test, {8 * 72, 72, 1});
  require_good(test);
  place(test, {64, 5 * 64, 1});
  require_good(test);
}

TEST_CASE("q and k heads of unaligned weights and tables") {
  const Rope rope = GENERATE(Rope{64}, Rope{64, true}, Rope{32});
  const std::int64_t offset = GENERATE(1, 2, 4);
  const char* which = GENERATE("q_weight", "k_weight", "cos_sin");
  OpCase test = make_case(3, {4, 2, 64}, rope);
  tensor(test, which).offset = offset;
  require_good(test);
  tensor(test, "cos_sin").strides = {67, 1};
  require_good(test);
}

TEST_CASE("q and k heads over leading dimensions") {
  OpCase test = make_case(6, {4, 2, 64}, {64});
  for (const char* name : {"qkv", "qkv_out"}) {
    tensor(test, name).shape = {2, 3, 8, 64};
  }
  tensor(test, "positions").shape = {2, 3};
  require_good(test);
}

TEST_CASE("a token whose position is outside of the table is normalised only") {
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
    // The factors are applied in another order: a last place apart at most.
    const double unrotated = out_at(plain, i);
    CHECK(std::fabs(out_at(outcome, i) - unrotated) <= reference::unit(DType::bf16, unrotated));
    same += out_at(outcome, 3 * 8 * 64 + i) == out_at(plain, 3 * 8 * 64 + i) ? 1 : 0;
  }
  CHECK(same < normed / 2);
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

TEST_CASE("q and k heads of zeros, infinity and NaN, each spoiling none but itself") {
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

TEST_CASE("q and k heads of large and of tiny values") {
  const double scale = GENERATE(1e-37, 1e-30, 1e-19, 1e-6, 1e15, 1e18, 1e25, 1e37);
  const DType type = GENERATE(DType::bf16, DType::f32);
  const Rope rope = GENERATE(Rope{0}, Rope{64});
  OpCase test = make_case(2, {2, 1, 64}, rope, type, type);
  tensor(test, "qkv").bytes = to_bytes(type, samples(2 * 4 * 64, 3, scale));
  test.scalars = {{"eps", 0.0}};
  require_good(test);
}

TEST_CASE("q and k heads give the same bits on every run") {
  const OpCase test = make_case(40, {32, 4, 128}, {128});
  CHECK(require_good(test).input.tensor("qkv_out")->bytes ==
        require_good(test).input.tensor("qkv_out")->bytes);
}

TEST_CASE("q and k heads through the typed API and a prepared launch") {
  constexpr Heads heads{6, 2, 128};
  OpCase plain = make_case(7, heads, {0});
  plain.launch = [&](Runtime& on, const Views& views) { launch(on, heads_of(views, heads), nullptr); };
  require_good(plain);
  plain.launch = [&](Runtime& on, const Views& views) {
    prepare(on, heads_of(views, heads)).launch(nullptr);
  };
  require_good(plain);
  OpCase roped = make_case(7, heads, {64, true});
  const auto arguments = [&](const Views& views) {
    return norm::QkNormRope{.norm = heads_of(views, heads),
                            .cos_sin = views.at("cos_sin"),
                            .positions = views.at("positions"),
                            .style = norm::RopeStyle::interleaved};
  };
  roped.launch = [&](Runtime& on, const Views& views) { launch(on, arguments(views), nullptr); };
  require_good(roped);
  roped.launch = [&](Runtime& on, const Views& views) { prepare(on, arguments(views)).launch(nullptr); };
  require_good(roped);
}

TEST_CASE("q and k heads of tokens more than 2^31 elements apart") {
  constexpr std::int64_t width = 4 * 64;
  const std::vector<std::byte> values = to_bytes(DType::bf16, samples(3 * width, 5));
  const SparseRows qkv(DType::bf16, 3, width, huge_stride, values);
  const SparseRows weight(DType::bf16, 1, 64, 64, to_bytes(DType::bf16, samples(64, 6, 0.3, 1.0)));
  norm::QkNorm call{
      .qkv = qkv.view(), .q_weight = weight.view(), .k_weight = {}, .q_heads = 2, .kv_heads = 1};
  call.qkv.rank = 3;
  call.qkv.shape = {3, 4, 64};
  call.qkv.strides = {huge_stride, 64, 1};
  call.q_weight.rank = 1;
  call.q_weight.shape = {64};
  call.q_weight.strides = {1};
  call.k_weight = call.q_weight;
  launch(runtime(), call, nullptr);
  synchronize();
  ReferenceInput input;
  input.spec = bind(call).spec;
  const auto shaped = [](HostTensor host) {
    host.shape = {3, 4, 64};
    host.strides = {width, 64, 1};
    return host;
  };
  input.tensors = {shaped(qkv.download("qkv")), shaped(qkv.download("qkv_out")), weight.download("q_weight"),
                   weight.download("k_weight")};
  input.tensors[0].bytes = values;
  const ReferenceResult verdict = find_reference("norm.qk_norm")(input);
  INFO(verdict.detail);
  CHECK(verdict.ok);
}

TEST_CASE("the references of q and k heads reject a wrong element") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const Rope rope = GENERATE(Rope{0}, Rope{32, true});
  OpCase test = make_case(3, {2, 1, 64}, rope, type, type);
  const Outcome outcome = require_good(test);
  const auto size = static_cast<std::size_t>(size_of(type));
  for (const std::size_t element : {std::size_t{0}, std::size_t{150}, std::size_t{700}}) {
    // Four units in the last place: too far even from a result that was itself off by one.
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "qkv_out", element * size, 2).ok);
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "qkv_out", element * size + size - 1, 7).ok);
  }
  // A v head: any bit.
  CHECK_FALSE(verdict_after_flip(test.op, outcome, "qkv_out", (3 * 64 + 5) * size, 0).ok);
}
