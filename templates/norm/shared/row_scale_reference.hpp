#pragma once

namespace kerncast::reference {

/// 1 / sqrt(squares / count + eps). A root below 2^-126 counts as 2^-126.
[[nodiscard]] double row_scale(double squares, double count, double eps);

/// `value` as f32 holds it on the way: infinite if it is past the range.
[[nodiscard]] double within_f32(double value);

}  // namespace kerncast::reference
