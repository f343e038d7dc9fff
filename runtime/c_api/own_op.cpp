#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/c_api/error.hpp"
#include "runtime/c_api/handles.hpp"
#include "runtime/c_api/tensor.hpp"

namespace kerncast::c_api {
namespace {

static_assert(KERNCAST_MAX_PARAMS == Specialisation::max_params);
static_assert(KERNCAST_MAX_TUNABLES == Tunables::max_tunables);
static_assert(KERNCAST_MAX_ARGUMENT_BYTES == Call::max_argument_bytes);

/// The functions of one op that was registered from C.
struct OwnOp {
  std::string name;
  Tunables defaults;
  void* user = nullptr;
  kerncast_bind_function bind = nullptr;
  kerncast_geometry_function geometry = nullptr;
  kerncast_default_tunables_function default_tunables = nullptr;
  kerncast_spec_defect_function spec_defect = nullptr;
  kerncast_tunables_defect_function tunables_defect = nullptr;
  std::vector<ScalarSpec> scalars;
};

/// The functions of an OpDefinition have no place for data of their own. So each op from C has a slot, and
/// each slot has functions that know its number.
constexpr std::size_t max_own_ops = 64;

std::array<OwnOp, max_own_ops>& own_ops() {
  // Never destroyed, as the registry is not.
  static auto* ops = new std::array<OwnOp, max_own_ops>;
  return *ops;
}

kerncast_device_traits c_traits(const DeviceTraits& traits) noexcept {
  return {traits.sm, traits.sm_count, traits.max_shared_per_block};
}

ErrorCode code_of(kerncast_status status) noexcept {
  const bool known = status >= KERNCAST_INVALID_ARGUMENT && status <= KERNCAST_CACHE_MISS;
  return known ? static_cast<ErrorCode>(status) : ErrorCode::internal;
}

/// Throws what the bind function of `op` handed back.
[[noreturn]] void throw_failure(const OwnOp& op, kerncast_status status, kerncast_error* error) {
  const std::unique_ptr<kerncast_error, void (*)(kerncast_error*)> owner(error, kerncast_error_free);
  const std::string message =
      error == nullptr ? fmt::format("{}: its bind function refuses the call ({}) and gives no reason",
                                     op.name, kerncast_status_name(status))
                       : std::string(kerncast_error_message(error));
  throw Error(code_of(status), message, kerncast_error_driver_result(error));
}

/// The device of all tensors in `bindings`; 0 if there are none.
int common_device(const OwnOp& op, const Bindings& bindings) {
  const auto& tensors = bindings.tensors();
  for (const auto& [name, view] : tensors) {
    if (view.device != tensors.front().second.device) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("{}: {} is on device {} and {} on device {}; all tensors of a call share one", op.name,
                      tensors.front().first, tensors.front().second.device, name, view.device));
    }
  }
  return tensors.empty() ? 0 : tensors.front().second.device;
}

Call bind_own(const OwnOp& op, const Bindings& bindings) {
  const kerncast_bindings view{op.name, op.scalars, bindings};
  kerncast_call filled{};
  kerncast_error* error = nullptr;
  Call call;
  call.device = common_device(op, bindings);
  if (const kerncast_status status = op.bind(op.user, &view, &filled, &error); status != KERNCAST_OK) {
    throw_failure(op, status, error);
  }
  kerncast_error_free(error);
  if (filled.argument_bytes > Call::max_argument_bytes || filled.rows < 0) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{}: its bind function gives {} bytes of arguments and {} rows; at most {} bytes and no "
                    "negative rows are possible",
                    op.name, filled.argument_bytes, filled.rows, Call::max_argument_bytes));
  }
  std::copy(std::begin(filled.spec), std::end(filled.spec), call.spec.values.begin());
  call.rows = filled.rows;
  call.argument_bytes = filled.argument_bytes;
  std::memcpy(call.arguments.data(), filled.arguments, filled.argument_bytes);
  if (!bindings.params().empty()) {
    check_settings_agree(OpRegistry::instance().require(op.name), call.spec, bindings);
  }
  return call;
}

LaunchGeometry geometry_of_own(const OwnOp& op, std::int32_t stage, const Specialisation& spec,
                               const Tunables& tunables, const DeviceTraits& traits,
                               std::int64_t rows) noexcept {
  const kerncast_device_traits device = c_traits(traits);
  kerncast_geometry filled{};
  op.geometry(op.user, stage, spec.values.data(), tunables.values.data(), &device, rows, &filled);
  LaunchGeometry geometry;
  std::copy(std::begin(filled.grid), std::end(filled.grid), geometry.grid.begin());
  std::copy(std::begin(filled.block), std::end(filled.block), geometry.block.begin());
  geometry.dynamic_shared = filled.dynamic_shared;
  return geometry;
}

template <std::size_t slot>
struct SlotFunctions {
  static Call bind(const Bindings& bindings) { return bind_own(own_ops()[slot], bindings); }
  template <std::int32_t stage>
  static LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables,
                                 const DeviceTraits& traits, std::int64_t rows) noexcept {
    return geometry_of_own(own_ops()[slot], stage, spec, tunables, traits, rows);
  }
  static Tunables default_tunables(const Specialisation& spec, const DeviceTraits& traits,
                                   std::int64_t rows) {
    const OwnOp& op = own_ops()[slot];
    Tunables tunables = op.defaults;
    if (op.default_tunables != nullptr) {
      const kerncast_device_traits device = c_traits(traits);
      op.default_tunables(op.user, spec.values.data(), &device, rows, tunables.values.data());
    }
    return tunables;
  }
  static void validate(const Specialisation& spec) {
    const OwnOp& op = own_ops()[slot];
    if (const char* defect = op.spec_defect(op.user, spec.values.data())) {
      throw Error(ErrorCode::invalid_argument, fmt::format("{}: {}", op.name, defect));
    }
  }
  static std::string tunables_defect(const Specialisation& spec, const Tunables& tunables,
                                     const DeviceTraits& traits) {
    const OwnOp& op = own_ops()[slot];
    const kerncast_device_traits device = c_traits(traits);
    const char* defect = op.tunables_defect(op.user, spec.values.data(), tunables.values.data(), &device);
    return defect == nullptr ? "" : defect;
  }
};

/// Gives `definition` the functions of a slot.
using SlotBinder = void (*)(const OwnOp& op, OpDefinition& definition);

template <std::size_t slot>
void give_functions(const OwnOp& op, OpDefinition& definition) {
  using Functions = SlotFunctions<slot>;
  static_assert(max_stages == 3);
  definition.bind = &Functions::bind;
  definition.default_tunables = &Functions::default_tunables;
  if (op.geometry != nullptr) {
    definition.geometry = &Functions::template geometry<0>;
    std::vector<LaterStage>& later = definition.later_stages;
    if (!later.empty()) {
      later[0].geometry = &Functions::template geometry<1>;
    }
    if (later.size() > 1) {
      later[1].geometry = &Functions::template geometry<2>;
    }
  }
  definition.validate = op.spec_defect == nullptr ? nullptr : &Functions::validate;
  definition.tunables_defect = op.tunables_defect == nullptr ? nullptr : &Functions::tunables_defect;
}

template <std::size_t... slots>
constexpr std::array<SlotBinder, sizeof...(slots)> slot_binders(std::index_sequence<slots...> /*numbers*/) {
  return {&give_functions<slots>...};
}

const char* text_or_empty(const char* text) noexcept {
  return text == nullptr ? "" : text;
}

/// The elements of a list of the caller. Throws Error(invalid_argument) for a list of NULL that has a count.
template <class T>
std::vector<T> list_of(const T* first, std::size_t count, const char* what) {
  if (count == 0) {
    return {};
  }
  const T* begin = &need(first, "kerncast_op_register", what);
  return {begin, begin + count};
}

ParamSpec param_of(const kerncast_param_spec& given) {
  if (given.kind < KERNCAST_PARAM_INTEGER || given.kind > KERNCAST_PARAM_CHOICE) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("kerncast_op_register: parameter {} has kind {}; the kinds are 0 to 3",
                            text_or_empty(given.name), given.kind));
  }
  ParamSpec param;
  param.name = &need(given.name, "kerncast_op_register", "the name of a parameter");
  param.kind = static_cast<ParamKind>(given.kind);
  param.doc = text_or_empty(given.doc);
  if (given.has_default != 0) {
    param.default_value = given.default_value;
  }
  param.minimum = given.minimum;
  param.maximum = given.maximum;
  param.multiple_of = given.multiple_of == 0 ? 1 : given.multiple_of;
  param.allowed = list_of(given.allowed, given.allowed_count, "the allowed values of a parameter");
  for (const char* choice : list_of(given.choices, given.choice_count, "the choices of a parameter")) {
    param.choices.emplace_back(&need(choice, "kerncast_op_register", "a choice of a parameter"));
  }
  return param;
}

TunableSpec tunable_of(const kerncast_tunable_spec& given) {
  TunableSpec tunable;
  tunable.name = &need(given.name, "kerncast_op_register", "the name of a tunable");
  tunable.doc = text_or_empty(given.doc);
  tunable.choices = list_of(given.choices, given.choice_count, "the values of a tunable");
  tunable.minimum = given.minimum;
  tunable.maximum = given.maximum;
  tunable.multiple_of = given.multiple_of == 0 ? 1 : given.multiple_of;
  return tunable;
}

TensorSpec tensor_of(const kerncast_tensor_spec& given) {
  if (given.direction < KERNCAST_IN || given.direction > KERNCAST_INOUT) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("kerncast_op_register: tensor {} has direction {}; the directions are 0 to 2",
                            text_or_empty(given.name), given.direction));
  }
  TensorSpec tensor;
  tensor.name = &need(given.name, "kerncast_op_register", "the name of a tensor");
  tensor.direction = static_cast<Direction>(given.direction);
  tensor.optional = given.optional != 0;
  tensor.doc = text_or_empty(given.doc);
  return tensor;
}

/// The definition without its functions, and the tunables' default values in `defaults`.
OpDefinition definition_from(const kerncast_op_definition& given, Tunables& defaults) {
  constexpr const char* function = "kerncast_op_register";
  OpDefinition op;
  op.name = &need(given.name, function, "name");
  op.summary = text_or_empty(given.summary);
  op.formula = text_or_empty(given.formula);
  op.include = text_or_empty(given.include);
  op.kernel = text_or_empty(given.kernel);
  op.arguments_type = text_or_empty(given.arguments_type);
  for (const char* kernel : list_of(given.later_kernels, given.later_kernel_count, "later_kernels")) {
    op.later_stages.push_back({&need(kernel, function, "a later kernel"), nullptr});
  }
  for (const kerncast_source& source : list_of(given.sources, given.source_count, "sources")) {
    op.sources.emplace_back(&need(source.name, function, "the name of a source"),
                            &need(source.text, function, "the text of a source"));
  }
  for (const kerncast_param_spec& param : list_of(given.params, given.param_count, "params")) {
    op.params.push_back(param_of(param));
  }
  for (const kerncast_tunable_spec& tunable : list_of(given.tunables, given.tunable_count, "tunables")) {
    if (op.tunables.size() < Tunables::max_tunables) {
      defaults.values[op.tunables.size()] = tunable.default_value;
    }
    op.tunables.push_back(tunable_of(tunable));
  }
  for (const kerncast_tensor_spec& tensor : list_of(given.tensors, given.tensor_count, "tensors")) {
    op.tensors.push_back(tensor_of(tensor));
  }
  for (const kerncast_scalar_spec& scalar : list_of(given.scalars, given.scalar_count, "scalars")) {
    op.scalars.push_back({&need(scalar.name, function, "the name of a scalar"), scalar.default_value,
                          text_or_empty(scalar.doc)});
  }
  op.waits_for_primary = given.waits_for_primary != 0;
  return op;
}

/// The definition of a host that was compiled with this header, or with the one before `waits_for_primary`.
kerncast_op_definition complete(const kerncast_op_definition& given) {
  constexpr std::size_t first_size = offsetof(kerncast_op_definition, waits_for_primary);
  if (given.struct_size != sizeof(kerncast_op_definition) && given.struct_size != first_size) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("kerncast_op_register: struct_size is {}, but the definition has {} bytes; set it to "
                    "sizeof(kerncast_op_definition), and compile with the header of this library",
                    given.struct_size, sizeof(kerncast_op_definition)));
  }
  kerncast_op_definition definition{};
  std::memcpy(&definition, &given, given.struct_size);
  return definition;
}

const OpDefinition& register_own(const kerncast_op_definition& handed_in) {
  const kerncast_op_definition given = complete(handed_in);
  OwnOp own;
  OpDefinition definition = definition_from(given, own.defaults);
  own.name = definition.name;
  own.user = given.user;
  own.bind = &need(given.bind, "kerncast_op_register", "bind");
  own.geometry = &need(given.geometry, "kerncast_op_register", "geometry");
  own.default_tunables = given.default_tunables;
  own.spec_defect = given.spec_defect;
  own.tunables_defect = given.tunables_defect;
  own.scalars = definition.scalars;

  static std::mutex mutex;
  static std::size_t used = 0;
  static constexpr auto binders = slot_binders(std::make_index_sequence<max_own_ops>());
  const std::lock_guard lock(mutex);
  if (used == max_own_ops) {
    throw Error(
        ErrorCode::unsupported,
        fmt::format("kerncast_op_register: {} ops were registered from C, which is the limit; register "
                    "further ones from C++",
                    max_own_ops));
  }
  binders[used](own, definition);
  OwnOp& slot = own_ops()[used];
  // Other threads find the op as soon as the registry has it, so the slot is complete before.
  slot = std::move(own);
  const OpDefinition& added = OpRegistry::instance().add(std::move(definition));
  ++used;
  return added;
}

}  // namespace
}  // namespace kerncast::c_api

using kerncast::c_api::guarded;
using kerncast::c_api::need;

kerncast_status kerncast_op_register(const kerncast_op_definition* definition, const kerncast_op** op,
                                     kerncast_error** error) {
  return guarded(error, [&] {
    const kerncast::OpDefinition& added =
        kerncast::c_api::register_own(need(definition, "kerncast_op_register", "definition"));
    if (op != nullptr) {
      *op = kerncast::c_api::handle_of(added);
    }
  });
}

kerncast_status kerncast_bindings_tensor(const kerncast_bindings* bindings, const char* name,
                                         kerncast_tensor_view* view, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_bindings_tensor";
    const kerncast_bindings& given = need(bindings, function, "bindings");
    kerncast_tensor_view& place = need(view, function, "view");
    place =
        kerncast::c_api::c_view_of(given.bindings.require_tensor(given.op, &need(name, function, "name")));
  });
}

kerncast_status kerncast_bindings_scalar(const kerncast_bindings* bindings, const char* name, double* value,
                                         kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_bindings_scalar";
    const kerncast_bindings& given = need(bindings, function, "bindings");
    double& place = need(value, function, "value");
    const std::string wanted = &need(name, function, "name");
    if (const std::optional<double> set = given.bindings.scalar(wanted)) {
      place = *set;
      return;
    }
    for (const kerncast::ScalarSpec& scalar : given.scalars) {
      if (scalar.name == wanted) {
        place = scalar.default_value;
        return;
      }
    }
    throw kerncast::Error(kerncast::ErrorCode::invalid_argument,
                          fmt::format("{}: there is no scalar '{}'", given.op, wanted));
  });
}

const char* kerncast_bindings_param(const kerncast_bindings* bindings, const char* name) {
  if (bindings == nullptr || name == nullptr) {
    return nullptr;
  }
  const std::string* set = bindings->bindings.param(name);
  return set == nullptr ? nullptr : set->c_str();
}
