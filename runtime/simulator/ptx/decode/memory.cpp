#include <fmt/format.h>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::array<std::string_view, 4> scopes{"cta", "cluster", "gpu", "sys"};
constexpr std::array<std::string_view, 5> load_caches{"ca", "cg", "cs", "lu", "cv"};
constexpr std::array<std::string_view, 4> store_caches{"cg", "cs", "wb", "wt"};
constexpr std::array<std::string_view, 5> near_priorities{
    "L1::evict_normal", "L1::evict_last", "L1::evict_first", "L1::no_allocate", "L1::evict_unchanged"};
constexpr std::array<std::string_view, 3> far_priorities{"L2::evict_last", "L2::evict_first",
                                                         "L2::evict_normal"};
constexpr std::array<std::string_view, 3> prefetch_sizes{"L2::64B", "L2::128B", "L2::256B"};

bool is_global(Space space) {
  return space == Space::global || space == Space::generic;
}

/// Vector elements of an access: 128-bit registers count as two of 64 bits.
struct Elements {
  std::array<Scalar, 8> parts;
  unsigned count = 0;
};

bool split(const Operand& operand, unsigned vector, Type type, Elements& out) {
  const bool wide = type == Type::b128;
  // Braces around a single register make no vector of it.
  if (operand.kind == Operand::Kind::address || operand.count != vector ||
      (operand.kind != Operand::Kind::vector && vector > 1)) {
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
    part.type = Type::none;
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

Space take_space(DecodeContext& c) {
  struct Name {
    std::string_view name;
    Space space;
  };
  static constexpr std::array<Name, 9> names{{
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
  }};
  for (const Name& entry : names) {
    if (c.mods().take(entry.name)) {
      return entry.space;
    }
  }
  return Space::generic;
}

bool take_atomic_order(DecodeContext& c, Space space, bool returns) {
  static constexpr std::array<std::string_view, 4> orders{"relaxed", "release", "acquire", "acq_rel"};
  Modifiers& mods = c.mods();
  const int order = mods.take_any(orders);
  mods.take_any(scopes);
  if (order > 1 && !returns) {
    c.fail("takes no order but .relaxed or .release");
  }
  const bool policy = mods.take("L2::cache_hint");
  if (policy && !is_global(space)) {
    c.fail("a cache hint is for global memory");
  }
  return policy;
}

unsigned take_vector(DecodeContext& c) {
  Modifiers& mods = c.mods();
  return mods.take("v2") ? 2 : mods.take("v4") ? 4 : mods.take("v8") ? 8 : 1;
}

namespace {

// Host memory is coherent and at least as strongly ordered as any order asks, and caches are not modelled, so
// these modifiers are checked and then forgotten.
bool take_access(DecodeContext& c, Space space, bool loads, std::uint64_t bytes) {
  Modifiers& mods = c.mods();
  const bool weak = mods.take("weak");
  const bool is_volatile = mods.take("volatile");
  const bool mapped = mods.take("mmio");
  const bool relaxed = mods.take("relaxed");
  const bool scoped = mods.take(loads ? "acquire" : "release") || relaxed;
  const int scope = mods.take_any(scopes);
  if (int{weak} + int{is_volatile} + int{scoped} > 1) {
    c.fail("asks for more than one memory order");
  }
  if (scoped != (scope >= 0)) {
    c.fail(scoped ? "needs a scope such as .gpu" : "a scope needs .relaxed, or .acquire or .release");
  }
  if (mapped && (!relaxed || scope != 3 || !is_global(space))) {
    c.fail(".mmio needs .relaxed, .sys and global memory");
  }
  if (mapped && (mods.has("v2") || mods.has("v4") || mods.has("v8"))) {
    c.fail(".mmio is not for vectors");
  }
  const bool strong = is_volatile || scoped;
  if (strong && (space == Space::local || space == Space::constant || space == Space::param)) {
    c.fail("a memory order is for global and shared memory");
  }
  const bool read_only = loads && mods.take("nc");
  const int cache = loads ? mods.take_any(load_caches) : mods.take_any(store_caches);
  if (cache >= 0 && strong) {
    c.fail("a cache operator is for accesses without a memory order");
  }
  if (read_only && (space != Space::global || weak || strong || cache > 2)) {
    c.fail(".nc needs global memory, and no order but a cache operator of .ca, .cg or .cs");
  }
  const bool near = mods.take_any(near_priorities) >= 0;
  const bool far = mods.take_any(far_priorities) >= 0;
  const bool policy = mods.take("L2::cache_hint");
  const bool sized = loads && mods.take_any(prefetch_sizes) >= 0;
  if ((near || far || policy || sized) &&
      (!is_global(space) || mapped || (is_volatile && (near || far || policy)) ||
       (cache >= 0 && (near || far)))) {
    c.fail("cache hints are for global memory, and priorities for accesses without a cache operator");
  }
  if (far && bytes != 32) {
    c.fail("a priority in L2 is for accesses of 32 bytes");
  }
  if (bytes > 16 && !is_global(space)) {
    c.fail("accesses more than 16 bytes outside global memory");
  }
  c.expect_operands(policy ? 3 : 2);
  if (policy) {
    c.check_policy(2);
  }
  return strong;
}

}  // namespace

void decode_load(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const Space space = take_space(c);
  const unsigned vector = take_vector(c);
  const Type type = mods.need_type();
  const std::uint64_t total = std::uint64_t{bytes_of(type)} * vector;
  const bool uniform = mods.base() == "ldu";
  if (uniform && (!is_global(space) || vector == 8 || total > 16)) {
    c.fail("needs global memory and at most 4 elements of 16 bytes");
  }
  if (uniform) {
    c.expect_operands(2);
  }
  const bool strong = !uniform && take_access(c, space, true, total);
  Elements elements;
  if ((!is_plain(type) && bytes_of(type) != 1) || !split(c.operand(0), vector, type, elements)) {
    c.fail("destination does not fit the type");
  }
  const Type element = type == Type::b128 ? Type::b64 : type;
  const unsigned bytes = bytes_of(element);
  const std::uint64_t all_bytes = std::uint64_t{bytes} * elements.count;
  if (all_bytes > (type == Type::b128 ? 16U : 32U)) {
    c.fail("accesses more than 32 bytes, or a vector of .b128");
  }
  const Operand& from = c.operand(1);
  const bool kernel_parameter = space == Space::param && from.one().kind == Scalar::Kind::variable &&
                                from.one().variable->space == Space::param &&
                                !from.one().variable->frame_relative;
  Op& op = c.emit(kernel_parameter ? Code::ld_param : Code::ld, element);
  op.count = static_cast<std::uint8_t>(elements.count);
  op.flags |= strong ? flag::strong : 0U;
  if (kernel_parameter) {
    const Variable& variable = *from.one().variable;
    if (from.offset < 0 || static_cast<std::uint64_t>(from.offset) + all_bytes > variable.size) {
      c.fail(fmt::format("reads {} bytes at offset {} of '{}', which has {}", all_bytes, from.offset,
                         from.one().text, variable.size));
    }
    op.imm = static_cast<std::int64_t>(variable.address) + from.offset;
    if (static_cast<std::uint64_t>(op.imm) % all_bytes != 0) {
      c.fail("parameter offset is misaligned");
    }
  } else {
    c.address(from, space, all_bytes);
  }
  const unsigned width = widest(elements, bytes);
  op.width = static_cast<std::uint8_t>(width);
  c.check_elements(c.operand(0), type, true);
  if (elements.count == 1) {
    c.write(Field::d, elements.parts[0], element, width);
    return;
  }
  op.d2 = static_cast<std::uint32_t>(c.program.lists.size());
  for (unsigned i = 0; i < elements.count; ++i) {
    c.list_entry(elements.parts[i], width, true);
  }
}

void decode_store(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const Space space = take_space(c);
  const unsigned vector = take_vector(c);
  const Type type = mods.need_type();
  const bool strong = take_access(c, space, false, std::uint64_t{bytes_of(type)} * vector);
  Elements elements;
  if ((!is_plain(type) && bytes_of(type) != 1) || !split(c.operand(1), vector, type, elements)) {
    c.fail("source does not fit the type");
  }
  const Type element = type == Type::b128 ? Type::b64 : type;
  const unsigned bytes = bytes_of(element);
  const std::uint64_t all_bytes = std::uint64_t{bytes} * elements.count;
  if (all_bytes > (type == Type::b128 ? 16U : 32U)) {
    c.fail("accesses more than 32 bytes, or a vector of .b128");
  }
  if (space == Space::constant) {
    c.fail("constant memory cannot be written");
  }
  const Operand& to = c.operand(0);
  Op& op = c.emit(Code::st, element);
  op.count = static_cast<std::uint8_t>(elements.count);
  op.flags |= strong ? flag::strong : 0U;
  if (space == Space::param && to.one().kind == Scalar::Kind::variable &&
      !to.one().variable->frame_relative) {
    c.fail("kernel parameters cannot be written");
  }
  c.address(to, space, all_bytes);
  const unsigned width = widest(elements, bytes);
  op.width = static_cast<std::uint8_t>(width);
  c.check_elements(c.operand(1), type, true);
  if (elements.count == 1) {
    const Scalar& value = elements.parts[0];
    if (value.kind == Scalar::Kind::number) {
      c.read(Field::b, value, element);
    } else {
      c.read_register(Field::b, value, element, width);
    }
    return;
  }
  op.d2 = static_cast<std::uint32_t>(c.program.lists.size());
  for (unsigned i = 0; i < elements.count; ++i) {
    c.list_entry(elements.parts[i], width, false);
  }
}

}  // namespace kerncast::simulator
