#pragma once

#include <vector>

#include "kerncast/model.hpp"
#include "kerncast/workload.hpp"

namespace kerncast::moe {

/// The products of the experts of `model`, as moe.grouped_gemm takes them: w13 with the activation, and w2
/// with the weights of the router. Empty if the model has no experts, or matrices of a kind that no op
/// multiplies.
[[nodiscard]] std::vector<ModelCase> expert_products(const ModelConfig& model);

}  // namespace kerncast::moe
