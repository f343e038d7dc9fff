#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/driver/graph/graph.hpp"

namespace kerncast::simulator::api {

struct EventRecord;

/// Recordings of one launch by the node that makes them. The launch must not own them, as they own its
/// stream.
using Records = std::unordered_map<CUgraphNode, std::weak_ptr<EventRecord>>;

/// Runs the nodes of one launch of a graph. Branches may run in any order, so running them one after the
/// other is allowed. A kernel overlaps with the one right before it in `nodes` if a programmatic edge lets
/// it. On a device clock a node begins when those that it comes after have ended, and the moment moves on to
/// the last end.
void run_nodes(const std::vector<ExecNode>& nodes, const Records& records, Context& context, Moment& moment);

}  // namespace kerncast::simulator::api
