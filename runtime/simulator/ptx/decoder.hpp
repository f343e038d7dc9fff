#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "runtime/simulator/exec/isa.hpp"
#include "runtime/simulator/machine/program.hpp"
#include "runtime/simulator/ptx/lexer.hpp"
#include "runtime/simulator/ptx/registers.hpp"
#include "runtime/simulator/ptx/requirements.hpp"

namespace kerncast::simulator {

/// A module- or function-scope variable.
struct Variable {
  Space space = Space::generic;
  std::uint64_t address = 0;  ///< host address, or offset in its space
  std::uint64_t size = 0;
  bool external_shared = false;  ///< dynamic shared memory: its address depends on the kernel
  bool frame_relative = false;   ///< local memory of this call, or a device function's parameter
};

/// One operand, or one element of a vector operand.
struct Scalar {
  enum class Kind : std::uint8_t { none, reg, number, variable, special, sink, name };
  Kind kind = Kind::none;
  bool negated = false;  ///< !%p
  std::uint8_t float_bytes = 0;
  std::uint8_t bytes = 0;  ///< of a register: 0 for a predicate
  Type type = Type::none;  ///< of a register, as declared; none for one of the decoder's own
  Special special = Special::zero;
  std::uint32_t reg = 0;   ///< virtual register
  std::uint64_t bits = 0;  ///< number, or what is added to the variable's address
  const Variable* variable = nullptr;
  std::string_view text;
};

struct Operand {
  enum class Kind : std::uint8_t { scalar, address, vector };
  Kind kind = Kind::scalar;
  std::uint8_t count = 1;
  std::array<Scalar, 8> parts;
  Scalar pair;              ///< q of p|q
  std::int64_t offset = 0;  ///< of an address

  [[nodiscard]] const Scalar& one() const { return parts[0]; }
};

/// The dot-separated parts of an opcode. Every part must be taken by the decoder of its instruction, so that
/// nothing is skipped unseen.
class Modifiers {
 public:
  Modifiers() = default;
  Modifiers(std::string_view opcode, int line);

  [[nodiscard]] std::string_view base() const { return base_; }
  /// Whether `name` is a part, taken or not.
  [[nodiscard]] bool has(std::string_view name) const;
  /// The last part; empty when there is none.
  [[nodiscard]] std::string_view last() const {
    return count_ == 0 ? std::string_view{} : parts_[count_ - 1];
  }
  /// Takes `name` wherever it stands.
  bool take(std::string_view name);
  /// Takes the first of `names` that is present and returns its index, or -1.
  template <std::size_t N>
  int take_any(const std::array<std::string_view, N>& names) {
    for (std::size_t i = 0; i < N; ++i) {
      if (take(names[i])) {
        return static_cast<int>(i);
      }
    }
    return -1;
  }
  /// Takes the first type not yet taken; Type::none when there is none.
  Type take_type();
  /// Same, but throws when there is none.
  Type need_type();
  Rounding take_rounding();
  /// Whether some part not yet taken starts with `prefix`; takes it.
  bool take_prefix(std::string_view prefix);
  /// Takes the first part not yet taken; empty when there is none.
  std::string_view take_next();
  /// Throws DecodeError when a part was not taken.
  void finish() const;
  [[nodiscard]] int line() const { return line_; }
  [[nodiscard]] std::string_view opcode() const { return opcode_; }

 private:
  std::string_view opcode_;
  std::string_view base_;
  std::array<std::string_view, 16> parts_;
  std::size_t count_ = 0;
  std::uint32_t taken_ = 0;
  int line_ = 0;
};

/// Bytes a value of `type` takes in a register; 0 for predicates.
unsigned bytes_of(Type type);
bool is_signed(Type type);
bool is_integer(Type type);
/// Bits, integers of 16 bits or more, f32 and f64: what moves and selections take.
bool is_plain(Type type);
bool is_bits(Type type);
std::string_view name_of(Type type);

/// Decodes one module. Used once, by Module::decode.
class Decoder {
 public:
  Decoder(ModuleImpl& module, int sm, Memory& memory, int device);
  /// Decodes the module's text into the module.
  void run();

 private:
  struct Declared {
    std::string_view name;
    std::uint32_t first = 0;
    std::uint32_t count = 0;  ///< 0: a single register called `name`
    std::uint8_t bytes = 0;
    Type type = Type::none;
  };
  struct Label {
    std::string_view name;
    std::uint32_t op = 0;
    std::uint32_t table = 0;  ///< for .branchtargets: first entry
    std::uint32_t table_size = 0;
    bool is_table = false;
    bool is_prototype = false;
    std::size_t scope = 0;
  };
  struct Fixup {
    std::string_view label;
    std::uint32_t op = 0;
    std::uint32_t entry = 0;  ///< for a table entry
    bool is_entry = false;
    std::size_t scope = 0;
    int line = 0;
  };
  struct Instruction {
    Modifiers mods;
    std::array<Operand, 6> operands;
    std::size_t count = 0;
    int line = 0;
    std::uint32_t guard = 0;
    bool guarded = false;
    bool guard_negated = false;
  };

  // ptx_parser.cpp: directives and statements.
  void parse_module();
  void parse_version();
  void parse_target();
  void parse_function(bool entry, bool is_external);
  std::vector<FormalParameter> parse_formals(Function& function, bool entry, KernelInfo* kernel);
  void parse_kernel_directives(KernelInfo& kernel);
  void parse_body(Function& function);
  void parse_statement(Function& function);
  void parse_registers();
  void parse_instruction();
  void parse_call();
  void parse_indirect_call(const Scalar& callee, CallSite site);
  std::uint64_t function_pointer(std::string_view name);
  void link_indirect_calls();
  void begin_alloca();
  void parse_branch_targets(std::string_view label);
  Operand parse_operand();
  Scalar parse_scalar();
  Scalar resolve_word(std::string_view word);
  void need_special(std::string_view name) const;
  void skip_braces();
  void close_scope(std::size_t scope);
  void finish_function(Function& function, std::uint32_t index);
  std::uint32_t function_index(std::string_view name);
  std::uint32_t parse_dimensions();

  // variables.cpp: .global, .const, .shared, .local and .param variables.
  struct VariableType {
    Type type = Type::none;
    std::uint64_t element = 0;
    std::uint64_t align = 0;
    unsigned vector = 1;
  };
  VariableType parse_variable_type();
  std::uint64_t parse_extents(const VariableType& type, bool* open);
  void parse_variable(Space space, bool is_external, bool in_function);
  /// The initial values' bytes, no more than `most`.
  std::vector<std::byte> parse_initialiser(const VariableType& type, std::uint64_t most);
  void parse_initial_value(const VariableType& type, std::byte* at);
  const Variable* find_variable(std::string_view name) const;
  const Variable& declare(std::string_view name, const Variable& variable, bool in_function);

  // operands.cpp: operand checks and op emission.
  enum class Field : std::uint8_t { d, a, b, c, d2, guard, list };
  Op& emit(Code code, Type type);
  std::uint32_t new_register(unsigned bytes);
  std::uint32_t constant(std::uint64_t bits, unsigned bytes);
  void reference(Field field, std::uint32_t reg, bool defines);
  void read(Field field, const Scalar& scalar, Type type);
  /// The operand is of `type`, in a register of `bytes` where that is more.
  void read_register(Field field, const Scalar& scalar, Type type, unsigned bytes = 0);
  void write(Field field, const Scalar& scalar, Type type, unsigned bytes = 0);
  void read_predicate(Field field, const Scalar& scalar, std::uint32_t negate_flag);
  void write_predicate(Field field, const Scalar& scalar);
  std::uint32_t list_entry(const Scalar& scalar, unsigned bytes, bool defines);
  std::uint64_t number_bits(const Scalar& scalar, Type type) const;
  std::uint64_t number_bits_of(const Scalar& scalar, unsigned bytes) const;
  /// Fails where accesses to `space` cannot name the variable.
  void check_space(const Scalar& named, Space space) const;
  void address(const Operand& operand, Space space, std::uint64_t bytes);
  void materialise(Operand& operand);
  Scalar address_value(const Operand& operand, Space space);
  const Operand& operand(std::size_t index);
  /// Fails where the operand is a constant that is not a multiple of `step` from `least` to `most`.
  void check_constant(std::size_t index, std::int64_t least, std::int64_t most, std::int64_t step = 1);
  void expect_operands(std::size_t count) const;
  void expect_operands(std::size_t least, std::size_t most) const;
  [[noreturn]] void fail(const std::string& what) const;
  /// Fails where the module's target or version lacks what the instruction needs, because of `detail` if
  /// given.
  void need(const Requirement& needed, std::string_view detail = {}) const;
  /// Fails where the module declares a target or version that does not have the instruction.
  void check_requirements();
  [[noreturn]] void unsupported(std::string_view what) const;

  // register_types.cpp: declared types against the instruction's.
  /// Fails where a register is declared with a type that does not go with the instruction's.
  void check_type(const Scalar& scalar, Type type, bool may_be_wider = false) const;
  /// The same for the elements of a vector, which must go with each other too.
  void check_elements(const Operand& vector, Type type, bool may_be_wider = false) const;
  void check_address_type(const Scalar& base) const;

  // decoder.cpp: the table of instructions; the *_decode.cpp files: their decoders.
  void decode_instruction();
  void check_shapes() const;
  static const std::unordered_map<std::string_view, void (Decoder::*)()>& instructions();
  void float_flags(Op& op);
  /// Fails for roundings and modifiers that sums, products and fused ones of op's type do not have.
  void check_arithmetic(const Op& op) const;
  void read_all(Type type, std::size_t first, std::size_t count);
  void decode_predicate_logic(std::string_view base);
  void decode_pack(const Operand& to, const Operand& from, Type type);
  std::uint32_t carry_register();
  /// Entries for the registers of a vector of `type`; the first one's index.
  std::uint32_t add_list(const Operand& operand, Type type, bool defines);
  void decode_add_sub();
  void decode_mul();
  void decode_mad();
  void decode_mul24();
  void decode_mad24();
  void decode_carry();
  void decode_div();
  void decode_binary_integer();
  void decode_unary_integer();
  void decode_min_max();
  void decode_abs_neg();
  void decode_logic();
  void decode_shift();
  void decode_funnel_shift();
  void decode_three_integer();
  void decode_bit_field();
  void decode_lop3();
  void decode_prmt();
  void decode_count_bits();
  void decode_dot_product();
  void decode_sad();
  void decode_set();
  void decode_selp();
  void decode_slct();
  void decode_mov();
  void decode_fma();
  void decode_reciprocal();
  void decode_approximate();
  void decode_testp();
  void decode_copysign();
  void decode_cvt();
  /// Fails for roundings and modifiers that conversions between op's types do not have.
  void check_conversion(const Op& op) const;
  void decode_cvt_packed(Type to, Type from);
  void decode_cvt_pack_integer();
  void decode_cvta();
  void decode_isspacep();
  void decode_load();
  void decode_store();
  void decode_atomic();
  void decode_copy();
  void decode_cp_async();
  void expect_group();
  void decode_cp_async_arrive();
  void decode_bulk_copy();
  void decode_mbarrier();
  void decode_fence();
  void decode_prefetch();
  void decode_lines();
  void decode_create_policy();
  void check_fraction(const Operand& given) const;
  void decode_nanosleep();
  void decode_grid_control();
  void decode_event();
  void decode_register_count();
  void decode_branch();
  void decode_branch_table();
  void decode_exit();
  void decode_barrier();
  /// Fails for a number of a barrier, operand `first`, or of threads, behind it, that no barrier has.
  void check_barrier(std::size_t first, bool counted, bool arrives);
  void decode_shuffle();
  void decode_vote();
  void decode_match();
  void decode_redux();
  void decode_activemask();
  void decode_elect();
  void decode_trap();
  void decode_arithmetic();
  void decode_float_pair();
  void decode_integer_pair();
  void decode_mixed_precision();
  void decode_three_way();
  void decode_relu_integer();
  void decode_vabsdiff4();
  void decode_cvt_tf32();
  void decode_vector_atomic(AtomicOp operation, Space space, unsigned vector, Type type);
  void decode_alloca();
  void decode_stack_pointer();
  void decode_mma();
  void decode_matrix_move();
  void decode_refused();
  Space take_space();
  /// Takes what a load or store of `bytes` says of order, scope and caches; whether it is a strong access.
  bool take_access(Space space, bool loads, std::uint64_t bytes);
  /// Takes what an atomic says of order, scope and caches; whether it has an operand for a cache policy.
  bool take_atomic_order(Space space, bool returns);
  void expect_address(std::size_t index);
  void check_policy(std::size_t index);
  /// Fails where the operand is not an integer of 32 bits.
  void check_word(std::size_t index);
  std::uint32_t word_entry(std::size_t index);
  unsigned take_vector();
  void comparison(Op& op, Type given);
  void select_handlers();

  ModuleImpl& module_;
  Lexer lex_;
  int sm_;
  ModuleTarget target_;
  std::unordered_set<std::string_view> checked_opcodes_;  ///< those that the target and version have
  Memory& memory_;
  int device_;

  std::unordered_map<std::string_view, Variable> globals_;
  std::vector<std::pair<std::string_view, Variable*>> locals_;
  std::vector<std::unique_ptr<Variable>> local_storage_;
  std::unordered_map<std::string_view, std::uint32_t> function_names_;
  std::uint64_t shared_top_ = 0;  ///< end of the module-scope shared variables

  // The function being decoded.
  Function* function_ = nullptr;
  std::uint64_t function_shared_top_ = 0;
  std::uint64_t local_top_ = 0;
  std::uint64_t parameter_bytes_ = 0;
  std::vector<Declared> declared_;
  std::vector<Label> labels_;
  std::vector<Fixup> fixups_;
  std::size_t scope_ = 0;
  std::size_t next_scope_ = 0;
  std::vector<std::size_t> scopes_;
  FunctionBody body_;
  Instruction instruction_;
  std::unordered_map<std::uint64_t, std::uint32_t> constant_offsets_[4];
  std::vector<std::byte> constant_bytes_;
  std::uint32_t instruction_count_ = 0;
  std::uint32_t carry_ = 0;  ///< virtual register of the carry flag
  bool has_carry_ = false;
  std::vector<std::uint32_t> address_taken_;     ///< functions that may be called through a pointer
  std::vector<std::uint32_t> indirect_callers_;  ///< functions that call through a pointer
  bool uses_alloca_ = false;
  std::uint32_t stack_top_ = 0;  ///< virtual register of what alloca has given out of this call's area
  std::uint64_t stack_area_ = 0;
  bool emitted_ = false;  ///< whether the current instruction has an op yet
};

}  // namespace kerncast::simulator
