#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/reference.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/driver/context.hpp"
#include "tools/io/safetensors.hpp"

namespace kerncast::tools {

/// A device on which ops are run. Its primary context stays current while the object lives.
class RunDevice {
 public:
  /// Throws Error(not_found) if there is no driver, Error(invalid_argument) for a device that does not exist.
  RunDevice(Runtime& runtime, int ordinal);

  [[nodiscard]] const driver::DriverApi& api() const { return context_.api(); }
  [[nodiscard]] int ordinal() const { return context_.ordinal(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& arch() const { return arch_; }
  /// True for the virtual GPU, whose times are those of no device.
  [[nodiscard]] bool is_virtual() const { return virtual_; }
  void synchronize() const { context_.synchronize(); }

 private:
  driver::PrimaryContext context_;
  std::string name_;
  std::string arch_;
  bool virtual_;
};

/// Inputs and settings of one call.
struct OpRunRequest {
  const OpDefinition* op = nullptr;
  std::vector<HostTensor> inputs;
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
  bool check = true;          ///< compare with the reference
  bool check_aside = false;   ///< compare on another thread; see OpRunResult::pending
  int timed_dispatches = 11;  ///< number of dispatches whose median time is reported
  /// If set, it launches the call and reports its kernel instead of the runtime. It is not called for zero
  /// rows.
  std::function<KernelReport(const Call&)> launch;
};

struct OpRunResult {
  KernelReport report;
  std::int64_t rows = 0;
  double dispatch_ns = 0;  ///< host time of one hot dispatch; NaN if nothing was launched
  bool checked = false;
  ReferenceResult verdict;
  std::future<ReferenceResult> pending;  ///< the future verdict, if it is computed on another thread
  std::vector<StoredTensor> outputs;     ///< the written tensors as their contiguous storage
};

/// Runs an op once: uploads the inputs, allocates the outputs and fills them with 0xCD, loads or compiles the
/// kernel, launches it, downloads and checks the results. Then times further dispatches. Throws Error.
[[nodiscard]] OpRunResult run_op(Runtime& runtime, RunDevice& device, const OpRunRequest& request);

/// Synthetic inputs of a call of `rows` rows. They are the same on every machine. Padding between strided
/// rows is filled, too.
[[nodiscard]] std::vector<HostTensor> synthetic_inputs(
    const OpDefinition& op, const std::vector<std::pair<std::string, std::string>>& params,
    const std::vector<std::pair<std::string, double>>& scalars, std::int64_t rows);

/// The tensor that `plan` describes, with empty `bytes`. The caller fills `bytes` with its storage.
[[nodiscard]] HostTensor host_tensor(const TensorPlan& plan);

/// Number of elements in the storage of `plan`. Throws Error(internal) if the tensor does not fit its own
/// storage.
[[nodiscard]] std::int64_t storage_elements(const TensorPlan& plan);

}  // namespace kerncast::tools
