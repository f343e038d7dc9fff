#include "tools/model/coverage.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace kerncast::tools {
namespace {

/// True if a workload whose op's name begins with `family` has rows of `width`, and `holds`.
template <class Condition>
bool any_of(const std::vector<Workload>& workloads, std::string_view family, std::int64_t width,
            Condition holds) {
  const std::string text = std::to_string(width);
  return std::any_of(workloads.begin(), workloads.end(), [&](const Workload& workload) {
    return workload.op->name.starts_with(family) && param_of(workload, "hidden") == text && holds(workload);
  });
}

}  // namespace

std::vector<UncoveredPart> uncovered_parts(const ModelConfig& model, const std::vector<Workload>& workloads,
                                           const std::vector<QuantScheme>& schemes) {
  std::vector<UncoveredPart> parts;
  const auto always = [](const Workload&) { return true; };
  for (const ModelNorm& norm : model.norms) {
    if (norm.spread && !norm.alone) {
      parts.push_back(
          {"norm.*", fmt::format("{}: the ranks add up the squares of rows of {} elements before they "
                                 "scale, which no norm does",
                                 norm.place, norm.width)});
    } else if (!any_of(workloads, "norm.", norm.width, always)) {
      parts.push_back(
          {"norm.*", fmt::format("{}: no norm takes rows of {} elements", norm.place, norm.width)});
    }
  }
  for (const ModelMlp& mlp : model.mlps) {
    if (!any_of(workloads, "activation.", mlp.width, always)) {
      parts.push_back(
          {"activation.*", fmt::format("{}: no activation takes rows of {} elements", mlp.place, mlp.width)});
    }
  }
  for (const QuantScheme scheme : schemes) {
    for (const ModelLinear& linear : model.linears) {
      const auto serves = [&](const Workload& workload) {
        return workload.op->name != "quant.dequant" && scheme_of(workload) != QuantScheme::none &&
               is_needed(workload, {scheme});
      };
      if (scheme != QuantScheme::none && !any_of(workloads, "quant.", linear.width, serves)) {
        parts.push_back({"quant.*", fmt::format("{}: no op quantises rows of {} elements by {}", linear.place,
                                                linear.width, name_of_scheme(scheme))});
      }
    }
  }
  return parts;
}

}  // namespace kerncast::tools
