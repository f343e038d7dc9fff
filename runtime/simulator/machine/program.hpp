#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/machine/instruction.hpp"
#include "runtime/simulator/machine/machine.hpp"

namespace kerncast::simulator {

/// A parameter of a device function: where it lies in the function's local memory.
struct FormalParameter {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
};

/// A kernel or device function of a module.
struct PtxFunction {
  std::string name;
  bool entry = false;
  bool defined = false;
  std::uint32_t first_op = 0;
  std::uint32_t end_op = 0;
  std::uint32_t frame_bytes = 0;
  std::uint32_t local_bytes = 0;
  std::uint32_t shared_bytes = 0;
  std::string refusal;  ///< why it cannot run; empty if it can
  std::vector<FormalParameter> arguments;
  std::vector<FormalParameter> results;
  std::vector<std::uint32_t> callees;
  std::uint32_t variable_bytes = 0;     ///< of its .local variables
  bool recursive = false;               ///< reaches itself, or calls what does
  std::uint32_t stack_bytes = 0;        ///< register frames of the deepest call chain
  std::uint32_t stack_local_bytes = 0;  ///< local memory of the deepest call chain
};

/// Functions the machine itself provides to kernels.
enum class HostFunction : std::uint8_t { none, vprintf, assertfail, malloc, free };

/// One call instruction: what to copy between the caller's and the callee's local memory.
struct CallSite {
  struct Copy {
    std::uint32_t caller_offset;
    std::uint32_t size;
  };
  std::uint32_t callee = 0;
  HostFunction host = HostFunction::none;
  std::uint32_t frame_bytes = 0;  ///< of the caller: the callee's frame starts right after
  std::uint32_t local_bytes = 0;
  std::uint32_t variable_bytes = 0;  ///< of the caller's .local variables
  std::vector<Copy> arguments;
  std::vector<Copy> results;
};

/// Zeroed bytes aligned for the widest vector registers. A large block takes memory only for the pages that
/// are touched.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t size);
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte[], Free> raw_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A register that an op names, for what follows values through registers.
struct OperandUse {
  std::uint32_t place = 0;  ///< in the frame
  std::uint32_t list = 0;   ///< index of the operand list entry when in_list
  std::uint8_t bytes = 0;   ///< of each lane; 0 for a predicate
  std::uint8_t field = 0;   ///< as RegisterUse says
  bool defines = false;
  bool in_list = false;
};

/// A decoded module. Immutable once Module::decode returns.
class Program {
 public:
  Program() = default;
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// The PTX line `op` came from, 1-based, and its text without surrounding blanks.
  [[nodiscard]] int line_of(const Op* op) const;
  [[nodiscard]] std::string_view line_text(int line) const;
  /// Index of the function that holds `op`; the number of functions if none does.
  [[nodiscard]] std::size_t function_index_of(const Op* op) const;
  /// Name of the function that holds `op`.
  [[nodiscard]] std::string_view function_of(const Op* op) const;

  /// The registers that `op` names, guards too; those of lists in their order.
  [[nodiscard]] std::span<const OperandUse> uses_of(const Op* op) const;

  std::string text;
  std::vector<Op> ops;
  std::vector<OperandUse> uses;          ///< of all ops, in their order
  std::vector<std::uint32_t> first_use;  ///< of each op in `uses`, and one beyond the last
  std::vector<std::uint32_t> lines;      ///< PTX line of each op
  std::vector<std::uint32_t> lists;      ///< operand lists of vector instructions
  std::vector<std::uint32_t> targets;    ///< op indexes of brx tables
  std::vector<CallSite> calls;
  std::vector<PtxFunction> functions;
  AlignedBytes constants;
  std::uint32_t dynamic_shared_alignment = 16;
  std::vector<KernelInfo> kernels;
  std::vector<std::uint32_t> kernel_functions;  ///< index into functions, parallel to kernels
  std::vector<GlobalVariable> variables;
  std::unordered_map<std::string, std::size_t> variable_index;
  std::size_t constant_bytes = 0;  ///< of the .const variables, each aligned
  Memory* memory = nullptr;
};

}  // namespace kerncast::simulator
