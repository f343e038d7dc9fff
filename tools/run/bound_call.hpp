#pragma once

#include <list>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/reference.hpp"
#include "runtime/driver/context.hpp"
#include "tools/io/safetensors.hpp"

namespace kerncast::tools {

/// Bindings of the settings of a call, without tensors.
[[nodiscard]] Bindings bindings_of(const std::vector<std::pair<std::string, std::string>>& params,
                                   const std::vector<std::pair<std::string, double>>& scalars);

/// True if `op` reads the tensor called `name` and writes it too.
[[nodiscard]] bool is_inout(const OpDefinition& op, const std::string& name);

/// The tensors that a call wrote.
struct WrittenTensors {
  std::vector<HostTensor> tensors;
  std::vector<std::vector<std::int64_t>> storage_shapes;  ///< one for each of `tensors`

  /// The tensors as their contiguous storage.
  [[nodiscard]] std::vector<StoredTensor> stored() &&;
};

/// The device memory and the bindings of one call. The memory belongs to the context that is current at
/// construction.
class BoundCall {
 public:
  /// Allocates all tensors, uploads `inputs` and fills the outputs with 0xCD. `settings` are bindings without
  /// tensors. Throws Error(out_of_memory) if the memory does not suffice, and what the op's plan of its
  /// outputs throws.
  BoundCall(const OpDefinition& op, Bindings settings, const std::vector<HostTensor>& inputs,
            const driver::DriverApi& api, int ordinal);

  [[nodiscard]] const Bindings& bindings() const { return bindings_; }
  /// Bytes of device memory.
  [[nodiscard]] std::size_t bytes() const;
  /// Uploads the inputs that the op also writes, and fills the outputs with 0xCD, as construction did.
  void reset(const std::vector<HostTensor>& inputs) const;
  /// Downloads the outputs, and then the inputs that the op also writes. The caller waits for the call
  /// before.
  [[nodiscard]] WrittenTensors download(const std::vector<HostTensor>& inputs) const;

 private:
  const driver::DeviceBuffer& add(const HostTensor& tensor, std::size_t bytes);
  [[nodiscard]] const driver::DeviceBuffer& buffer(const std::string& name) const;

  const OpDefinition& op_;
  const driver::DriverApi& api_;
  int ordinal_;
  Bindings bindings_;
  std::list<std::pair<std::string, driver::DeviceBuffer>> buffers_;
  std::vector<HostTensor> outputs_;  ///< without bytes
  std::vector<std::vector<std::int64_t>> storage_shapes_;
};

}  // namespace kerncast::tools
