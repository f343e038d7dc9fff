#include <catch2/catch.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

// Each case lays A and B out in shared memory as the PTX ISA's figures show them, element by element, and
// compares D with sums in double. All values are chosen so that those sums are exact.
namespace kerncast::simulator::testing {

namespace {

using Catch::Matchers::Contains;
using Words = std::vector<std::uint32_t>;

struct Element {
  std::string name;
  unsigned bytes;
};

const Element f16{"f16", 2};
const Element bf16{"bf16", 2};
const Element tf32{"tf32", 4};
const Element e4m3{"e4m3", 1};
const Element e5m2{"e5m2", 1};
const Element s8{"s8", 1};
const Element u8{"u8", 1};

bool is_integer(const Element& type) {
  return type.name == "s8" || type.name == "u8";
}

/// A float of `exponent` and `mantissa` bits, rounded to nearest even, from a value in its normal range.
std::uint32_t encoded(double value, int exponent, int mantissa) {
  if (value == 0) {
    return 0;
  }
  const int power = std::ilogb(value);
  const int bias = (1 << (exponent - 1)) - 1;
  const double fraction =
      std::nearbyint(std::ldexp(std::fabs(value), mantissa - power)) - std::ldexp(1.0, mantissa);
  return (value < 0 ? 1U << (exponent + mantissa) : 0U) +
         (static_cast<std::uint32_t>(power + bias) << mantissa) + static_cast<std::uint32_t>(fraction);
}

std::uint32_t encoded(const Element& type, double value) {
  if (is_integer(type)) {
    return static_cast<std::uint32_t>(static_cast<int>(value)) & 0xffU;
  }
  return type.name == "f16"    ? encoded(value, 5, 10)
         : type.name == "bf16" ? encoded(value, 8, 7)
         : type.name == "tf32" ? encoded(value, 8, 23)
         : type.name == "e4m3" ? encoded(value, 4, 3)
                               : encoded(value, 5, 2);
}

double random_value(const Element& type, std::minstd_rand& random) {
  if (is_integer(type)) {
    return type.name == "s8" ? static_cast<double>(static_cast<int>(random() % 256) - 128)
                             : static_cast<double>(random() % 256);
  }
  // Every type has three bits of significand and these exponents.
  const double significand = static_cast<double>(random() % 4 + 4) / 4;
  const double sign = random() % 2 == 0 ? 1 : -1;
  return random() % 8 == 0 ? 0 : sign * std::ldexp(significand, static_cast<int>(random() % 5) - 3);
}

/// The layout of a matrix in shared memory: swizzle of 0, 32, 64 or 128 bytes, and the direction of its rows.
struct Layout {
  unsigned swizzle = 0;
  bool across = false;   ///< rows run along m or n
  unsigned start = 0;    ///< byte address
  unsigned skipped = 0;  ///< bytes of each row before the first element, for rows along k
  unsigned leading = 0;
  unsigned stride = 0;
  unsigned base_offset = 0;
};

std::uint64_t descriptor(const Layout& layout) {
  const std::uint64_t mode = layout.swizzle == 128  ? 1
                             : layout.swizzle == 64 ? 2
                             : layout.swizzle == 32 ? 3
                                                    : 0;
  return static_cast<std::uint64_t>((layout.start + layout.skipped) / 16) |
         static_cast<std::uint64_t>(layout.leading / 16) << 16 |
         static_cast<std::uint64_t>(layout.stride / 16) << 32 |
         static_cast<std::uint64_t>(layout.base_offset) << 49 | mode << 62;
}

/// The place of element (line, k) relative to the layout's start, where lines are rows of A or columns of B.
unsigned place_of(const Layout& layout, unsigned bytes, unsigned line, unsigned k) {
  if (layout.swizzle == 0) {
    // Core matrices of 8 rows of 16 bytes, each in 128 bytes that follow each other.
    if (layout.across) {
      return line / 8 * layout.stride + k / 8 * layout.leading + k % 8 * 16 + line % 8 * bytes;
    }
    const unsigned byte = k * bytes;
    return line / 8 * layout.stride + byte / 16 * layout.leading + line % 8 * 16 + byte % 16;
  }
  // Rows of as many bytes as the swizzle has; every 128 bytes the chunks of 16 bytes trade places.
  const unsigned row = layout.across ? k : line;
  const unsigned byte = layout.across ? line * bytes : k * bytes + layout.skipped;
  const unsigned rows_together = 128 / layout.swizzle;
  const unsigned chunks = layout.swizzle / 16;
  const unsigned chunk = byte / 16 % chunks ^ row / rows_together % chunks;
  return row / 8 * layout.stride + row % 8 * layout.swizzle + chunk * 16 + byte % 16 +
         byte / layout.swizzle * layout.leading;
}

struct Case {
  Element a = f16;
  Element b = f16;
  std::string d = "f32";
  unsigned n = 8;
  Layout a_layout;
  Layout b_layout;
  bool a_here = false;
  bool adds = true;
  int scale_a = 1;
  int scale_b = 1;
  bool clamps = false;
  unsigned groups = 1;  ///< warpgroups, which all do the same
};

struct Problem {
  std::vector<double> a, b, c;  ///< 64 x k, k x n, 64 x n
  unsigned k = 0;
};

constexpr unsigned image_bytes = 65536;
constexpr unsigned b_start = 32768;

Problem make_problem(const Case& test, unsigned seed) {
  std::minstd_rand random(seed + 1);
  Problem p;
  p.k = 32 / test.a.bytes;
  p.a.resize(std::size_t{64} * p.k);
  p.b.resize(std::size_t{p.k} * test.n);
  p.c.resize(std::size_t{64} * test.n);
  for (double& value : p.a) {
    value = random_value(test.a, random);
  }
  for (double& value : p.b) {
    value = random_value(test.b, random);
  }
  for (double& value : p.c) {
    value = test.d == "s32" ? static_cast<double>(static_cast<std::int32_t>(random() * 2 + random() % 2))
                            : static_cast<double>(static_cast<int>(random() % 65) - 32);
  }
  return p;
}

std::string list_of(const std::string& name, unsigned count) {
  std::string text = "{";
  for (unsigned i = 0; i < count; ++i) {
    text += (i == 0 ? "" : ", ") + name + std::to_string(i);
  }
  return text + "}";
}

std::string opcode_of(const Case& test) {
  return "wgmma.mma_async.sync.aligned.m64n" + std::to_string(test.n) + "k" +
         std::to_string(32 / test.a.bytes) + (test.clamps ? ".satfinite." : ".") + test.d + "." +
         test.a.name + "." + test.b.name;
}

std::string instruction_of(const Case& test, unsigned accumulators, const std::string& a = "da") {
  std::string text = opcode_of(test) + " " + list_of("d", accumulators) + ", " +
                     (test.a_here ? list_of("x", 4) : a) + ", db, adds";
  if (test.d != "s32") {
    text += ", " + std::to_string(test.scale_a) + ", " + std::to_string(test.scale_b);
  }
  if (test.a.bytes == 2) {
    text += test.a_here ? "" : test.a_layout.across ? ", 1" : ", 0";
    text += test.b_layout.across ? ", 1" : ", 0";
  }
  return text + ";\n";
}

constexpr const char* prologue =
    ".reg .u32 t, i, s, at, v, w<8>; .reg .u64 in, pc, px, out, from, da, db, wide; .reg .pred p, adds;\n"
    "mov.u32 t, %tid.x; mov.u32 s, buf; ld.param.u64 in, [pin]; ld.param.u64 pc, [pc0];\n"
    "ld.param.u64 px, [pa]; ld.param.u64 out, [pd]; ld.param.u64 da, [pda]; ld.param.u64 db, [pdb];\n"
    "shr.u32 v, s, 4; cvt.u64.u32 wide, v; add.u64 da, da, wide; add.u64 db, db, wide;\n"
    // The image goes to shared memory.
    "mov.u32 i, t; mov.u32 w0, %ntid.x;\n"
    "copy: mad.wide.u32 from, i, 4, in; ld.global.u32 v, [from]; mad.lo.u32 at, i, 4, s;\n"
    "st.shared.u32 [at], v; add.u32 i, i, w0; setp.lt.u32 p, i, 16384; @p bra copy;\n"
    "fence.proxy.async; bar.sync 0;\n";

/// The kernel around `body`, which finds accumulators d, and A's fragment x if the case has one.
std::string text_of(const Case& test, const std::string& body, unsigned accumulators) {
  const std::string type = test.d == "f32" ? ".f32" : ".b32";
  const std::string n = std::to_string(accumulators);
  std::string text =
      std::string(prologue) + ".reg " + type + " d<" + n + ">; .reg .b32 x<4>;\n" + "mad.lo.u32 v, t, " + n +
      ", 0; mad.wide.u32 pc, v, 4, pc; mad.wide.u32 out, v, 4, out;\n" + "mad.wide.u32 px, t, 16, px;\n";
  for (unsigned i = 0; i < accumulators; ++i) {
    text += "ld.global" + type + " d" + std::to_string(i) + ", [pc+" + std::to_string(4 * i) + "];\n";
  }
  text += test.a_here ? "ld.global.v4.b32 {x0, x1, x2, x3}, [px];\n" : "";
  text += std::string("setp.eq.u32 adds, s, ") + (test.adds ? "s" : "0xffffffff") + ";\n" + body;
  for (unsigned i = 0; i < accumulators; ++i) {
    text += "st.global" + type + " [out+" + std::to_string(4 * i) + "], d" + std::to_string(i) + ";\n";
  }
  return kernel_text({"pin", "pc0", "pa", "pd", "pda", "pdb"}, text + "ret;",
                     ".extern .shared .align 1024 .b8 buf[];", "sm_90a");
}

unsigned accumulators_of(const Case& test) {
  return test.n / (test.d == "f16" ? 4 : 2);
}

/// Row and column of accumulator element `i` of a thread.
std::array<unsigned, 2> accumulator_place(unsigned thread, unsigned i) {
  const unsigned lane = thread % 32;
  return {thread / 32 % 4 * 16 + lane / 4 + i / 2 % 2 * 8, i / 4 * 8 + lane % 4 * 2 + i % 2};
}

struct Outcome {
  Fault fault;
  Words d;
  std::vector<std::string> findings;
};

Outcome run(const Case& test, const Problem& p, const std::string& body, bool reports = false) {
  std::vector<std::uint8_t> image(image_bytes, 0xa5);
  const auto put = [&](unsigned at, const Element& type, double value) {
    const std::uint32_t bits = encoded(type, value);
    REQUIRE(at + type.bytes <= image_bytes);
    std::memcpy(&image[at], &bits, type.bytes);
  };
  for (unsigned k = 0; k < p.k; ++k) {
    for (unsigned row = 0; row < 64 && !test.a_here; ++row) {
      put(test.a_layout.start + place_of(test.a_layout, test.a.bytes, row, k), test.a, p.a[row * p.k + k]);
    }
    for (unsigned column = 0; column < test.n; ++column) {
      put(test.b_layout.start + place_of(test.b_layout, test.b.bytes, column, k), test.b,
          p.b[k * test.n + column]);
    }
  }
  const unsigned threads = 128 * test.groups;
  const unsigned accumulators = accumulators_of(test);
  Words c(std::size_t{threads} * accumulators);
  Words x(std::size_t{threads} * 4);
  for (unsigned thread = 0; thread < threads; ++thread) {
    const unsigned halves = test.d == "f16" ? 2 : 1;
    for (unsigned i = 0; i < accumulators * halves; ++i) {
      const auto [row, column] = accumulator_place(thread, i);
      const double value = p.c[row * test.n + column];
      const std::uint32_t bits = test.d == "s32"
                                     ? static_cast<std::uint32_t>(static_cast<std::int64_t>(value))
                                 : test.d == "f16" ? encoded(value, 5, 10)
                                                   : encoded(value, 8, 23);
      c[std::size_t{thread} * accumulators + i / halves] |= bits << (i % halves * 16);
    }
    const unsigned each = 4 / test.a.bytes;
    for (unsigned j = 0; j < 4; ++j) {
      for (unsigned e = 0; e < each; ++e) {
        const unsigned row = thread / 32 % 4 * 16 + thread % 32 / 4 + j % 2 * 8;
        const unsigned k = thread % 4 * each + j / 2 * 4 * each + e;
        x[std::size_t{thread} * 4 + j] |= encoded(test.a, p.a[row * p.k + k]) << (8 * test.a.bytes * e);
      }
    }
  }
  Runner runner(text_of(test, body, accumulators));
  runner.checks = true;
  Outcome outcome;
  runner.findings = reports ? &outcome.findings : nullptr;
  auto* d = runner.upload(Words(c.size(), 0xdeadbeef));
  outcome.fault =
      runner.run("k", {1, 1, 1}, {threads, 1, 1}, image_bytes, runner.upload(image), runner.upload(c),
                 runner.upload(x), d, descriptor(test.a_layout), descriptor(test.b_layout));
  outcome.d = Runner::download(d, c.size());
  return outcome;
}

std::string whole_body(const Case& test) {
  return "wgmma.fence.sync.aligned;\n" + instruction_of(test, accumulators_of(test)) +
         "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";
}

std::uint32_t expected_bits(const Case& test, double sum) {
  if (test.d == "s32") {
    const double clamped = std::fmin(std::fmax(sum, -2147483648.0), 2147483647.0);
    return static_cast<std::uint32_t>(static_cast<std::int64_t>(test.clamps ? clamped : sum));
  }
  return test.d == "f16" ? encoded(sum, 5, 10) : encoded(sum, 8, 23);
}

void check(const Case& test, unsigned seed = 0) {
  const Problem p = make_problem(test, seed);
  INFO(opcode_of(test) << " A " << test.a_layout.swizzle << (test.a_layout.across ? " across" : " along")
                       << " B " << test.b_layout.swizzle << (test.b_layout.across ? " across" : " along"));
  const Outcome outcome = run(test, p, whole_body(test));
  REQUIRE(outcome.fault.message.empty());
  const unsigned accumulators = accumulators_of(test);
  const unsigned halves = test.d == "f16" ? 2 : 1;
  unsigned wrong = 0;
  for (unsigned thread = 0; thread < 128 * test.groups; ++thread) {
    for (unsigned i = 0; i < accumulators * halves; ++i) {
      const auto [row, column] = accumulator_place(thread, i);
      double sum = test.adds ? p.c[row * test.n + column] : 0;
      for (unsigned k = 0; k < p.k; ++k) {
        sum += test.scale_a * p.a[row * p.k + k] * test.scale_b * p.b[k * test.n + column];
      }
      const std::uint32_t got = outcome.d[std::size_t{thread} * accumulators + i / halves];
      const std::uint32_t bits = halves == 2 ? got >> (i % 2 * 16) & 0xffffU : got;
      // An exact zero has no sign to compare.
      const bool same =
          bits == expected_bits(test, sum) || (sum == 0 && (bits << (halves == 2 ? 17 : 1)) == 0);
      wrong += same ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

/// Layouts without gaps, and for rows along k also from the middle of a row on.
std::vector<Layout> layouts(unsigned bytes, unsigned lines, unsigned start) {
  std::vector<Layout> all;
  all.push_back({0, false, start, 0, 128, 256});
  all.push_back({0, false, start, 0, lines * 16 + 128, 128});
  for (const unsigned swizzle : {32U, 64U, 128U}) {
    all.push_back({swizzle, false, start, 0, 16, 8 * swizzle});
    all.push_back({swizzle, false, start, swizzle - 32, 0, swizzle == 32 ? 512U : 1024U});
  }
  if (bytes == 2) {
    all.push_back({0, true, start, 0, 128, 256});
    all.push_back({0, true, start, 0, lines * 16, 128});
    for (const unsigned swizzle : {32U, 64U, 128U}) {
      all.push_back({swizzle, true, start, 0, 16 * swizzle, 8 * swizzle});
      all.push_back({swizzle, true, start, 0, 8 * swizzle, 10240});
    }
  }
  return all;
}

Case plain_case() {
  Case test;
  test.n = 16;
  test.a_layout = {128, false, 0, 0, 16, 1024};
  test.b_layout = {128, false, b_start, 0, 16, 1024};
  return test;
}

/// The case's first finding, with the program `body`.
void check_violation(const std::string& body, const std::string& what, const Case& test = plain_case()) {
  const Outcome outcome = run(test, make_problem(test, 1), body);
  CHECK(outcome.fault.kind == FaultKind::violation);
  CHECK_THAT(outcome.fault.message, Contains(what) && Contains("PTX line"));
}

constexpr const char* fence = "wgmma.fence.sync.aligned;\n";
constexpr const char* commit = "wgmma.commit_group.sync.aligned;\n";
constexpr const char* wait = "wgmma.wait_group.sync.aligned 0;\n";

std::string plain_product() {
  return instruction_of(plain_case(), accumulators_of(plain_case()));
}

}  // namespace

TEST_CASE("wgmma multiplies matrices of every layout in shared memory") {
  for (const auto& [type, result] : std::vector<std::pair<Element, std::string>>{
           {f16, "f32"}, {f16, "f16"}, {bf16, "f32"}, {tf32, "f32"}, {e4m3, "f32"}, {s8, "s32"}}) {
    const std::vector<Layout> as = layouts(type.bytes, 64, 0);
    const std::vector<Layout> bs = layouts(type.bytes, 40, b_start);
    for (std::size_t i = 0; i < as.size(); ++i) {
      Case test;
      test.a = test.b = type;
      test.d = result;
      test.n = result == "s32" ? 48 : 40;
      test.a_layout = as[i];
      test.b_layout = bs[(i * 5 + 3) % bs.size()];
      check(test, static_cast<unsigned>(i));
      test.a_layout = as[(i * 5 + 2) % as.size()];
      test.b_layout = bs[i];
      check(test, static_cast<unsigned>(i) + 100);
    }
  }
}

TEST_CASE("wgmma takes every width and type") {
  for (unsigned n = 8; n <= 256; n += 8) {
    Case test;
    test.n = n;
    test.a_layout = {128, false, 0, 0, 16, 1024};
    test.b_layout = {128, false, b_start, 32, 16, 1024};
    if (n * 128 > image_bytes - b_start) {
      test.b_layout = {32, false, b_start, 0, 16, 256};
    }
    check(test, n);
  }
  for (const Element& a : {e4m3, e5m2}) {
    for (const Element& b : {e4m3, e5m2}) {
      for (const std::string d : {"f32", "f16"}) {
        Case test = plain_case();
        test.a = a;
        test.b = b;
        test.d = d;
        check(test);
        test.a_here = true;
        check(test);
      }
    }
  }
  for (const Element& a : {s8, u8}) {
    for (const Element& b : {s8, u8}) {
      for (const bool clamps : {false, true}) {
        Case test = plain_case();
        test.a = a;
        test.b = b;
        test.d = "s32";
        test.clamps = clamps;
        check(test);
        test.a_here = true;
        test.adds = false;
        check(test);
      }
    }
  }
}

TEST_CASE("wgmma takes A from registers, drops the accumulators and negates its operands") {
  for (const auto& [type, result] : std::vector<std::pair<Element, std::string>>{
           {f16, "f32"}, {f16, "f16"}, {bf16, "f32"}, {tf32, "f32"}, {e5m2, "f32"}}) {
    for (unsigned bits = 0; bits < 16; ++bits) {
      Case test = plain_case();
      test.a = test.b = type;
      test.d = result;
      test.a_here = (bits & 1U) != 0;
      test.adds = (bits & 2U) != 0;
      test.scale_a = (bits & 4U) != 0 ? -1 : 1;
      test.scale_b = (bits & 8U) != 0 ? -1 : 1;
      test.groups = bits % 2 + 1;
      check(test, bits);
    }
  }
}

TEST_CASE("the swizzle of a wgmma begins where the base offset says") {
  Case test = plain_case();
  test.a_layout.start = 3 * 128;
  test.a_layout.base_offset = 3;
  test.b_layout.start = b_start + 5 * 128;
  test.b_layout.base_offset = 5;
  check(test);
}

TEST_CASE("registers of a wgmma are its own from the fence to the wait") {
  const Case test = plain_case();
  check_violation(plain_product() + commit + wait, "issues a wgmma before the first wgmma.fence");
  check_violation(fence + plain_product() + commit + "add.f32 d1, d1, d1;\n" + wait,
                  "reads a register of a wgmma that it has not waited for");
  check_violation(fence + plain_product() + commit + "mov.f32 d3, 0f3F800000;\n" + wait,
                  "writes a register of a wgmma that it has not waited for");
  // The wait is for a group that does not hold the second product.
  check_violation(fence + plain_product() + commit + plain_product() + commit +
                      "wgmma.wait_group.sync.aligned 1;\nadd.f32 d1, d1, d1;\n" + wait,
                  "reads a register of a wgmma that it has not waited for");
  check_violation(fence + plain_product() + wait + "add.f32 d1, d1, d1;\n" + commit + wait,
                  "reads a register of a wgmma that it has not waited for");
  check_violation(std::string(fence) + "add.f32 d1, d1, d1;\n" + plain_product() + commit + wait,
                  "accumulates in registers that it accessed since its last wgmma.fence");
  check_violation(
      fence + plain_product() + commit + wait + "add.f32 d1, d1, d1;\n" + plain_product() + commit + wait,
      "accumulates in registers that it accessed since its last wgmma.fence");
  Case here = test;
  here.a_here = true;
  const std::string product = instruction_of(here, accumulators_of(here));
  check_violation(std::string(fence) + "xor.b32 x1, x1, 0;\n" + product + commit + wait,
                  "takes A from registers that it accessed since its last wgmma.fence", here);
  check_violation(fence + product + commit + "add.u32 x1, x1, 1;\n" + wait,
                  "writes a register of a wgmma that it has not waited for", here);
  Case narrow = here;
  narrow.n = 8;
  check_violation(fence + product + commit + instruction_of(narrow, accumulators_of(narrow)) + commit + wait,
                  "accumulates in registers of a wgmma of another shape", here);
}

TEST_CASE("a program that keeps the order of wgmma has no finding") {
  const Case test = plain_case();
  const std::string twice = plain_product() + plain_product();
  const std::string body = fence + twice + commit + plain_product() + commit +
                           "wgmma.wait_group.sync.aligned 1;\nwgmma.wait_group.sync.aligned 0;\n"
                           "add.f32 d1, d1, d1;\n" +
                           fence + plain_product() + commit + wait;
  CHECK(run(test, make_problem(test, 1), body).fault.message.empty());
  // Moves only rename, as where control flow joins.
  const std::string loop = ".reg .f32 y; mov.u32 i, 0;\n" + std::string(fence) + "again: mov.f32 y, d2;\n" +
                           "mov.f32 d2, y;\n" + plain_product() + commit +
                           "add.u32 i, i, 1; setp.lt.u32 p, i, 3; @p bra again;\n" + wait;
  CHECK(run(test, make_problem(test, 1), loop).fault.message.empty());
}

TEST_CASE("shared memory is a wgmma's until the wait") {
  const std::string overwrite = "setp.eq.u32 p, t, 3; @p st.shared.u32 [s], t;\n";
  check_violation(fence + plain_product() + commit + overwrite + wait, "in a race");
  const Case test = plain_case();
  CHECK(
      run(test, make_problem(test, 1), fence + plain_product() + commit + wait + "bar.sync 0;\n" + overwrite)
          .fault.message.empty());
}

TEST_CASE("a wgmma reads what threads wrote behind a fence of the async proxy") {
  const std::string write = "setp.eq.u32 p, t, 3; @p st.shared.u32 [s], 0;\n";
  const std::string proxy = "fence.proxy.async.shared::cta;\n";
  const std::string product = fence + plain_product() + commit + wait;
  check_violation(write + "bar.sync 0;\n" + product, "no fence.proxy.async comes after the write");
  check_violation(write + "fence.proxy.async.global; bar.sync 0;\n" + product,
                  "no fence.proxy.async comes after the write");
  check_violation(proxy + write + "bar.sync 0;\n" + product, "no fence.proxy.async comes after the write");
  const Case test = plain_case();
  for (const std::string& body :
       {write + proxy + "bar.sync 0;\n" + product, write + "bar.sync 0;\n" + proxy + product}) {
    CHECK(run(test, make_problem(test, 1), body).fault.message.empty());
  }
}

TEST_CASE("the warps of a warpgroup execute the same wgmma") {
  check_violation(
      std::string(fence) + "shr.u32 v, t, 5; setp.ne.u32 adds, v, 2;\n" + plain_product() + commit + wait,
      "passes another scale-d than warp");
  check_violation(std::string(fence) +
                      "shr.u32 v, t, 5; and.b32 v, v, 1; cvt.u64.u32 wide, v; add.u64 db, db, wide;\n" +
                      plain_product() + commit + wait,
                  "passes another matrix descriptor than warp");
  const Case test = plain_case();
  const Problem p = make_problem(test, 1);
  const Outcome lanes = run(
      test, p,
      std::string(fence) + "and.b32 v, t, 1; cvt.u64.u32 wide, v; add.u64 da, da, wide;\n" + plain_product());
  CHECK(lanes.fault.kind == FaultKind::illegal_instruction);
  CHECK_THAT(lanes.fault.message, Contains("another matrix descriptor than the other threads of its warp"));
  Case outside = plain_case();
  outside.b_layout.start = 0x3fff0;
  Runner runner(text_of(test, whole_body(test), accumulators_of(test)));
  auto* words = runner.zeros<std::uint32_t>(image_bytes);
  const Fault beyond = runner.run("k", {1, 1, 1}, {128, 1, 1}, image_bytes, words, words, words, words,
                                  descriptor(test.a_layout), descriptor(outside.b_layout));
  CHECK(beyond.kind == FaultKind::illegal_address);
  CHECK_THAT(beyond.message, Contains("wgmma read"));
  const Fault few = runner.run("k", {1, 1, 1}, {96, 1, 1}, image_bytes, words, words, words, words,
                               descriptor(test.a_layout), descriptor(test.b_layout));
  CHECK(few.kind == FaultKind::illegal_instruction);
  CHECK_THAT(few.message, Contains("whole warpgroup"));
}

TEST_CASE("wgmma is refused where PTX has no such form") {
  const auto error_of = [](const std::string& body, const std::string& target, int sm) -> std::string {
    try {
      require_modelled(
          kernel_text({"po"},
                      ".reg .f32 d<8>; .reg .b32 r<8>; .reg .u64 x, y; .reg .pred p;\n" + body + "\nret;", "",
                      target),
          sm);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  };
  const std::string four = "{d0, d1, d2, d3}, x, y, p, 1, 1";
  const std::string good = "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 " + four + ", 0, 0;";
  CHECK(error_of(good, "sm_90a", 90).empty());
  CHECK_THAT(error_of(good, "sm_90", 90), Contains("needs .target sm_90a"));
  CHECK_THAT(error_of(good, "sm_100a", 100), Contains("needs .target sm_90a"));
  CHECK_THAT(error_of("wgmma.fence.sync.aligned;", "sm_90", 90), Contains("needs .target sm_90a"));
  const auto refused = [&](const std::string& body, const std::string& what) {
    INFO(body);
    CHECK_THAT(error_of(body, "sm_90a", 90), Contains(what));
  };
  refused("wgmma.mma_async.sync.aligned.m64n12k16.f32.f16.f16 " + four + ", 0, 0;", "the shape 'm64n12k16'");
  refused("wgmma.mma_async.sync.aligned.m64n8k8.f32.f16.f16 " + four + ", 0, 0;", "the shape 'm64n8k8'");
  refused("wgmma.mma_async.sync.aligned.m64n40k32.s32.s8.s8 {d0}, x, y, p;", "the shape 'm64n40k32'");
  refused("wgmma.mma_async.sync.aligned.m64n8k16.f16.bf16.bf16 " + four + ", 0, 0;", "these types");
  refused("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.bf16 " + four + ", 0, 0;", "these types");
  refused("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 " + four + ";", "has 6 operands");
  refused("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {d0, d1}, x, y, p, 1, 1, 0, 0;",
          "must have 4 registers");
  refused("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {d0, d1, d2, d3}, x, y, p, 2, 1, 0, 0;",
          "must be the constant 1 or -1");
  refused("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {d0, d1, d2, d3}, x, y, p, 1, 1, 2, 0;",
          "must be the constant 0 or 1");
  refused("wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 " + four + ", 0, 0;", "has 8 operands");
  refused("wgmma.mma_async.aligned.m64n8k16.f32.f16.f16 " + four + ", 0, 0;", "needs .sync.aligned");
  refused("wgmma.mma_async.sync.aligned.m64n8k16.satfinite.f32.f16.f16 " + four + ", 0, 0;", ".satfinite");
  refused("wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 " + four + ", 0, 0;", "not modelled");
  refused("wgmma.wait_group.sync.aligned x;", "needs a constant");
}

}  // namespace kerncast::simulator::testing
