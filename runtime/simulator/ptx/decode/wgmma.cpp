#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

// Matrix products of warpgroups, and the order of their accesses to registers.
namespace kerncast::simulator {

namespace {

constexpr unsigned tile_rows = 64;
constexpr unsigned tile_bytes = 32;  ///< of a row of A or a column of B
constexpr unsigned most_groups = 255;

/// The columns of a shape such as m64n128k16; 0 if it is none that has `depth` along k.
unsigned columns_of(std::string_view shape, unsigned depth) {
  for (unsigned n = 8; n <= 256; n += 8) {
    if (shape == fmt::format("m{}n{}k{}", tile_rows, n, depth)) {
      return n;
    }
  }
  return 0;
}

struct GroupForm {
  unsigned columns = 0;
  Type a = Type::none;
  Type b = Type::none;
  Type d = Type::none;
};

Type group_element(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, Type>, 7> names{{{"f16", Type::f16},
                                                                           {"bf16", Type::bf16},
                                                                           {"tf32", Type::tf32},
                                                                           {"e4m3", Type::e4m3},
                                                                           {"e5m2", Type::e5m2},
                                                                           {"s8", Type::s8},
                                                                           {"u8", Type::u8}}};
  for (const auto& [text, type] : names) {
    if (text == name) {
      return type;
    }
  }
  return Type::none;
}

GroupForm take_group_form(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::string_view shape = mods.take_next();
  const std::string_view d_name = mods.take_next();
  const std::string_view a_name = mods.take_next();
  const std::string_view b_name = mods.take_next();
  if (a_name == "b1") {
    c.not_modelled("wgmma of one bit");
  }
  GroupForm form;
  form.a = group_element(a_name);
  form.b = group_element(b_name);
  form.d = d_name == "f32"   ? Type::f32
           : d_name == "f16" ? Type::f16
           : d_name == "s32" ? Type::s32
                             : Type::none;
  const bool integers = form.a == Type::s8 || form.a == Type::u8;
  const bool eighths = form.a == Type::e4m3 || form.a == Type::e5m2;
  const bool b_fits = integers  ? form.b == Type::s8 || form.b == Type::u8
                      : eighths ? form.b == Type::e4m3 || form.b == Type::e5m2
                                : form.b == form.a;
  const bool d_fits = integers
                          ? form.d == Type::s32
                          : form.d == Type::f32 || (form.d == Type::f16 && (form.a == Type::f16 || eighths));
  if (form.a == Type::none || !b_fits || !d_fits) {
    c.unsupported("these types of wgmma");
  }
  const unsigned bytes = integers || eighths ? 1 : form.a == Type::tf32 ? 4 : 2;
  form.columns = columns_of(shape, tile_bytes / bytes);
  // Integers have fewer shapes: above 32 columns multiples of 16 only.
  if (form.columns == 0 || (integers && form.columns > 24 && form.columns % 16 != 0)) {
    c.unsupported(fmt::format("the shape '{}' of wgmma with these types", shape));
  }
  return form;
}

/// The immediate operand `index`, which is one of two values.
bool take_choice(DecodeContext& c, std::size_t index, std::int64_t plain, std::int64_t other,
                 std::string_view what) {
  const Scalar& given = c.operand(index).one();
  const auto value = static_cast<std::int64_t>(given.bits);
  if (given.kind != Scalar::Kind::number || given.float_bytes != 0 || (value != plain && value != other)) {
    c.fail(fmt::format("operand {}, {}, must be the constant {} or {}", index + 1, what, plain, other));
  }
  return value == other;
}

void decode_group_product(DecodeContext& c) {
  const bool clamps = c.mods().take("satfinite");
  const GroupForm form = take_group_form(c);
  const bool integers = form.d == Type::s32;
  const bool halves = form.a == Type::f16 || form.a == Type::bf16;
  if (clamps && !integers) {
    c.fail(".satfinite is for integers");
  }
  const bool a_here = c.operand(1).kind == Operand::Kind::vector;
  c.expect_operands(integers ? 4 : !halves ? 6 : a_here ? 7 : 8);
  const unsigned accumulators = tile_rows * form.columns / 128 / (form.d == Type::f16 ? 2 : 1);
  const auto expect_registers = [&c](std::size_t index, unsigned count) {
    const Operand& given = c.operand(index);
    if (given.kind != Operand::Kind::vector || given.count != count) {
      c.fail(fmt::format("operand {} must have {} registers in braces", index + 1, count));
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (given.parts[i].kind != Scalar::Kind::reg) {
        c.fail(fmt::format("operand {} takes registers only", index + 1));
      }
    }
  };
  expect_registers(0, accumulators);
  if (a_here) {
    expect_registers(1, 4);
  }
  std::uint32_t flags = (clamps ? flag::sat_finite : 0U) | (a_here ? flag::a_in_registers : 0U);
  if (!integers) {
    const bool negative_a = take_choice(c, 4, 1, -1, "imm-scale-a");
    const bool negative_b = take_choice(c, 5, 1, -1, "imm-scale-b");
    flags |= negative_a != negative_b ? flag::negate_products : 0U;
  }
  if (halves) {
    flags |= !a_here && take_choice(c, 6, 0, 1, "imm-trans-a") ? flag::transpose : 0U;
    flags |= take_choice(c, a_here ? 6 : 7, 0, 1, "imm-trans-b") ? flag::transpose_b : 0U;
  }
  const auto expect_descriptor = [&c](std::size_t index) {
    const Scalar& given = c.operand(index).one();
    if (c.operand(index).kind != Operand::Kind::scalar ||
        (given.kind != Scalar::Kind::reg && given.kind != Scalar::Kind::number)) {
      c.fail(fmt::format("operand {} must be a matrix descriptor", index + 1));
    }
  };
  expect_descriptor(2);
  Op& op = c.emit(Code::wgmma, form.a);
  op.source = form.b;
  op.sub = static_cast<std::uint8_t>(form.d);
  op.count = static_cast<std::uint8_t>(form.columns / 8);
  op.flags = flags;
  op.imm = c.constant(all_lanes, 4);
  op.d2 = static_cast<std::uint32_t>(c.program.lists.size());
  if (!a_here) {
    expect_descriptor(1);
    c.read(Field::a, c.operand(1).one(), Type::b64);
  }
  c.read(Field::b, c.operand(2).one(), Type::b64);
  c.read_predicate(Field::c, c.operand(3).one(), flag::neg_c);
  const Type accumulator = form.d == Type::f16 ? Type::f16x2 : form.d;
  const Type input = form.a == Type::f16    ? Type::f16x2
                     : form.a == Type::bf16 ? Type::bf16x2
                     : form.a == Type::tf32 ? Type::tf32
                                            : Type::b32;
  c.add_list(c.operand(0), accumulator, true);
  if (a_here) {
    c.add_list(c.operand(1), input, false);
  }
  c.add_list(c.operand(0), accumulator, false);
}

}  // namespace

void decode_wgmma(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const bool multiplies = mods.take("mma_async");
  const bool fences = !multiplies && mods.take("fence");
  const bool commits = !multiplies && !fences && mods.take("commit_group");
  const bool waits = !multiplies && !fences && !commits && mods.take("wait_group");
  if (!multiplies && !fences && !commits && !waits) {
    c.unsupported("this wgmma");
  }
  if (!mods.take("sync") || !mods.take("aligned")) {
    c.fail("needs .sync.aligned");
  }
  if (multiplies) {
    decode_group_product(c);
    return;
  }
  c.expect_operands(waits ? 1 : 0);
  unsigned groups = 0;
  if (waits) {
    if (c.operand(0).kind != Operand::Kind::scalar || c.operand(0).one().kind != Scalar::Kind::number) {
      c.fail("needs a constant number of groups");
    }
    c.check_constant(0, 0, std::numeric_limits<std::int32_t>::max());
    groups = static_cast<unsigned>(std::min<std::uint64_t>(c.operand(0).one().bits, most_groups));
  }
  Op& op = c.emit(fences ? Code::wgmma_fence : commits ? Code::wgmma_commit : Code::wgmma_wait, Type::none);
  op.count = static_cast<std::uint8_t>(groups);
  op.imm = c.constant(all_lanes, 4);
}

}  // namespace kerncast::simulator
