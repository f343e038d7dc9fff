#include <fmt/format.h>

#include "runtime/simulator/decoder.hpp"

namespace kerncast::simulator {

Space Decoder::take_space() {
  struct Name {
    std::string_view name;
    Space space;
  };
  static constexpr std::array<Name, 11> kNames{{
      {"global", Space::global},
      {"shared", Space::shared},
      {"local", Space::local},
      {"param", Space::param},
      {"const", Space::constant},
      {"shared::cta", Space::shared},
      // A block is its own cluster here.
      {"shared::cluster", Space::shared},
      {"param::entry", Space::param},
      {"param::func", Space::param},
      {"const[0]", Space::constant},
      {"generic", Space::generic},
  }};
  for (const Name& entry : kNames) {
    if (instruction_.mods.take(entry.name)) {
      return entry.space;
    }
  }
  return Space::generic;
}

bool Decoder::take_memory_modifiers() {
  // Host memory is coherent and at least as strongly ordered as any of these asks; caches are not modelled
  // here.
  static constexpr std::array<std::string_view, 6> kOrders{"volatile", "relaxed", "acquire",
                                                           "release",  "acq_rel", "mmio"};
  static constexpr std::array<std::string_view, 14> kHints{
      "weak", "cta", "cluster", "gpu", "sys", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "unified"};
  Modifiers& mods = instruction_.mods;
  bool strong = false;
  for (const std::string_view name : kOrders) {
    strong = mods.take(name) || strong;
  }
  for (const std::string_view name : kHints) {
    mods.take(name);
  }
  while (mods.take_prefix("L1::") || mods.take_prefix("L2::") || mods.take_prefix("level::")) {
  }
  return strong;
}

unsigned Decoder::take_vector() {
  Modifiers& mods = instruction_.mods;
  return mods.take("v2") ? 2 : mods.take("v4") ? 4 : mods.take("v8") ? 8 : 1;
}

namespace {

/// Vector elements of an access: 128-bit registers count as two of 64 bits.
struct Elements {
  std::array<Scalar, 8> parts;
  unsigned count = 0;
};

bool split(const Operand& operand, unsigned vector, Type type, Elements& out) {
  const bool wide = type == Type::b128;
  if (operand.kind == Operand::Kind::address || operand.count != vector ||
      (operand.kind == Operand::Kind::vector) != (vector > 1)) {
    return false;
  }
  for (unsigned i = 0; i < vector; ++i) {
    Scalar part = operand.parts[i];
    if (!wide) {
      out.parts[out.count++] = part;
      continue;
    }
    if (part.kind != Scalar::Kind::reg || part.bytes != 16 || vector > 4) {
      return false;
    }
    part.bytes = 8;
    out.parts[out.count++] = part;
    ++part.reg;
    out.parts[out.count++] = part;
  }
  return true;
}

unsigned widest(const Elements& elements, unsigned bytes) {
  unsigned width = bytes < 2 ? 2 : bytes;
  for (unsigned i = 0; i < elements.count; ++i) {
    if (elements.parts[i].kind == Scalar::Kind::reg && elements.parts[i].bytes > width) {
      width = elements.parts[i].bytes;
    }
  }
  return width;
}

}  // namespace

void Decoder::decode_load() {
  Modifiers& mods = instruction_.mods;
  const Space space = take_space();
  const bool strong = take_memory_modifiers();
  const unsigned vector = take_vector();
  const Type type = mods.need_type();
  expect_operands(2, 3);
  Elements elements;
  if (mods.base() == "ldu" && space != Space::global && space != Space::generic) {
    fail("needs global memory");
  }
  if ((!is_plain(type) && bytes_of(type) != 1) || !split(operand(0), vector, type, elements)) {
    fail("destination does not fit the type");
  }
  const Type element = type == Type::b128 ? Type::b64 : type;
  const unsigned bytes = bytes_of(element);
  if (bytes * elements.count > 32) {
    fail("accesses more than 32 bytes");
  }
  const Operand& from = operand(1);
  const bool kernel_parameter = space == Space::param && from.one().kind == Scalar::Kind::variable &&
                                from.one().variable->space == Space::param &&
                                !from.one().variable->frame_relative;
  Op& op = emit(kernel_parameter ? Code::ld_param : Code::ld, element);
  op.count = static_cast<std::uint8_t>(elements.count);
  op.flags |= strong ? kStrong : 0U;
  if (kernel_parameter) {
    const Variable& variable = *from.one().variable;
    if (from.offset < 0 || static_cast<std::uint64_t>(from.offset) + bytes * elements.count > variable.size) {
      fail(fmt::format("reads {} bytes at offset {} of '{}', which has {}", bytes * elements.count,
                       from.offset, from.one().text, variable.size));
    }
    op.imm = static_cast<std::int64_t>(variable.address) + from.offset;
    if (static_cast<std::uint64_t>(op.imm) % (bytes * elements.count) != 0) {
      fail("parameter offset is misaligned");
    }
  } else {
    address(from,
            space == Space::constant                                             ? Space::global
            : space == Space::param && from.one().kind != Scalar::Kind::variable ? Space::generic
                                                                                 : space,
            bytes * elements.count);
  }
  const unsigned width = widest(elements, bytes);
  op.width = static_cast<std::uint8_t>(width);
  if (elements.count == 1) {
    write(Field::d, elements.parts[0], width);
    return;
  }
  op.d2 = static_cast<std::uint32_t>(module_.lists.size());
  for (unsigned i = 0; i < elements.count; ++i) {
    list_entry(elements.parts[i], width, true, false);
  }
}

void Decoder::decode_store() {
  Modifiers& mods = instruction_.mods;
  if (mods.take("async") || mods.take("bulk")) {
    unsupported("asynchronous stores");
  }
  const Space space = take_space();
  const bool strong = take_memory_modifiers();
  const unsigned vector = take_vector();
  const Type type = mods.need_type();
  expect_operands(2, 3);
  Elements elements;
  if ((!is_plain(type) && bytes_of(type) != 1) || !split(operand(1), vector, type, elements)) {
    fail("source does not fit the type");
  }
  const Type element = type == Type::b128 ? Type::b64 : type;
  const unsigned bytes = bytes_of(element);
  if (bytes * elements.count > 32) {
    fail("accesses more than 32 bytes");
  }
  if (space == Space::constant) {
    fail("constant memory cannot be written");
  }
  const Operand& to = operand(0);
  Op& op = emit(Code::st, element);
  op.count = static_cast<std::uint8_t>(elements.count);
  op.flags |= strong ? kStrong : 0U;
  if (space == Space::param && to.one().kind == Scalar::Kind::variable &&
      !to.one().variable->frame_relative) {
    fail("kernel parameters cannot be written");
  }
  address(to, space == Space::param && to.one().kind != Scalar::Kind::variable ? Space::generic : space,
          bytes * elements.count);
  const unsigned width = widest(elements, bytes);
  op.width = static_cast<std::uint8_t>(width);
  if (elements.count == 1) {
    const Scalar& value = elements.parts[0];
    if (value.kind == Scalar::Kind::number && (element == Type::f32 || element == Type::f64)) {
      read(Field::b, value, element);
    } else {
      read_bytes(Field::b, value, width);
    }
    return;
  }
  op.d2 = static_cast<std::uint32_t>(module_.lists.size());
  for (unsigned i = 0; i < elements.count; ++i) {
    list_entry(elements.parts[i], width, false, false);
  }
}

void Decoder::decode_fence() {
  Modifiers& mods = instruction_.mods;
  for (const std::string_view name :
       {"sc", "acq_rel", "cta", "gl", "sys", "gpu", "cluster", "proxy", "alias", "async", "mbarrier_init",
        "release", "acquire", "global", "shared::cta", "shared::cluster", "async::generic"}) {
    mods.take(name);
  }
  if (mods.take_prefix("sync_restrict")) {
  }
  expect_operands(0);
  emit(Code::fence, Type::none);
}

void Decoder::decode_create_policy() {
  Modifiers& mods = instruction_.mods;
  while (mods.take("fractional") || mods.take("range") || mods.take("cvt") || mods.take("global") ||
         mods.take_prefix("L2")) {
  }
  if (mods.need_type() != Type::b64) {
    fail("needs .b64");
  }
  Op& op = emit(Code::mov, Type::u64);
  op.a = constant(0, 8);
  write(Field::d, operand(0).one(), 8);
}

void Decoder::decode_ignored() {
  // Hints without an effect on results: whatever modifiers they carry, there is nothing to get wrong.
  while (instruction_.mods.take_prefix("")) {
  }
}

}  // namespace kerncast::simulator
