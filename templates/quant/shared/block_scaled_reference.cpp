#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "templates/host/define_op.hpp"
#include "templates/quant/shared/block_scaled_spec_index.hpp"
#include "templates/reference/block_scaled.hpp"
#include "templates/reference/group_quant.hpp"
#include "templates/reference/host_float.hpp"

namespace kerncast::reference {
namespace {

using quant::SfLayout;

/// A block-scaled format.
struct BlockFormat {
  std::int64_t block;
  bool fp4;
  bool nvfp4;
};

/// The place that the scales of a row of sf come from.
struct ScaledRow {
  std::int64_t row;     ///< of x; -1: padding
  std::int64_t expert;  ///< whose global scale applies
};

/// Finds the rows of x and the global scales that belong to the rows of sf.
class ExpertRows {
 public:
  explicit ExpertRows(const ReferenceInput& input)
      : offsets_(integers(input.tensor("expert_offsets"))),
        sf_offsets_(integers(input.tensor("sf_offsets"))) {}

  [[nodiscard]] ScaledRow find(std::int64_t sf_row, std::int64_t rows, bool swizzled) const {
    if (offsets_.empty()) {
      return {sf_row < rows ? sf_row : -1, 0};
    }
    const std::vector<std::int64_t>& bounds = swizzled ? sf_offsets_ : offsets_;
    const std::int64_t expert = owner(bounds, sf_row);
    if (expert < 0) {
      return {-1, 0};
    }
    const auto at = static_cast<std::size_t>(expert);
    const std::int64_t row = swizzled ? sf_row - bounds[at] + offsets_[at] : sf_row;
    const bool is_own = row >= 0 && row < rows && (!swizzled || row < offsets_[at + 1]);
    return {is_own ? row : -1, expert};
  }

 private:
  [[nodiscard]] static std::vector<std::int64_t> integers(const HostTensor* tensor) {
    std::vector<std::int64_t> values;
    for (std::int64_t i = 0; tensor != nullptr && i < tensor->shape.at(0); ++i) {
      values.push_back(static_cast<std::int64_t>(decode(DType::i32, tensor->bytes.data() + 4 * i)));
    }
    return values;
  }

  /// The expert whose rows include `row`, found by bisection as the contract says, or -1.
  [[nodiscard]] static std::int64_t owner(const std::vector<std::int64_t>& bounds, std::int64_t row) {
    std::int64_t low = -1;
    auto high = static_cast<std::int64_t>(bounds.size()) - 1;
    while (high - low > 1) {
      const std::int64_t middle = (low + high) / 2;
      (bounds[static_cast<std::size_t>(middle)] <= row ? low : high) = middle;
    }
    return low >= 0 && row < bounds[static_cast<std::size_t>(low) + 1] ? low : -1;
  }

  std::vector<std::int64_t> offsets_;
  std::vector<std::int64_t> sf_offsets_;
};

/// True if `got` is the power of two that the formula gives for amax / MAX, within two units in the last
/// place of f32.
bool is_mx_scale(double got, double amax, double largest, bool ocp_floor, int emax) {
  const double clamped = std::max(amax, static_cast<double>(1e-10F));
  if (std::isinf(clamped)) {
    return got == 0x1p127;
  }
  if (ocp_floor) {
    return got == std::ldexp(1.0, std::ilogb(clamped) - emax);
  }
  const double exact = clamped / largest;
  return got == std::exp2(std::ceil(std::log2(exact * (1.0 - 0x1p-22)))) ||
         got == std::exp2(std::ceil(std::log2(exact * (1.0 + 0x1p-22))));
}

/// Checks one call of an op that quantises rows by blocks.
class BlockScaledCheck {
 public:
  BlockScaledCheck(const ReferenceInput& input, const BlockFormat& format)
      : input_(input),
        format_(format),
        x_(require(input, "x")),
        q_(require(input, "q")),
        sf_tensor_(require(input, "sf")),
        sf_(sf_tensor_),
        layout_(static_cast<SfLayout>(input.spec[quant::block_scaled_params::sf_layout])) {}

  ReferenceResult run() {
    if (q_.rows() != x_.rows() || q_.width() * (format_.fp4 ? 2 : 1) != x_.width()) {
      verdict_.fail("q", 0, 0, "has a shape that does not match x");
      return verdict_.result();
    }
    const bool swizzled = layout_ == SfLayout::swizzled;
    const ExpertRows experts(input_);
    std::vector<bool> scaled(sf_tensor_.bytes.size(), false);
    std::vector<ScaledRow> found_rows;
    std::vector<int> owners(static_cast<std::size_t>(x_.rows()), 0);
    for (std::int64_t sf_row = 0; sf_row < (swizzled ? sf_.rows() : x_.rows()); ++sf_row) {
      found_rows.push_back(experts.find(sf_row, x_.rows(), swizzled));
      if (found_rows.back().row >= 0) {
        ++owners[static_cast<std::size_t>(found_rows.back().row)];
      }
    }
    for (std::size_t i = 0; i < found_rows.size(); ++i) {
      const ScaledRow& found = found_rows[i];
      if (found.row < 0) {
        continue;
      }
      // Bad offsets may give a row to two experts; then q is that of either.
      const bool is_sole = owners[static_cast<std::size_t>(found.row)] == 1;
      const auto sf_row = static_cast<std::int64_t>(i);
      for (std::int64_t block = 0; block < x_.width() / format_.block; ++block) {
        const std::int64_t byte = scale_byte(sf_, layout_, sf_row, block);
        scaled.at(static_cast<std::size_t>(byte)) = true;
        check_block(found.row, block, byte, found.expert, is_sole);
      }
    }
    if (swizzled) {
      for (std::size_t byte = 0; byte < scaled.size(); ++byte) {
        if (!scaled[byte] && sf_tensor_.bytes[byte] != std::byte{0}) {
          verdict_.fail("sf", 0, static_cast<std::int64_t>(byte), "is padding, but not 0");
        }
      }
    }
    return verdict_.result();
  }

 private:
  void check_block(std::int64_t row, std::int64_t block, std::int64_t byte, std::int64_t expert,
                   bool checks_q) {
    const std::int64_t first = block * format_.block;
    double amax = 0;
    for (std::int64_t i = 0; i < format_.block; ++i) {
      amax = std::fmax(amax, std::fabs(x_(row, first + i)));
    }
    const double scale = decode(sf_tensor_.dtype, sf_tensor_.bytes.data() + byte);
    double global = 1.0;
    if (format_.nvfp4) {
      global = decode(DType::f32, require(input_, "global_scale").bytes.data() + 4 * expert);
      const double exact = global * amax / 6.0;
      verdict_.compare_either("sf", row, block, DType::fp8_e4m3, scale,
                              rounded(DType::fp8_e4m3, exact * (1.0 - 0x1p-21)),
                              rounded(DType::fp8_e4m3, exact * (1.0 + 0x1p-21)), 0);
    } else {
      const double largest = format_.fp4 ? 6.0 : largest_of(q_.dtype());
      const int emax = format_.fp4 ? 2 : largest == 448.0 ? 8 : 15;
      if (!is_mx_scale(scale, amax, largest, input_.spec[quant::block_scaled_params::ocp_floor] != 0, emax)) {
        verdict_.fail("sf", row, block, fmt::format("is {}, but the largest magnitude is {}", scale, amax));
      }
    }
    for (std::int64_t i = first; checks_q && i < first + format_.block; ++i) {
      // A scale of 0 gives zeros, but NaN stays NaN under any scale.
      const double exact = scale == 0.0 ? 0.0 : x_(row, i) * global / scale;
      check_value(row, i, scale == 0.0 && std::isnan(x_(row, i)) ? x_(row, i) : exact);
    }
  }

  void check_value(std::int64_t row, std::int64_t column, double exact) {
    const double got = block_value(q_, format_.fp4, row, column);
    if (!format_.fp4) {
      check_quantised(verdict_, row, column, q_.dtype(), got, exact, 1.0);
      return;
    }
    const double low = rounded_to_e2m1(exact * (1.0 - 0x1p-21));
    const double high = rounded_to_e2m1(exact * (1.0 + 0x1p-21));
    if (got != low && got != high) {
      verdict_.fail("q", row, column, fmt::format("is {}, expected {} of {}", got, low, exact));
    }
  }

  const ReferenceInput& input_;
  BlockFormat format_;
  HostRows x_;
  HostRows q_;
  const HostTensor& sf_tensor_;
  HostRows sf_;
  SfLayout layout_;
  Verdict verdict_;
};

}  // namespace
}  // namespace kerncast::reference

KERNCAST_REFERENCE(quant, nvfp4) {
  return reference::BlockScaledCheck(input, {.block = 16, .fp4 = true, .nvfp4 = true}).run();
}

KERNCAST_REFERENCE(quant, mxfp4) {
  return reference::BlockScaledCheck(input, {.block = 32, .fp4 = true, .nvfp4 = false}).run();
}

KERNCAST_REFERENCE(quant, mxfp8) {
  return reference::BlockScaledCheck(input, {.block = 32, .fp4 = false, .nvfp4 = false}).run();
}
