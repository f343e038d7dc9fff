#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/python/native/output_memo.hpp"
#include "runtime/python/native/python.hpp"

/// The Python function of one op, which is made from the op's definition.
namespace kerncast::python {

/// Values of the arguments of one call by the places of an OpFunction; null: left out. The references are
/// borrowed.
using Values = std::array<PyObject*, 64>;

/// The manner in which a function takes and returns outputs.
enum class Convention : std::uint8_t {
  typed,       ///< outputs may be given; those that the call has are returned
  functional,  ///< for torch: outputs are made, each has its place in the result, and an absent one is empty
  out          ///< for torch: outputs are given, workspaces may be made, and None is returned
};

/// A call whose tensors are read and whose outputs are there.
struct BoundCall {
  Call call;
  Stream stream = nullptr;
  PyObject* leader = nullptr;  ///< the first tensor, whose library names the current stream; borrowed
  Ref result;                  ///< what the function returns
  std::vector<Ref> made;       ///< outputs and workspaces that the call made
};

/// The name by which ops declare the memory that a kernel needs beside its outputs.
inline constexpr std::string_view workspace_name = "workspace";

/// The outputs of a call with these inputs and settings.
using PlanOutputs = std::function<std::vector<TensorPlan>(const Bindings&)>;

class OpFunction {
 public:
  explicit OpFunction(const OpDefinition& op);
  /// For an op of Python's own: its settings and the plan of its outputs, which the C API does not take.
  OpFunction(const OpDefinition& op, const std::vector<std::string>& settings, PlanOutputs plan);

  [[nodiscard]] const OpDefinition& op() const noexcept { return op_; }
  /// "(x, weight=None, *, eps=1e-06, ..., stream=None)"
  [[nodiscard]] const std::string& signature() const noexcept { return signature_; }
  /// One line for each argument of the stub file: name, kind and default, separated by tabs.
  [[nodiscard]] const std::string& arguments() const noexcept { return arguments_; }
  /// A new function object, whose lifetime is that of the process. Throws PythonError.
  [[nodiscard]] Ref python_function(Convention convention);

  /// Puts the arguments of a call in their places. Throws Error(invalid_argument) and PythonError.
  void place(PyObject* const* arguments, Py_ssize_t count, PyObject* names, Values& values) const;
  /// Reads the values, makes the outputs that are left out, and checks the call. Throws as the op does.
  [[nodiscard]] BoundCall bind(const Values& values, Convention convention = Convention::typed) const;
  /// Binds and enqueues the call, and returns its outputs.
  [[nodiscard]] PyObject* call(const Values& values, Convention convention = Convention::typed);
  /// The outputs that a call with these inputs and settings needs. Throws Error(invalid_argument).
  [[nodiscard]] std::vector<TensorPlan> plan(const Bindings& bindings) const;
  /// The outputs of plan() as views without memory, by their places, but for those that the op does not
  /// declare.
  [[nodiscard]] std::vector<PlannedOutput> plan_views(const Bindings& bindings) const;
  /// The text of a setting that Python gives. Throws Error(invalid_argument) and PythonError.
  [[nodiscard]] std::string param_text(const ParamSpec& param, PyObject* value) const;

  /// The place of `stream`.
  [[nodiscard]] std::size_t stream_place() const noexcept { return names_.size() - 1; }
  [[nodiscard]] std::size_t places() const noexcept { return names_.size(); }

 private:
  struct Name {
    PyObject* text;  ///< interned
    Py_hash_t hash;
    std::string name;
  };

  void add_name(const std::string& name);
  void describe();
  [[nodiscard]] std::string documentation() const;
  [[nodiscard]] std::size_t place_of(PyObject* name, PyObject* value) const;
  [[noreturn]] void refuse_name(std::string_view name, PyObject* value) const;
  [[nodiscard]] bool in_signature(std::size_t param) const;
  [[nodiscard]] std::int32_t setting_value(std::size_t setting, PyObject* value) const;
  /// The outputs by place: those given by name, then those of `out`.
  void spread_out(Values& values) const;
  [[nodiscard]] Bindings bindings(const Values& values, const std::vector<TensorView>& views) const;
  /// True if the call must make outputs, or a workspace for a call of Convention::out.
  [[nodiscard]] bool lacks_outputs(const Values& values, Convention convention) const;
  /// The plan of a call with these inputs, outputs and settings.
  [[nodiscard]] const std::vector<PlannedOutput>& planned(const Values& values,
                                                          const std::vector<TensorView>& views) const;
  void make_outputs(Values& values, BoundCall& bound, std::vector<TensorView>& views,
                    Convention convention) const;
  [[nodiscard]] Ref result(const Values& values) const;
  /// One tensor for each output of the op, or None for an op without outputs.
  [[nodiscard]] Ref full_result(const Values& values, const BoundCall& bound) const;

  const OpDefinition& op_;
  PlanOutputs plan_;  ///< null: without a plan
  mutable OutputMemo memo_;
  std::vector<Name> names_;                  ///< tensors, scalars, settings, other parameters, out, stream
  std::vector<std::size_t> positional_;      ///< places of the arguments that need no name
  std::vector<std::size_t> outputs_;         ///< places of the outputs that are returned
  std::vector<std::size_t> setting_params_;  ///< for each setting its parameter
  std::vector<std::size_t> other_params_;    ///< parameters that the tensors tell, in the order of the places
  std::size_t first_scalar_;
  std::size_t first_setting_;
  std::size_t first_other_;
  std::string signature_;
  std::string arguments_;
  std::string documentation_;
  std::array<PyMethodDef, 3> methods_{};  ///< by Convention
  /// Kernels that were launched before, by a hash. Their launches keep Python's lock.
  std::unordered_set<std::size_t> launched_;
};

/// The functions of all ops in order of name, then those that were added. Made on first use, under Python's
/// lock.
[[nodiscard]] const std::vector<std::unique_ptr<OpFunction>>& op_functions();
/// Adds the function of an op that was registered just now.
OpFunction& add_op_function(const OpDefinition& op, const std::vector<std::string>& settings,
                            PlanOutputs plan);
/// Throws Error(not_found), which names the nearest op.
[[nodiscard]] OpFunction& op_function(std::string_view name);

}  // namespace kerncast::python
