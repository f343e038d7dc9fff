#include "templates/reference/block_scaled.hpp"

#include <cmath>

namespace kerncast::reference {
namespace {

/// Magnitudes of the eight e2m1 codes.
constexpr double magnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

}  // namespace

double decode_e2m1(unsigned nibble) {
  return (nibble & 8U) != 0 ? -magnitudes[nibble & 7U] : magnitudes[nibble & 7U];
}

double rounded_to_e2m1(double value) {
  if (std::isnan(value)) {
    return 6.0;
  }
  // Pick the nearest magnitude; of two equally near, the one with the even code.
  const double magnitude = std::fmin(std::fabs(value), 6.0);
  unsigned best = 0;
  for (unsigned code = 1; code < 8; ++code) {
    const double nearer = std::fabs(magnitude - magnitudes[code]);
    const double before = std::fabs(magnitude - magnitudes[best]);
    best = nearer < before || (nearer == before && code % 2 == 0) ? code : best;
  }
  return std::copysign(magnitudes[best], value);
}

double block_value(const HostRows& q, bool fp4, std::int64_t row, std::int64_t column) {
  if (!fp4) {
    return q(row, column);
  }
  const auto byte = static_cast<unsigned>(q(row, column / 2));
  return decode_e2m1(column % 2 == 0 ? byte & 15U : byte >> 4);
}

std::int64_t scale_byte(const HostRows& sf, quant::SfLayout layout, std::int64_t row, std::int64_t block) {
  if (layout == quant::SfLayout::linear) {
    return sf.offset(row, block);
  }
  const std::int64_t padded = sf.width();
  return ((row / 128) * (padded / 4) + block / 4) * 512 + (row % 32) * 16 + ((row / 32) % 4) * 4 + block % 4;
}

}  // namespace kerncast::reference
