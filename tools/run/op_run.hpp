#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op.hpp"
#include "kerncast/reference.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/driver/context.hpp"
#include "tools/io/safetensors.hpp"

namespace kerncast::tools {

/// A device as a run uses it: its primary context stays current while this lives.
class RunDevice {
 public:
  /// Throws Error(not_found) where there is no driver, Error(invalid_argument) for a device it does not have.
  RunDevice(Runtime& runtime, int ordinal);

  [[nodiscard]] const driver::DriverApi& api() const { return context_.api(); }
  [[nodiscard]] int ordinal() const { return context_.ordinal(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& arch() const { return arch_; }
  void synchronize() const { context_.synchronize(); }

 private:
  driver::PrimaryContext context_;
  std::string name_;
  std::string arch_;
};

/// Inputs and settings of one call.
struct OpRunRequest {
  const OpDefinition* op = nullptr;
  std::vector<HostTensor> inputs;
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
  bool check = true;          ///< compare with the reference
  bool check_aside = false;   ///< on a thread of its own: see OpRunResult::pending
  int timed_dispatches = 11;  ///< their median is reported
  /// Launches the call and reports its kernel, in place of the runtime's own dispatch; not called for zero
  /// rows.
  std::function<KernelReport(const Call&)> launch;
};

struct OpRunResult {
  KernelReport report;
  std::int64_t rows = 0;
  double dispatch_ns = 0;  ///< host time of one hot dispatch; NaN where nothing is launched
  bool checked = false;
  ReferenceResult verdict;
  std::future<ReferenceResult> pending;  ///< the verdict to be, where it is reckoned aside
  std::vector<StoredTensor> outputs;     ///< written tensors as their contiguous storage
};

/// Uploads the inputs, allocates the outputs and fills them with 0xCD, makes the kernel ready, launches it
/// once, downloads and checks, then times further dispatches. Throws Error.
[[nodiscard]] OpRunResult run_op(Runtime& runtime, RunDevice& device, const OpRunRequest& request);

/// The inputs of a synthetic call of `rows` rows, the same on every machine. Padding between strided rows is
/// filled too.
[[nodiscard]] std::vector<HostTensor> synthetic_inputs(
    const OpDefinition& op, const std::vector<std::pair<std::string, std::string>>& params,
    const std::vector<std::pair<std::string, double>>& scalars, std::int64_t rows);

/// A tensor as `plan` wants it, with `bytes` as its storage once they are there.
[[nodiscard]] HostTensor host_tensor(const TensorPlan& plan);

/// Elements of the storage behind `plan`. Throws Error(internal) for a plan that does not fit its own
/// storage.
[[nodiscard]] std::int64_t storage_elements(const TensorPlan& plan);

}  // namespace kerncast::tools
