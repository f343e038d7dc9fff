#include "runtime/simulator/machine/grid_link.hpp"
#include "runtime/simulator/machine/scheduler.hpp"

// griddepcontrol: a launch lets its dependent begin, and waits for the launches before it.
namespace kerncast::simulator {

namespace {

void note_waited(Warp& warp) {
  Block& block = *warp.block;
  block.has_waited = true;
  if (block.strict != nullptr) {
    strict_grid_waited(*block.strict, warp.index);
  }
}

}  // namespace

void trigger_block(Block& block) {
  if (GridLink* const link = block.launch->launch->link; link != nullptr && !block.triggered) {
    block.triggered = true;
    link->block_triggers(block.has_waited);
  }
}

const Op* grid_trigger(Warp& warp, const Op* op, std::uint32_t) {
  Block& block = *warp.block;
  if (block.launch->launch->link == nullptr || block.triggered) {
    return op + 1;
  }
  // The block that triggers last sits too, so this is asked before its trigger releases anybody.
  block.sits = block.launch->launch->link->holds();
  trigger_block(block);
  if (!block.sits) {
    return op + 1;
  }
  count_through(warp, op);
  warp.resume = op + 1;
  warp.event = Event::slice;
  return nullptr;
}

const Op* grid_wait(Warp& warp, const Op* op, std::uint32_t mask) {
  Block& block = *warp.block;
  const GridLink* const link = block.launch->launch->link;
  if (link == nullptr) {
    return op + 1;
  }
  if (link->ready()) {
    note_waited(warp);
    return op + 1;
  }
  count_through(warp, op);
  Fragment& waits = warp.fragments[warp.fragment_count++];
  waits = {op, mask, warp.frame, Fragment::State::grid, 0, block.clock};
  block.waits = true;
  warp.active &= ~mask;
  warp.resume = op + 1;
  warp.event = Event::reschedule;
  return nullptr;
}

void end_grid_wait(Block& block) {
  block.waits = false;
  for (Warp& warp : block.warps) {
    for (std::uint32_t i = 0; i < warp.fragment_count;) {
      const Fragment waited = warp.fragments[i];
      if (waited.state != Fragment::State::grid) {
        ++i;
        continue;
      }
      warp.fragments[i] = warp.fragments[--warp.fragment_count];
      add_fragment(warp, waited.at + 1, waited.mask, waited.frame, Fragment::State::ready);
      note_waited(warp);
    }
  }
}

}  // namespace kerncast::simulator
