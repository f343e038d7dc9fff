#include <kerncast/ops/norm/fused_add_rms_norm.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/fused_add_rms_norm/kernel_args.h"
#include "templates/norm/shared/added_rms/added_rms_op.hpp"

namespace kerncast::norm {
namespace {

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  for (const ModelNorm& norm : model.norms) {
    if (norm.kind == NormKind::rms && norm.added) {
      add_rms_case(cases, model, norm);
    }
  }
  for (ModelCase& item : cases) {
    item.params.emplace_back("residual_dtype", std::string(name_of(model.dtype)));
  }
  return cases;
}

}  // namespace

Call bind(const FusedAddRmsNorm& arguments) {
  return added_rms_call(arguments, [](Call& call, const AddedRmsArgs& rows) { call.set_arguments(rows); });
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, fused_add_rms_norm) {
  using namespace norm;
  OpDefinition op = define_added_rms_norm<FusedAddRmsNorm, describe_added_rms<FusedAddRmsNorm>>();
  op.summary = "Addition to the residual stream and root-mean-square normalisation of the sum";
  op.formula =
      "r = x + residual, stored over residual in its type; y = r * rsqrt(mean(r^2) + eps) * (weight + "
      "weight_offset) with r before that rounding, or after it with round_residual, in f32, rounded once; "
      "hf_rounding also rounds r * rsqrt(...) to x's dtype. mean + eps is at least 2^-126 (Zhang and "
      "Sennrich 2019, arXiv:1910.07467)";
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return row_tunables(spec, device, rows, added_rms_cost(spec));
  };
  op.tunables_defect = added_rms_defect;
  op.model_cases = model_cases;
  return op;
}
