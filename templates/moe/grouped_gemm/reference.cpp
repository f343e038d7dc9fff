#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "templates/host/define_op.hpp"
#include "templates/moe/grouped_gemm/public/gemm_activation.h"
#include "templates/moe/grouped_gemm/spec_index.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::moe {
namespace {

using namespace grouped_gemm_params;

/// The slots that `sorted` names for each expert.
std::map<std::int64_t, std::vector<std::int64_t>> slots_of_experts(const ReferenceInput& input,
                                                                   std::int64_t slots) {
  const reference::HostRows sorted(reference::require(input, "sorted"));
  const reference::HostRows expert(reference::require(input, "expert"));
  const reference::HostRows total(reference::require(input, "total"));
  const std::int64_t size = input.spec[block];
  const std::int64_t blocks = (static_cast<std::int64_t>(total(0, 0)) + size - 1) / size;
  std::map<std::int64_t, std::vector<std::int64_t>> made;
  for (std::int64_t i = 0; i < std::min(blocks * size, sorted.width()); ++i) {
    const auto slot = static_cast<std::int64_t>(sorted(0, i));
    const auto of = static_cast<std::int64_t>(expert(0, i / size));
    if (slot >= 0 && slot < slots && of >= 0 && of < input.spec[experts]) {
      made[of].push_back(slot);
    }
  }
  return made;
}

/// A sum of products, and how far a sum in f32 may be from it.
struct Product {
  double value = 0;
  double reach = 0;
};

/// The sum of 16 products is rounded, or cut off, to 24 bits of the largest of them and of the sum so far.
Product product_of(const std::vector<double>& a, const double* b) {
  constexpr double unit = 0x1p-23;
  Product made;
  for (std::size_t first = 0; first < a.size(); first += 16) {
    double magnitude = std::fabs(made.value);
    for (std::size_t i = first; i < std::min(first + 16, a.size()); ++i) {
      const double term = a[i] * b[i];
      made.value += term;
      magnitude += std::fabs(term);
    }
    made.reach += unit * magnitude;
  }
  return made;
}

/// The scale of the product of row `row` of a and row `column` of the matrix of `expert`.
double scale_of(const ReferenceInput& input, std::int64_t row, std::int64_t expert, std::int64_t column) {
  if (input.spec[has_scales] == 0) {
    return 1;
  }
  const reference::HostRows a(reference::require(input, "a_scales"));
  const HostTensor& of_b = reference::require(input, "b_scales");
  const reference::HostRows b(of_b);
  return a(0, a.width() == 1 ? 0 : row) * (of_b.shape.size() == 1 ? b(0, expert) : b(expert, column));
}

double silu_of(double x) {
  return x / (1 + std::exp(-x));
}

/// silu(gate) * up. silu has its one minimum between -2 and -1, where its second derivative is below 1.
Product gated_product(const Product& gate, const Product& up) {
  const double silu = silu_of(gate.value);
  const double around = std::fabs(gate.value) < 4 ? gate.reach * gate.reach : 0;
  const double reach = std::fmax(std::fabs(silu_of(gate.value + gate.reach) - silu),
                                 std::fabs(silu_of(gate.value - gate.reach) - silu)) +
                       around;
  return {silu * up.value, reach * (std::fabs(up.value) + up.reach) + std::fabs(silu) * up.reach};
}

std::vector<double> decoded_rows(const reference::HostRows& rows, std::int64_t first, std::int64_t count) {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(count * rows.width()));
  for (std::int64_t row = first; row < first + count; ++row) {
    for (std::int64_t i = 0; i < rows.width(); ++i) {
      values.push_back(rows(row, i));
    }
  }
  return values;
}

/// The matrix of expert `of` in row order. The rows of b need not lie at one distance.
std::vector<double> matrix_of(const HostTensor& b, std::int64_t of) {
  HostTensor matrix;
  matrix.name = b.name;
  matrix.dtype = b.dtype;
  matrix.shape = {b.shape[1], b.shape[2]};
  matrix.strides = {b.strides[1], b.strides[2]};
  const auto first = b.bytes.begin() + static_cast<std::ptrdiff_t>(of * b.strides[0] * size_of(b.dtype));
  matrix.bytes.assign(first, b.bytes.end());
  return decoded_rows(reference::HostRows(matrix), 0, b.shape[1]);
}

}  // namespace
}  // namespace kerncast::moe

KERNCAST_REFERENCE(moe, grouped_gemm) {
  using namespace moe;
  const reference::HostRows a(reference::require(input, "a"));
  const reference::HostRows c(reference::require(input, "c"));
  const HostTensor& b = reference::require(input, "b");
  const HostTensor* weights = input.spec[has_weights] != 0 ? &reference::require(input, "weights") : nullptr;
  reference::Verdict verdict;
  const bool gated = static_cast<GemmActivation>(input.spec[grouped_gemm_params::activation]) ==
                     GemmActivation::silu_and_mul;
  const auto depth = static_cast<std::size_t>(a.width());
  for (const auto& [expert, slots] : slots_of_experts(input, c.rows())) {
    const std::vector<double> matrix = matrix_of(b, expert);
    for (const std::int64_t slot : slots) {
      const std::vector<double> row = decoded_rows(a, slot / input.spec[top_k], 1);
      double weight = 1;
      if (weights != nullptr) {
        const reference::HostRows of(*weights);
        weight = of(slot / of.width(), slot % of.width());
      }
      const auto product = [&](std::int64_t column) {
        Product made = product_of(row, matrix.data() + static_cast<std::size_t>(column) * depth);
        const double scale = scale_of(input, slot / input.spec[top_k], expert, column);
        made.value *= scale;
        made.reach = std::fabs(scale) * made.reach + 0x1p-22 * std::fabs(made.value);
        return made;
      };
      for (std::int64_t i = 0; i < c.width(); ++i) {
        const Product sum = gated ? gated_product(product(i), product(i + c.width())) : product(i);
        verdict.compare_within("c", slot, i, c.dtype(), c(slot, i), weight * sum.value,
                               std::fabs(weight) * sum.reach, 1);
      }
    }
  }
  return verdict.result();
}
