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

namespace params = quant::block_scaled_params;
using quant::SfLayout;

/// A block-scaled format.
struct Format {
  std::int64_t block;
  bool fp4;
  bool nvfp4;
};

/// Rows of x that share a global scale, and the row of sf that holds the scales of the first of them.
struct Part {
  std::int64_t first;
  std::int64_t end;
  std::int64_t sf_first;
  std::int64_t expert;
};

std::int64_t integer(const HostTensor& tensor, std::int64_t i) {
  return static_cast<std::int64_t>(decode(DType::i32, tensor.bytes.data() + 4 * i));
}

std::vector<Part> parts_of(const ReferenceInput& input, std::int64_t rows) {
  const HostTensor* offsets = input.tensor("expert_offsets");
  if (offsets == nullptr) {
    return {{0, rows, 0, 0}};
  }
  const HostTensor* sf_offsets = input.tensor("sf_offsets");
  std::vector<Part> parts;
  for (std::int64_t expert = 0; expert + 1 < offsets->shape.at(0); ++expert) {
    const std::int64_t first = integer(*offsets, expert);
    parts.push_back({first, std::min(integer(*offsets, expert + 1), rows),
                     sf_offsets != nullptr ? integer(*sf_offsets, expert) : first, expert});
  }
  return parts;
}

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
  BlockScaledCheck(const ReferenceInput& input, const Format& format)
      : input_(input),
        format_(format),
        x_(require(input, "x")),
        q_(require(input, "q")),
        sf_tensor_(require(input, "sf")),
        sf_(sf_tensor_),
        layout_(static_cast<SfLayout>(input.spec[params::sf_layout])) {}

  ReferenceResult run() {
    if (q_.rows() != x_.rows() || q_.width() * (format_.fp4 ? 2 : 1) != x_.width()) {
      verdict_.fail("q", 0, 0, "has a shape that does not match x");
      return verdict_.result();
    }
    if (x_.rows() == 0) {
      return verdict_.result();
    }
    std::vector<bool> scaled(sf_tensor_.bytes.size(), false);
    for (const Part& part : parts_of(input_, x_.rows())) {
      for (std::int64_t row = part.first; row < part.end; ++row) {
        for (std::int64_t block = 0; block < x_.width() / format_.block; ++block) {
          const std::int64_t byte = scale_byte(sf_, layout_, row - part.first + part.sf_first, block);
          scaled.at(static_cast<std::size_t>(byte)) = true;
          check_block(row, block, byte, part.expert);
        }
      }
    }
    if (layout_ == SfLayout::swizzled) {
      for (std::size_t byte = 0; byte < scaled.size(); ++byte) {
        if (!scaled[byte] && sf_tensor_.bytes[byte] != std::byte{0}) {
          verdict_.fail("sf", 0, static_cast<std::int64_t>(byte), "is padding, but not 0");
        }
      }
    }
    return verdict_.result();
  }

 private:
  void check_block(std::int64_t row, std::int64_t block, std::int64_t byte, std::int64_t expert) {
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
      if (!is_mx_scale(scale, amax, largest, input_.spec[params::ocp_floor] != 0, emax)) {
        verdict_.fail("sf", row, block, fmt::format("is {}, but the largest magnitude is {}", scale, amax));
      }
    }
    for (std::int64_t i = first; i < first + format_.block; ++i) {
      // A scale of 0 gives zeros. A block of NaN alone has a scale of 0 too, but its values stay NaN.
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
  Format format_;
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
