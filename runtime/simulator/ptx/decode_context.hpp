#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "runtime/simulator/machine/program.hpp"
#include "runtime/simulator/ptx/labels.hpp"
#include "runtime/simulator/ptx/module/constant_pool.hpp"
#include "runtime/simulator/ptx/module/function_table.hpp"
#include "runtime/simulator/ptx/names.hpp"
#include "runtime/simulator/ptx/registers.hpp"
#include "runtime/simulator/ptx/syntax/syntax.hpp"

namespace kerncast::simulator {

/// The register operands of an op.
enum class Field : std::uint8_t { d, a, b, c, d2, guard };

/// The function that is being decoded.
struct FunctionState {
  std::uint32_t index = 0;  ///< in the program
  bool entry = false;
  std::uint64_t shared_top = 0;
  std::uint64_t local_top = 0;
  std::uint64_t variable_bytes = 0;    ///< of .local variables, which are part of local memory
  std::uint64_t parameter_bytes = 0;   ///< of a kernel
  std::optional<std::uint32_t> carry;  ///< virtual register of the carry flag
  std::uint64_t stack_area = 0;        ///< where alloca's memory starts in this call's local memory
  std::uint32_t stack_top = 0;         ///< virtual register: how much of that memory is given out
};

/// The state that the decoders of instructions work on: the instruction with its operands, the function it
/// belongs to, and the tables of the module. A decoder takes the opcode's parts from mods(), emits ops, and
/// ties their fields to the operands by read and write, which check the operands on the way.
class DecodeContext {
 public:
  explicit DecodeContext(Program& decoded) : program(decoded), functions(decoded) {}

  Program& program;
  ModuleTarget target;
  Names names;
  Labels labels;
  ConstantPool constants;
  FunctionTable functions;
  FunctionState function;
  FunctionBody body;
  bool uses_stack = false;  ///< some function of the module has alloca, stacksave or stackrestore

  /// Makes `given` the current instruction and says what its words stand for.
  void begin_instruction(Instruction& given);
  /// Ends it: every instruction of the PTX is at least one op, so that each is counted.
  void end_instruction();
  /// Ops emitted from here on belong to no instruction of the PTX. `line` is for error messages.
  void begin_outside(int line);
  [[nodiscard]] std::uint32_t instruction_count() const { return instruction_count_; }

  [[nodiscard]] Modifiers& mods() { return instruction_->mods; }
  /// Number of operands.
  [[nodiscard]] std::size_t count() const { return instruction_->count; }
  [[nodiscard]] int line() const { return instruction_->line; }
  /// Fails if the instruction has no such operand.
  [[nodiscard]] const Operand& operand(std::size_t index) const;
  /// Replaces operand `index` by a register of the decoder's own.
  void replace_operand(std::size_t index, std::uint32_t reg, unsigned bytes);
  /// Turns special registers, and addresses that depend on the call or the kernel, into registers that ops
  /// before the instruction fill.
  void materialise_operands();

  // Errors. All throw DecodeError with the line and opcode of the instruction.
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void unsupported(std::string_view what) const;
  /// Throws UnmodelledError: the function cannot run, its module is not refused. `what` is a phrase such as
  /// "tensor maps".
  [[noreturn]] void not_modelled(std::string_view what) const;
  /// Fails if the module's target or version lacks what the instruction needs, because of `detail` if given.
  void need(const Requirement& needed, std::string_view detail = {}) const;
  /// Fails if the module's target or version does not have the instruction, as its opcode says it.
  void check_requirements();
  void expect_operands(std::size_t count) const { expect_operands(count, count); }
  void expect_operands(std::size_t least, std::size_t most) const;
  void expect_address(std::size_t index) const;
  /// Fails if the operand is not a cache policy.
  void check_policy(std::size_t index) const;
  /// Fails if the operand is not an integer of 32 bits.
  void check_word(std::size_t index) const;
  /// Fails if the operand is a constant that is not a multiple of `step` from `least` to `most`.
  void check_constant(std::size_t index, std::int64_t least, std::int64_t most, std::int64_t step = 1) const;
  /// Fails if accesses to `space` cannot name the variable.
  void check_space(const Scalar& named, Space space) const;
  /// Fails if a register is declared with a type that does not go with the instruction's.
  void check_type(const Scalar& scalar, Type type, bool may_be_wider = false) const;
  /// Checks the elements of a vector in the same way; they must go with each other, too.
  void check_elements(const Operand& vector, Type type, bool may_be_wider = false) const;
  void check_address_type(const Scalar& base) const;

  // Emission. The fields that follow an emit belong to its op.
  /// Appends an op under the instruction's guard. The reference holds until the next emit.
  Op& emit(Code code, Type type);
  /// Appends an op that runs whatever the guard is.
  Op& emit_unguarded(Code code, Type type);
  std::uint32_t new_register(unsigned bytes);
  /// The operand that stands for a constant.
  std::uint32_t constant(std::uint64_t bits, unsigned bytes);
  /// The field names virtual register `reg`.
  void reference(Field field, std::uint32_t reg, bool defines);
  void read(Field field, const Scalar& scalar, Type type);
  /// Reads operands from `first` on into a, b and c.
  void read_all(Type type, std::size_t first, std::size_t count);
  /// Reads an operand of `type` from a register of `bytes` if that is more than the type has.
  void read_register(Field field, const Scalar& scalar, Type type, unsigned bytes = 0);
  void write(Field field, const Scalar& scalar, Type type, unsigned bytes = 0);
  void read_predicate(Field field, const Scalar& scalar, std::uint32_t negate_flag);
  void write_predicate(Field field, const Scalar& scalar);
  /// Appends to the operand lists; returns the entry's index.
  std::uint32_t list_entry(const Scalar& scalar, unsigned bytes, bool defines);
  /// Appends the elements of a vector of `type`; returns the index of the first.
  std::uint32_t add_list(const Operand& source, Type type, bool defines);
  /// Appends the integer of 32 bits that is operand `index`.
  std::uint32_t word_entry(std::size_t index);
  /// Makes the op access `bytes` bytes of `space` at the address operand.
  void address(const Operand& operand, Space space, std::uint64_t bytes);

 private:
  void resolve(Scalar& scalar) const;
  void resolve_guard();
  void materialise(Scalar& scalar, bool in_address);
  [[nodiscard]] std::uint64_t number_bits(const Scalar& scalar, Type type) const;
  [[nodiscard]] std::uint64_t number_bits_of(const Scalar& scalar, unsigned bytes) const;

  Instruction outside_;
  Instruction* instruction_ = &outside_;
  std::uint32_t instruction_count_ = 0;
  std::unordered_set<std::string_view> checked_opcodes_;  ///< those that the target and version have
  bool emitted_ = false;                                  ///< whether the current instruction has an op yet
};

}  // namespace kerncast::simulator
