// Answers of an H100 where the PTX ISA leaves room or says otherwise. They were read from one (80 GB HBM3,
// driver 580.159.04, CUDA 13.0) with the same PTX. The conformance suite's references follow the same rules.
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

namespace {

using kerncast::simulator::testing::run_op;
using U16 = std::uint16_t;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

template <class D, class A>
struct Vector {
  const char* instruction;
  A a;
  A b;
  A c;
  D result;
};

/// Vectors with another answer than the device's, as text.
template <class D, class A>
std::vector<std::string> differences(const std::vector<Vector<D, A>>& vectors) {
  std::vector<std::string> found;
  for (const Vector<D, A>& vector : vectors) {
    const D got = run_op<D, A>(vector.instruction, {vector.a}, {vector.b}, {vector.c})[0];
    if (got != vector.result) {
      found.push_back(std::string(vector.instruction) + " gave " + std::to_string(got) + " for " +
                      std::to_string(vector.result));
    }
  }
  return found;
}

const std::vector<std::string> none;

}  // namespace

TEST_CASE("ftz flushes what is small when rounded with an exponent of any size") {
  const std::vector<Vector<U32, U32>> vectors{
      {"mul.rn.ftz.f32 d, a, b;", 0x31800000, 0xe7fffff, 0x0, 0x0},
      {"mul.rn.ftz.f32 d, a, b;", 0x32ffffff, 0x8d000000, 0x0, 0x80000000},
      {"mul.rn.ftz.f32 d, a, b;", 0x2a800002, 0x957ffffc, 0x0, 0x80800000},
      {"mul.rn.ftz.f32 d, a, b;", 0xaf800003, 0x907ffffa, 0x0, 0x800000},
      {"fma.rn.ftz.f32 d, a, b, c;", 0x32ffffff, 0x8d000000, 0x80000000, 0x80000000},
      {"fma.rn.ftz.f32 d, a, b, c;", 0x8affffff, 0x35000000, 0x80000000, 0x80000000},
      {"fma.rn.ftz.f32 d, a, b, c;", 0x2a800002, 0x957ffffc, 0x0, 0x80800000},
      {"fma.rn.ftz.f32 d, a, b, c;", 0x9e7ffff8, 0x21800004, 0x0, 0x80800000},
      {"div.rn.ftz.f32 d, a, b;", 0xb27fffff, 0xf1800000, 0x0, 0x0},
      {"div.rn.ftz.f32 d, a, b;", 0x8e7fffff, 0xcd800000, 0x0, 0x0},
      {"mul.rm.ftz.f32 d, a, b;", 0x2b800003, 0x947ffff9, 0x0, 0x80000000},
      {"mul.rm.ftz.f32 d, a, b;", 0x17800002, 0xa87ffffb, 0x0, 0x80000000},
      {"mul.rm.ftz.f32 d, a, b;", 0x2a800002, 0x957ffffc, 0x0, 0x80800000},
      {"mul.rm.ftz.f32 d, a, b;", 0x157ffffa, 0xaa800003, 0x0, 0x80800000},
      {"fma.rm.ftz.f32 d, a, b, c;", 0x2b800003, 0x947ffff9, 0x80288076, 0x80000000},
      {"fma.rm.ftz.f32 d, a, b, c;", 0x17800002, 0xa87ffffb, 0x0, 0x80000000},
      {"fma.rm.ftz.f32 d, a, b, c;", 0x2a800002, 0x957ffffc, 0x0, 0x80800000},
      {"fma.rm.ftz.f32 d, a, b, c;", 0x9e7ffff8, 0x21800004, 0x0, 0x80800000},
      {"div.rm.ftz.f32 d, a, b;", 0x6800003, 0xc5800004, 0x0, 0x80000000},
      {"div.rm.ftz.f32 d, a, b;", 0x857ffffc, 0x447ffffd, 0x0, 0x80000000},
      {"mul.rp.ftz.f32 d, a, b;", 0x31800000, 0xe7fffff, 0x0, 0x0},
      {"mul.rp.ftz.f32 d, a, b;", 0xa000002, 0x35fffffb, 0x0, 0x0},
      {"mul.rp.ftz.f32 d, a, b;", 0xaf800003, 0x907ffffa, 0x0, 0x800000},
      {"mul.rp.ftz.f32 d, a, b;", 0xc000001, 0x33fffffe, 0x0, 0x800000},
      {"fma.rp.ftz.f32 d, a, b, c;", 0x18000006, 0xa7fffffa, 0x1000001, 0x0},
      {"fma.rp.ftz.f32 d, a, b, c;", 0x1cfffffb, 0x23000002, 0x80000000, 0x0},
      {"fma.rp.ftz.f32 d, a, b, c;", 0xc000001, 0x33fffffe, 0x80000000, 0x800000},
      {"fma.rp.ftz.f32 d, a, b, c;", 0x29800004, 0x167ffff8, 0x0, 0x800000},
      {"div.rp.ftz.f32 d, a, b;", 0xb27fffff, 0xf1800000, 0x0, 0x0},
      {"div.rp.ftz.f32 d, a, b;", 0x1e7ffffd, 0x5d7ffffe, 0x0, 0x0},
  };
  CHECK(differences(vectors) == none);
}

TEST_CASE("ftz of f16 does likewise, and constant distances of 16-bit shifts have 16 bits") {
  const std::vector<Vector<U16, U16>> vectors{
      {"mul.rn.ftz.f16 d, a, b;", 0xc00, 0xb3ff, 0x0, 0x8000},
      {"mul.rn.ftz.f16 d, a, b;", 0xc00, 0x33ff, 0x0, 0x0},
      {"mul.rn.ftz.f16 d, a, b;", 0x401, 0x3bfe, 0x0, 0x400},
      {"mul.rn.ftz.f16 d, a, b;", 0xb7fe, 0x801, 0x0, 0x8400},
      {"fma.rn.ftz.f16 d, a, b, c;", 0xb400, 0xbff, 0x0, 0x8000},
      {"fma.rn.ftz.f16 d, a, b, c;", 0x27ff, 0x9800, 0x0, 0x8000},
      {"fma.rn.ftz.f16 d, a, b, c;", 0x401, 0x3bfe, 0x0, 0x400},
      {"fma.rn.ftz.f16 d, a, b, c;", 0xb7fe, 0x801, 0x2, 0x8400},
      {"shr.u16 d, a, 2147483648;", 0x1234, 0x0, 0x0, 0x1234},
      {"shl.b16 d, a, 2147483648;", 0x1234, 0x0, 0x0, 0x1234},
      {"shr.u16 d, a, 65540;", 0x1234, 0x0, 0x0, 0x123},
      {"shl.b16 d, a, 65540;", 0x1234, 0x0, 0x0, 0x2340},
  };
  CHECK(differences(vectors) == none);
}

TEST_CASE("NaNs become tf32 by each rounding in its own way; fns of the least offset is 0") {
  const std::vector<Vector<U32, U32>> vectors{
      {"cvt.rn.tf32.f32 d, a;", 0x7f800001, 0x0, 0x0, 0x7fffe000},
      {"cvt.rn.tf32.f32 d, a;", 0xffc00000, 0x0, 0x0, 0x7fffe000},
      {"cvt.rn.tf32.f32 d, a;", 0x7f7fffff, 0x0, 0x0, 0x7f800000},
      {"cvt.rz.tf32.f32 d, a;", 0x7f800001, 0x0, 0x0, 0x7fffe000},
      {"cvt.rz.tf32.f32 d, a;", 0xffc00000, 0x0, 0x0, 0x7fffe000},
      {"cvt.rz.tf32.f32 d, a;", 0x7f7fffff, 0x0, 0x0, 0x7f7fe000},
      {"cvt.rn.relu.tf32.f32 d, a;", 0x7f800001, 0x0, 0x0, 0x7fffe000},
      {"cvt.rn.relu.tf32.f32 d, a;", 0xffc00000, 0x0, 0x0, 0x7fffe000},
      {"cvt.rn.relu.tf32.f32 d, a;", 0x7f7fffff, 0x0, 0x0, 0x7f800000},
      {"cvt.rna.tf32.f32 d, a;", 0x7f800001, 0x0, 0x0, 0x7f800000},
      {"cvt.rna.tf32.f32 d, a;", 0xffc00000, 0x0, 0x0, 0xffc00000},
      {"cvt.rna.tf32.f32 d, a;", 0xffffffff, 0x0, 0x0, 0xffffe000},
      {"cvt.rna.tf32.f32 d, a;", 0x7f7fffff, 0x0, 0x0, 0x7f800000},
      {"cvt.rna.tf32.f32 d, a;", 0x7f7ff000, 0x0, 0x0, 0x7f800000},
      {"cvt.rna.satfinite.tf32.f32 d, a;", 0x7f800001, 0x0, 0x0, 0x7f7fe000},
      {"cvt.rna.satfinite.tf32.f32 d, a;", 0xffc00000, 0x0, 0x0, 0xffbfe000},
      {"cvt.rna.satfinite.tf32.f32 d, a;", 0xffffffff, 0x0, 0x0, 0xffffc000},
      {"cvt.rna.satfinite.tf32.f32 d, a;", 0x7f7fffff, 0x0, 0x0, 0x7f7fe000},
      {"cvt.rna.satfinite.tf32.f32 d, a;", 0x7f7ff000, 0x0, 0x0, 0x7f7fe000},
      {"fns.b32 d, a, b, c;", 0xf3538d1c, 0x0, 0x80000000, 0x0},
      {"fns.b32 d, a, b, c;", 0x7cdd884d, 0x15, 0x80000000, 0x0},
      {"fns.b32 d, a, b, c;", 0x0, 0x7, 0x80000001, 0xffffffff},
  };
  CHECK(differences(vectors) == none);
}

TEST_CASE("f64 to f32 keeps the sign and payload of a NaN, and ftz flushes as in arithmetic") {
  const std::vector<Vector<U32, U64>> vectors{
      {"cvt.rn.f32.f64 d, a;", 0x7ff0000000000001, 0x0, 0x0, 0x7fc00000},
      {"cvt.rn.f32.f64 d, a;", 0xfff0000000000001, 0x0, 0x0, 0xffc00000},
      {"cvt.rn.f32.f64 d, a;", 0xffffffffffffffff, 0x0, 0x0, 0xffffffff},
      {"cvt.rn.f32.f64 d, a;", 0x7ff0000020000000, 0x0, 0x0, 0x7fc00001},
      {"cvt.rn.f32.f64 d, a;", 0x7ff44539ba859e61, 0x0, 0x0, 0x7fe229cd},
      {"cvt.rn.ftz.f32.f64 d, a;", 0xb80fffffc0000000, 0x0, 0x0, 0x80000000},
      {"cvt.rn.ftz.f32.f64 d, a;", 0x380fffffc0000000, 0x0, 0x0, 0x0},
      {"cvt.rn.ftz.f32.f64 d, a;", 0xb80ffffffffffff0, 0x0, 0x0, 0x80800000},
      {"cvt.rn.ftz.f32.f64 d, a;", 0xb80ffffff8000000, 0x0, 0x0, 0x80800000},
      {"cvt.rm.ftz.f32.f64 d, a;", 0xb80fffffc0000000, 0x0, 0x0, 0x80000000},
      {"cvt.rm.ftz.f32.f64 d, a;", 0x380fffffc0000000, 0x0, 0x0, 0x0},
      {"cvt.rm.ftz.f32.f64 d, a;", 0xb80ffffffffffff0, 0x0, 0x0, 0x80800000},
      {"cvt.rm.ftz.f32.f64 d, a;", 0xb80ffffff8000000, 0x0, 0x0, 0x80800000},
      {"cvt.rp.ftz.f32.f64 d, a;", 0xb80ffffffffffff0, 0x0, 0x0, 0x80000000},
      {"cvt.rp.ftz.f32.f64 d, a;", 0xb80ffffff8000000, 0x0, 0x0, 0x80000000},
      {"cvt.rp.ftz.f32.f64 d, a;", 0x380fffffffffe000, 0x0, 0x0, 0x800000},
      {"cvt.rp.ftz.f32.f64 d, a;", 0x380ffffffe000000, 0x0, 0x0, 0x800000},
  };
  CHECK(differences(vectors) == none);
}

TEST_CASE("f64 to 16 bits keeps the sign and payload of a NaN") {
  const std::vector<Vector<U16, U64>> vectors{
      {"cvt.rn.f16.f64 d, a;", 0x7ff0000000000001, 0x0, 0x0, 0x7e00},
      {"cvt.rn.f16.f64 d, a;", 0xfff0000000000001, 0x0, 0x0, 0xfe00},
      {"cvt.rn.f16.f64 d, a;", 0xffffffffffffffff, 0x0, 0x0, 0xffff},
      {"cvt.rn.f16.f64 d, a;", 0x7ff0000020000000, 0x0, 0x0, 0x7e00},
      {"cvt.rn.f16.f64 d, a;", 0x7ff44539ba859e61, 0x0, 0x0, 0x7f11},
      {"cvt.rn.bf16.f64 d, a;", 0x7ff0000000000001, 0x0, 0x0, 0x7fc0},
      {"cvt.rn.bf16.f64 d, a;", 0xfff0000000000001, 0x0, 0x0, 0xffc0},
      {"cvt.rn.bf16.f64 d, a;", 0xffffffffffffffff, 0x0, 0x0, 0xffff},
      {"cvt.rn.bf16.f64 d, a;", 0x7ff0000020000000, 0x0, 0x0, 0x7fc0},
      {"cvt.rn.bf16.f64 d, a;", 0x7ff44539ba859e61, 0x0, 0x0, 0x7fe2},
  };
  CHECK(differences(vectors) == none);
}

TEST_CASE("subnormals are rounded to f16, ftz or not") {
  const std::vector<Vector<U16, U32>> vectors{
      {"cvt.rm.ftz.f16.f32 d, a;", 0x3540d4, 0x0, 0x0, 0x0},
      {"cvt.rm.ftz.f16.f32 d, a;", 0x45641, 0x0, 0x0, 0x0},
      {"cvt.rm.ftz.f16.f32 d, a;", 0x801a103a, 0x0, 0x0, 0x8001},
      {"cvt.rp.ftz.f16.f32 d, a;", 0x3540d4, 0x0, 0x0, 0x1},
      {"cvt.rp.ftz.f16.f32 d, a;", 0x45641, 0x0, 0x0, 0x1},
      {"cvt.rp.ftz.f16.f32 d, a;", 0x801a103a, 0x0, 0x0, 0x8000},
  };
  CHECK(differences(vectors) == none);
}
