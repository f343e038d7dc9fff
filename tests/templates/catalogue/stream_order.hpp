#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kerncast::test {

/// The reason, in words, why a kernel of `ptx` breaks the order of its stream if it is launched
/// programmatically; empty if none does. From sm_90 on each of the `kernels` entries must wait once, with
/// nothing before it but parameters and index arithmetic, so that every path waits before it touches memory.
/// It must let its dependents go once, after the wait, and must not read global memory as constant, which
/// that memory is not from its first instruction on. Below sm_90 there must be neither instruction.
[[nodiscard]] std::string stream_order_defect(std::string_view ptx, int sm, std::size_t kernels);

}  // namespace kerncast::test
