#include "runtime/python/native/torch/operator.hpp"

#include <algorithm>
#include <utility>

#include "runtime/python/native/device.hpp"
#include "runtime/python/native/errors.hpp"

namespace kerncast::python {
namespace {

using Kind = TorchArgument::Kind;

/// The place of the first element with that name, or -1.
template <class Specs>
std::size_t place_of(const Specs& specs, const std::string& name) {
  const auto found =
      std::find_if(specs.begin(), specs.end(), [&](const auto& spec) { return spec.name == name; });
  return found == specs.end() ? static_cast<std::size_t>(-1)
                              : static_cast<std::size_t>(found - specs.begin());
}

/// The value of a parameter as text, without its name.
std::string value_text(const ParamSpec& param, std::int32_t value) {
  const std::string text = format_param(param, value);
  return text.substr(text.find('=') + 1);
}

}  // namespace

struct TorchOperator::Request {
  std::vector<TensorView> views;  ///< by place; absent() if left out
  std::array<double, 16> scalars{};
  std::vector<Setting> settings;
  int device = 0;  ///< that of the first tensor
};

/// Tensors that a call made. Those that are not handed over are released.
class TorchOperator::Made {
 public:
  explicit Made(const TorchShim& torch) : torch_(torch) {}
  ~Made() {
    for (const auto& [place, tensor] : tensors_) {
      torch_.delete_tensor(tensor);
    }
  }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;

  /// Makes a tensor like `view` on `device`.
  TorchShim::Tensor add(std::size_t place, const TensorView& view, int device) {
    TorchShim::Tensor tensor = nullptr;
    tensors_.reserve(tensors_.size() + 1);
    if (torch_.empty_strided(view.rank, view.shape.data(), view.strides.data(),
                             torch_.dtype_numbers[static_cast<std::size_t>(view.dtype)], torch_.cuda, device,
                             &tensor) != 0) {
      throw std::runtime_error(torch_.last_error != nullptr ? torch_.last_error()
                                                            : "torch could not make an output");
    }
    tensors_.emplace_back(place, tensor);
    return tensor;
  }

  /// The tensor of a place, which the caller owns from now on; an empty one if the call does not have it.
  TorchShim::Tensor hand_over(std::size_t place, int device) {
    auto found =
        std::find_if(tensors_.begin(), tensors_.end(), [&](const auto& each) { return each.first == place; });
    if (found == tensors_.end()) {
      TensorView empty;
      empty.dtype = DType::u8;
      empty.rank = 1;
      empty.strides[0] = 1;
      add(place, empty, device);
      found = tensors_.end() - 1;
    }
    const TorchShim::Tensor tensor = found->second;
    tensors_.erase(found);
    return tensor;
  }

 private:
  const TorchShim& torch_;
  std::vector<std::pair<std::size_t, TorchShim::Tensor>> tensors_;
};

TorchOperator::TorchOperator(const TorchShim& torch, const OpFunction& function,
                             std::vector<TorchArgument> schema, Convention convention)
    : torch_(torch),
      function_(function),
      op_(function.op()),
      schema_(std::move(schema)),
      convention_(convention) {
  if (schema_.size() > TorchArguments::capacity || op_.scalars.size() > std::size_t{16}) {
    throw Error(ErrorCode::internal, op_.name + " has more arguments than an operator of torch holds");
  }
  for (const TorchArgument& argument : schema_) {
    roles_.push_back(role_of(argument));
  }
  for (std::size_t i = 0; i < op_.tensors.size(); ++i) {
    if (op_.tensors[i].name == workspace_name) {
      workspace_ = i;
    } else if (op_.tensors[i].direction == Direction::out && convention == Convention::functional) {
      results_.push_back(i);
    }
  }
}

TorchOperator::Role TorchOperator::role_of(const TorchArgument& argument) const {
  Role role;
  if (argument.kind == Kind::tensor) {
    role.place = place_of(op_.tensors, argument.name);
  } else if (argument.kind == Kind::real) {
    role.place = place_of(op_.scalars, argument.name);
  } else {
    role.place = place_of(op_.params, argument.name);
  }
  if (role.place == none) {
    throw Error(ErrorCode::internal, op_.name + " has no argument '" + argument.name + "'");
  }
  if (argument.kind != Kind::tensor && argument.kind != Kind::real) {
    const auto setting = std::find(op_.settings.begin(), op_.settings.end(), argument.name);
    if (setting != op_.settings.end()) {
      role.setting = static_cast<std::size_t>(setting - op_.settings.begin());
    }
    const ParamSpec& param = op_.params[role.place];
    if (param.default_value && !argument.optional) {
      role.default_text = value_text(param, *param.default_value);
    }
  }
  return role;
}

void TorchOperator::run(TorchShim::Value* stack) const {
  const TorchArguments arguments(torch_, schema_, stack);
  static_cast<void>(runtime());  // refuses a forked process before anything else
  Request request;
  read(arguments, request);
  Made made(torch_);
  const bool lacks_workspace = workspace_ != none && request.views[workspace_].absent();
  if (convention_ == Convention::out ? lacks_workspace : lacks_workspace || !results_.empty()) {
    make_outputs(request, made);
  }
  const Call call = bind(request);
  void* stream = nullptr;
  if (torch_.current_stream(call.device, &stream) != 0) {
    throw Error(ErrorCode::driver_error,
                op_.name + ": torch tells no current stream of device " + std::to_string(call.device));
  }
  {
    const DeviceGuard guard(call.device);
    runtime().dispatch(op_, call, stream_from_number(reinterpret_cast<std::uintptr_t>(stream)));
  }
  for (std::size_t i = 0; i < results_.size(); ++i) {
    stack[i] = reinterpret_cast<TorchShim::Value>(made.hand_over(results_[i], request.device));
  }
}

void TorchOperator::read(const TorchArguments& arguments, Request& request) const {
  request.views.resize(op_.tensors.size());
  bool first = true;
  for (std::size_t i = 0; i < schema_.size(); ++i) {
    if (!arguments.given(i)) {
      continue;
    }
    const Role& role = roles_[i];
    switch (schema_[i].kind) {
      case Kind::tensor:
        request.views[role.place] = view_of(arguments.tensor(i), schema_[i].name);
        request.device = first ? request.views[role.place].device : request.device;
        first = false;
        break;
      case Kind::real:
        request.scalars[role.place] = arguments.real(i);
        break;
      default:
        if (std::string text = setting_text(arguments, i); text != role.default_text) {
          request.settings.push_back({&role, std::move(text)});
        }
    }
  }
}

TensorView TorchOperator::view_of(TorchShim::Tensor tensor, const std::string& name) const {
  TensorView view;
  std::int64_t rank = 0;
  std::int64_t* shape = nullptr;
  std::int64_t* strides = nullptr;
  std::int32_t number = 0;
  std::int32_t kind = 0;
  std::int32_t device = 0;
  const bool readable = torch_.device_type(tensor, &kind) == 0 && kind == torch_.cuda &&
                        torch_.device_index(tensor, &device) == 0 && torch_.rank(tensor, &rank) == 0 &&
                        torch_.dtype(tensor, &number) == 0 && torch_.shape(tensor, &shape) == 0 &&
                        torch_.strides(tensor, &strides) == 0 && torch_.data(tensor, &view.data) == 0;
  const std::optional<DType> type = torch_.dtype_from(number);
  if (!readable || rank > TensorView::max_rank || !type) {
    throw UnsuitedTensor(op_.name + ": tensor '" + name +
                         "' is no strided tensor of device memory with at most " +
                         std::to_string(TensorView::max_rank) + " dimensions and a dtype of Kerncast");
  }
  view.dtype = *type;
  view.device = device;
  view.rank = static_cast<int>(rank);
  std::copy_n(shape, view.rank, view.shape.begin());
  std::copy_n(strides, view.rank, view.strides.begin());
  return view;
}

std::string TorchOperator::setting_text(const TorchArguments& arguments, std::size_t i) const {
  switch (schema_[i].kind) {
    case Kind::boolean:
      return arguments.boolean(i) ? "true" : "false";
    case Kind::integer:
      return std::to_string(arguments.integer(i));
    case Kind::text:
      return arguments.text(i);
    default:
      if (const std::optional<DType> type = torch_.dtype_from(arguments.dtype(i))) {
        return std::string(name_of(*type));
      }
      throw UnsuitedTensor(op_.name + ": " + schema_[i].name + " is no dtype of Kerncast");
  }
}

Bindings TorchOperator::bindings(const Request& request) const {
  Bindings bindings;
  for (std::size_t i = 0; i < op_.tensors.size(); ++i) {
    if (!request.views[i].absent()) {
      bindings.set_tensor(op_.tensors[i].name, request.views[i]);
    }
  }
  for (std::size_t i = 0; i < op_.scalars.size(); ++i) {
    bindings.set_scalar(op_.scalars[i].name, request.scalars[i]);
  }
  for (const Setting& setting : request.settings) {
    bindings.set_param(op_.params[setting.role->place].name, setting.text);
  }
  return bindings;
}

std::shared_ptr<const TorchOperator::Plan> TorchOperator::plan(const Request& request) const {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& known : plans_) {
      if (known != nullptr && known->settings == request.settings &&
          std::equal(known->inputs.begin(), known->inputs.end(), request.views.begin(), request.views.end(),
                     same_layout)) {
        return known;
      }
    }
  }
  auto made = std::make_shared<Plan>();
  made->inputs = request.views;
  made->settings = request.settings;
  made->outputs = function_.plan_views(bindings(request));
  const std::lock_guard lock(mutex_);
  plans_[oldest_] = made;
  oldest_ = (oldest_ + 1) % plans_.size();
  return made;
}

void TorchOperator::make_outputs(Request& request, Made& made) const {
  const auto planned = plan(request);
  for (const PlannedOutput& output : planned->outputs) {
    TensorView& view = request.views[output.place];
    if (!view.absent() || (convention_ == Convention::out && output.place != workspace_)) {
      continue;
    }
    const TorchShim::Tensor tensor = made.add(output.place, output.view, request.device);
    view = output.view;
    view.device = request.device;
    torch_.data(tensor, &view.data);
  }
}

Call TorchOperator::bind(const Request& request) const {
  std::array<std::int32_t, Specialisation::max_params> settings{};
  std::fill_n(settings.begin(), op_.settings.size(), PlacedArguments::unset);
  bool by_name = op_.bind_placed == nullptr;
  for (const Setting& setting : request.settings) {
    by_name = by_name || setting.role->setting == none;
    if (setting.role->setting != none) {
      settings[setting.role->setting] = parse_param(op_, op_.params[setting.role->place], setting.text);
    }
  }
  if (by_name) {
    return op_.bind(bindings(request));
  }
  Call call = op_.bind_placed({request.views.data(), request.scalars.data(), settings.data()});
  for (const Setting& setting : request.settings) {
    if (call.spec[setting.role->place] != settings[setting.role->setting]) {
      // The tensors contradict a setting, which this refuses.
      return op_.bind(bindings(request));
    }
  }
  return call;
}

}  // namespace kerncast::python
