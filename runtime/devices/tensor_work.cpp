#include "runtime/devices/tensor_work.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <vector>

#include "runtime/util/leading_number.hpp"

namespace kerncast::devices {
namespace {

/// The parts of an instruction's name, such as "mma", "sync", "aligned", "m16n8k16".
std::vector<std::string_view> name_parts(std::string_view ptx) {
  if (ptx.starts_with('@')) {
    const std::size_t blank = ptx.find_first_of(" \t");
    ptx.remove_prefix(blank == std::string_view::npos ? ptx.size() : blank);
    ptx.remove_prefix(std::min(ptx.find_first_not_of(" \t"), ptx.size()));
  }
  const std::string_view name = ptx.substr(0, ptx.find_first_of(" \t;"));
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    parts.push_back(name.substr(at, dot - at));
    at = dot + 1;
  }
  return parts;
}

/// The product m * n * k of a shape such as "m16n8k16"; 0 for other text.
double shape_product(std::string_view part) {
  double product = 1;
  for (const char letter : {'m', 'n', 'k'}) {
    if (part.empty() || part.front() != letter) {
      return 0;
    }
    part.remove_prefix(1);
    const std::size_t digits = std::min(part.find_first_not_of("0123456789"), part.size());
    product *= leading_number(part.substr(0, digits));
    part.remove_prefix(digits);
  }
  return part.empty() ? product : 0;
}

/// Number of multiply-adds of 16-bit operands that take as long as one with operands of `type`.
double operand_weight(std::string_view type) {
  static const std::map<std::string_view, double> weights = {
      {"f16", 1},  {"bf16", 1},   {"tf32", 2},   {"f64", 16},   {"e4m3", 0.5}, {"e5m2", 0.5}, {"s8", 0.5},
      {"u8", 0.5}, {"e3m2", 0.5}, {"e2m3", 0.5}, {"e2m1", 0.5}, {"s4", 0.25},  {"u4", 0.25}};
  const auto found = weights.find(type);
  return found == weights.end() ? 0 : found->second;
}

}  // namespace

double tensor_fma(std::string_view ptx) {
  const std::vector<std::string_view> parts = name_parts(ptx);
  // A wgmma is executed by each of four warps, and each does a quarter of the work.
  const double share = parts.front() == "mma" ? 1 : parts.front() == "wgmma" ? 0.25 : 0;
  if (share == 0) {
    return 0;
  }
  // The shape and layouts are followed by the types of d, a, b and c. The rate depends on the type of a.
  double product = 0;
  std::vector<std::string_view> types;
  for (const std::string_view part : parts) {
    if (product == 0) {
      product = shape_product(part);
    } else if (part == "f32" || part == "s32" || operand_weight(part) > 0) {
      types.push_back(part);
    }
  }
  return types.size() < 2 ? 0 : share * product * operand_weight(types[1]);
}

}  // namespace kerncast::devices
