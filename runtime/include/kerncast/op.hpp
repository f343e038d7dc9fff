#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kerncast/dtype.hpp"
#include "kerncast/error.hpp"
#include "kerncast/export.hpp"
#include "kerncast/model.hpp"
#include "kerncast/op_identity.hpp"
#include "kerncast/tensor.hpp"

/// How an op describes itself: parameters, constraints, tunables, arguments, launch geometry. The same
/// structures serve the ops that ship with the library and those a host registers.
namespace kerncast {

/// The compile-time constants of one kernel, in the order of OpDefinition::params. Dtypes are stored as the
/// number of their DType, flags as 0 or 1, choices as an index.
struct Specialisation {
  static constexpr std::size_t max_params = 16;
  std::array<std::int32_t, max_params> values{};

  [[nodiscard]] std::int32_t operator[](std::size_t i) const noexcept { return values[i]; }
  [[nodiscard]] bool operator==(const Specialisation&) const noexcept = default;
};

/// Values of an op's tunables, in the order of OpDefinition::tunables.
struct Tunables {
  static constexpr std::size_t max_tunables = 8;
  std::array<std::int32_t, max_tunables> values{};

  [[nodiscard]] std::int32_t operator[](std::size_t i) const noexcept { return values[i]; }
  [[nodiscard]] bool operator==(const Tunables&) const noexcept = default;
};

enum class ParamKind : std::uint8_t { integer, boolean, dtype, choice };

/// One compile-time parameter and the constraint on it.
struct ParamSpec {
  std::string name;
  ParamKind kind = ParamKind::integer;
  std::string doc;
  std::optional<std::int32_t> default_value;  ///< none: required
  std::int32_t minimum = 0;                   ///< integers: inclusive bounds
  std::int32_t maximum = 0;
  std::int32_t multiple_of = 1;
  std::vector<std::int32_t> allowed;  ///< where not empty, the only valid integers or DType numbers
  std::vector<std::string> choices;   ///< names of a choice's values
};

/// One tunable: a compile-time constant that changes speed and nothing else.
struct TunableSpec {
  std::string name;
  std::string doc;
  std::vector<std::int32_t> choices;
};

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

/// What the op needs to know of the device to choose tunables and geometry.
struct DeviceTraits {
  int sm = 90;
  int sm_count = 132;
  int max_shared_per_block = 49152;
};

struct LaunchGeometry {
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::array<std::uint32_t, 3> block{1, 1, 1};
  std::uint32_t dynamic_shared = 0;  ///< bytes
};

/// One checked call: everything the dispatcher needs, in a fixed-size block without ownership.
struct Call {
  static constexpr std::size_t max_argument_bytes = 256;

  Specialisation spec;
  std::int64_t rows = 0;  ///< run-time extent that geometry and tuning depend on; 0 means nothing to launch
  int device = 0;
  std::uint32_t argument_bytes = 0;
  alignas(16) std::array<std::byte, max_argument_bytes> arguments;  ///< the kernel's one by-value struct

  template <class Arguments>
  void set_arguments(const Arguments& value) noexcept {
    static_assert(std::is_trivially_copyable_v<Arguments> && sizeof(Arguments) <= max_argument_bytes);
    std::memcpy(arguments.data(), &value, sizeof value);
    argument_bytes = sizeof value;
  }
};

/// Named values of a call made without the typed API: tensors, run-time scalars and compile-time settings.
class KERNCAST_API Bindings {
 public:
  void set_tensor(std::string name, const TensorView& view);
  void set_scalar(std::string name, double value);
  /// A compile-time parameter given as text ("128", "true", "fp8_e4m3", "column_major").
  void set_param(std::string name, std::string value);

  /// Null when absent.
  [[nodiscard]] const TensorView* tensor(std::string_view name) const noexcept;
  /// Throws Error(invalid_argument) naming the op when a required tensor is missing.
  [[nodiscard]] const TensorView& require_tensor(std::string_view op, std::string_view name) const;
  /// An absent optional tensor is an empty view.
  [[nodiscard]] TensorView tensor_or_absent(std::string_view name) const noexcept;
  [[nodiscard]] std::optional<double> scalar(std::string_view name) const noexcept;
  [[nodiscard]] const std::string* param(std::string_view name) const noexcept;

  [[nodiscard]] const std::vector<std::pair<std::string, TensorView>>& tensors() const noexcept {
    return tensors_;
  }
  [[nodiscard]] const std::vector<std::pair<std::string, double>>& scalars() const noexcept {
    return scalars_;
  }
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& params() const noexcept {
    return params_;
  }

 private:
  std::vector<std::pair<std::string, TensorView>> tensors_;
  std::vector<std::pair<std::string, double>> scalars_;
  std::vector<std::pair<std::string, std::string>> params_;
};

/// A tensor the op wants made: an input for a synthetic run, or an output of a call.
struct TensorPlan {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;    ///< logical shape, as the op takes it
  std::vector<std::int64_t> strides;  ///< in elements; empty: contiguous
  std::vector<std::int64_t>
      storage_shape;                ///< contiguous storage that backs it, as a file holds it; empty: shape
  std::int64_t integers_below = 8;  ///< synthetic i32 and i64 inputs are drawn from 0 up to this, exclusive
};

/// A further kernel of an op's call, launched on the same stream with the same arguments after those before
/// it.
struct LaterStage {
  std::string kernel;  ///< as OpDefinition::kernel, of the same template file
  /// As OpDefinition::geometry. A grid of 0 blocks: this call does without the stage.
  LaunchGeometry (*geometry)(const Specialisation&, const Tunables&, const DeviceTraits&,
                             std::int64_t rows) noexcept = nullptr;
};

/// One synthetic workload: an op at the shapes of a model.
struct ModelCase {
  std::string label;  ///< where in the model, as "input_layernorm"
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
};

/// Everything the runtime and the tools know of one op. Adding an op is writing one of these beside its
/// template.
struct OpDefinition {
  static constexpr std::size_t max_stages = 3;

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
  /// Kernels launched after `kernel`, at most max_stages - 1: what one launch cannot do without a grid-wide
  /// wait.
  std::vector<LaterStage> later_stages;
  /// Template files of a host's own, name and text, which may include those of the library; they hide those
  /// of the same name.
  std::vector<std::pair<std::string, std::string>> sources;
  std::vector<ParamSpec> params;
  std::vector<TunableSpec> tunables;
  std::vector<TensorSpec> tensors;
  std::vector<ScalarSpec> scalars;

  /// Constraints across parameters; throws Error(invalid_argument). May be null.
  void (*validate)(const Specialisation&) = nullptr;
  /// The op's own choice where nothing was tuned. Deterministic. `rows` is any row count of the bucket.
  Tunables (*default_tunables)(const Specialisation&, const DeviceTraits&, std::int64_t rows) = nullptr;
  /// Hot path: no allocation, no exception. A grid of 0 blocks launches nothing.
  LaunchGeometry (*geometry)(const Specialisation&, const Tunables&, const DeviceTraits&,
                             std::int64_t rows) noexcept = nullptr;
  /// Checks tensors and scalars, derives the specialisation (settings given in `Bindings::params` must agree)
  /// and fills the call. Throws Error(invalid_argument).
  Call (*bind)(const Bindings&) = nullptr;
  /// Outputs a caller must provide for these inputs (bindings hold the inputs and settings).
  std::vector<TensorPlan> (*plan_outputs)(const Bindings&) = nullptr;
  /// Inputs of a synthetic call of `rows` rows with the settings in `Bindings::params`.
  std::vector<TensorPlan> (*plan_inputs)(const Bindings&, std::int64_t rows) = nullptr;
  /// What `model` needs of this op; empty where it does not use it.
  std::vector<ModelCase> (*model_cases)(const ModelConfig&) = nullptr;

  /// Set by OpRegistry::add and seal(), on definitions that nobody can change any more.
  OpIdentity identity;
};

/// Where the template of an op is found.
struct TemplateNames {
  std::string include;
  std::string kernel;
  std::string arguments_type;
};

/// OpDefinition::include, kernel and arguments_type; those left empty follow from the op's name.
[[nodiscard]] KERNCAST_API TemplateNames template_names(const OpDefinition& op);

/// Value of the parameter called `name` in `text` form; throws Error(invalid_argument) that states the
/// constraint and, where there is one, the nearest valid value.
[[nodiscard]] KERNCAST_API std::int32_t parse_param(const OpDefinition& op, const ParamSpec& param,
                                                    std::string_view text);

/// Checks one value against its parameter's constraint; throws as parse_param does.
KERNCAST_API void check_param(const OpDefinition& op, const ParamSpec& param, std::int64_t value);

/// Checks every value, then OpDefinition::validate.
KERNCAST_API void check_specialisation(const OpDefinition& op, const Specialisation& spec);

/// The specialisation of the settings alone: defaults where there are any, an error for a required one left
/// out or a name the op does not have.
[[nodiscard]] KERNCAST_API Specialisation
specialise(const OpDefinition& op, const std::vector<std::pair<std::string, std::string>>& settings);

/// Index of the parameter called `name`, or -1.
[[nodiscard]] KERNCAST_API int find_param(const OpDefinition& op, std::string_view name) noexcept;

/// "hidden=7168" or "x_dtype=bf16": one value as a user writes it.
[[nodiscard]] KERNCAST_API std::string format_param(const ParamSpec& param, std::int32_t value);

/// The specialisation as "x_dtype=bf16 hidden=7168": required parameters and those that differ from their
/// default.
[[nodiscard]] KERNCAST_API std::string format_specialisation(const OpDefinition& op,
                                                             const Specialisation& spec);

/// Throws Error(invalid_argument) if a setting in `bindings` names no parameter of the op or differs from
/// what the tensors gave in `spec`. Called at the end of an op's bind.
KERNCAST_API void check_settings_agree(const OpDefinition& op, const Specialisation& spec,
                                       const Bindings& bindings);

/// The row bucket a launch of `rows` rows is tuned under: 0 for 1 row, then one per power of two, 14 for more
/// than 8192.
[[nodiscard]] constexpr int row_bucket(std::int64_t rows) noexcept {
  int bucket = 0;
  for (std::int64_t limit = 1; limit < rows && bucket < 14; limit *= 2) {
    ++bucket;
  }
  return bucket;
}

/// Row counts of one bucket, both inclusive.
struct RowRange {
  std::int64_t lowest = 1;
  std::int64_t highest = 1;
};
[[nodiscard]] constexpr RowRange row_range(int bucket) noexcept {
  const std::int64_t highest = std::int64_t{1} << bucket;
  return {bucket == 0 ? 1 : highest / 2 + 1,
          bucket < 14 ? highest : std::numeric_limits<std::int64_t>::max()};
}

/// Throws Error(invalid_argument) that states the choices where a value is not among those of its tunable.
KERNCAST_API void check_tunables(const OpDefinition& op, const Tunables& tunables);

/// The tunables given by name, as "threads" and "256"; each of the op's must be there. Throws
/// Error(invalid_argument).
[[nodiscard]] KERNCAST_API Tunables
parse_tunables(const OpDefinition& op, const std::vector<std::pair<std::string, std::string>>& settings);

/// The ops known by name. Registration is not a hot path and locks.
class KERNCAST_API OpRegistry {
 public:
  /// The registry with every op that ships with the library.
  static OpRegistry& instance();
  /// Throws Error(invalid_argument) when the name is taken or the definition is incomplete.
  const OpDefinition& add(OpDefinition definition);
  /// Null when unknown.
  [[nodiscard]] const OpDefinition* find(std::string_view name) const;
  /// Throws Error(not_found) that names the nearest op.
  [[nodiscard]] const OpDefinition& require(std::string_view name) const;
  /// In order of name.
  [[nodiscard]] std::vector<const OpDefinition*> all() const;

 private:
  OpRegistry();
  struct State;
  State* state_;
};

}  // namespace kerncast
