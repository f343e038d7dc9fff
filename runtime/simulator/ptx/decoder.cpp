#include "runtime/simulator/ptx/decoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

namespace kerncast::simulator {

Decoder::Decoder(ModuleImpl& module, int sm, Memory& memory, int device)
    : module_(module),
      lex_(module.text),
      sm_(sm),
      memory_(memory),
      device_(device),
      uses_alloca_(module.text.find("alloca.") != std::string::npos) {}

const std::unordered_map<std::string_view, void (Decoder::*)()>& Decoder::instructions() {
  static const std::unordered_map<std::string_view, void (Decoder::*)()> table{
      {"add", &Decoder::decode_arithmetic},
      {"sub", &Decoder::decode_arithmetic},
      {"mul", &Decoder::decode_arithmetic},
      {"mad", &Decoder::decode_mad},
      {"mul24", &Decoder::decode_mul24},
      {"mad24", &Decoder::decode_mad24},
      {"addc", &Decoder::decode_carry},
      {"subc", &Decoder::decode_carry},
      {"madc", &Decoder::decode_carry},
      {"div", &Decoder::decode_div},
      {"rem", &Decoder::decode_binary_integer},
      {"sad", &Decoder::decode_sad},
      {"min", &Decoder::decode_arithmetic},
      {"max", &Decoder::decode_arithmetic},
      {"abs", &Decoder::decode_abs_neg},
      {"neg", &Decoder::decode_abs_neg},
      {"and", &Decoder::decode_logic},
      {"or", &Decoder::decode_logic},
      {"xor", &Decoder::decode_logic},
      {"not", &Decoder::decode_logic},
      {"cnot", &Decoder::decode_logic},
      {"shl", &Decoder::decode_shift},
      {"shr", &Decoder::decode_shift},
      {"shf", &Decoder::decode_funnel_shift},
      {"bfe", &Decoder::decode_bit_field},
      {"bfi", &Decoder::decode_bit_field},
      {"bmsk", &Decoder::decode_bit_field},
      {"szext", &Decoder::decode_bit_field},
      {"lop3", &Decoder::decode_lop3},
      {"prmt", &Decoder::decode_prmt},
      {"popc", &Decoder::decode_count_bits},
      {"clz", &Decoder::decode_count_bits},
      {"brev", &Decoder::decode_count_bits},
      {"bfind", &Decoder::decode_count_bits},
      {"fns", &Decoder::decode_count_bits},
      {"dp4a", &Decoder::decode_dot_product},
      {"dp2a", &Decoder::decode_dot_product},
      {"setp", &Decoder::decode_set},
      {"set", &Decoder::decode_set},
      {"selp", &Decoder::decode_selp},
      {"slct", &Decoder::decode_slct},
      {"mov", &Decoder::decode_mov},
      {"fma", &Decoder::decode_arithmetic},
      {"rcp", &Decoder::decode_reciprocal},
      {"sqrt", &Decoder::decode_reciprocal},
      {"rsqrt", &Decoder::decode_reciprocal},
      {"ex2", &Decoder::decode_approximate},
      {"lg2", &Decoder::decode_approximate},
      {"sin", &Decoder::decode_approximate},
      {"cos", &Decoder::decode_approximate},
      {"tanh", &Decoder::decode_approximate},
      {"testp", &Decoder::decode_testp},
      {"copysign", &Decoder::decode_copysign},
      {"cvt", &Decoder::decode_cvt},
      {"cvta", &Decoder::decode_cvta},
      {"isspacep", &Decoder::decode_isspacep},
      {"ld", &Decoder::decode_load},
      {"ldu", &Decoder::decode_load},
      {"st", &Decoder::decode_store},
      {"atom", &Decoder::decode_atomic},
      {"red", &Decoder::decode_atomic},
      {"cp", &Decoder::decode_copy},
      {"membar", &Decoder::decode_fence},
      {"fence", &Decoder::decode_fence},
      {"createpolicy", &Decoder::decode_create_policy},
      {"prefetch", &Decoder::decode_prefetch},
      {"prefetchu", &Decoder::decode_prefetch},
      {"applypriority", &Decoder::decode_lines},
      {"discard", &Decoder::decode_lines},
      {"nanosleep", &Decoder::decode_nanosleep},
      {"griddepcontrol", &Decoder::decode_grid_control},
      {"pmevent", &Decoder::decode_event},
      {"setmaxnreg", &Decoder::decode_register_count},
      {"bra", &Decoder::decode_branch},
      {"brx", &Decoder::decode_branch_table},
      {"ret", &Decoder::decode_exit},
      {"exit", &Decoder::decode_exit},
      {"trap", &Decoder::decode_trap},
      {"brkpt", &Decoder::decode_trap},
      {"bar", &Decoder::decode_barrier},
      {"barrier", &Decoder::decode_barrier},
      {"shfl", &Decoder::decode_shuffle},
      {"vote", &Decoder::decode_vote},
      {"match", &Decoder::decode_match},
      {"redux", &Decoder::decode_redux},
      {"activemask", &Decoder::decode_activemask},
      {"elect", &Decoder::decode_elect},
      {"vabsdiff4", &Decoder::decode_vabsdiff4},
      {"alloca", &Decoder::decode_alloca},
      {"stacksave", &Decoder::decode_stack_pointer},
      {"stackrestore", &Decoder::decode_stack_pointer},
      {"mma", &Decoder::decode_mma},
      {"ldmatrix", &Decoder::decode_matrix_move},
      {"stmatrix", &Decoder::decode_matrix_move},
      {"movmatrix", &Decoder::decode_matrix_move},
      {"wmma", &Decoder::decode_refused},
      {"wgmma", &Decoder::decode_refused},
      {"tcgen05", &Decoder::decode_refused},
      {"multimem", &Decoder::decode_refused},
      {"mapa", &Decoder::decode_refused},
      {"mbarrier", &Decoder::decode_mbarrier},
  };
  return table;
}

void Decoder::check_shapes() const {
  static const std::unordered_set<std::string_view> takes_any{
      "mov",      "ld",        "ldu",           "st",      "atom",         "red",      "cp",
      "prefetch", "prefetchu", "applypriority", "discard", "createpolicy", "ldmatrix", "stmatrix",
      "mma",      "wmma",      "wgmma",         "tcgen05", "mbarrier"};
  static const std::unordered_set<std::string_view> takes_pair{"setp", "shfl", "match", "elect", "lop3"};
  static const std::unordered_set<std::string_view> takes_sink{"atom",  "elect",    "lop3",
                                                               "match", "mbarrier", "setp"};
  const std::string_view base = instruction_.mods.base();
  for (std::size_t i = 0; i < instruction_.count; ++i) {
    const Operand& given = instruction_.operands[i];
    const bool fits = given.kind == Operand::Kind::scalar ||
                      (takes_any.contains(base) && (base != "mov" || given.kind == Operand::Kind::vector));
    if (!fits) {
      fail(fmt::format("operand {} cannot be {}", i + 1,
                       given.kind == Operand::Kind::vector ? "a vector" : "an address in brackets"));
    }
    if (given.pair.kind != Scalar::Kind::none && (i != 0 || !takes_pair.contains(base))) {
      fail(fmt::format("operand {} cannot be a pair", i + 1));
    }
    const auto dropped = [](const Scalar& scalar) { return scalar.kind == Scalar::Kind::sink; };
    const bool all_dropped = std::all_of(given.parts.begin(), given.parts.begin() + given.count, dropped);
    const bool allowed =
        given.kind != Operand::Kind::vector && i == 0 && takes_sink.contains(base) && !dropped(given.pair);
    if (given.count != 0 && all_dropped && !allowed) {
      fail(fmt::format("operand {} cannot be '_'", i + 1));
    }
  }
}

void Decoder::decode_instruction() {
  const auto found = instructions().find(instruction_.mods.base());
  if (found == instructions().end()) {
    unsupported(fmt::format("the instruction '{}'", instruction_.mods.base()));
  }
  check_shapes();
  if (instruction_.mods.base() != "mov") {
    for (std::size_t i = 0; i < instruction_.count; ++i) {
      materialise(instruction_.operands[i]);
    }
  }
  (this->*found->second)();
  instruction_.mods.finish();
  check_requirements();
}

void Decoder::check_requirements() {
  if (!checked_opcodes_.insert(instruction_.mods.opcode()).second) {
    return;
  }
  if (const std::string missing = lacking(instruction_.mods, target_); !missing.empty()) {
    fail(missing);
  }
}

void Decoder::decode_refused() {
  unsupported(fmt::format("'{}'", instruction_.mods.base()));
}

void Decoder::float_flags(Op& op) {
  Modifiers& mods = instruction_.mods;
  op.rounding = mods.take_rounding();
  op.flags |=
      (mods.take("ftz") ? kFtz : 0U) | (mods.take("sat") ? kSat : 0U) | (mods.take("relu") ? kRelu : 0U);
  if ((op.flags & kSat) != 0 && op.type == Type::f64) {
    fail(".sat is not for f64");
  }
}

void Decoder::check_arithmetic(const Op& op) const {
  const bool half = op.type == Type::f16 || op.type == Type::f16x2;
  const bool brain = op.type == Type::bf16 || op.type == Type::bf16x2;
  const bool integer = is_integer(op.type);
  if (!integer && !half && !brain && op.type != Type::f32 && op.type != Type::f64) {
    fail(fmt::format("is not for .{}", name_of(op.type)));
  }
  std::uint32_t allowed = op.type == Type::f32 || half ? kFtz | kSat : integer ? kSat : 0U;
  allowed |= op.code == Code::fma && (half || brain) ? kRelu : 0U;
  const Rounding most = integer ? Rounding::none : half || brain ? Rounding::rn : Rounding::rp;
  if ((op.flags & ~allowed) != 0 || op.rounding > most || (op.flags & (kSat | kRelu)) == (kSat | kRelu)) {
    fail(fmt::format("modifier not allowed for .{}", name_of(op.type)));
  }
}

void Decoder::read_all(Type type, std::size_t first, std::size_t count) {
  static constexpr std::array<Field, 3> kFields{Field::a, Field::b, Field::c};
  for (std::size_t i = 0; i < count; ++i) {
    read(kFields[i], operand(first + i).one(), type);
  }
}

std::uint32_t Decoder::add_list(const Operand& source, Type type, bool defines) {
  check_elements(source, type);
  const auto first = static_cast<std::uint32_t>(module_.lists.size());
  for (std::size_t i = 0; i < source.count; ++i) {
    list_entry(source.parts[i], bytes_of(type), defines);
  }
  return first;
}

}  // namespace kerncast::simulator
