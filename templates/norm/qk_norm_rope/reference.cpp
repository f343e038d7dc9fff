#include <algorithm>
#include <cmath>
#include <cstddef>

#include "templates/host/define_op.hpp"
#include "templates/norm/qk_norm/spec_index.hpp"
#include "templates/norm/shared/qk_norm_heads_reference.hpp"
#include "templates/reference/host_float.hpp"

namespace kerncast::norm {
namespace {

/// The cosines and sines of one position.
class AngleSource {
 public:
  explicit AngleSource(const ReferenceInput& input)
      : computes_(input.spec[qk_norm_params::angles] != 0),
        rows_(reference::require(input, computes_ ? "inv_freq" : "cos_sin")),
        factor_(static_cast<float>(input.scalar("attention_factor", 1))) {}

  [[nodiscard]] std::int64_t half() const { return computes_ ? rows_.width() : rows_.width() / 2; }
  [[nodiscard]] bool turns(std::int64_t position) const {
    return position >= 0 && position < (computes_ ? std::int64_t{1} << 22 : rows_.rows());
  }
  [[nodiscard]] double cosine(std::int64_t position, std::int64_t i) const {
    return computes_ ? factor_ * std::cos(static_cast<double>(position) * rows_(0, i)) : rows_(position, i);
  }
  [[nodiscard]] double sine(std::int64_t position, std::int64_t i) const {
    return computes_ ? factor_ * std::sin(static_cast<double>(position) * rows_(0, i))
                     : rows_(position, half() + i);
  }
  /// Bound of the errors of a cosine and of a sine.
  [[nodiscard]] double error(DType type) const {
    return computes_ ? std::ldexp(std::fabs(factor_), type == DType::f32 ? -22 : -20) : 0;
  }

 private:
  bool computes_;
  reference::HostRows rows_;
  double factor_;
};

}  // namespace
}  // namespace kerncast::norm

KERNCAST_REFERENCE(norm, qk_norm_rope) {
  const norm::AngleSource angles(input);
  const HostTensor& positions = reference::require(input, "positions");
  const DType type = reference::require(input, "qkv").dtype;
  const bool interleaved = input.spec[norm::qk_norm_params::rope_style] != 0;
  return reference::check_heads(input, [&](std::int64_t token, std::vector<double>& head) {
    const auto element = static_cast<std::size_t>(size_of(positions.dtype));
    const auto position = static_cast<std::int64_t>(reference::decode(
        positions.dtype, positions.bytes.data() + static_cast<std::size_t>(token) * element));
    if (!angles.turns(position)) {
      return 0.0;
    }
    const std::int64_t half = angles.half();
    double largest = 0;
    for (std::int64_t i = 0; i < half; ++i) {
      double& a = head[static_cast<std::size_t>(interleaved ? 2 * i : i)];
      double& b = head[static_cast<std::size_t>(interleaved ? 2 * i + 1 : i + half)];
      const double sum = std::fabs(a) + std::fabs(b);
      largest = std::isfinite(sum) ? std::max(largest, sum) : largest;
      const double cosine = angles.cosine(position, i);
      const double sine = angles.sine(position, i);
      const double turned = a * cosine - b * sine;
      b = b * cosine + a * sine;
      a = turned;
    }
    return angles.error(type) * largest;
  });
}
