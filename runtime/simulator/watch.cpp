#include "runtime/simulator/watch.hpp"

#include "runtime/simulator/profile.hpp"
#include "runtime/simulator/state.hpp"
#include "runtime/simulator/strict.hpp"

namespace kerncast::simulator {

bool watch_access(Warp& warp, const Op* op, const Touch& touch) {
  if (warp.tally != nullptr) {
    warp.tally->access(warp, op->prefix, touch);
  }
  return warp.strict == nullptr ||
         (warp.strict->access(warp, op, touch) && strict_global_access(warp, op, touch));
}

}  // namespace kerncast::simulator
