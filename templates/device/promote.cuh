#pragma once

#include "device/types.cuh"

namespace kerncast {

template <class A, class B>
inline constexpr bool is_same = false;
template <class A>
inline constexpr bool is_same<A, A> = true;

/// The type of the result of torch's operators on tensors of A and B: theirs if it is one, else f32.
template <class A, class B>
using Promoted = typename Choose<is_same<A, B>, A, f32>::type;

}  // namespace kerncast
