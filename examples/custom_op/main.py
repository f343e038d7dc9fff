"""A host's own op in Python, y = max(x, 0)^2. main.cpp and main.c beside this file are the same op in C++ and in C.

It has what Kerncast's ops have: specialisation, cache, checked arguments, and an operator of torch if torch is there.
"""

import sys

import numpy

import kerncast

# The template. Config has the parameters and the tunables as constants.
TEMPLATE = """
namespace own {
struct SquaredReluKernelArgs { const float* x; float* y; long long rows; };
template <class Config>
__global__ void __launch_bounds__(Config::threads) squared_relu_kernel(SquaredReluKernelArgs args) {
  const long long row = blockIdx.x;
  for (int i = threadIdx.x; i < Config::hidden; i += Config::threads) {
    const float positive = fmaxf(args.x[row * Config::hidden + i], 0.0f);
    args.y[row * Config::hidden + i] = positive * positive;
  }
}
}
"""


def register_squared_relu():
    """Registers the op and returns its function."""
    return kerncast.register_op(
        kerncast.OpDefinition(
            name="own.squared_relu_python",
            summary="Square of the positive part",
            formula="y = max(x, 0)^2 (squared ReLU of Primer, arXiv 2109.08668)",
            source=TEMPLATE,
            kernel="own::squared_relu_kernel",
            arguments_type="own::SquaredReluKernelArgs",
            params=[kerncast.Param("hidden", maximum=1 << 20, doc="elements of a row")],
            tunables=[kerncast.Tunable("threads", (128, 256, 512), default=256, doc="threads of a block")],
            tensors=[
                kerncast.TensorArgument("x", ("rows", "hidden"), "f32"),
                kerncast.TensorArgument("y", ("rows", "hidden"), "f32", "out"),
            ],
            arguments=["x", "y", "rows"],
            geometry=lambda rows, threads, **_: ((rows,), (threads,)),
        )
    )


def main():
    """Registers and calls the op, and returns 0 if its result is right."""
    squared_relu = register_squared_relu()
    x = numpy.full((4, 1000), -1, "float32")
    x[0, 0] = 3
    y = squared_relu(kerncast.from_numpy(x)).numpy()
    right = numpy.array_equal(y, numpy.maximum(x, 0) ** 2)
    print(f"own.squared_relu_python: {'right' if right else 'wrong'}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
