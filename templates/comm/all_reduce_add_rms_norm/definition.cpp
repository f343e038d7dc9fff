#include <kerncast/ops/comm/all_reduce_add_rms_norm.hpp>

#include <algorithm>

#include "templates/comm/all_reduce_add_rms_norm/kernel_args.h"
#include "templates/comm/all_reduce_add_rms_norm/spec_index.hpp"
#include "templates/comm/shared/collective.hpp"
#include "templates/host/define_op.hpp"
#include "templates/norm/shared/added_rms/added_rms_op.hpp"

namespace kerncast::comm {
namespace {

using namespace all_reduce_add_rms_norm_params;
using namespace norm::row_params;

/// The tunables of a block that has one row, as the norms take them.
Tunables of_one_row(const Tunables& tunables) {
  Tunables made;
  made.values[threads] = tunables[threads];
  made.values[rows_per_block] = 1;
  return made;
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  // More threads would leave the exchange too few registers.
  const std::int32_t most = spec[world] > 1 ? 512 : 1024;
  Tunables made;
  made.values[threads] = std::clamp(
      norm::row_lanes(spec, device, rows, norm::default_row_vectors(spec), norm::added_rms_cost(spec)), 32,
      most);
  return made;
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits& device,
                        std::int64_t rows) noexcept {
  return resident_grid(device, tunables[threads], rows);
}

}  // namespace

Call bind(const AllReduceAddRmsNorm& arguments) {
  return norm::added_rms_call(arguments, [&](Call& call, const norm::AddedRmsArgs& rows) {
    const std::int64_t row_bytes = arguments.x.dim(-1) * size_of(arguments.x.dtype);
    call.set_arguments(AllReduceAddRmsNormKernelArgs{
        .norm = rows,
        .exchange = join(AllReduceAddRmsNorm::op_name, arguments.communicator,
                         static_cast<std::int32_t>(arguments.algorithm), row_bytes, {world, algorithm}, call),
    });
  });
}

}  // namespace kerncast::comm

KERNCAST_OP(comm, all_reduce_add_rms_norm) {
  using namespace comm;
  OpDefinition op =
      norm::define_added_rms_norm<AllReduceAddRmsNorm, norm::describe_added_rms<AllReduceAddRmsNorm>>();
  op.summary = "Sum of rows over the ranks of a communicator, addition to the residual stream, and RMS norm";
  op.formula =
      "comm.all_reduce of x, rounded to x's dtype, then norm.fused_add_rms_norm of that, with the same bits "
      "(kARResidualRMSNorm of FlashInfer's trtllm_allreduce_fusion.cuh). A call by name is one of a world of "
      "one rank: norm.fused_add_rms_norm";
  host::append(op.params, host::param<world>(world_param()), host::param<algorithm>(algorithm_param()));
  op.tunables = host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32));
  op.default_tunables = default_tunables;
  op.tunables_defect = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device) {
    return norm::added_rms_defect(spec, of_one_row(tunables), device);
  };
  op.geometry = geometry;
  op.model_cases = [](const ModelConfig&) { return std::vector<ModelCase>(); };
  return op;
}
