#include "templates/quant/shared/operand_checks.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "templates/host/tensor_check.hpp"

namespace kerncast::quant {

void require_row_count(std::string_view op, std::string_view tensor, std::int64_t rows, std::int64_t width) {
  constexpr std::int64_t max_elements = std::int64_t{1} << 44;
  if (rows > max_elements / width) [[unlikely]] {
    host::refuse_range(op, fmt::format("the row count of {}", tensor), rows, 0, max_elements / width);
  }
}

void require_block_width(std::string_view op, std::string_view tensor, std::int64_t width,
                         std::int32_t block) {
  if (width < block || width > max_hidden || width % block != 0) [[unlikely]] {
    host::refuse(
        op,
        fmt::format("the last dimension of {} (hidden) is {}, but must be a multiple of {} up to {}; nearest "
                    "valid: {}",
                    tensor, width, block, max_hidden,
                    std::clamp<std::int64_t>((width + block / 2) / block * block, block, max_hidden)));
  }
}

void require_vector(std::string_view op, std::string_view name, const TensorView& view, DType type,
                    std::int64_t elements, std::string_view other_name, const TensorView& other,
                    std::int64_t rows, std::string_view why) {
  const host::TensorCheck check(op, name, view);
  check.is_present().has_dtype(type);
  if (view.rank != 1 || view.dim(0) != elements || (elements > 1 && view.stride(0) != 1)) [[unlikely]] {
    host::refuse_shape(op, name, view,
                       fmt::format("shape [{}], contiguous{}{}{}", elements, why.empty() ? "" : " (", why,
                                   why.empty() ? "" : ")"));
  }
  check.has_data(rows).is_on_device_of(other_name, other).is_aligned({});
}

}  // namespace kerncast::quant
