#pragma once

namespace kerncast {

/// The order of gates and ups in a row of 2 * H elements.
enum class GateOrder : int {
  halves,       ///< H gates, then H ups
  interleaved,  ///< gates at even places, ups at odd places
};

}  // namespace kerncast
