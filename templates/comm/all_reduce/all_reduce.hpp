#pragma once

#include <cstdint>
#include <string_view>

#include "kerncast/communicator.hpp"
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::comm {

/// The way in which ranks exchange a message. The bits of the result are the same.
enum class Algorithm : std::int32_t {
  automatic,  ///< one step up to Communicator::one_shot_bytes, else two
  one_shot,   ///< each rank sends its message to all others and adds all of them up
  two_shot,   ///< each rank adds up its part of the message, and sends the sums to all others
};

/// The sum of x over all ranks of a communicator, in rank order, in f32, rounded once: all ranks get the same
/// bits, on every run and by every algorithm. -0 counts as 0, and no result is -0. The one-shot algorithm
/// pushes data that are their own flags, as trtllm_allreduce_fusion.cuh of FlashInfer and the 1shot_push of
/// sglang's custom_all_reduce.cuh do; the two-shot algorithm does so in both of its steps.
///
/// Without a communicator the call is that of a world of one rank: y = x.
///
/// All ranks make the call, with equal shapes, dtypes and algorithms; see Communicator. A launch returns at
/// once; a rank that does not come shows as an error of Communicator::check or of the next launch. Launch
/// with kerncast::launch or prepare, which say what is asynchronous and what must live how long.
struct AllReduce {
  static constexpr std::string_view op_name = "comm.all_reduce";

  TensorView x;  ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView y;  ///< shape and dtype of x; may be x itself
  Communicator* communicator = nullptr;  ///< of this rank; must outlive the kernel, and graphs that hold it
  Algorithm algorithm = Algorithm::automatic;
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument) for tensors that do not fit and
/// messages beyond the workspace, and what Communicator::check throws.
[[nodiscard]] KERNCAST_API Call bind(const AllReduce& arguments);

}  // namespace kerncast::comm
