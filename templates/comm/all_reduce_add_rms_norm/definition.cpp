#include <kerncast/ops/comm/all_reduce_add_rms_norm.hpp>

#include <algorithm>

#include "templates/comm/all_reduce_add_rms_norm/kernel_args.h"
#include "templates/comm/all_reduce_add_rms_norm/spec_index.hpp"
#include "templates/comm/shared/collective.hpp"
#include "templates/host/define_op.hpp"
#include "templates/norm/shared/rms_op.hpp"

namespace kerncast::comm {
namespace {

using namespace all_reduce_add_rms_norm_params;
using namespace norm::row_params;

void describe(host::NamedArguments& named, AllReduceAddRmsNorm& call) {
  named.input("x", call.x, norm::x_doc);
  named.in_place("residual", call.residual, norm::residual_doc);
  norm::describe_rms(named, call);
  named.setting("round_residual", call.round_residual);
}

/// The tunables of a block that has one row, as the norms take them.
Tunables of_one_row(const Tunables& tunables) {
  Tunables made;
  made.values[threads] = tunables[threads];
  made.values[rows_per_block] = 1;
  return made;
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const norm::RowCost cost{.once = 70,
                           .each = 92,
                           .tensors = 4,
                           .widest = norm::widest_of<x_dtype, y_dtype, residual_dtype>(spec)};
  // More threads would leave the exchange too few registers.
  const std::int32_t most = spec[world] > 1 ? 512 : 1024;
  Tunables made;
  made.values[threads] =
      std::clamp(norm::row_lanes(spec, device, rows, norm::default_row_vectors(spec), cost), 32, most);
  return made;
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits& device,
                        std::int64_t rows) noexcept {
  return resident_grid(device, tunables[threads], rows);
}

}  // namespace

Call bind(const AllReduceAddRmsNorm& arguments) {
  constexpr std::string_view op = AllReduceAddRmsNorm::op_name;
  norm::NormChecks checks(op, arguments.x);
  const std::int64_t residual_stride = checks.output("residual", arguments.residual);
  const std::int64_t y_stride = checks.output("y", arguments.y);
  host::require_apart(op, {{"residual", arguments.residual}, {"y", arguments.y, "x"}},
                      {{"x", arguments.x}, {"weight", arguments.weight}});
  Call call = norm::rms_call(checks, arguments);
  call.spec.values[residual_dtype] = host::to_param(arguments.residual.dtype);
  call.spec.values[round_residual] = arguments.round_residual ? 1 : 0;
  AllReduceAddRmsNormKernelArgs args{.x = arguments.x.data,
                                     .residual = arguments.residual.data,
                                     .weight = arguments.weight.data,
                                     .y = arguments.y.data,
                                     .rows = checks.count(),
                                     .x_stride = checks.stride(),
                                     .residual_stride = residual_stride,
                                     .y_stride = y_stride,
                                     .eps = arguments.eps,
                                     .weight_offset = arguments.weight_offset,
                                     .exchange = {}};
  call.spec.values[world] = 1;
  if (arguments.communicator != nullptr) {
    const Communicator& communicator = *arguments.communicator;
    const Message message{checks.count(), checks.width() * size_of(arguments.x.dtype), call.device};
    call.spec.values[world] = communicator.world();
    call.spec.values[algorithm] =
        choose_algorithm(op, communicator, message, static_cast<std::int32_t>(arguments.algorithm));
    args.exchange = exchange_args(op, communicator, message, call.spec);
  }
  call.set_arguments(args);
  return call;
}

}  // namespace kerncast::comm

KERNCAST_OP(comm, all_reduce_add_rms_norm) {
  using namespace comm;
  OpDefinition op = norm::define_rms_norm<AllReduceAddRmsNorm, describe>();
  op.validate = [](const Specialisation& spec) {
    norm::validate_rows(AllReduceAddRmsNorm::op_name, spec, {y_dtype, residual_dtype});
  };
  op.summary = "Sum of rows over the ranks of a communicator, addition to the residual stream, and RMS norm";
  op.formula =
      "comm.all_reduce of x, rounded to x's dtype, then norm.fused_add_rms_norm of that, with the same bits "
      "(kARResidualRMSNorm of FlashInfer's trtllm_allreduce_fusion.cuh). A call by name is one of a world of "
      "one rank: norm.fused_add_rms_norm";
  host::append(op.params, host::param<residual_dtype>(norm::float_dtype_param("element type of residual")),
               host::param<round_residual>(norm::round_residual_param()), host::param<world>(world_param()),
               host::param<algorithm>(algorithm_param()));
  op.tunables = host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32));
  op.default_tunables = default_tunables;
  op.tunables_defect = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device) {
    return norm::row_tunables_defect<x_dtype, y_dtype, residual_dtype>(spec, of_one_row(tunables), device);
  };
  op.geometry = geometry;
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return norm::InputPlans(definition_of<AllReduceAddRmsNorm>(), bindings, rows)
        .rows("x")
        .rows("residual", "residual_dtype")
        .vector("weight", "has_weight")
        .take();
  };
  op.model_cases = [](const ModelConfig&) { return std::vector<ModelCase>(); };
  return op;
}
