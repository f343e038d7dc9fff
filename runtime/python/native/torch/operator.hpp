#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/python/native/op_function.hpp"
#include "runtime/python/native/output_memo.hpp"
#include "runtime/python/native/torch/arguments.hpp"
#include "runtime/python/native/torch/shim.hpp"

namespace kerncast::python {

/// A tensor that only the function of Python can refuse with all that is known of it.
struct UnsuitedTensor : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The implementation of one operator of torch for CUDA tensors. It does what the op's function for torch
/// does and needs no lock of Python. Thread-safe.
class TorchOperator {
 public:
  /// `schema` names the arguments in torch's order. Throws Error(internal) for names that the op lacks.
  TorchOperator(const TorchShim& torch, const OpFunction& function, std::vector<TorchArgument> schema,
                Convention convention);

  /// Takes the arguments from `stack`, enqueues the call, and puts the results there. Throws as the op does,
  /// UnsuitedTensor, and std::runtime_error with torch's text if torch has no memory.
  void run(TorchShim::Value* stack) const;

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  /// The part of the op that an argument belongs to.
  struct Role {
    std::size_t place = 0;                    ///< in the op's tensors, scalars or params
    std::size_t setting = none;               ///< in OpDefinition::settings
    std::optional<std::string> default_text;  ///< of a parameter that the schema gives one
  };
  /// A setting that differs from its default.
  struct Setting {
    const Role* role = nullptr;
    std::string text;
    friend bool operator==(const Setting&, const Setting&) = default;
  };
  struct Plan {
    std::vector<TensorView> inputs;
    std::vector<Setting> settings;
    std::vector<PlannedOutput> outputs;
  };
  /// A call as its arguments tell it.
  struct Request;
  class Made;

  [[nodiscard]] Role role_of(const TorchArgument& argument) const;
  void read(const TorchArguments& arguments, Request& request) const;
  [[nodiscard]] TensorView view_of(TorchShim::Tensor tensor, const std::string& name) const;
  [[nodiscard]] std::string setting_text(const TorchArguments& arguments, std::size_t i) const;
  [[nodiscard]] Bindings bindings(const Request& request) const;
  [[nodiscard]] std::shared_ptr<const Plan> plan(const Request& request) const;
  void make_outputs(Request& request, Made& made) const;
  [[nodiscard]] Call bind(const Request& request) const;

  const TorchShim& torch_;
  const OpFunction& function_;
  const OpDefinition& op_;
  std::vector<TorchArgument> schema_;
  std::vector<Role> roles_;           ///< for each argument
  std::vector<std::size_t> results_;  ///< places of the tensors that are returned
  Convention convention_;
  std::size_t workspace_ = none;                              ///< the place of the workspace
  mutable std::mutex mutex_;                                  ///< guards the plans
  mutable std::array<std::shared_ptr<const Plan>, 8> plans_;  ///< those of the last calls
  mutable std::size_t oldest_ = 0;
};

}  // namespace kerncast::python
