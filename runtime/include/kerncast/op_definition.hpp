#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/op_identity.hpp"
#include "kerncast/workload.hpp"

/// The description of an op, for those who write one: parameters, constraints, tunables, arguments, launch
/// geometry. The same structures serve the ops that ship with the library and a host's own.
namespace kerncast {

/// The kind of values that a parameter takes.
enum class ParamKind : std::uint8_t { integer, boolean, dtype, choice };

/// One compile-time parameter and the constraint on it.
struct ParamSpec {
  std::string name;
  ParamKind kind = ParamKind::integer;
  std::string doc;
  std::optional<std::int32_t> default_value;  ///< empty: the parameter is required
  std::int32_t minimum = 0;                   ///< integers: inclusive bounds
  std::int32_t maximum = 0;
  std::int32_t multiple_of = 1;
  std::vector<std::int32_t> allowed;  ///< the only valid integers or DType numbers, unless empty
  std::vector<std::string> choices;   ///< names of the values of a choice
};

/// One tunable: a compile-time constant that changes speed and nothing else. Its values are listed, or those
/// of a range.
struct TunableSpec {
  std::string name;
  std::string doc;
  std::vector<std::int32_t> choices;  ///< the only valid values, unless empty
  std::int32_t minimum = 1;           ///< without choices: inclusive bounds
  std::int32_t maximum = 0;
  std::int32_t multiple_of = 1;
};

/// The use that a kernel makes of a tensor: it reads, writes or changes it.
enum class Direction : std::uint8_t { in, out, inout };

/// One tensor argument.
struct TensorSpec {
  std::string name;
  Direction direction = Direction::in;
  bool optional = false;
  std::string doc;  ///< shape and dtypes, as "[T, H], x_dtype; rows may be strided"
};

/// One run-time scalar argument.
struct ScalarSpec {
  std::string name;
  double default_value = 0;
  std::string doc;
};

/// The arguments of a call by their places in the definition, for a binding that resolves names itself and
/// calls often: nothing is looked up and nothing is allocated.
struct PlacedArguments {
  /// A setting that is left out.
  static constexpr std::int32_t unset = std::numeric_limits<std::int32_t>::min();

  const TensorView* tensors = nullptr;     ///< one for each of OpDefinition::tensors, absent() if left out
  const double* scalars = nullptr;         ///< one for each of OpDefinition::scalars
  const std::int32_t* settings = nullptr;  ///< one for each of OpDefinition::settings, or unset
};

/// A further kernel of an op's call, launched on the same stream and with the same arguments after the
/// kernels before it.
struct LaterStage {
  std::string kernel;  ///< see OpDefinition::kernel; it is in the same template file
  /// See OpDefinition::geometry. A grid of 0 blocks: this call does without the stage.
  LaunchGeometry (*geometry)(const Specialisation&, const Tunables&, const DeviceTraits&,
                             std::int64_t rows) noexcept = nullptr;
};

/// Everything that the runtime and the tools know about one op. Adding an op means writing one of these
/// beside its template. A host adds its own to the OpRegistry, or seals it; see op_identity.hpp.
struct OpDefinition {
  static constexpr std::size_t max_stages = kerncast::max_stages;

  std::string name;     ///< "family.op"
  std::string summary;  ///< one line
  std::string formula;  ///< exact, with its source
  std::string include;  ///< template to include; empty: from the name, "norm/rms_norm/kernel.cuh"
  /// Qualified name of the `template <class Config> __global__` function; empty: from the name,
  /// "kerncast::norm::rms_norm_kernel".
  std::string kernel;
  /// Qualified name of the kernel's by-value argument struct; empty: from the name,
  /// "kerncast::norm::RmsNormKernelArgs".
  std::string arguments_type;
  /// Kernels launched after `kernel`, at most max_stages - 1, for work that one launch cannot do without a
  /// grid-wide wait.
  std::vector<LaterStage> later_stages;
  /// True if every kernel begins with begin_kernel() of device/programmatic_launch.cuh, or itself executes
  /// griddepcontrol.wait, on every path and before it first reads or writes global memory, if it is compiled
  /// for sm_90 or later. A Runtime may then start its blocks while the kernel before it in the stream still
  /// runs; see RuntimeOptions::programmatic_launch. If a kernel does not wait, that is a race with every
  /// kernel before it. It is true of the library's ops; a copy of one that brings a template of its own must
  /// set it anew.
  bool waits_for_primary = false;
  /// A host's own template files, as name and text. They may include the library's files, and hide those of
  /// the same name.
  std::vector<std::pair<std::string, std::string>> sources;
  std::vector<ParamSpec> params;
  std::vector<TunableSpec> tunables;
  std::vector<TensorSpec> tensors;
  std::vector<ScalarSpec> scalars;
  /// Names of the parameters that a caller of the typed API sets; the tensors tell the others.
  std::vector<std::string> settings;

  /// Checks constraints across parameters. Throws Error(invalid_argument). May be null.
  void (*validate)(const Specialisation&) = nullptr;
  /// The reason why values of the tunables, each of them valid, do not go together, in words; empty if they
  /// do. A launch refuses them, and a tuner leaves them out before it compiles. It is asked before geometry,
  /// which shows threads and shared memory of a block, so those limits need no check here. May be null.
  std::string (*tunables_defect)(const Specialisation&, const Tunables&, const DeviceTraits&) = nullptr;
  /// The op's own choice if nothing was tuned. Deterministic. `rows` is any row count of the bucket.
  Tunables (*default_tunables)(const Specialisation&, const DeviceTraits&, std::int64_t rows) = nullptr;
  /// Hot path: no allocation, no exception. A grid of 0 blocks launches nothing.
  LaunchGeometry (*geometry)(const Specialisation&, const Tunables&, const DeviceTraits&,
                             std::int64_t rows) noexcept = nullptr;
  /// Checks tensors and scalars, derives the specialisation (settings given in `Bindings::params` must agree)
  /// and fills the call. Throws Error(invalid_argument).
  Call (*bind)(const Bindings&) = nullptr;
  /// Does the same with arguments by place. The values of the settings are valid ones of their parameters;
  /// the specialisation tells whether the tensors agree. May be null. Throws Error(invalid_argument).
  Call (*bind_placed)(const PlacedArguments&) = nullptr;
  /// Plans the outputs that a caller must provide; the bindings hold the inputs and the settings.
  std::vector<TensorPlan> (*plan_outputs)(const Bindings&) = nullptr;
  /// Plans the inputs of a synthetic call of `rows` rows with the settings in `Bindings::params`.
  std::vector<TensorPlan> (*plan_inputs)(const Bindings&, std::int64_t rows) = nullptr;
  /// The shapes that `model` runs this op at; empty if the model does not use the op.
  std::vector<ModelCase> (*model_cases)(const ModelConfig&) = nullptr;

  /// Set by OpRegistry::add and seal(), on definitions that nobody can change any more.
  OpIdentity identity;
};

/// The names by which the template of an op is found.
struct TemplateNames {
  std::string include;
  std::string kernel;
  std::string arguments_type;
};

/// OpDefinition::include, kernel and arguments_type; those left empty follow from the op's name.
[[nodiscard]] KERNCAST_API TemplateNames template_names(const OpDefinition& op);

/// The value that `text` gives to `param`. Throws Error(invalid_argument), which states the constraint and,
/// if there is one, the nearest valid value.
[[nodiscard]] KERNCAST_API std::int32_t parse_param(const OpDefinition& op, const ParamSpec& param,
                                                    std::string_view text);

/// Checks one value against its parameter's constraint. Throws as parse_param does.
KERNCAST_API void check_param(const OpDefinition& op, const ParamSpec& param, std::int64_t value);

/// Checks every value, then OpDefinition::validate.
KERNCAST_API void check_specialisation(const OpDefinition& op, const Specialisation& spec);

/// The specialisation that the settings alone give, with defaults for the others. Throws
/// Error(invalid_argument) if a required parameter is missing or a name is not the op's.
[[nodiscard]] KERNCAST_API Specialisation
specialise(const OpDefinition& op, const std::vector<std::pair<std::string, std::string>>& settings);

/// Index of the parameter called `name`, or -1.
[[nodiscard]] KERNCAST_API int find_param(const OpDefinition& op, std::string_view name) noexcept;

/// "hidden=7168" or "x_dtype=bf16": one value as a user writes it.
[[nodiscard]] KERNCAST_API std::string format_param(const ParamSpec& param, std::int32_t value);

/// The reason for a parameter's value in a call, in words: "whether bias is given", "dtype of x". A call's
/// tensors and scalars go before the default. Empty if a setting alone decides.
[[nodiscard]] KERNCAST_API std::string param_source(const OpDefinition& op, const ParamSpec& param);

/// The specialisation as "x_dtype=bf16 hidden=7168": the required parameters, and those that differ from
/// their default.
[[nodiscard]] KERNCAST_API std::string format_specialisation(const OpDefinition& op,
                                                             const Specialisation& spec);

/// Throws Error(invalid_argument) if `bindings` hold a tensor, scalar or setting that the op does not have;
/// the message names the nearest one that it has, and all of them. An op that lists no tensors says nothing
/// of their names nor of its scalars', and those are not checked.
KERNCAST_API void check_names(const OpDefinition& op, const Bindings& bindings);

/// Throws Error(invalid_argument) if a setting in `bindings` names no parameter of the op, or differs from
/// the value in `spec` that the tensors gave. Called at the end of an op's bind.
KERNCAST_API void check_settings_agree(const OpDefinition& op, const Specialisation& spec,
                                       const Bindings& bindings);

/// Throws Error(invalid_argument), which states the valid values and the nearest of them, if a value is not
/// one of its tunable's. Values that do not go together pass: a launch refuses them.
KERNCAST_API void check_tunables(const OpDefinition& op, const Tunables& tunables);

/// The tunables given by name, such as "threads" and "256". All of the op's must be given. Throws
/// Error(invalid_argument).
[[nodiscard]] KERNCAST_API Tunables
parse_tunables(const OpDefinition& op, const std::vector<std::pair<std::string, std::string>>& settings);

/// The valid values of `tunable` in words: "one of 1, 2, 4", "from 32 to 1024 and a multiple of 32".
[[nodiscard]] KERNCAST_API std::string format_values(const TunableSpec& tunable);

/// The valid values of `tunable`: its choices in their order, or those of its range in ascending order.
[[nodiscard]] KERNCAST_API std::vector<std::int32_t> tunable_values(const TunableSpec& tunable);

/// Every combination of the tunables' values, also of those that do not go together. The last tunable changes
/// first, and the order is the same on every machine. An op without tunables has one combination. Throws
/// Error(invalid_argument) if there are more than a million.
[[nodiscard]] KERNCAST_API std::vector<Tunables> all_tunables(const OpDefinition& op);

/// The combinations of all_tunables(op), in its order, that OpDefinition::tunables_defect accepts and whose
/// blocks a device of `traits` takes in a call of `rows` rows. They may still fail to compile.
[[nodiscard]] KERNCAST_API std::vector<Tunables> all_tunables(const OpDefinition& op,
                                                              const Specialisation& spec,
                                                              const DeviceTraits& traits, std::int64_t rows);

}  // namespace kerncast
