#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

namespace {

struct ElementName {
  std::string_view name;
  Type type;
  unsigned bytes;
};

constexpr std::array<ElementName, 7> element_names{{
    {"f16", Type::f16, 2},
    {"bf16", Type::bf16, 2},
    {"tf32", Type::tf32, 4},
    {"s8", Type::s8, 1},
    {"u8", Type::u8, 1},
    {"e4m3", Type::e4m3, 1},
    {"e5m2", Type::e5m2, 1},
}};

const ElementName* element_called(std::string_view name) {
  for (const ElementName& entry : element_names) {
    if (entry.name == name) {
      return &entry;
    }
  }
  return nullptr;
}

struct Shape {
  std::string_view name;
  unsigned m;
  unsigned k;
};

constexpr std::array<Shape, 5> shapes{{
    {"m16n8k4", 16, 4},
    {"m16n8k8", 16, 8},
    {"m16n8k16", 16, 16},
    {"m16n8k32", 16, 32},
    {"m8n8k16", 8, 16},
}};

/// Shapes of `mma`, element types of its inputs, and shapes of ldmatrix and stmatrix that PTX has beside
/// those above and below.
constexpr std::array<std::string_view, 7> other_shapes{"m8n8k4",    "m8n8k32",   "m8n8k128", "m16n8k64",
                                                       "m16n8k128", "m16n8k256", "m8n8k64"};
constexpr std::array<std::string_view, 9> other_elements{"f64",  "s4",   "u4",     "b1", "e2m1",
                                                         "e3m2", "e2m3", "f8f6f4", "b4"};
constexpr std::array<std::string_view, 3> other_tiles{"m16n16", "m8n16", "m16n8"};

bool is_among(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool fits(const Shape& shape, Type a) {
  switch (a) {
    case Type::f16:
    case Type::bf16:
      return shape.m == 16 && (shape.k == 8 || shape.k == 16);
    case Type::tf32:
      return shape.m == 16 && (shape.k == 4 || shape.k == 8);
    case Type::s8:
    case Type::u8:
      return shape.k >= 16;
    default:
      return shape.m == 16 && shape.k >= 16;
  }
}

/// The shape and types that an mma names.
struct MmaForm {
  const Shape* shape = nullptr;
  const ElementName* a = nullptr;
  const ElementName* b = nullptr;
  Type d = Type::none;
  bool satfinite = false;
};

MmaForm take_mma_form(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (!mods.take("sync") || !mods.take("aligned")) {
    c.fail("needs .sync.aligned");
  }
  const Shape* shape = nullptr;
  for (const Shape& entry : shapes) {
    if (shape == nullptr && mods.take(entry.name)) {
      shape = &entry;
    }
  }
  if (shape == nullptr) {
    if (mods.take_any(other_shapes) >= 0) {
      c.not_modelled("this shape of mma");
    }
    c.unsupported("this shape of mma");
  }
  // In this order: both names stand in either.
  if (mods.opcode().find(".row.col.") == std::string_view::npos || !mods.take("row") || !mods.take("col")) {
    c.fail("needs .row.col");
  }
  const bool satfinite = mods.take("satfinite");
  const bool narrow_kind = mods.take("kind::f8f6f4");
  const std::string_view d_name = mods.take_next();
  const std::string_view a_name = mods.take_next();
  const std::string_view b_name = mods.take_next();
  const ElementName* a = element_called(a_name);
  const ElementName* b = element_called(b_name);
  const std::string_view c_name = mods.take_next();
  if (is_among(a_name, other_elements) && is_among(b_name, other_elements)) {
    c.not_modelled(fmt::format("mma of .{}", a_name));
  }
  if (a == nullptr || b == nullptr || d_name != c_name) {
    c.unsupported("these types of mma");
  }
  const bool integers = a->type == Type::s8 || a->type == Type::u8;
  const bool eighths = a->type == Type::e4m3 || a->type == Type::e5m2;
  const bool b_fits = integers  ? b->type == Type::s8 || b->type == Type::u8
                      : eighths ? b->type == Type::e4m3 || b->type == Type::e5m2
                                : b->type == a->type;
  const Type d = d_name == "f32"   ? Type::f32
                 : d_name == "f16" ? Type::f16
                 : d_name == "s32" ? Type::s32
                                   : Type::none;
  const bool d_fits =
      integers ? d == Type::s32 : d == Type::f32 || (d == Type::f16 && (a->type == Type::f16 || eighths));
  if (!b_fits || !d_fits || !fits(*shape, a->type) || (satfinite && !integers) || (narrow_kind && !eighths)) {
    c.unsupported("these types and this shape of mma");
  }
  return {shape, a, b, d, satfinite};
}

}  // namespace

void decode_mma(DecodeContext& c) {
  const auto [shape, a, b, d, satfinite] = take_mma_form(c);
  c.expect_operands(4);
  Op& op = c.emit(Code::mma, a->type);
  op.source = b->type;
  op.sub = static_cast<std::uint8_t>(d);
  op.count = static_cast<std::uint8_t>(shape->k);
  op.width = static_cast<std::uint8_t>(shape->m);
  op.flags = satfinite ? flag::sat_finite : 0U;
  op.imm = c.constant(all_lanes, 4);
  op.d2 = static_cast<std::uint32_t>(c.program.lists.size());
  const Type accumulator = d == Type::f16 ? Type::f16x2 : d;
  const Type input = a->type == Type::f16    ? Type::f16x2
                     : a->type == Type::bf16 ? Type::bf16x2
                     : a->type == Type::tf32 ? Type::tf32
                                             : Type::b32;
  const unsigned accumulators = shape->m * 8 * (d == Type::f16 ? 2U : 4U) / 128;
  const std::array<unsigned, 4> registers{accumulators, shape->m * shape->k * a->bytes / 128,
                                          8 * shape->k * a->bytes / 128, accumulators};
  for (std::size_t i = 0; i < registers.size(); ++i) {
    if (c.operand(i).kind == Operand::Kind::address || c.operand(i).count != registers[i]) {
      c.fail(fmt::format("operand {} must have {} registers", i + 1, registers[i]));
    }
    for (std::size_t part = 0; part < c.operand(i).count; ++part) {
      const Scalar& scalar = c.operand(i).parts[part];
      if (scalar.kind == Scalar::Kind::number && (i != 3 || d != Type::f32 || scalar.float_bytes != 4)) {
        c.fail("takes registers, and in place of .f32 accumulators constants such as 0f3F800000");
      }
    }
    c.add_list(c.operand(i), i == 0 || i == 3 ? accumulator : input, i == 0);
  }
}

void decode_matrix_move(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  if (!mods.take("sync") || !mods.take("aligned")) {
    c.fail("needs .sync.aligned");
  }
  if (base != "movmatrix" && mods.take_any(other_tiles) >= 0) {
    c.not_modelled("this shape of matrix");
  }
  if (!mods.take("m8n8")) {
    c.unsupported("this shape of matrix");
  }
  const bool transposes = mods.take("trans");
  if (base == "movmatrix") {
    if (!transposes || mods.need_type() != Type::b16) {
      c.fail("needs .trans and .b16");
    }
    c.expect_operands(2);
    if (c.operand(1).one().kind == Scalar::Kind::number) {
      c.fail("takes registers only");
    }
    Op& op = c.emit(Code::movmatrix, Type::b16);
    op.imm = c.constant(all_lanes, 4);
    c.write(Field::d, c.operand(0).one(), Type::b32);
    c.read(Field::a, c.operand(1).one(), Type::b32);
    return;
  }
  const unsigned count = mods.take("x1") ? 1 : mods.take("x2") ? 2 : mods.take("x4") ? 4 : 0;
  if (mods.take("shared::cluster")) {
    c.fail("needs the block's own shared memory");
  }
  const Space space = take_space(c);
  if (count == 0 || mods.need_type() != Type::b16) {
    c.fail("needs .x1, .x2 or .x4, and .b16");
  }
  if (space != Space::shared && space != Space::generic) {
    c.fail("needs shared memory");
  }
  const bool loads = base == "ldmatrix";
  c.expect_operands(2);
  const Operand& registers = c.operand(loads ? 0 : 1);
  if (registers.kind != Operand::Kind::vector || registers.count != count) {
    c.fail(fmt::format("needs {} registers in braces", count));
  }
  Op& op = c.emit(loads ? Code::ldmatrix : Code::stmatrix, Type::b16);
  op.count = static_cast<std::uint8_t>(count);
  op.flags = transposes ? flag::transpose : 0U;
  op.c = c.constant(all_lanes, 4);
  c.address(c.operand(loads ? 1 : 0), space, 16);
  op.d2 = c.add_list(registers, Type::b32, loads);
}

}  // namespace kerncast::simulator
