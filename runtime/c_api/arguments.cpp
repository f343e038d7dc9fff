#include <memory>
#include <string>
#include <utility>

#include "runtime/c_api/error.hpp"
#include "runtime/c_api/handles.hpp"
#include "runtime/c_api/tensor.hpp"

using kerncast::c_api::guarded;
using kerncast::c_api::need;

namespace kerncast::c_api {
namespace {

/// Sets the tensor that `managed` holds and takes it over. If that fails, it stays the caller's.
template <class Managed>
void set_managed(kerncast_arguments& arguments, const char* name, Managed& managed) {
  const TensorView view = view_of(managed.dl_tensor, name);
  std::shared_ptr<void>& owner = arguments.owners[name];
  // The control block is made before there is anything to own, so that no failure calls the deleter.
  auto holder = std::shared_ptr<Managed*>(new Managed*(nullptr), [](Managed** held) {
    if (*held != nullptr && (*held)->deleter != nullptr) {
      (*held)->deleter(*held);
    }
    delete held;
  });
  arguments.bindings.set_tensor(name, view);
  *holder = &managed;
  owner = std::move(holder);
}

}  // namespace
}  // namespace kerncast::c_api

kerncast_status kerncast_arguments_create(const kerncast_op* op, kerncast_arguments** arguments,
                                          kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_arguments_create";
    kerncast_arguments*& place = need(arguments, function, "arguments");
    place = new kerncast_arguments{&need(kerncast::c_api::definition_of(op), function, "op"), {}, {}};
  });
}

kerncast_status kerncast_arguments_set_tensor(kerncast_arguments* arguments, const char* name,
                                              const kerncast_dl_tensor* tensor, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_arguments_set_tensor";
    kerncast_arguments& target = need(arguments, function, "arguments");
    const kerncast::TensorView view =
        kerncast::c_api::view_of(need(tensor, function, "tensor"), &need(name, function, "name"));
    target.bindings.set_tensor(name, view);
    target.owners.erase(name);
  });
}

kerncast_status kerncast_arguments_set_managed(kerncast_arguments* arguments, const char* name,
                                               kerncast_dl_managed_tensor* tensor, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_arguments_set_managed";
    kerncast::c_api::set_managed(need(arguments, function, "arguments"), &need(name, function, "name"),
                                 need(tensor, function, "tensor"));
  });
}

kerncast_status kerncast_arguments_set_managed_versioned(kerncast_arguments* arguments, const char* name,
                                                         kerncast_dl_managed_tensor_versioned* tensor,
                                                         kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_arguments_set_managed_versioned";
    kerncast_arguments& target = need(arguments, function, "arguments");
    if (need(tensor, function, "tensor").version.major != 1) {
      throw kerncast::Error(
          kerncast::ErrorCode::unsupported,
          fmt::format("tensor '{}': it has version {} of DLPack; ask its producer for version 1",
                      &need(name, function, "name"), tensor->version.major));
    }
    kerncast::c_api::set_managed(target, &need(name, function, "name"), *tensor);
  });
}

kerncast_status kerncast_arguments_set_scalar(kerncast_arguments* arguments, const char* name, double value,
                                              kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_arguments_set_scalar";
    need(arguments, function, "arguments").bindings.set_scalar(&need(name, function, "name"), value);
  });
}

kerncast_status kerncast_arguments_set_param(kerncast_arguments* arguments, const char* name,
                                             const char* value, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_arguments_set_param";
    need(arguments, function, "arguments")
        .bindings.set_param(&need(name, function, "name"), &need(value, function, "value"));
  });
}

void kerncast_arguments_free(kerncast_arguments* arguments) {
  delete arguments;
}
