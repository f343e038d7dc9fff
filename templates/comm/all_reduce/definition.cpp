#include <kerncast/ops/comm/all_reduce.hpp>

#include <fmt/format.h>

#include <algorithm>

#include "templates/comm/all_reduce/kernel_args.h"
#include "templates/comm/all_reduce/spec_index.hpp"
#include "templates/comm/shared/collective.hpp"
#include "templates/host/define_op.hpp"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast::comm {
namespace {

using namespace all_reduce_params;
using namespace norm::row_params;

void describe(host::NamedArguments& named, AllReduce& call) {
  named.input("x", call.x, norm::x_doc);
  named.output("y", call.y, "shape and dtype of x; rows may be strided; may be x itself");
}

std::int64_t row_bytes(const Specialisation& spec) {
  return spec[hidden] * size_of(host::dtype_from_param(spec[x_dtype]));
}

void validate(const Specialisation& spec) {
  norm::validate_rows(AllReduce::op_name, spec);
  if (spec[x_dtype] != spec[y_dtype]) {
    host::refuse_dtype(AllReduce::op_name, "y", host::dtype_from_param(spec[y_dtype]),
                       fmt::format("{}, the dtype of x", name_of(host::dtype_from_param(spec[x_dtype]))));
  }
}

/// Few lines are spread over the multiprocessors, since each waits for as long as a message takes.
Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t lines = host::bucket_ceiling(rows) * lines_of_row(row_bytes(spec));
  Tunables made;
  made.values[threads] = static_cast<std::int32_t>(std::clamp<std::int64_t>(
      host::round_up(host::divide_up(lines, std::max(1, device.sm_count)), 32), 64, 512));
  return made;
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                        std::int64_t rows) noexcept {
  const std::int64_t lines = rows * lines_of_row(row_bytes(spec));
  return resident_grid(device, tunables[threads], host::divide_up(lines, tunables[threads]));
}

}  // namespace

Call bind(const AllReduce& arguments) {
  norm::NormChecks checks(AllReduce::op_name, arguments.x);
  const std::int64_t y_stride = checks.output("y", arguments.y, norm::AccessLimit::several_16_byte);
  if (arguments.y.dtype != arguments.x.dtype) [[unlikely]] {
    host::refuse_dtype(AllReduce::op_name, "y", arguments.y.dtype,
                       fmt::format("{}, the dtype of x", name_of(arguments.x.dtype)));
  }
  host::require_apart(AllReduce::op_name, {{"y", arguments.y, "x"}}, {{"x", arguments.x}});
  Call call = checks.call(arguments.y.dtype);
  call.set_arguments(AllReduceKernelArgs{
      .x = arguments.x.data,
      .y = arguments.y.data,
      .rows = checks.count(),
      .x_stride = checks.stride(),
      .y_stride = y_stride,
      .exchange =
          join(AllReduce::op_name, arguments.communicator, static_cast<std::int32_t>(arguments.algorithm),
               row_bytes(call.spec), {world, algorithm}, call),
  });
  return call;
}

}  // namespace kerncast::comm

KERNCAST_OP(comm, all_reduce) {
  using namespace comm;
  OpDefinition op = norm::define_row_norm<AllReduce, describe>();
  op.summary = "Sum of rows over the ranks of a communicator";
  op.formula =
      "y = x of rank 0 + x of rank 1 + ..., in rank order, in f32, rounded once; -0 counts as 0. Pushed data "
      "are their own flags (trtllm_allreduce_fusion.cuh of FlashInfer; 1shot_push of sglang's "
      "custom_all_reduce.cuh). A call by name is one of a world of one rank: y = x";
  host::append(op.params, host::param<world>(world_param()), host::param<algorithm>(algorithm_param()));
  op.validate = validate;
  op.tunables = host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32));
  op.default_tunables = default_tunables;
  op.tunables_defect = nullptr;
  op.geometry = geometry;
  op.model_cases = [](const ModelConfig&) { return std::vector<ModelCase>(); };
  return op;
}
