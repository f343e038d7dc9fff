#!/usr/bin/env python3
"""Writes the skeleton of an op, which compiles, passes and is tested as it stands.

    tools/dev/new_op.py FAMILY OP       for example: tools/dev/new_op.py norm example

The skeleton scales rows: y = factor * x. templates/README.md says what belongs into each of its files.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*$")
# Folders of templates that are no families of ops.
RESERVED = {"device", "host", "reference", "shared"}

FILES = {
    "kernel_args.h": """\
#pragma once

namespace kerncast::@family@ {

/// The kernel's argument. Strides are in elements.
struct @Type@KernelArgs {
  const void* x;
  void* y;
  long long rows;
  long long x_stride;
  long long y_stride;
  float factor;
};

}  // namespace kerncast::@family@
""",
    "kernel.cuh": """\
#pragma once

#include "@family@/@op@/kernel_args.h"
#include "device/programmatic_launch.cuh"
#include "device/row.cuh"

namespace kerncast::@family@ {

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads) @op@_kernel(const @Type@KernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  using Y = typename Config::y_dtype;
  using Row = RowVectors<X, Config::alignment>;
  const long long row = row_of_thread<Config>();
  const X* x = static_cast<const X*>(args.x) + row * args.x_stride;
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;

  const RowWalk<Config, Row> walk(Row{x}, row < args.rows);
  walk.template each<1>([&](const auto& part, int column, bool present) {
    if (present) {
      float values[Row::width];
#pragma unroll
      for (int i = 0; i < Row::width; ++i) {
        values[i] = args.factor * part.values[i];
      }
      store_values<Y, Row::width>(y + column, values);
    }
  });
}

}  // namespace kerncast::@family@
""",
    "@op@.hpp": """\
#pragma once

#include "kerncast/launch.hpp"

namespace kerncast::@family@ {

/// y = factor * x, per element, in f32, rounded once. y may be x itself. Asynchrony and lifetime are those of
/// kerncast::launch.
struct @Type@ {
  static constexpr std::string_view op_name = "@family@.@op@";

  TensorView x;         ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView y;         ///< shape of x; bf16, f16 or f32; rows may be strided
  float factor = 1.0F;  ///< the factor of every element
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const @Type@& arguments);

}  // namespace kerncast::@family@
""",
    "spec_index.hpp": """\
#pragma once

#include <cstddef>

/// Places of the parameters in Specialisation and of the tunables in Tunables.
namespace kerncast::@family@::@op@_params {

enum Param : std::size_t { x_dtype, y_dtype, hidden, alignment };
enum Tunable : std::size_t { threads, rows_per_block };

}  // namespace kerncast::@family@::@op@_params
""",
    "definition.cpp": """\
#include <kerncast/ops/@family@/@op@.hpp>

#include <algorithm>
#include <string>

#include "templates/@family@/@op@/kernel_args.h"
#include "templates/@family@/@op@/spec_index.hpp"
#include "templates/host/checks.hpp"
#include "templates/host/define_op.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/params.hpp"
#include "templates/host/row_blocks.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/host/typed_op.hpp"

namespace kerncast::@family@ {
namespace {

using namespace @op@_params;

void describe(host::NamedArguments& named, @Type@& call) {
  named.input("x", call.x, "[..., hidden], x_dtype; rows may be strided");
  named.output("y", call.y, "shape of x, y_dtype; rows may be strided; may be x itself");
  named.scalar("factor", call.factor, "the factor of every element");
}

std::int64_t bytes_of_x(const Specialisation& spec) {
  return size_of(host::dtype_from_param(spec[x_dtype]));
}

void validate(const Specialisation& spec) {
  host::validate_alignment(@Type@::op_name, spec[alignment], spec[hidden],
                           host::dtype_from_param(spec[x_dtype]));
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  host::RowWork work;
  work.vectors = spec[hidden] * bytes_of_x(spec) / spec[alignment];
  work.vector_elements = static_cast<std::int32_t>(spec[alignment] / bytes_of_x(spec));
  work.vector_bytes = spec[alignment];
  work.cost.reductions = 0;
  // Two vectors in flight per thread.
  const host::RowBlock block = host::row_block(device, rows, host::row_lanes(device, rows, work, 2));
  Tunables tunables;
  tunables.values[threads] = block.threads;
  tunables.values[rows_per_block] = block.rows;
  return tunables;
}

std::string tunables_defect(const Specialisation&, const Tunables& tunables, const DeviceTraits&) {
  return host::row_block_defect(tunables[threads], tunables[rows_per_block]);
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[rows_per_block]));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = definition_of<@Type@>();
  return {{.name = "x",
           .dtype = host::dtype_setting(op, bindings, "x_dtype", DType::bf16),
           .shape = {rows, host::required_param(op, bindings, "hidden")},
           .strides = {},
           .storage_shape = {}}};
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const TensorView& x = bindings.require_tensor(@Type@::op_name, "x");
  return {{.name = "y",
           .dtype = host::dtype_setting(definition_of<@Type@>(), bindings, "y_dtype", x.dtype),
           .shape = {x.shape.begin(), x.shape.begin() + x.rank},
           .strides = {},
           .storage_shape = {}}};
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  if (model.hidden < 1 || model.hidden > 65536) {
    return {};
  }
  return {{.label = "hidden states", .params = {{"hidden", std::to_string(model.hidden)}}, .scalars = {}}};
}

ParamSpec float_dtype(const char* doc) {
  return host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16, doc);
}

}  // namespace

Call bind(const @Type@& arguments) {
  const TensorView& x = arguments.x;
  const host::TensorCheck x_check(@Type@::op_name, "x", x);
  const host::TensorCheck y_check(@Type@::op_name, "y", arguments.y);
  const host::Rows x_rows = x_check.is_float().contiguous_rows();
  const host::Rows y_rows = y_check.is_float().output_rows();
  const std::int64_t width = x.dim(-1);
  if (width < 1 || width > 65536) [[unlikely]] {
    host::refuse_range(@Type@::op_name, "the last dimension of x (hidden)", width, 1, 65536);
  }
  x_check.has_data(x_rows.count);
  y_check.has_shape_of("x", x).has_data(x_rows.count).is_on_device_of("x", x);
  host::require_apart(@Type@::op_name, {{"y", arguments.y, "x"}}, {{"x", x}});

  const std::int64_t bytes = size_of(x.dtype);
  Call call;
  call.spec.values[x_dtype] = host::to_param(x.dtype);
  call.spec.values[y_dtype] = host::to_param(arguments.y.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[alignment] =
      std::min({host::alignment_of(static_cast<std::uint64_t>(width * bytes)),
                x_check.access_bytes(x_rows, bytes), y_check.access_bytes(y_rows, bytes)});
  call.rows = x_rows.count;
  call.device = x.device;
  call.set_arguments(@Type@KernelArgs{.x = x.data,
                                      .y = arguments.y.data,
                                      .rows = x_rows.count,
                                      .x_stride = x_rows.stride,
                                      .y_stride = y_rows.stride,
                                      .factor = arguments.factor});
  return call;
}

}  // namespace kerncast::@family@

KERNCAST_OP(@family@, @op@) {
  using namespace @family@;
  OpDefinition op = host::define<@Type@, describe>();
  op.summary = "Rows scaled by a factor";
  op.formula = "y = factor * x, in f32, rounded once";
  op.params = host::params(
      host::param<x_dtype>(float_dtype("element type of x")),
      host::param<y_dtype>(float_dtype("element type of y")),
      host::param<hidden>(host::integer_param(1, 65536, std::nullopt, "elements of a row")),
      host::param<alignment>(host::listed_param(
          {2, 4, 8, 16}, 16, "bytes of x per access; derived from the tensors' pointers, strides and width")));
  op.tunables =
      host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32),
                     host::tunable<rows_per_block>("rows that share a block", {1, 2, 4, 8, 16, 32}));
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.tunables_defect = tunables_defect;
  op.plan_inputs = plan_inputs;
  op.plan_outputs = plan_outputs;
  op.model_cases = model_cases;
  return op;
}
""",
    "reference.cpp": """\
#include "templates/host/define_op.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

KERNCAST_REFERENCE(@family@, @op@) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows y(reference::require(input, "y"));
  const double factor = static_cast<float>(input.scalar("factor", 1.0));
  reference::Verdict verdict;
  if (y.rows() != x.rows() || y.width() != x.width()) {
    verdict.fail("y", 0, 0, "has another shape than x");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    for (std::int64_t column = 0; column < x.width(); ++column) {
      verdict.compare("y", row, column, y.dtype(), y(row, column), factor * x(row, column), 1);
    }
  }
  return verdict.result();
}
""",
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the skeleton of an op.")
    parser.add_argument("family", help="norm, quant, moe, activation, comm, or a new one")
    parser.add_argument("op", help="the op's name, as rms_norm")
    arguments = parser.parse_args()
    for name in (arguments.family, arguments.op):
        if not NAME.match(name) or name in RESERVED:
            parser.error(f"'{name}' is no name for a family or an op; use lower_case words")
    folder = ROOT / "templates" / arguments.family / arguments.op
    if folder.exists():
        parser.error(f"{folder.relative_to(ROOT)} exists already")

    values = {
        "@family@": arguments.family,
        "@op@": arguments.op,
        "@Type@": "".join(word.capitalize() for word in arguments.op.split("_")),
    }

    def fill(text: str) -> str:
        for key, value in values.items():
            text = text.replace(key, value)
        return text

    folder.mkdir(parents=True)
    for name, text in FILES.items():
        path = folder / fill(name)
        path.write_text(fill(text))
        print(path.relative_to(ROOT))
    # Line breaks depend on the length of the names.
    if formatter := shutil.which("clang-format-19"):
        subprocess.run([formatter, "-i", *folder.iterdir()], check=True)
    else:
        print("clang-format-19 is not installed; tools/dev/lint.sh installs it and says what to format")
    print(f"Build and test it: bash tools/test.sh gcc -R {arguments.op}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
