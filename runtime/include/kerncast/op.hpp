#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kerncast/error.hpp"
#include "kerncast/export.hpp"
#include "kerncast/tensor.hpp"

/// The parts of an op that a host meets: a checked call, a call by name, and the registry. An op's own
/// description is in op_definition.hpp.
namespace kerncast {

struct OpDefinition;

/// Kernels of one op at most.
inline constexpr std::size_t max_stages = 3;

/// The compile-time constants of one kernel, in the order of OpDefinition::params. A dtype is stored as the
/// number of its DType, a flag as 0 or 1, a choice as its place in ParamSpec::choices.
struct Specialisation {
  static constexpr std::size_t max_params = 16;
  std::array<std::int32_t, max_params> values{};

  /// Value of parameter `i`, which must be less than the size of the array.
  [[nodiscard]] std::int32_t operator[](std::size_t i) const noexcept { return values[i]; }
  /// True if all values are equal.
  [[nodiscard]] bool operator==(const Specialisation&) const noexcept = default;
};

/// Values of an op's tunables, in the order of OpDefinition::tunables.
struct Tunables {
  static constexpr std::size_t max_tunables = 8;
  std::array<std::int32_t, max_tunables> values{};

  /// Value of tunable `i`, which must be less than the size of the array.
  [[nodiscard]] std::int32_t operator[](std::size_t i) const noexcept { return values[i]; }
  /// True if all values are equal.
  [[nodiscard]] bool operator==(const Tunables&) const noexcept = default;
};

/// The facts of a device by which an op chooses tunables and geometry.
struct DeviceTraits {
  int sm = 90;                       ///< compute capability, major * 10 + minor
  int sm_count = 132;                ///< multiprocessors
  int max_shared_per_block = 49152;  ///< bytes
};

/// Grid and block of one kernel launch.
struct LaunchGeometry {
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::array<std::uint32_t, 3> block{1, 1, 1};
  std::uint32_t dynamic_shared = 0;  ///< bytes
};

/// One checked call: everything that the dispatcher needs, in a block of fixed size. It owns nothing: the
/// device memory that its arguments name must live until the kernel has run.
struct Call {
  static constexpr std::size_t max_argument_bytes = 256;

  Specialisation spec;
  std::int64_t rows = 0;  ///< run-time extent that geometry and tuning depend on; 0 means nothing to launch
  int device = 0;
  std::uint32_t argument_bytes = 0;
  alignas(16) std::array<std::byte, max_argument_bytes> arguments;  ///< the kernel's one by-value struct

  /// Copies the kernel's argument struct into the call.
  template <class Arguments>
  void set_arguments(const Arguments& value) noexcept {
    static_assert(std::is_trivially_copyable_v<Arguments> && sizeof(Arguments) <= max_argument_bytes);
    std::memcpy(arguments.data(), &value, sizeof value);
    argument_bytes = sizeof value;
  }
};

/// Named values of a call that is made without the typed API: tensors, run-time scalars and compile-time
/// settings. `kerncast ops OP` lists what an op has of each. Setting a name again replaces its value. It owns
/// names and settings, but no device memory.
class KERNCAST_API Bindings {
 public:
  /// Sets a tensor, of which the view is copied.
  void set_tensor(std::string name, const TensorView& view);
  /// Sets a run-time scalar, such as eps.
  void set_scalar(std::string name, double value);
  /// A compile-time parameter given as text ("128", "true", "fp8_e4m3", "column_major").
  void set_param(std::string name, std::string value);

  /// Null if the tensor is absent.
  [[nodiscard]] const TensorView* tensor(std::string_view name) const noexcept;
  /// Throws Error(invalid_argument), which names the op, if the tensor is absent.
  [[nodiscard]] const TensorView& require_tensor(std::string_view op, std::string_view name) const;
  /// An empty view if the tensor is absent.
  [[nodiscard]] TensorView tensor_or_absent(std::string_view name) const noexcept;
  /// Empty if the scalar is absent.
  [[nodiscard]] std::optional<double> scalar(std::string_view name) const noexcept;
  /// Null if the setting is absent.
  [[nodiscard]] const std::string* param(std::string_view name) const noexcept;

  /// All tensors, in the order in which their names were first set; so are the scalars and the settings.
  [[nodiscard]] const std::vector<std::pair<std::string, TensorView>>& tensors() const noexcept {
    return tensors_;
  }
  /// All scalars.
  [[nodiscard]] const std::vector<std::pair<std::string, double>>& scalars() const noexcept {
    return scalars_;
  }
  /// All settings.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& params() const noexcept {
    return params_;
  }

 private:
  std::vector<std::pair<std::string, TensorView>> tensors_;
  std::vector<std::pair<std::string, double>> scalars_;
  std::vector<std::pair<std::string, std::string>> params_;
};

/// The ops known by name. Thread-safe; every method locks, so none belongs on a hot path.
class KERNCAST_API OpRegistry {
 public:
  /// The registry with every op that ships with the library.
  static OpRegistry& instance();
  /// Adds an op, whose definition then lives as long as the process. Names left empty are completed from the
  /// op's name. Throws Error(invalid_argument) if the name is taken or the definition is incomplete.
  const OpDefinition& add(OpDefinition definition);
  /// Null if no op has this name.
  [[nodiscard]] const OpDefinition* find(std::string_view name) const;
  /// Throws Error(not_found), which names the nearest op, if no op has this name.
  [[nodiscard]] const OpDefinition& require(std::string_view name) const;
  /// All ops in order of name.
  [[nodiscard]] std::vector<const OpDefinition*> all() const;

 private:
  OpRegistry();
  struct State;
  State* state_;
};

}  // namespace kerncast
