#include "runtime/python/native/own_op_call.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "runtime/python/native/errors.hpp"

namespace kerncast::python {
namespace {

/// The values that the tensors of a call give to extents and parameters.
class CallValues {
 public:
  explicit CallValues(const OwnOp& op)
      : op_(op), extents_(op.extents.size(), -1), params_(op.params.size()) {}

  /// Throws Error(invalid_argument) for a tensor that the definition does not allow.
  void take(const OwnTensor& tensor, const TensorView& view) {
    if (view.rank != static_cast<int>(tensor.shape.size())) {
      refuse_tensor(tensor, view);
    }
    std::int64_t stride = 1;
    for (std::size_t i = tensor.shape.size(); i-- > 0;) {
      const std::int64_t wanted = tensor.shape[i];
      std::int64_t& known = wanted < 0 ? extents_[static_cast<std::size_t>(-1 - wanted)] : fixed_;
      if (wanted >= 0) {
        fixed_ = wanted;
      } else if (known < 0) {
        known = view.shape[i];
      }
      if (view.shape[i] != known || (view.shape[i] != 1 && view.strides[i] != stride)) {
        refuse_tensor(tensor, view);
      }
      if (__builtin_mul_overflow(stride, std::max<std::int64_t>(view.shape[i], 1), &stride)) {
        refuse_tensor(tensor, view);
      }
    }
    const auto type = static_cast<std::int32_t>(view.dtype);
    std::optional<std::int32_t>* param =
        tensor.dtype < 0 ? &params_[static_cast<std::size_t>(-1 - tensor.dtype)] : nullptr;
    if (type != (param == nullptr ? tensor.dtype : param->value_or(type))) {
      refuse_tensor(tensor, view);
    }
    if (param != nullptr) {
      *param = type;
    }
  }

  /// Completes the parameters: extents give them, then settings, then defaults. Throws
  /// Error(invalid_argument).
  void complete(const Bindings& bindings) {
    for (std::size_t i = 0; i < extents_.size(); ++i) {
      if (op_.extent_params[i] >= 0 && extents_[i] >= 0) {
        const auto place = static_cast<std::size_t>(op_.extent_params[i]);
        check_param(op_.definition(), op_.params[place], extents_[i]);
        params_[place] = static_cast<std::int32_t>(extents_[i]);
      }
    }
    for (std::size_t i = 0; i < params_.size(); ++i) {
      if (params_[i]) {
        continue;
      }
      if (const std::string* text = bindings.param(op_.params[i].name)) {
        params_[i] = parse_param(op_.definition(), op_.params[i], *text);
      } else if (op_.params[i].default_value) {
        params_[i] = op_.params[i].default_value;
      }
    }
  }

  /// Throws Error(invalid_argument) if nothing gives the value.
  [[nodiscard]] std::int32_t param(std::size_t place) const {
    if (!params_[place]) {
      refuse(op_.name + ": setting '" + op_.params[place].name + "' is missing");
    }
    return *params_[place];
  }
  [[nodiscard]] std::int64_t extent(std::size_t place) const {
    if (extents_[place] >= 0) {
      return extents_[place];
    }
    if (op_.extent_params[place] >= 0) {
      return param(static_cast<std::size_t>(op_.extent_params[place]));
    }
    refuse(op_.name + ": no tensor that is given has the extent '" + op_.extents[place] + "'");
  }

 private:
  [[noreturn]] void refuse_tensor(const OwnTensor& tensor, const TensorView& view) const {
    std::string wanted;
    for (const std::int64_t n : tensor.shape) {
      wanted += wanted.empty() ? "" : ", ";
      if (n >= 0) {
        wanted += std::to_string(n);
        continue;
      }
      const auto place = static_cast<std::size_t>(-1 - n);
      wanted += op_.extents[place];
      wanted += extents_[place] >= 0 ? " = " + std::to_string(extents_[place]) : "";
    }
    std::string shape;
    for (int i = 0; i < view.rank; ++i) {
      shape += (i == 0 ? "" : ", ") + std::to_string(view.dim(i));
    }
    const std::string dtype = tensor.dtype >= 0
                                  ? std::string(name_of(static_cast<DType>(tensor.dtype)))
                                  : op_.params[static_cast<std::size_t>(-1 - tensor.dtype)].name;
    refuse(op_.name + ": tensor '" + tensor.name + "' is " + std::string(name_of(view.dtype)) +
           " of shape [" + shape + "], but must be contiguous " + dtype + " of shape [" + wanted + "]");
  }

  const OwnOp& op_;
  std::vector<std::int64_t> extents_;  ///< below 0: not known
  std::vector<std::optional<std::int32_t>> params_;
  std::int64_t fixed_ = 0;
};

/// Appends a member of the kernel's argument struct, as C++ lays it out.
template <class Member>
void append(kerncast_call& call, const Member& member) {
  const std::uint32_t at = (call.argument_bytes + sizeof member - 1) / sizeof member * sizeof member;
  if (at + sizeof member > sizeof call.arguments) {
    refuse("the arguments of an op have at most " + std::to_string(sizeof call.arguments) + " bytes");
  }
  std::memcpy(call.arguments + at, &member, sizeof member);
  call.argument_bytes = at + sizeof member;
}

TensorView view_of(const kerncast_tensor_view& given) {
  TensorView view;
  view.data = given.data;
  view.dtype = static_cast<DType>(given.dtype);
  view.rank = given.rank;
  std::copy(std::begin(given.shape), std::end(given.shape), view.shape.begin());
  std::copy(std::begin(given.strides), std::end(given.strides), view.strides.begin());
  return view;
}

}  // namespace

void fill_call(const OwnOp& op, const kerncast_bindings& given, kerncast_call& call) {
  CallValues values(op);
  std::vector<void*> pointers;
  for (const OwnTensor& tensor : op.tensors) {
    kerncast_tensor_view view;
    checked([&](kerncast_error** error) {
      return kerncast_bindings_tensor(&given, tensor.name.c_str(), &view, error);
    });
    values.take(tensor, view_of(view));
    pointers.push_back(view.data);
  }
  Bindings settings;
  for (const ParamSpec& param : op.params) {
    if (const char* text = kerncast_bindings_param(&given, param.name.c_str())) {
      settings.set_param(param.name, text);
    }
  }
  values.complete(settings);
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    call.spec[i] = values.param(i);
  }
  call.rows = values.extent(op.rows);
  for (const std::int64_t member : op.members) {
    const auto place = static_cast<std::size_t>(member);
    const std::size_t scalars_begin = pointers.size() + op.extents.size();
    if (place < pointers.size()) {
      append(call, pointers[place]);
    } else if (place < scalars_begin) {
      append(call, values.extent(place - pointers.size()));
    } else {
      double scalar = 0;
      const std::string& name = op.scalars[place - scalars_begin];
      checked([&](kerncast_error** error) {
        return kerncast_bindings_scalar(&given, name.c_str(), &scalar, error);
      });
      append(call, static_cast<float>(scalar));
    }
  }
}

std::vector<TensorPlan> plan_own(const OwnOp& op, const Bindings& bindings) {
  CallValues values(op);
  for (const OwnTensor& tensor : op.tensors) {
    if (tensor.direction != Direction::out) {
      values.take(tensor, bindings.require_tensor(op.name, tensor.name));
    }
  }
  values.complete(bindings);
  std::vector<TensorPlan> plans;
  for (const OwnTensor& tensor : op.tensors) {
    if (tensor.direction != Direction::out) {
      continue;
    }
    TensorPlan made;
    made.name = tensor.name;
    made.dtype = static_cast<DType>(
        tensor.dtype >= 0 ? tensor.dtype : values.param(static_cast<std::size_t>(-1 - tensor.dtype)));
    for (const std::int64_t n : tensor.shape) {
      made.shape.push_back(n >= 0 ? n : values.extent(static_cast<std::size_t>(-1 - n)));
    }
    plans.push_back(made);
  }
  return plans;
}

}  // namespace kerncast::python
