#include "tools/model/quant_scheme.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

constexpr std::pair<const char*, QuantScheme> schemes[] = {
    {"none", QuantScheme::none},   {"fp8-block", QuantScheme::fp8_block}, {"fp8", QuantScheme::fp8},
    {"int8", QuantScheme::int8},   {"nvfp4", QuantScheme::nvfp4},         {"mxfp8", QuantScheme::mxfp8},
    {"mxfp4", QuantScheme::mxfp4},
};

/// The scheme for a granularity and an element type, by the names that the ops use.
QuantScheme by_granularity(std::string_view granularity, std::string_view element) {
  if (element == "i8") {
    return QuantScheme::int8;
  }
  return granularity == "per_group" || granularity == "per_token_group" ? QuantScheme::fp8_block
                                                                        : QuantScheme::fp8;
}

QuantScheme by_name(std::string_view name) {
  for (const auto& [known, scheme] : schemes) {
    if (name == known) {
      return scheme;
    }
  }
  return QuantScheme::none;
}

}  // namespace

QuantScheme parse_quant_scheme(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, scheme] : schemes) {
    if (name == known) {
      return scheme;
    }
    names.emplace_back(known);
  }
  const std::string nearest = nearest_name(name, names);
  throw UsageError(
      fmt::format("--quant {} is not one of {}{}", name, fmt::join(names, ", "),
                  nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest)));
}

QuantScheme scheme_of(const Workload& workload) {
  const std::string_view op = workload.op->name;
  if (op == "quant.dequant") {
    const std::string_view scheme = param_of(workload, "scheme");
    const QuantScheme block = by_name(scheme);
    return block != QuantScheme::none
               ? block
               : by_granularity(scheme.empty() ? "per_token_group" : scheme, param_of(workload, "q_dtype"));
  }
  if (op.starts_with("quant.")) {
    const QuantScheme block = by_name(op.substr(op.find('.') + 1));
    if (block != QuantScheme::none) {
      return block;
    }
    const bool grouped = op.find("per_token_group") != std::string_view::npos;
    const bool int8 = op == "quant.per_token_int8" || param_of(workload, "q_dtype") == "i8";
    return by_granularity(grouped ? "per_group" : "per_token", int8 ? "i8" : "fp8_e4m3");
  }
  if (op.ends_with("_quant")) {
    return by_granularity(param_of(workload, "scaling"), param_of(workload, "q_dtype"));
  }
  if (op == "moe.permute" && param_of(workload, "x_dtype") == "fp8_e4m3") {
    return QuantScheme::fp8_block;
  }
  return QuantScheme::none;
}

}  // namespace kerncast::tools
