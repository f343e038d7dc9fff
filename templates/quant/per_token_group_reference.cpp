#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "templates/quant/per_token_group_params.hpp"
#include "templates/quant/scale_layout.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_float.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::ops {
namespace {

using quant::ScaleFormat;

double largest_of(DType type) {
  return type == DType::fp8_e4m3 ? 448.0 : type == DType::fp8_e5m2 ? 57344.0 : 127.0;
}

/// The scale stored for a group, as a value.
double stored_scale(const HostTensor& tensor, const reference::HostRows& scales, ScaleFormat format,
                    std::int64_t row, std::int64_t group) {
  if (format != ScaleFormat::packed_ue8m0) {
    return scales(row, group);
  }
  const std::int64_t byte = scales.offset(row, group / 4) * 4 + group % 4;
  return reference::decode(DType::ue8m0, tensor.bytes.data() + byte);
}

void check_scale(reference::Verdict& verdict, ScaleFormat format, std::int64_t row, std::int64_t group,
                 double got, double amax, double largest) {
  const double exact = std::max(amax, static_cast<double>(1e-10F)) / largest;
  if (format == ScaleFormat::f32) {
    verdict.compare("s", row, group, DType::f32, got, exact, 2);
    return;
  }
  if (std::isinf(exact)) {
    verdict.compare("s", row, group, DType::f32, got, 0x1p127, 0);
    return;
  }
  // Within 2 places of a power of two either neighbour will do.
  const double low = std::exp2(std::ceil(std::log2(exact * (1.0 - 0x1p-22))));
  const double high = std::exp2(std::ceil(std::log2(exact * (1.0 + 0x1p-22))));
  verdict.compare_either("s", row, group, DType::f32, got, low, high, 0);
}

/// `got` against x quantised with the stored scale: equal, or one step away where f32 may have crossed a tie.
void check_value(reference::Verdict& verdict, std::int64_t row, std::int64_t column, DType type, double got,
                 double x, double scale) {
  if (std::isnan(x) || (std::isinf(x) && std::isinf(scale))) {
    verdict.compare("q", row, column, type, got,
                    type == DType::i8 ? 0.0 : std::numeric_limits<double>::quiet_NaN(), 0);
    return;
  }
  const double exact = x / scale;
  verdict.compare_either("q", row, column, type, got, reference::rounded(type, exact * (1.0 - 0x1p-21)),
                         reference::rounded(type, exact * (1.0 + 0x1p-21)), 0);
}

/// Packed words hold nothing past the last group and the last token.
void check_padding(reference::Verdict& verdict, const HostTensor& tensor, const reference::HostRows& scales,
                   std::int64_t rows, std::int64_t groups) {
  const std::int64_t padded = (rows + 3) / 4 * 4;
  const std::int64_t stride = scales.width() > 1 ? scales.column_stride() : padded;
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
                       "lies past the storage: the last column must extend to T rounded up to 4");
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

ReferenceResult quant_per_token_group_reference(const ReferenceInput& input);

ReferenceResult quant_per_token_group_reference(const ReferenceInput& input) {
  namespace params = quant::per_token_group_params;
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows q(reference::require(input, "q"));
  const HostTensor& s_tensor = reference::require(input, "s");
  const reference::HostRows s(s_tensor);
  const std::int64_t size = input.spec[params::group];
  const auto format = static_cast<ScaleFormat>(input.spec[params::scale_format]);
  const std::int64_t groups = x.width() / size;
  const std::int64_t columns = format == ScaleFormat::packed_ue8m0 ? (groups + 3) / 4 : groups;

  reference::Verdict verdict;
  if (q.rows() != x.rows() || q.width() != x.width() || s.rows() != x.rows() || s.width() != columns) {
    verdict.fail("q, s", 0, 0, "have another shape than x asks for");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    for (std::int64_t group = 0; group < groups; ++group) {
      double amax = 0;
      for (std::int64_t i = group * size; i < (group + 1) * size; ++i) {
        amax = std::fmax(amax, std::fabs(x(row, i)));
      }
      const double scale = stored_scale(s_tensor, s, format, row, group);
      check_scale(verdict, format, row, group, scale, amax, largest_of(q.dtype()));
      for (std::int64_t i = group * size; i < (group + 1) * size; ++i) {
        check_value(verdict, row, i, q.dtype(), q(row, i), x(row, i), scale);
      }
    }
  }
  if (format == ScaleFormat::packed_ue8m0) {
    check_padding(verdict, s_tensor, s, x.rows(), groups);
  }
  return verdict.result();
}

}  // namespace kerncast::ops
