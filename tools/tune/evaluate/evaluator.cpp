#include "tools/tune/evaluate/evaluator.hpp"

#include "runtime/driver/cuda_types.hpp"

namespace kerncast::tools {

Outcome outcome_of(const Error& error) {
  return error.driver_result() == driver::CUDA_ERROR_LAUNCH_TIMEOUT ? Outcome::timed_out : Outcome::failed;
}

}  // namespace kerncast::tools
