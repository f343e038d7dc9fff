#pragma once

#include <vector>

#include <kerncast/ops/norm/rms_norm.hpp>
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/context.hpp"
#include "tests/cache/sample.hpp"

/// A runtime with its own cache, and an RMSNorm call on rows of ones, whose result is ones.
struct RowsOfOnes {
  explicit RowsOfOnes(kerncast::MissPolicy policy = kerncast::MissPolicy::compile)
      : runtime(options(policy)),
        context(kerncast::driver::load_driver(), 0),
        x(context.api(), bytes),
        y(context.api(), bytes) {
    std::vector<float> ones(rows * hidden, 1.0F);
    x.upload(ones.data(), bytes);
    y.fill(0xCD);
    arguments.x = kerncast::TensorView::contiguous(x.data(), kerncast::DType::f32, {rows, hidden});
    arguments.y = kerncast::TensorView::contiguous(y.data(), kerncast::DType::f32, {rows, hidden});
    arguments.eps = 0;
  }
  [[nodiscard]] kerncast::RuntimeOptions options(kerncast::MissPolicy policy) const {
    kerncast::RuntimeOptions out;
    out.cache_directory = folder.path();
    out.miss_policy = policy;
    return out;
  }
  [[nodiscard]] std::vector<float> result() const {
    std::vector<float> values(rows * hidden);
    y.download(values.data(), bytes);
    return values;
  }

  static constexpr std::int64_t rows = 3;
  static constexpr std::int64_t hidden = 256;
  static constexpr std::size_t bytes = rows * hidden * 4;
  TemporaryDirectory folder;
  kerncast::Runtime runtime;
  kerncast::driver::PrimaryContext context;
  kerncast::driver::DeviceBuffer x;
  kerncast::driver::DeviceBuffer y;
  kerncast::norm::RmsNorm arguments;
};
