#pragma once

#include <cstdint>

#include <kerncast/ops/moe/grouped_gemm.hpp>
#include "templates/moe/grouped_gemm/scale_form.h"

namespace kerncast::moe {

/// The form of the scales and their strides, in elements.
struct GemmScales {
  ScaleForm form = ScaleForm::rows;
  std::int64_t a = 0;
  std::int64_t a_group = 0;
  std::int64_t b_expert = 0;
  std::int64_t b = 0;
  std::int64_t b_group = 0;
  std::int32_t alignment = 16;  ///< bytes per access of scales of packed b
};

/// Finds the form of a_scales and b_scales from their shapes and types, and checks them for `rows` rows of a.
/// Throws Error(invalid_argument).
[[nodiscard]] GemmScales check_gemm_scales(const GroupedGemm& arguments, std::int64_t rows);

}  // namespace kerncast::moe
