#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <map>
#include <vector>

#include "templates/host/define_op.hpp"
#include "templates/moe/grouped_gemm/public/gemm_activation.h"
#include "templates/moe/grouped_gemm/scale_form.h"
#include "templates/moe/grouped_gemm/spec_index.hpp"
#include "templates/reference/activation.hpp"
#include "templates/reference/block_scaled.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_float.hpp"
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

/// The element of `tensor` at these indices.
double element_of(const HostTensor& tensor, std::initializer_list<std::int64_t> indices) {
  std::int64_t at = 0;
  std::size_t dimension = 0;
  for (const std::int64_t index : indices) {
    at += index * tensor.strides[dimension++];
  }
  return reference::decode(tensor.dtype, tensor.bytes.data() + at * size_of(tensor.dtype));
}

/// Adds the products of elements [first, last) to `sum`. The sum of 16 products is rounded, or cut off, to 24
/// bits of the largest of them and of the sum so far. The 16 are neighbours, but for groups of 32, of which
/// every second four come first.
void add_products(Product& sum, const std::vector<double>& a, const double* b, std::size_t first,
                  std::size_t last, std::size_t group) {
  constexpr double unit = 0x1p-23;
  const std::size_t step = group == 32 ? 32 : 16;
  for (; first < last; first += step) {
    double magnitude = std::fabs(sum.value);
    for (std::size_t i = first; i < std::min(first + step, last); ++i) {
      const double term = a[i] * b[i];
      sum.value += term;
      magnitude += std::fabs(term);
    }
    sum.reach += unit * magnitude * static_cast<double>(step) / 16;
  }
}

/// The scales of a call: 1 if it has none.
class Scales {
 public:
  explicit Scales(const ReferenceInput& input) : form_(static_cast<ScaleForm>(input.spec[scale_form])) {
    if (is_packed(form_)) {
      b_ = &reference::require(input, "b_scales");
    } else if (input.spec[has_scales] != 0) {
      a_ = &reference::require(input, "a_scales");
      b_ = &reference::require(input, "b_scales");
    }
  }

  /// The elements of k that share a scale, of `depth`.
  [[nodiscard]] std::size_t group(std::size_t depth) const {
    return form_ == ScaleForm::rows ? depth : is_packed(form_) ? 32 : 128;
  }

  /// The scale of the products of row `row` of a and row `column` of the matrix of `expert` in group `of`.
  [[nodiscard]] double at(std::int64_t row, std::int64_t expert, std::int64_t column, std::int64_t of) const {
    if (b_ == nullptr) {
      return 1;
    }
    if (is_packed(form_)) {
      return element_of(*b_, {expert, column, of});
    }
    if (form_ == ScaleForm::blocks) {
      return element_of(*a_, {row, of}) * element_of(*b_, {expert, column / 128, of});
    }
    const double of_b = b_->shape.size() == 1 ? element_of(*b_, {expert}) : element_of(*b_, {expert, column});
    return element_of(*a_, {a_->shape[0] == 1 ? 0 : row}) * of_b;
  }

 private:
  ScaleForm form_;
  const HostTensor* a_ = nullptr;
  const HostTensor* b_ = nullptr;
};

/// The sum over k of a row of a times a row of b, `scale(g)` being that of group g.
template <class Scale>
Product scaled_product(const std::vector<double>& a, const double* b, std::size_t group, bool exact,
                       const Scale& scale) {
  Product sum;
  for (std::size_t first = 0; first < a.size(); first += group) {
    Product part;
    add_products(part, a, b, first, std::min(first + group, a.size()), group);
    // Integers are added exactly, and rounded as they become f32.
    part.reach = exact ? 0x1p-24 * std::fabs(part.value) : part.reach;
    const double by = scale(static_cast<std::int64_t>(first / group));
    sum.value += by * part.value;
    sum.reach += std::fabs(by) * part.reach + 0x1p-23 * (std::fabs(by * part.value) + std::fabs(sum.value));
  }
  return sum;
}

/// The function of gate and up that a call asks for.
std::function<double(double, double)> activation_of(const ReferenceInput& input) {
  const auto limit_of = static_cast<double>(static_cast<float>(input.scalar("limit", 0.0)));
  const auto alpha = static_cast<double>(static_cast<float>(input.scalar("alpha", 1.702)));
  switch (static_cast<GemmActivation>(input.spec[grouped_gemm_params::activation])) {
    case GemmActivation::gelu_and_mul:
      return reference::gelu_and_mul;
    case GemmActivation::gelu_tanh_and_mul:
      return reference::gelu_tanh_and_mul;
    case GemmActivation::swiglu_oai:
      return [=](double gate, double up) {
        return reference::swiglu_oai(gate, up, limit_of == 0 ? 7 : limit_of, alpha);
      };
    default:
      return [=](double gate, double up) { return reference::limited_silu_and_mul(gate, up, limit_of); };
  }
}

/// The function of both sums. As a function of the gate it has one minimum, between -2 /
/// min(alpha, 1) and 0, around which its second derivative is below 1 + |alpha|; as one of the up it rises or
/// falls.
Product gated_product(const std::function<double(double, double)>& function, const Product& gate,
                      const Product& up, double alpha) {
  Product made{function(gate.value, up.value), 0};
  for (const double g : {gate.value - gate.reach, gate.value, gate.value + gate.reach}) {
    for (const double u : {up.value - up.reach, up.value + up.reach}) {
      made.reach = std::fmax(made.reach, std::fabs(function(g, u) - made.value));
    }
  }
  if (std::fabs(gate.value) * std::fmin(std::fabs(alpha), 1) < 4) {
    made.reach += (1 + std::fabs(alpha)) * gate.reach * gate.reach * (1 + std::fabs(up.value) + up.reach);
  }
  return made;
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
std::vector<double> matrix_of(const HostTensor& b, std::int64_t of, ScaleForm form) {
  HostTensor matrix;
  matrix.name = b.name;
  matrix.dtype = b.dtype;
  matrix.shape = {b.shape[1], b.shape[2]};
  matrix.strides = {b.strides[1], b.strides[2]};
  const auto first = b.bytes.begin() + static_cast<std::ptrdiff_t>(of * b.strides[0] * size_of(b.dtype));
  matrix.bytes.assign(first, b.bytes.end());
  std::vector<double> elements = decoded_rows(reference::HostRows(matrix), 0, b.shape[1]);
  if (!is_packed(form)) {
    return elements;
  }
  std::vector<double> unpacked;
  unpacked.reserve(2 * elements.size());
  for (const double element : elements) {
    const auto byte = static_cast<unsigned>(element);
    for (const unsigned nibble : {byte & 15U, byte >> 4U}) {
      unpacked.push_back(form == ScaleForm::mxfp4 ? reference::decode_e2m1(nibble) : nibble - 8.0);
    }
  }
  return unpacked;
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
  const auto kind = static_cast<GemmActivation>(input.spec[grouped_gemm_params::activation]);
  const bool gated = kind != GemmActivation::none;
  const bool interleaved = kind == GemmActivation::swiglu_oai;
  const std::function<double(double, double)> function = activation_of(input);
  const double alpha = input.scalar("alpha", 1.702);
  const HostTensor* bias_of = input.spec[bias] != 0 ? &reference::require(input, "bias") : nullptr;
  const auto depth = static_cast<std::size_t>(a.width());
  const Scales scales(input);
  for (const auto& [expert, slots] : slots_of_experts(input, c.rows())) {
    const std::vector<double> matrix = matrix_of(b, expert, static_cast<ScaleForm>(input.spec[scale_form]));
    for (const std::int64_t slot : slots) {
      const std::vector<double> row = decoded_rows(a, slot / input.spec[top_k], 1);
      double weight = 1;
      if (weights != nullptr) {
        const reference::HostRows of(*weights);
        weight = of(slot / of.width(), slot % of.width());
      }
      const auto product = [&](std::int64_t column) {
        Product made = scaled_product(row, matrix.data() + static_cast<std::size_t>(column) * depth,
                                      scales.group(depth), a.dtype() == DType::i8, [&](std::int64_t of) {
                                        return scales.at(slot / input.spec[top_k], expert, column, of);
                                      });
        if (bias_of != nullptr) {
          made.value += element_of(*bias_of, {expert, column});
          made.reach += 0x1p-23 * std::fabs(made.value);
        }
        return made;
      };
      for (std::int64_t i = 0; i < c.width(); ++i) {
        const Product sum = !gated ? product(i)
                            : interleaved
                                ? gated_product(function, product(2 * i), product(2 * i + 1), alpha)
                                : gated_product(function, product(i), product(i + c.width()), alpha);
        verdict.compare_within("c", slot, i, c.dtype(), c(slot, i), weight * sum.value,
                               std::fabs(weight) * sum.reach, 1);
      }
    }
  }
  return verdict.result();
}
