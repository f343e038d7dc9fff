#include "tools/model/quant_scheme.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

constexpr std::pair<const char*, QuantScheme> schemes[] = {
    {"none", QuantScheme::none},
    {"fp8-block", QuantScheme::fp8_block},
    {"fp8", QuantScheme::fp8},
    {"fp8-static", QuantScheme::fp8_static},
    {"fp8-tensor", QuantScheme::fp8_tensor},
    {"fp8-token", QuantScheme::fp8_token},
    {"int8", QuantScheme::int8},
    {"nvfp4", QuantScheme::nvfp4},
    {"mxfp8", QuantScheme::mxfp8},
    {"mxfp4", QuantScheme::mxfp4},
};

/// The fp8 scheme that a workload of QuantScheme::fp8 serves; fp8 if it serves them all.
QuantScheme fp8_kind(const Workload& workload) {
  const std::string_view op = workload.op->name;
  if (op == "quant.per_tensor_fp8") {
    return param_of(workload, "dynamic") == "false" ? QuantScheme::fp8_static : QuantScheme::fp8_tensor;
  }
  if (op == "quant.per_token_fp8") {
    return QuantScheme::fp8_token;
  }
  if (op.ends_with("_quant")) {
    return param_of(workload, "scaling") == "per_tensor" ? QuantScheme::fp8_static : QuantScheme::fp8_token;
  }
  return QuantScheme::fp8;
}

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
    const QuantScheme block = by_name(param_of(workload, "scaling"));
    return block != QuantScheme::none
               ? block
               : by_granularity(param_of(workload, "scaling"), param_of(workload, "q_dtype"));
  }
  if (op == "moe.permute" && param_of(workload, "x_dtype") == "fp8_e4m3") {
    return QuantScheme::fp8_block;
  }
  return QuantScheme::none;
}

std::string name_of_scheme(QuantScheme scheme) {
  for (const auto& [known, value] : schemes) {
    if (value == scheme) {
      return known;
    }
  }
  return "none";
}

bool is_needed(const Workload& workload, const std::vector<QuantScheme>& wanted) {
  const QuantScheme scheme = scheme_of(workload);
  return scheme == QuantScheme::none || std::any_of(wanted.begin(), wanted.end(), [&](QuantScheme one) {
           return one == scheme || (scheme == QuantScheme::fp8 && one == fp8_kind(workload));
         });
}

QuantSelection::QuantSelection(const std::string& option, std::vector<QuantScheme> own)
    : all_(option == "all"), schemes_(std::move(own)) {
  if (all_) {
    schemes_.clear();
  } else if (!option.empty()) {
    schemes_ = {parse_quant_scheme(option)};
  }
}

bool QuantSelection::includes(const Workload& workload) const {
  return all_ || is_needed(workload, schemes_);
}

}  // namespace kerncast::tools
