#include <kerncast/ops/norm/l2_norm.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/l2_norm/kernel_args.h"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast::norm {

static void describe(host::NamedArguments& named, L2Norm& call) {
  named.input("x", call.x, x_doc);
  named.output("y", call.y, y_doc);
  named.scalar("eps", call.eps, "added to the sum of squares; not negative");
}

Call bind(const L2Norm& arguments) {
  NormChecks checks(L2Norm::op_name, arguments.x);
  const std::int64_t y_stride = checks.output("y", arguments.y, AccessLimit::several_16_byte);
  host::require_apart(L2Norm::op_name, {{"y", arguments.y, "x"}}, {{"x", arguments.x}});
  require_eps(L2Norm::op_name, arguments.eps);
  Call call = checks.call(arguments.y.dtype);
  call.set_arguments(L2NormKernelArgs{.x = arguments.x.data,
                                      .y = arguments.y.data,
                                      .rows = checks.count(),
                                      .x_stride = checks.stride(),
                                      .y_stride = y_stride,
                                      .eps = arguments.eps});
  return call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, l2_norm) {
  OpDefinition op = norm::define_row_norm<norm::L2Norm, norm::describe>();
  op.summary = "Division of rows by their Euclidean length";
  op.formula =
      "y = x * rsqrt(sum(x^2) + eps), in f32, rounded once. sum + eps is at least 2^-126 (l2norm of "
      "flash-linear-attention, fla/modules/l2norm.py)";
  op.tunables_defect = norm::row_tunables_defect<norm::row_params::x_dtype>;
  op.model_cases = [](const ModelConfig& model) { return norm::l2_cases(model); };
  return op;
}
