#include "templates/reference/group_quant.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "templates/reference/host_float.hpp"

namespace kerncast::reference {

using quant::ScaleFormat;

namespace {

/// The scale stored for a group, decoded.
double stored_scale(const HostTensor& tensor, const HostRows& scales, ScaleFormat format, std::int64_t row,
                    std::int64_t group) {
  if (format != ScaleFormat::packed_ue8m0) {
    return scales(row, group);
  }
  const std::int64_t byte = scales.offset(row, group / 4) * 4 + group % 4;
  return decode(DType::ue8m0, tensor.bytes.data() + byte);
}

/// Requires that packed words are 0 past the last group and the last token.
void check_padding(Verdict& verdict, const HostTensor& tensor, const HostRows& scales, std::int64_t rows,
                   std::int64_t padded, std::int64_t groups) {
  const std::int64_t stride = scales.width() > 1 ? scales.column_stride() : 0;
  for (std::int64_t word = 0; word < scales.width(); ++word) {
    for (std::int64_t token = 0; token < padded; ++token) {
      for (std::int64_t byte = 0; byte < 4; ++byte) {
        const std::int64_t at = (word * stride + token) * 4 + byte;
        const bool padding = token >= rows || word * 4 + byte >= groups;
        if (!padding) {
          continue;
        }
        if (at >= static_cast<std::int64_t>(tensor.bytes.size())) {
          verdict.fail("s", token, word,
                       "lies past the storage; the last column must extend to T rounded up to 4");
        } else if (tensor.bytes[static_cast<std::size_t>(at)] != std::byte{0}) {
          verdict.fail(
              "s", token, word,
              fmt::format("has {:#04x} in padding byte {}, expected 0",
                          std::to_integer<unsigned>(tensor.bytes[static_cast<std::size_t>(at)]), byte));
        }
      }
    }
  }
}

}  // namespace

double largest_of(DType type) {
  return type == DType::fp8_e4m3 ? 448.0 : type == DType::fp8_e5m2 ? 57344.0 : 127.0;
}

void check_quantised(Verdict& verdict, std::int64_t row, std::int64_t column, DType type, double got,
                     double x, double scale, const QuantTolerance& tolerance) {
  if (std::isnan(x) || std::isnan(scale) || (std::isinf(x) && std::isinf(scale))) {
    verdict.compare("q", row, column, type, got,
                    type == DType::i8 ? 0.0 : std::numeric_limits<double>::quiet_NaN(), 0);
    return;
  }
  // Zeros stay zeros, even under a scale of 0.
  const double exact = x == 0.0 && scale == 0.0 ? 0.0 : x / scale;
  verdict.compare_either("q", row, column, type, got, rounded(type, exact * (1.0 - tolerance.value)),
                         rounded(type, exact * (1.0 + tolerance.value)), 0);
}

void check_scale(Verdict& verdict, ScaleFormat format, std::int64_t row, std::int64_t group, double got,
                 double amax, double largest, const QuantTolerance& tolerance) {
  const double exact = std::max(amax, static_cast<double>(1e-10F)) / largest;
  if (format == ScaleFormat::f32) {
    verdict.compare("s", row, group, DType::f32, got, exact, tolerance.scale_steps);
    return;
  }
  if (std::isinf(exact)) {
    verdict.compare("s", row, group, DType::f32, got, 0x1p127, 0);
    return;
  }
  // Accept both neighbours if the scale is this close to a power of two.
  const double slack = tolerance.scale_steps * 0x1p-23;
  const double low = std::exp2(std::ceil(std::log2(exact * (1.0 - slack))));
  const double high = std::exp2(std::ceil(std::log2(exact * (1.0 + slack))));
  verdict.compare_either("s", row, group, DType::f32, got, low, high, 0);
}

void check_groups(Verdict& verdict, const std::function<double(std::int64_t, std::int64_t)>& x,
                  std::int64_t rows, const HostRows& q, const HostTensor& s_tensor, std::int64_t size,
                  ScaleFormat format, const QuantTolerance& tolerance, bool padded) {
  const HostRows s(s_tensor);
  const std::int64_t groups = q.width() / size;
  const std::int64_t columns = format == ScaleFormat::packed_ue8m0 ? (groups + 3) / 4 : groups;
  if (s.rows() != q.rows() || s.width() != columns) {
    verdict.fail("s", 0, 0, "has a shape that does not match q");
    return;
  }
  std::vector<double> values(static_cast<std::size_t>(size));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t group = 0; group < groups; ++group) {
      double amax = 0;
      for (std::int64_t i = 0; i < size; ++i) {
        const double value = x(row, group * size + i);
        values[static_cast<std::size_t>(i)] = value;
        amax = std::fmax(amax, std::fabs(value));
      }
      const double scale = stored_scale(s_tensor, s, format, row, group);
      check_scale(verdict, format, row, group, scale, amax, largest_of(q.dtype()), tolerance);
      for (std::int64_t i = 0; i < size; ++i) {
        const std::int64_t column = group * size + i;
        check_quantised(verdict, row, column, q.dtype(), q(row, column), values[static_cast<std::size_t>(i)],
                        scale, tolerance);
      }
    }
  }
  if (format == ScaleFormat::packed_ue8m0) {
    check_padding(verdict, s_tensor, s, rows, padded ? (rows + 3) / 4 * 4 : rows, groups);
  }
}

}  // namespace kerncast::reference
