#include "runtime/simulator/watch.hpp"

#include "runtime/simulator/profile.hpp"
#include "runtime/simulator/state.hpp"

namespace kerncast::simulator {

bool watch_access(Warp& warp, const Op* op, const Touch& touch) {
  if (warp.tally != nullptr) {
    warp.tally->access(op->prefix, touch);
  }
  return true;
}

}  // namespace kerncast::simulator
