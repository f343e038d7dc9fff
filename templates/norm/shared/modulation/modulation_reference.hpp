#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "templates/reference/compare.hpp"

namespace kerncast::reference {

/// Element of an operand that is spread over `rows` rows: [1], or [N, width] of which each row serves
/// rows / N consecutive ones. `otherwise` if there is no tensor of that name.
[[nodiscard]] double spread(const ReferenceInput& input, std::string_view name, std::int64_t rows,
                            std::int64_t row, std::int64_t column, double otherwise);

/// Compares row `row` of `rows` of y with (norm(values) * weight + bias) * (1 + scale) + shift, in the
/// roundings of the parameter aten_rounding for a row of `row_type`.
void check_modulated(Verdict& verdict, const ReferenceInput& input, std::int64_t rows, std::int64_t row,
                     const std::vector<double>& values, DType row_type);

}  // namespace kerncast::reference
