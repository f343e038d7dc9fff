#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

namespace kerncast::simulator::testing {

namespace {

/// A narrow float: its value by encoding, from the exponent and mantissa widths.
struct Float {
  unsigned exponent_bits;
  unsigned mantissa_bits;
  bool infinity;
};

constexpr Float half{5, 10, true};
constexpr Float brain{8, 7, true};
constexpr Float single{8, 23, true};
constexpr Float e4m3{4, 3, false};
constexpr Float e5m2{5, 2, true};

double value_of(std::uint32_t bits, const Float& format) {
  const unsigned width = format.exponent_bits + format.mantissa_bits;
  const double sign = (bits >> width & 1U) != 0 ? -1.0 : 1.0;
  const std::uint32_t exponent = bits >> format.mantissa_bits & ((1U << format.exponent_bits) - 1);
  const std::uint32_t mantissa = bits & ((1U << format.mantissa_bits) - 1);
  const bool top = exponent == (1U << format.exponent_bits) - 1;
  if (top && format.infinity) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  }
  if (top && mantissa == (1U << format.mantissa_bits) - 1) {
    return std::nan("");
  }
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  const int power =
      (exponent == 0 ? 1 : static_cast<int>(exponent)) - bias - static_cast<int>(format.mantissa_bits);
  return sign * std::ldexp(exponent == 0 ? mantissa : mantissa + (1U << format.mantissa_bits), power);
}

std::uint16_t half_of(double value) {
  if (std::isnan(value)) {
    return 0x7fff;
  }
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  if (magnitude >= 65520.0) {
    return static_cast<std::uint16_t>(sign | 0x7c00);
  }
  const int exponent = magnitude == 0 ? -14 : std::max(std::ilogb(magnitude), -14);
  const auto scaled = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  return static_cast<std::uint16_t>(sign | (static_cast<std::uint32_t>(exponent + 14) * 1024 + scaled));
}

struct Element {
  std::string name;
  unsigned bits;
  bool integer;
  bool is_signed;
  Float format;
  std::uint32_t dropped;  ///< bits of the register the format ignores
};

const Element f16_element{"f16", 16, false, false, half, 0};
const Element bf16_element{"bf16", 16, false, false, brain, 0};
const Element tf32_element{"tf32", 32, false, false, single, 0x1fff};
const Element fp8_element{"e4m3", 8, false, false, e4m3, 0};
const Element bf8_element{"e5m2", 8, false, false, e5m2, 0};
const Element s8_element{"s8", 8, true, true, {}, 0};
const Element u8_element{"u8", 8, true, false, {}, 0};

double value_of(std::uint32_t bits, const Element& element) {
  if (element.integer) {
    return element.is_signed ? static_cast<double>(static_cast<std::int8_t>(bits))
                             : static_cast<double>(bits & 0xff);
  }
  return value_of(bits & ~element.dropped, element.format);
}

/// Matrices in row order as element encodings: A is m x k, B k x 8, C and D m x 8.
struct Problem {
  unsigned m;
  unsigned k;
  Element a_type;
  Element b_type;
  std::string d_type;
  std::vector<std::uint32_t> a, b, c;
};

struct Place {
  unsigned row;
  unsigned column;
};

// Fragment layouts, element by element as the PTX ISA lists them.
Place place_a(const Problem& p, unsigned lane, unsigned i) {
  const unsigned group = lane >> 2;
  const unsigned thread = lane % 4;
  const unsigned half_k = p.a_type.bits == 32 ? 4 : p.a_type.bits == 16 ? 8 : 16;
  if (p.a_type.bits == 32) {
    return {i % 2 == 0 ? group : group + 8, i < 2 ? thread : thread + half_k};
  }
  if (p.a_type.bits == 16) {
    const bool upper = i < 2 || (i >= 4 && i < 6);
    return {upper ? group : group + 8, thread * 2 + (i & 1) + (i < 4 ? 0 : half_k)};
  }
  const bool upper = p.m == 8 || i < 4 || (i >= 8 && i < 12);
  return {upper ? group : group + 8, thread * 4 + (i & 3) + (i < 8 ? 0 : half_k)};
}

Place place_b(const Problem& p, unsigned lane, unsigned i) {
  const unsigned group = lane >> 2;
  const unsigned thread = lane % 4;
  switch (p.b_type.bits) {
    case 32:
      return {i == 0 ? thread : thread + 4, group};
    case 16:
      return {thread * 2 + (i & 1) + (i < 2 ? 0 : 8), group};
    default:
      return {thread * 4 + (i & 3) + (i < 4 ? 0 : 16), group};
  }
}

Place place_c(unsigned lane, unsigned i) {
  return {(lane >> 2) + (i < 2 ? 0 : 8), lane % 4 * 2 + (i & 1)};
}

unsigned registers(unsigned elements, unsigned bits) {
  return elements * bits / (32 * 32);
}

/// Registers of all lanes, register after register.
template <class PlaceOf>
std::vector<std::uint32_t> pack(unsigned count, unsigned bits, const std::vector<std::uint32_t>& matrix,
                                unsigned columns, PlaceOf place) {
  std::vector<std::uint32_t> packed(std::size_t{count} * 32);
  const unsigned each = 32 / bits;
  for (unsigned lane = 0; lane < 32; ++lane) {
    for (unsigned i = 0; i < count * each; ++i) {
      const Place at = place(lane, i);
      const std::uint32_t mask = bits == 32 ? ~0U : (1U << bits) - 1;
      packed[i / each * 32 + lane] |= (matrix[at.row * columns + at.column] & mask) << (i % each * bits);
    }
  }
  return packed;
}

std::string names(const std::string& prefix, unsigned count) {
  std::string list = "{";
  for (unsigned i = 0; i < count; ++i) {
    list += (i == 0 ? "" : ", ") + prefix + std::to_string(i);
  }
  return list + "}";
}

std::string moves(const std::string& pattern, const std::string& prefix, const std::string& parameter,
                  unsigned count) {
  std::string text = "ld.param.u64 addr, [" + parameter + "]; mad.wide.u32 addr, lane, 4, addr;\n";
  for (unsigned i = 0; i < count; ++i) {
    const std::string at = "[addr+" + std::to_string(i * 128) + "]";
    const std::string reg = prefix + std::to_string(i);
    text += pattern == "ld" ? "ld.global.b32 " + reg + ", " + at + ";\n"
                            : "st.global.b32 " + at + ", " + reg + ";\n";
  }
  return text;
}

/// Runs the product on the virtual GPU and returns D's encodings in row order.
std::vector<std::uint32_t> run(const Problem& p, const std::string& extra = "") {
  const unsigned d_bits = p.d_type == "f16" ? 16 : 32;
  const unsigned na = registers(p.m * p.k, p.a_type.bits);
  const unsigned nb = registers(8 * p.k, p.b_type.bits);
  const unsigned nd = registers(p.m * 8, d_bits);
  const std::string shape = "m" + std::to_string(p.m) + "n8k" + std::to_string(p.k);
  const std::string body =
      ".reg .b32 a<4>, b<2>, c<4>, d<4>, lane; .reg .u64 addr;\nmov.u32 lane, %laneid;\n" +
      moves("ld", "a", "pa", na) + moves("ld", "b", "pb", nb) + moves("ld", "c", "pc", nd) +
      "mma.sync.aligned." + shape + ".row.col" + extra + "." + p.d_type + "." + p.a_type.name + "." +
      p.b_type.name + "." + p.d_type + " " + names("d", nd) + ", " + names("a", na) + ", " + names("b", nb) +
      ", " + names("c", nd) + ";\n" + moves("st", "d", "pd", nd) + "ret;";
  Runner runner(kernel_text({"pd", "pa", "pb", "pc"}, body));
  auto* d = runner.zeros<std::uint32_t>(std::size_t{nd} * 32);
  const Fault fault =
      runner.run("k", {1, 1, 1}, {32, 1, 1}, 0, d,
                 runner.upload(pack(na, p.a_type.bits, p.a, p.k,
                                    [&](unsigned l, unsigned i) { return place_a(p, l, i); })),
                 runner.upload(pack(nb, p.b_type.bits, p.b, 8,
                                    [&](unsigned l, unsigned i) { return place_b(p, l, i); })),
                 runner.upload(pack(nd, d_bits, p.c, 8, place_c)));
  REQUIRE(fault.message.empty());
  const std::vector<std::uint32_t> packed = Runner::download(d, std::size_t{nd} * 32);
  std::vector<std::uint32_t> result(std::size_t{p.m} * 8);
  const unsigned each = 32 / d_bits;
  for (unsigned lane = 0; lane < 32; ++lane) {
    for (unsigned i = 0; i < nd * each; ++i) {
      const Place at = place_c(lane, i);
      const std::uint32_t whole = packed[i / each * 32 + lane] >> (i % each * d_bits);
      result[at.row * 8 + at.column] = d_bits == 32 ? whole : whole & 0xffff;
    }
  }
  return result;
}

/// D by the definition, rounded once from a long double, which holds the sums of these tests exactly.
std::vector<std::uint32_t> expected(const Problem& p, bool satfinite = false) {
  std::vector<std::uint32_t> result;
  for (unsigned row = 0; row < p.m; ++row) {
    for (unsigned column = 0; column < 8; ++column) {
      const std::uint32_t c = p.c[row * 8 + column];
      long double sum = p.d_type == "f32"   ? value_of(c, single)
                        : p.d_type == "f16" ? value_of(c, half)
                                            : static_cast<double>(static_cast<std::int32_t>(c));
      for (unsigned k = 0; k < p.k; ++k) {
        sum += static_cast<long double>(value_of(p.a[row * p.k + k], p.a_type)) *
               static_cast<long double>(value_of(p.b[k * 8 + column], p.b_type));
      }
      if (p.d_type == "s32") {
        const auto whole = static_cast<std::int64_t>(sum);
        const std::int64_t bounded = std::clamp<std::int64_t>(whole, std::numeric_limits<std::int32_t>::min(),
                                                              std::numeric_limits<std::int32_t>::max());
        result.push_back(static_cast<std::uint32_t>(satfinite ? bounded : whole));
      } else if (p.d_type == "f16") {
        result.push_back(half_of(static_cast<double>(sum)));
      } else {
        result.push_back(std::isnan(sum) ? 0x7fffffffU
                                         : std::bit_cast<std::uint32_t>(static_cast<float>(sum)));
      }
    }
  }
  return result;
}

/// Random encodings whose exponents lie close enough together that sums are exact in double.
std::uint32_t random_element(const Element& element, std::mt19937& random) {
  const auto bits = static_cast<std::uint32_t>(random());
  if (element.integer) {
    return bits & 0xff;
  }
  const unsigned width = element.format.exponent_bits + element.format.mantissa_bits;
  const int bias = (1 << (element.format.exponent_bits - 1)) - 1;
  const std::uint32_t exponent = static_cast<std::uint32_t>(bias - 3) + bits % 7;
  const std::uint32_t mantissa = bits >> 4 & ((1U << element.format.mantissa_bits) - 1);
  return (bits >> 31) << width | exponent << element.format.mantissa_bits | mantissa;
}

Problem random_problem(unsigned m, unsigned k, const Element& a, const Element& b, const std::string& d,
                       unsigned seed) {
  std::mt19937 random(seed);
  Problem p{m, k, a, b, d, {}, {}, {}};
  for (unsigned i = 0; i < m * k; ++i) {
    p.a.push_back(random_element(a, random));
  }
  for (unsigned i = 0; i < 8 * k; ++i) {
    p.b.push_back(random_element(b, random));
  }
  for (unsigned i = 0; i < m * 8; ++i) {
    p.c.push_back(d == "s32"   ? static_cast<std::uint32_t>(random())
                  : d == "f16" ? random_element(f16_element, random)
                               : random_element({"f32", 32, false, false, single, 0}, random));
  }
  return p;
}

}  // namespace

TEST_CASE("mma multiplies floats exactly and rounds once") {
  struct Case {
    unsigned k;
    Element a;
    Element b;
    std::string d;
  };
  std::vector<Case> cases{
      {8, f16_element, f16_element, "f32"},   {16, f16_element, f16_element, "f32"},
      {8, f16_element, f16_element, "f16"},   {16, f16_element, f16_element, "f16"},
      {8, bf16_element, bf16_element, "f32"}, {16, bf16_element, bf16_element, "f32"},
      {4, tf32_element, tf32_element, "f32"}, {8, tf32_element, tf32_element, "f32"},
  };
  for (const Element& a : {fp8_element, bf8_element}) {
    for (const Element& b : {fp8_element, bf8_element}) {
      for (const unsigned k : {16U, 32U}) {
        cases.push_back({k, a, b, "f32"});
        cases.push_back({k, a, b, "f16"});
      }
    }
  }
  for (const Case& c : cases) {
    for (unsigned seed = 1; seed <= 3; ++seed) {
      const Problem p = random_problem(16, c.k, c.a, c.b, c.d, seed);
      CAPTURE(c.k, c.a.name, c.b.name, c.d, seed);
      CHECK(run(p) == expected(p));
    }
  }
}

TEST_CASE("mma multiplies 8-bit integers of all signs, wrapping or clamping") {
  for (const Element& a : {s8_element, u8_element}) {
    for (const Element& b : {s8_element, u8_element}) {
      for (const auto& [m, k] : {std::pair{8U, 16U}, std::pair{16U, 16U}, std::pair{16U, 32U}}) {
        Problem p = random_problem(m, k, a, b, "s32", m + k);
        CAPTURE(m, k, a.name, b.name);
        CHECK(run(p) == expected(p));
        for (std::size_t i = 0; i < p.c.size(); ++i) {
          p.c[i] = i % 2 == 0 ? 0x7fffff00U : 0x80000100U;
        }
        CHECK(run(p) == expected(p));
        CHECK(run(p, ".satfinite") == expected(p, true));
      }
    }
  }
  // The largest products there are.
  Problem p = random_problem(16, 32, u8_element, u8_element, "s32", 1);
  p.a.assign(p.a.size(), 255);
  p.b.assign(p.b.size(), 255);
  CHECK(run(p) == expected(p));
}

TEST_CASE("mma keeps infinities, NaN, subnormals and signs of zero") {
  for (const Element& type : {f16_element, bf16_element, tf32_element, bf8_element}) {
    const unsigned k = type.bits == 32 ? 8 : type.bits == 16 ? 16 : 32;
    Problem p = random_problem(16, k, type, type, "f32", 7);
    const std::uint32_t infinity = ((1U << type.format.exponent_bits) - 1) << type.format.mantissa_bits;
    const std::uint32_t sign = 1U << (type.bits - 1);
    const std::uint32_t quiet = infinity | 1U << (type.format.mantissa_bits - 1);
    const std::uint32_t largest = infinity - 1;
    const std::uint32_t subnormal = 1U << (type.format.mantissa_bits - 1);
    p.a[0 * k] = infinity;
    p.a[1 * k] = infinity | sign;
    p.a[2 * k + 1] = quiet;
    p.a[3 * k] = infinity;
    p.a[3 * k + 1] = infinity;
    p.b[0 * 8 + 1] = 0;
    p.b[1 * 8 + 2] = p.b[0 * 8 + 2] ^ sign;
    for (unsigned i = 0; i < k; ++i) {
      p.a[4 * k + i] = largest;
      p.a[5 * k + i] = subnormal;
      p.a[6 * k + i] = sign;
    }
    p.c[6 * 8] = 0x80000000U;
    p.b[0 * 8 + 3] = largest;
    CAPTURE(type.name);
    CHECK(run(p) == expected(p));
  }
}

TEST_CASE("mma with f16 accumulators overflows to infinity and reaches subnormals") {
  Problem p = random_problem(16, 16, f16_element, f16_element, "f16", 3);
  for (unsigned i = 0; i < 16; ++i) {
    p.a[0 * 16 + i] = 0x7bff;
    p.a[1 * 16 + i] = 0xfbff;
    p.a[2 * 16 + i] = 0x0001;
    p.a[3 * 16 + i] = 0;
  }
  for (unsigned column = 0; column < 8; ++column) {
    p.c[2 * 8 + column] = column;
    p.c[3 * 8 + column] = column % 2 == 0 ? 0x8000 : 0x7e01;
  }
  CHECK(run(p) == expected(p));
}

TEST_CASE("mma needs all 32 threads") {
  const std::string body =
      ".reg .b32 a<4>, b<2>, c<4>, d<4>;\nmov.b32 a0, 0; mov.b32 a1, 0; mov.b32 a2, 0; mov.b32 a3, 0; "
      "mov.b32 b0, 0;\n"
      "mov.b32 b1, 0; mov.b32 c0, 0; mov.b32 c1, 0; mov.b32 c2, 0; mov.b32 c3, 0;\n"
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {d0, d1, d2, d3}, {a0, a1, a2, a3}, {b0, b1}, {c0, "
      "c1, c2, c3};\nret;";
  Runner runner(kernel_text({}, body));
  CHECK(runner.run("k", {1, 1, 1}, {32, 1, 1}, 0).kind == FaultKind::none);
  const Fault fault = runner.run("k", {1, 1, 1}, {16, 1, 1}, 0);
  CHECK(fault.kind == FaultKind::illegal_instruction);
  CHECK_THAT(fault.message, Catch::Matchers::Contains("needs all 32 threads"));
}

TEST_CASE("Forms of mma outside the supported set are refused by name") {
  const auto decode = [](const std::string& instruction) {
    require_modelled(
        kernel_text({}, ".reg .b32 a<4>, b<4>, c<4>, d<4>; .reg .f64 x<4>;\n" + instruction + "\nret;"));
  };
  for (const char* instruction :
       {"mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {d0}, {a0}, {b0}, {c0}, d1, 0;",
        "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {x0, x1}, {x2}, {x3}, {x0, x1};",
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.bf16.s32 {d0, d1, d2, d3}, {a0, a1, a2, a3}, {b0, b1}, "
        "{c0, c1, c2, c3};",
        "mma.sync.aligned.m16n8k8.row.col.f16.bf16.bf16.f16 {d0, d1}, {a0, a1}, {b0}, {c0, c1};",
        "tcgen05.wait::ld.sync.aligned;",
        "wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {d0}, {a0}, {b0}, {c0};"}) {
    CAPTURE(instruction);
    CHECK_THROWS_WITH(decode(instruction), Catch::Matchers::Contains("PTX line 8"));
  }
  CHECK_THROWS_WITH(decode("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {d0, d1, d2, d3}, {a0, a1, a2}, "
                           "{b0}, {c0, c1, c2, c3};"),
                    Catch::Matchers::Contains("operand 2 must have 2 registers"));
}

namespace {

/// Loads `count` matrices whose rows lie 48 bytes apart in shared memory and returns the registers, lane by
/// lane.
std::vector<std::uint32_t> load_matrices(unsigned count, bool trans,
                                         const std::vector<std::uint16_t>& source) {
  const std::string x = std::to_string(count);
  std::string body =
      ".shared .align 16 .b8 tile[1536];\n.reg .b32 r<4>, lane, at, row; .reg .u64 addr; .reg .b64 pair<2>;\n"
      "mov.u32 lane, %laneid; mov.u32 at, tile; mad.lo.u32 row, lane, 48, at;\n"
      "ld.param.u64 addr, [pa]; mad.wide.u32 addr, lane, 16, addr; ld.global.v2.b64 {pair0, pair1}, [addr];\n"
      "st.shared.v2.b64 [row], {pair0, pair1}; bar.sync 0;\n";
  if (count < 4) {
    // Lanes beyond the rows must not matter: give them an address that cannot be read.
    body +=
        ".reg .pred p; setp.ge.u32 p, lane, " + std::to_string(8 * count) + "; @p mov.u32 row, 0x7ffffff1;\n";
  }
  body += "ldmatrix.sync.aligned.m8n8.x" + x + (trans ? ".trans" : "") + ".shared.b16 " + names("r", count) +
          ", [row];\n" + moves("st", "r", "pd", count) + "ret;";
  Runner runner(kernel_text({"pd", "pa"}, body));
  auto* d = runner.zeros<std::uint32_t>(std::size_t{count} * 32);
  const Fault fault = runner.run("k", {1, 1, 1}, {32, 1, 1}, 0, d, runner.upload(source));
  REQUIRE(fault.message.empty());
  return Runner::download(d, std::size_t{count} * 32);
}

}  // namespace

TEST_CASE("ldmatrix distributes 8x8 matrices, plain and transposed") {
  std::vector<std::uint16_t> source(32 * 8);
  for (std::size_t i = 0; i < source.size(); ++i) {
    source[i] = static_cast<std::uint16_t>(i * 257 + 3);
  }
  for (const unsigned count : {1U, 2U, 4U}) {
    for (const bool trans : {false, true}) {
      const auto registers_of = load_matrices(count, trans, source);
      for (unsigned j = 0; j < count; ++j) {
        for (unsigned lane = 0; lane < 32; ++lane) {
          const auto element = [&](unsigned row, unsigned column) {
            return static_cast<std::uint32_t>(
                source[(j * 8 + (trans ? column : row)) * 8 + (trans ? row : column)]);
          };
          const unsigned row = lane / 4;
          const unsigned column = lane % 4 * 2;
          CAPTURE(count, trans, j, lane);
          CHECK(registers_of[j * 32 + lane] == (element(row, column) | element(row, column + 1) << 16));
        }
      }
    }
  }
}

TEST_CASE("stmatrix is the inverse of ldmatrix") {
  for (const unsigned count : {1U, 2U, 4U}) {
    for (const bool trans : {false, true}) {
      std::vector<std::uint32_t> source(std::size_t{count} * 32);
      for (std::size_t i = 0; i < source.size(); ++i) {
        source[i] = static_cast<std::uint32_t>(2 * i | (2 * i + 1) << 16);
      }
      // The matrix of lane i's elements 2i and 2i+1 holds its own element numbers.
      const std::string body =
          ".shared .align 16 .b8 tile[512];\n.reg .b32 r<4>, lane, at, row; .reg .u64 addr; .reg .b64 "
          "pair<2>;\n"
          "mov.u32 lane, %laneid; mov.u32 at, tile; mad.lo.u32 row, lane, 16, at;\n" +
          moves("ld", "r", "pa", count) + "stmatrix.sync.aligned.m8n8.x" + std::to_string(count) +
          (trans ? ".trans" : "") + ".shared.b16 [row], " + names("r", count) +
          ";\nbar.sync 0;\n"
          ".reg .pred p; setp.ge.u32 p, lane, " +
          std::to_string(8 * count) +
          "; @p exit;\n"
          "ld.shared.v2.b64 {pair0, pair1}, [row]; ld.param.u64 addr, [pd]; mad.wide.u32 addr, lane, 16, "
          "addr;\n"
          "st.global.v2.b64 [addr], {pair0, pair1}; ret;";
      Runner runner(kernel_text({"pd", "pa"}, body));
      auto* d = runner.zeros<std::uint16_t>(std::size_t{count} * 64);
      const Fault fault = runner.run("k", {1, 1, 1}, {32, 1, 1}, 0, d, runner.upload(source));
      REQUIRE(fault.message.empty());
      const auto stored = Runner::download(d, std::size_t{count} * 64);
      for (unsigned i = 0; i < stored.size(); ++i) {
        const unsigned j = i / 64;
        const unsigned row = i / 8 % 8;
        const unsigned column = i % 8;
        CAPTURE(count, trans, i);
        CHECK(stored[i] == j * 64 + (trans ? column * 8 + row : row * 8 + column));
      }
    }
  }
}

TEST_CASE("ldmatrix through a generic address must reach shared memory") {
  const std::string body =
      ".reg .b32 r; .reg .u64 addr;\nld.param.u64 addr, [pa];\n"
      "ldmatrix.sync.aligned.m8n8.x1.b16 {r}, [addr]; ret;";
  Runner runner(kernel_text({"pa"}, body));
  const Fault fault = runner.run("k", {1, 1, 1}, {32, 1, 1}, 64, runner.zeros<std::uint32_t>(64));
  CHECK(fault.kind == FaultKind::illegal_address);
  CHECK_THAT(fault.message, Catch::Matchers::Contains("ldmatrix"));
}

TEST_CASE("movmatrix transposes") {
  const std::string body = ".reg .b32 a0, d0, lane; .reg .u64 addr; mov.u32 lane, %laneid;\n" +
                           moves("ld", "a", "pa", 1) + "movmatrix.sync.aligned.m8n8.trans.b16 d0, a0;\n" +
                           moves("st", "d", "pd", 1) + "ret;";
  Runner runner(kernel_text({"pd", "pa"}, body));
  std::vector<std::uint16_t> source(64);
  for (std::size_t i = 0; i < 64; ++i) {
    source[i] = static_cast<std::uint16_t>(i);
  }
  auto* d = runner.zeros<std::uint16_t>(64);
  REQUIRE(runner.run("k", {1, 1, 1}, {32, 1, 1}, 0, d, runner.upload(source)).message.empty());
  const auto turned = Runner::download(d, 64);
  for (unsigned i = 0; i < 64; ++i) {
    CHECK(turned[i] == i % 8 * 8 + i / 8);
  }
}

}  // namespace kerncast::simulator::testing
