#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kerncast/kerncast.h"
#include "kerncast/op_definition.hpp"
#include "kerncast/runtime.hpp"

/// The objects behind the opaque handles of the C API.

struct kerncast_options {
  kerncast::RuntimeOptions options;
};

struct kerncast_runtime {
  std::shared_ptr<kerncast::Runtime> runtime;
};

struct kerncast_arguments {
  const kerncast::OpDefinition* op;
  kerncast::Bindings bindings;
  /// Owners of managed tensors, by the name of the tensor. Their deleters call those of DLPack.
  std::map<std::string, std::shared_ptr<void>> owners;
};

struct kerncast_prepared {
  std::shared_ptr<kerncast::Runtime> runtime;
  const kerncast::OpDefinition* op;
  kerncast::PreparedLaunch launch;
};

struct kerncast_report {
  kerncast::KernelReport report;
};

/// The arguments of a call while the bind function of an own op looks at them.
struct kerncast_bindings {
  const std::string& op;
  const std::vector<kerncast::ScalarSpec>& scalars;
  const kerncast::Bindings& bindings;
};

namespace kerncast::c_api {

/// Ops have no handle of their own: a kerncast_op is a definition of the registry.
[[nodiscard]] inline const kerncast_op* handle_of(const OpDefinition& op) noexcept {
  return reinterpret_cast<const kerncast_op*>(&op);
}
[[nodiscard]] inline const OpDefinition* definition_of(const kerncast_op* op) noexcept {
  return reinterpret_cast<const OpDefinition*>(op);
}

}  // namespace kerncast::c_api
