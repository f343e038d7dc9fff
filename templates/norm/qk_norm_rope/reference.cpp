#include <cstddef>

#include "templates/host/define_op.hpp"
#include "templates/norm/qk_norm/spec_index.hpp"
#include "templates/norm/shared/qk_norm_heads_reference.hpp"
#include "templates/reference/host_float.hpp"

KERNCAST_REFERENCE(norm, qk_norm_rope) {
  const reference::HostRows table(reference::require(input, "cos_sin"));
  const HostTensor& positions = reference::require(input, "positions");
  const bool interleaved = input.spec[norm::qk_norm_params::rope_style] != 0;
  return reference::check_heads(input, [&](std::int64_t token, std::vector<double>& head) {
    const auto element = static_cast<std::size_t>(size_of(positions.dtype));
    const auto position = static_cast<std::int64_t>(reference::decode(
        positions.dtype, positions.bytes.data() + static_cast<std::size_t>(token) * element));
    if (position < 0 || position >= table.rows()) {
      return;
    }
    const std::int64_t half = table.width() / 2;
    for (std::int64_t i = 0; i < half; ++i) {
      double& a = head[static_cast<std::size_t>(interleaved ? 2 * i : i)];
      double& b = head[static_cast<std::size_t>(interleaved ? 2 * i + 1 : i + half)];
      const double cosine = table(position, i);
      const double sine = table(position, half + i);
      const double turned = a * cosine - b * sine;
      b = b * cosine + a * sine;
      a = turned;
    }
  });
}
