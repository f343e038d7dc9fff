#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "kerncast/op_definition.hpp"

namespace kerncast::host {

/// The arguments of an op by name. An op names the members of its argument struct once, in a function
/// `describe`; from it come the definition's tensors and scalars, and the call that is made by name:
///
///     void describe(host::NamedArguments& named, L2Norm& call) {
///       named.input("x", call.x, "[..., hidden], x_dtype; rows may be strided");
///       named.output("y", call.y, "shape of x, y_dtype; rows may be strided; may be x itself");
///       named.scalar("eps", call.eps, "added to the sum of squares; not negative");
///     }
///
/// The default of a scalar or of a setting is the value that the member has in a new struct.
class NamedArguments {
 public:
  /// Adds a description of every named member to `op`.
  explicit NamedArguments(OpDefinition& op) : described_(&op), op_(op) {}
  /// Sets every named member from `bindings`.
  NamedArguments(const OpDefinition& op, const Bindings& bindings) : op_(op), bindings_(&bindings) {}

  /// Sets every named member from `placed`, in the order in which the op names them.
  NamedArguments(const OpDefinition& op, const PlacedArguments& placed) : op_(op), placed_(placed) {}

  /// A tensor that is read, written, or both. One that is not optional must be bound:
  /// Error(invalid_argument).
  void input(const char* name, TensorView& view, std::string_view doc);
  void optional_input(const char* name, TensorView& view, std::string_view doc);
  void output(const char* name, TensorView& view, std::string_view doc);
  void optional_output(const char* name, TensorView& view, std::string_view doc);
  void in_place(const char* name, TensorView& view, std::string_view doc);

  /// A run-time number.
  template <class Value>
  void scalar(const char* name, Value& value, std::string_view doc) {
    if (const std::optional<double> given = number(name, exact_decimal(value), doc)) {
      value = static_cast<Value>(*given);
    }
  }

  /// A compile-time parameter that no tensor tells: a flag, a choice or an integer. It keeps its value if the
  /// bindings do not set it.
  template <class Value>
  void setting(const char* name, Value& value) {
    if (const std::optional<std::int32_t> given = parameter(name, false)) {
      value = static_cast<Value>(*given);
    }
  }
  /// A setting that the bindings must hold: Error(invalid_argument).
  template <class Value>
  void required_setting(const char* name, Value& value) {
    if (const std::optional<std::int32_t> given = parameter(name, true)) {
      value = static_cast<Value>(*given);
    }
  }

 private:
  /// A float as the shortest decimal number that gives it, so that 1e-6F is described as 1e-06.
  [[nodiscard]] static double exact_decimal(float value);
  [[nodiscard]] static double exact_decimal(double value) { return value; }

  void tensor(const char* name, TensorView& view, Direction direction, bool optional, std::string_view doc);
  [[nodiscard]] std::optional<double> number(const char* name, double default_value, std::string_view doc);
  [[nodiscard]] std::optional<std::int32_t> parameter(const char* name, bool required);
  [[nodiscard]] std::optional<std::int32_t> placed_setting(const char* name, bool required);

  OpDefinition* described_ = nullptr;
  const OpDefinition& op_;
  const Bindings* bindings_ = nullptr;
  PlacedArguments placed_;  ///< the values that come next
};

}  // namespace kerncast::host
