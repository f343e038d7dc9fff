#include "runtime/simulator/ptx/decode/instruction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "runtime/simulator/ptx/decode/families.hpp"

namespace kerncast::simulator {

namespace {

using Decode = void (*)(DecodeContext&);

const std::unordered_map<std::string_view, Decode>& decoders() {
  static const std::unordered_map<std::string_view, Decode> table{
      {"add", &decode_arithmetic},
      {"sub", &decode_arithmetic},
      {"mul", &decode_arithmetic},
      {"mad", &decode_mad},
      {"mul24", &decode_mul24},
      {"mad24", &decode_mad24},
      {"addc", &decode_carry},
      {"subc", &decode_carry},
      {"madc", &decode_carry},
      {"div", &decode_div},
      {"rem", &decode_binary_integer},
      {"sad", &decode_sad},
      {"min", &decode_arithmetic},
      {"max", &decode_arithmetic},
      {"abs", &decode_abs_neg},
      {"neg", &decode_abs_neg},
      {"and", &decode_logic},
      {"or", &decode_logic},
      {"xor", &decode_logic},
      {"not", &decode_logic},
      {"cnot", &decode_logic},
      {"shl", &decode_shift},
      {"shr", &decode_shift},
      {"shf", &decode_funnel_shift},
      {"bfe", &decode_bit_field},
      {"bfi", &decode_bit_field},
      {"bmsk", &decode_bit_field},
      {"szext", &decode_bit_field},
      {"lop3", &decode_lop3},
      {"prmt", &decode_prmt},
      {"popc", &decode_count_bits},
      {"clz", &decode_count_bits},
      {"brev", &decode_count_bits},
      {"bfind", &decode_count_bits},
      {"fns", &decode_count_bits},
      {"dp4a", &decode_dot_product},
      {"dp2a", &decode_dot_product},
      {"setp", &decode_set},
      {"set", &decode_set},
      {"selp", &decode_selp},
      {"slct", &decode_slct},
      {"mov", &decode_mov},
      {"fma", &decode_arithmetic},
      {"rcp", &decode_reciprocal},
      {"sqrt", &decode_reciprocal},
      {"rsqrt", &decode_reciprocal},
      {"ex2", &decode_approximate},
      {"lg2", &decode_approximate},
      {"sin", &decode_approximate},
      {"cos", &decode_approximate},
      {"tanh", &decode_approximate},
      {"testp", &decode_testp},
      {"copysign", &decode_copysign},
      {"cvt", &decode_cvt},
      {"cvta", &decode_cvta},
      {"isspacep", &decode_isspacep},
      {"ld", &decode_load},
      {"ldu", &decode_load},
      {"st", &decode_store},
      {"atom", &decode_atomic},
      {"red", &decode_atomic},
      {"cp", &decode_copy},
      {"membar", &decode_fence},
      {"fence", &decode_fence},
      {"createpolicy", &decode_create_policy},
      {"prefetch", &decode_prefetch},
      {"prefetchu", &decode_prefetch},
      {"applypriority", &decode_lines},
      {"discard", &decode_lines},
      {"nanosleep", &decode_nanosleep},
      {"griddepcontrol", &decode_grid_control},
      {"pmevent", &decode_event},
      {"setmaxnreg", &decode_register_count},
      {"bra", &decode_branch},
      {"brx", &decode_branch_table},
      {"ret", &decode_exit},
      {"exit", &decode_exit},
      {"trap", &decode_trap},
      {"brkpt", &decode_trap},
      {"bar", &decode_barrier},
      {"barrier", &decode_barrier},
      {"mapa", &decode_map_address},
      {"getctarank", &decode_cluster_rank},
      {"shfl", &decode_shuffle},
      {"vote", &decode_vote},
      {"match", &decode_match},
      {"redux", &decode_redux},
      {"activemask", &decode_activemask},
      {"elect", &decode_elect},
      {"vabsdiff4", &decode_vabsdiff4},
      {"alloca", &decode_alloca},
      {"stacksave", &decode_stack_pointer},
      {"stackrestore", &decode_stack_pointer},
      {"mma", &decode_mma},
      {"ldmatrix", &decode_matrix_move},
      {"stmatrix", &decode_matrix_move},
      {"movmatrix", &decode_matrix_move},
      {"wgmma", &decode_wgmma},
      {"mbarrier", &decode_mbarrier},
  };
  return table;
}

/// True for the count of an arrival at an mbarrier. ptxas takes it in braces as well as without.
bool is_arrival_count(DecodeContext& c, std::size_t at) {
  const std::string_view opcode = c.mods().opcode();
  return at == 2 && opcode.starts_with("mbarrier.arrive") &&
         opcode.find(".expect_tx") == std::string_view::npos && c.operand(at).count == 1;
}

/// Fails for operands in brackets, braces or pairs, and for '_', where the instruction does not take them.
void check_shapes(DecodeContext& c) {
  static const std::unordered_set<std::string_view> takes_any{
      "mov",      "ld",        "ldu",           "st",      "atom",         "red",      "cp",
      "prefetch", "prefetchu", "applypriority", "discard", "createpolicy", "ldmatrix", "stmatrix",
      "mma",      "mbarrier",  "fence"};
  static const std::unordered_set<std::string_view> takes_vector{
      "mov", "ld", "ldu", "st", "atom", "red", "ldmatrix", "stmatrix", "mma", "wgmma"};
  static const std::unordered_set<std::string_view> takes_pair{"setp", "shfl", "match", "elect", "lop3"};
  static const std::unordered_set<std::string_view> takes_sink{"atom",  "elect",    "lop3",
                                                               "match", "mbarrier", "setp"};
  const std::string_view base = c.mods().base();
  for (std::size_t i = 0; i < c.count(); ++i) {
    const Operand& given = c.operand(i);
    if (given.count > 8 && base != "wgmma") {
      c.fail(fmt::format("operand {} must be a vector of at most 8 elements", i + 1));
    }
    const bool fits = given.kind == Operand::Kind::scalar ? true
                      : given.kind == Operand::Kind::vector
                          ? takes_vector.contains(base) || is_arrival_count(c, i)
                          : base != "mov" && takes_any.contains(base);
    if (!fits) {
      c.fail(fmt::format("operand {} cannot be {}", i + 1,
                         given.kind == Operand::Kind::vector ? "a vector" : "an address in brackets"));
    }
    if (given.kind == Operand::Kind::address && given.count > 1 && !c.mods().has("tensor")) {
      c.fail(fmt::format("operand {} cannot have coordinates", i + 1));
    }
    if (given.pair.kind != Scalar::Kind::none && (i != 0 || !takes_pair.contains(base))) {
      c.fail(fmt::format("operand {} cannot be a pair", i + 1));
    }
    const auto dropped = [](const Scalar& scalar) { return scalar.kind == Scalar::Kind::sink; };
    const bool all_dropped = std::all_of(given.parts.begin(), given.parts.begin() + given.count, dropped);
    const bool allowed =
        given.kind != Operand::Kind::vector && i == 0 && takes_sink.contains(base) && !dropped(given.pair);
    if (given.count != 0 && all_dropped && !allowed) {
      c.fail(fmt::format("operand {} cannot be '_'", i + 1));
    }
  }
}

}  // namespace

void decode_instruction(DecodeContext& c, Statement& statement) {
  c.begin_instruction(statement.instruction);
  if (statement.kind == Statement::Kind::call) {
    decode_call(c, statement.call);
  } else {
    const auto found = decoders().find(c.mods().base());
    if (found == decoders().end()) {
      c.unsupported(fmt::format("the instruction '{}'", c.mods().base()));
    }
    check_shapes(c);
    if (c.mods().base() != "mov") {
      c.materialise_operands();
    }
    found->second(c);
    c.mods().finish();
    c.check_requirements();
  }
  c.end_instruction();
}

}  // namespace kerncast::simulator
