#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/dtype.hpp"
#include "kerncast/model.hpp"

/// Facts that the tools ask of an op beyond a call: the tensors of a synthetic run, the shapes of a model,
/// and the row counts that share a kernel.
namespace kerncast {

/// A tensor to be made: an input of a synthetic run, or an output of a call.
struct TensorPlan {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;    ///< logical shape, as the op takes it
  std::vector<std::int64_t> strides;  ///< in elements; empty: contiguous
  std::vector<std::int64_t>
      storage_shape;                ///< contiguous storage behind it, as a file holds it; empty: shape
  std::int64_t integers_below = 8;  ///< synthetic i32 and i64 inputs are drawn from 0 up to this, exclusive
};

/// One synthetic workload: an op at the shapes of a model.
struct ModelCase {
  std::string label;  ///< the place in the model, such as "input_layernorm"
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
};

/// The row bucket that a launch of `rows` rows is tuned under: 0 for 1 row, then one for each power of two,
/// and 14 for more than 8192.
[[nodiscard]] constexpr int row_bucket(std::int64_t rows) noexcept {
  int bucket = 0;
  for (std::int64_t limit = 1; limit < rows && bucket < 14; limit *= 2) {
    ++bucket;
  }
  return bucket;
}

/// The least and the greatest row count of a bucket, both inclusive.
struct RowRange {
  std::int64_t lowest = 1;
  std::int64_t highest = 1;
};
/// The row counts of `bucket`, a result of row_bucket().
[[nodiscard]] constexpr RowRange row_range(int bucket) noexcept {
  const std::int64_t highest = std::int64_t{1} << bucket;
  return {bucket == 0 ? 1 : highest / 2 + 1,
          bucket < 14 ? highest : std::numeric_limits<std::int64_t>::max()};
}

}  // namespace kerncast
