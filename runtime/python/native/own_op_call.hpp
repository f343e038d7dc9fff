#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kerncast/kerncast.h"
#include "kerncast/op_definition.hpp"
#include "runtime/python/native/python.hpp"

/// An op that Python defined, and the calls of it. None of the functions here needs Python's lock.
namespace kerncast::python {

/// A tensor as the definition tells it. An extent or a dtype below 0 is that of place -1 - value in the list
/// of extents or of parameters.
struct OwnTensor {
  std::string name;
  Direction direction = Direction::in;
  std::vector<std::int64_t> shape;
  std::int64_t dtype = 0;
};

/// One op. Its callbacks get it, and it lives as long as the process.
struct OwnOp {
  std::string name;
  std::vector<OwnTensor> tensors;
  std::vector<std::string> scalars;
  std::vector<std::string> extents;
  std::vector<std::int64_t> extent_params;  ///< for each extent its parameter, or -1
  std::size_t rows = 0;                     ///< the place of the extent that tuning depends on
  std::vector<std::int64_t> members;        ///< places in tensors, extents and scalars, one after the other
  std::vector<ParamSpec> params;
  std::vector<std::string> settings;
  std::vector<Ref> param_names;  ///< of Python, for the calls of `geometry` and `constraint`
  std::vector<Ref> tunable_names;
  Ref geometry;
  Ref constraint;  ///< empty: none

  [[nodiscard]] const OpDefinition& definition() const { return OpRegistry::instance().require(name); }
};

/// Calls a function of the C API, whose last argument is the place of an error, and throws that error.
template <class Function>
void checked(const Function& function) {
  kerncast_error* error = nullptr;
  if (const kerncast_status status = function(&error); status != KERNCAST_OK) {
    const std::unique_ptr<kerncast_error, void (*)(kerncast_error*)> owner(error, kerncast_error_free);
    throw Error(static_cast<ErrorCode>(status), kerncast_error_message(error));
  }
}

/// Checks the tensors of a call, and fills the call. Throws Error(invalid_argument).
void fill_call(const OwnOp& op, const kerncast_bindings& given, kerncast_call& call);

/// The outputs of a call whose inputs and settings `bindings` hold. Throws Error(invalid_argument).
[[nodiscard]] std::vector<TensorPlan> plan_own(const OwnOp& op, const Bindings& bindings);

}  // namespace kerncast::python
