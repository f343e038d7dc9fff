#include "runtime/simulator/machine/watch.hpp"

#include "runtime/simulator/machine/state.hpp"
#include "runtime/simulator/watch/profile.hpp"
#include "runtime/simulator/watch/strict.hpp"

namespace kerncast::simulator {

bool watch_access(Warp& warp, const Op* op, const Touch& touch) {
  if (warp.tally != nullptr) {
    warp.tally->access(warp, op->prefix, touch);
  }
  return warp.strict == nullptr ||
         (warp.strict->access(warp, op, touch) && strict_global_access(warp, op, touch));
}

}  // namespace kerncast::simulator
