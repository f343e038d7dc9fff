#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/event.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"
#include "runtime/simulator/driver/graph/graph_run.hpp"
#include "runtime/simulator/driver/memory/memory.hpp"

namespace kerncast::simulator::api {
namespace {

using ExecNodes = std::vector<ExecNode>;

std::shared_ptr<GraphExec> find_exec(CUgraphExec handle) {
  std::shared_ptr<GraphExec> found = state().executables.find(handle);
  if (found == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such executable graph, or it is destroyed");
  }
  return found;
}

template <class Node>
const Node* payload_as(const Payload& payload) {
  const auto* held = std::get_if<Shared<Node>>(&payload);
  return held != nullptr ? held->get() : nullptr;
}

ExecNodes built(const Graph& graph) {
  ExecNodes nodes;
  nodes.reserve(graph.nodes.size());
  for (const GraphNode* node : ordered(graph)) {
    ExecNode made;
    made.source = node->handle;
    made.type = node->type;
    if (const auto* child = payload_as<ChildNode>(node->payload)) {
      made.child = built(*child->graph);
    } else {
      made.payload = node->payload;
      made.work = work_of(node->payload);
    }
    for (const GraphNode* before : node->after) {
      made.after.push_back(before->handle);
    }
    for (const GraphNode* before : node->programmatic) {
      made.programmatic.push_back(before->handle);
    }
    nodes.push_back(std::move(made));
  }
  return nodes;
}

/// Makes a graph of an executable, for a launch that is captured.
std::shared_ptr<Graph> graph_of(const ExecNodes& nodes) {
  std::shared_ptr<Graph> graph = make_graph();
  graph->is_child = true;
  std::unordered_map<CUgraphNode, GraphNode*> made;
  for (const ExecNode& node : nodes) {
    std::vector<GraphNode*> after;
    after.reserve(node.after.size());
    for (const CUgraphNode before : node.after) {
      after.push_back(made.at(before));
    }
    const bool child = node.type == CU_GRAPH_NODE_TYPE_GRAPH;
    Payload payload =
        child ? std::make_shared<const ChildNode>(ChildNode{graph_of(node.child)}) : node.payload;
    const CUgraphNodeType type = node.enabled ? node.type : CU_GRAPH_NODE_TYPE_EMPTY;
    GraphNode& added =
        add_node(*graph, type, node.enabled ? std::move(payload) : Payload{}, std::move(after));
    for (const CUgraphNode before : node.programmatic) {
      if (type == CU_GRAPH_NODE_TYPE_KERNEL && made.at(before)->type == CU_GRAPH_NODE_TYPE_KERNEL) {
        added.programmatic.push_back(made.at(before));
      }
    }
    made[node.source] = &added;
  }
  return graph;
}

template <class Visit>
void visit(const ExecNodes& nodes, Visit&& action) {
  for (const ExecNode& node : nodes) {
    if (node.enabled) {
      action(node);
      visit(node.child, action);
    }
  }
}

/// Memory nodes are checked when the graph is launched, since only then is their order known.
void launch_memory(const GraphExec& executable) {
  if ((executable.flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH) == 0) {
    visit(*executable.nodes, [](const ExecNode& node) {
      const auto* allocated = payload_as<AllocNode>(node.payload);
      if (allocated != nullptr && allocated->memory->live) {
        throw Failure(CUDA_ERROR_INVALID_VALUE,
                      "memory that an earlier launch of the graph allocated has not been freed");
      }
    });
  }
  visit(*executable.nodes, [](const ExecNode& node) {
    if (const auto* allocated = payload_as<AllocNode>(node.payload)) {
      set_graph_memory_live(allocated->memory, true);
    } else if (const auto* freed = payload_as<FreeNode>(node.payload); freed && freed->memory) {
      set_graph_memory_live(freed->memory, false);
    }
  });
}

void launch(const std::shared_ptr<GraphExec>& executable, const StreamRef& target, Scheduler::Lock& lock) {
  Task task;
  task.context = target.context;
  Records records;
  std::vector<std::pair<Event*, std::shared_ptr<EventRecord>>> made;
  visit(*executable->nodes, [&](const ExecNode& node) {
    const auto* event = payload_as<EventNode>(node.payload);
    if (event != nullptr && node.type == CU_GRAPH_NODE_TYPE_EVENT_RECORD) {
      made.emplace_back(event->event.get(), std::make_shared<EventRecord>());
      records[node.source] = made.back().second;
    } else if (event != nullptr && event->event->record != nullptr) {
      task.after.push_back(event->event->record->point);
    }
  });
  if (executable->last.stream != nullptr && !Scheduler::passed(executable->last)) {
    task.after.push_back(executable->last);
  }
  task.work = [nodes = executable->nodes, objects = executable->user_objects, records = std::move(records)](
                  Context& context, Moment& moment) { run_nodes(*nodes, records, context, moment); };
  if (DeviceClock* clock = state().clock(target.context->device); clock != nullptr) {
    task.start.pace = clock->next_pace();
  }
  executable->last = Scheduler::instance().enqueue(lock, target.stream, std::move(task));
  for (auto& [event, record] : made) {
    record->point = executable->last;
    event->record = std::move(record);
    event->capture = nullptr;
    event->captured_nodes.clear();
  }
}

std::shared_ptr<GraphExec> instantiate(CUgraph graph, std::uint64_t flags) {
  if (flags > 15) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no instantiation flags {:#x}", flags));
  }
  if ((flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH) != 0) {
    throw Failure(CUDA_ERROR_NOT_SUPPORTED, "graphs cannot be launched from the virtual GPU");
  }
  const std::shared_ptr<Graph> found = find_graph(graph);
  auto made = std::make_shared<GraphExec>();
  made->flags = flags;
  made->nodes = std::make_shared<ExecNodes>(built(*found));
  made->user_objects = std::make_shared<UserReferences>(found->user_objects);
  state().executables.insert(made);
  return made;
}

ExecNode* find_in(ExecNodes& nodes, CUgraphNode source) {
  for (ExecNode& node : nodes) {
    if (node.source == source) {
      return &node;
    }
    if (ExecNode* inner = find_in(node.child, source); inner != nullptr) {
      return inner;
    }
  }
  return nullptr;
}

/// The nodes for changing: launches that are on their way keep the old ones.
ExecNodes& changeable(GraphExec& executable) {
  if (executable.nodes.use_count() > 1) {
    executable.nodes = std::make_shared<ExecNodes>(*executable.nodes);
  }
  return *executable.nodes;
}

/// A node of an executable for changing. Throws Failure(CUDA_ERROR_INVALID_VALUE).
ExecNode& require_node(GraphExec& executable, CUgraphNode source, CUgraphNodeType type) {
  ExecNode* node = find_in(changeable(executable), source);
  if (node == nullptr || node->type != type) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("the executable graph has no such node of type {}", static_cast<int>(type)));
  }
  return *node;
}

void require_same_context(const Payload& before, const Payload& now) {
  const auto* old = payload_as<KernelNode>(before);
  const auto* given = payload_as<KernelNode>(now);
  if (old != nullptr && given != nullptr && old->function->context != given->function->context) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "the kernel of a node cannot move to another context");
  }
}

template <class Make>
CUresult change(CUgraphExec executable, CUgraphNode source, CUgraphNodeType type, Make&& make) {
  return driver_call([&] {
    const std::shared_ptr<GraphExec> found = find_exec(executable);
    Payload payload = make();
    const Scheduler::Lock lock = Scheduler::instance().lock();
    ExecNode& node = require_node(*found, source, type);
    require_same_context(node.payload, payload);
    node.work = work_of(payload);
    node.payload = std::move(payload);
    return CUDA_SUCCESS;
  });
}

/// The reason why an executable cannot become `graph`; empty if it can.
struct Difference {
  CUgraphExecUpdateResult result = CU_GRAPH_EXEC_UPDATE_SUCCESS;
  CUgraphNode node = nullptr;
  CUgraphNode before = nullptr;
};

Difference difference(const ExecNodes& old, const ExecNodes& now) {
  std::unordered_map<CUgraphNode, std::size_t> old_places;
  std::unordered_map<CUgraphNode, std::size_t> places;
  for (std::size_t i = 0; i < std::min(old.size(), now.size()); ++i) {
    old_places[old[i].source] = i;
    places[now[i].source] = i;
  }
  for (std::size_t i = 0; i < std::min(old.size(), now.size()); ++i) {
    if (old[i].type != now[i].type) {
      return {CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED, now[i].source, nullptr};
    }
    std::set<std::size_t> old_after;
    for (const CUgraphNode before : old[i].after) {
      old_after.insert(old_places[before]);
    }
    if (old[i].after.size() != now[i].after.size()) {
      return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, now[i].source, nullptr};
    }
    for (const CUgraphNode before : now[i].after) {
      if (old_after.count(places[before]) == 0) {
        return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, now[i].source, before};
      }
    }
    std::set<std::size_t> old_programmatic;
    for (const CUgraphNode before : old[i].programmatic) {
      old_programmatic.insert(old_places[before]);
    }
    std::set<std::size_t> programmatic;
    for (const CUgraphNode before : now[i].programmatic) {
      programmatic.insert(places[before]);
    }
    if (programmatic != old_programmatic) {
      return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, now[i].source, nullptr};
    }
    if (now[i].type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || now[i].type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
      return {CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED, now[i].source, nullptr};
    }
    const auto* kernel = payload_as<KernelNode>(now[i].payload);
    if (kernel != nullptr &&
        kernel->function->context != payload_as<KernelNode>(old[i].payload)->function->context) {
      return {CU_GRAPH_EXEC_UPDATE_ERROR_FUNCTION_CHANGED, now[i].source, nullptr};
    }
    if (const Difference inner = difference(old[i].child, now[i].child);
        inner.result != CU_GRAPH_EXEC_UPDATE_SUCCESS) {
      return inner;
    }
  }
  if (old.size() != now.size()) {
    return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED,
            now.size() > old.size() ? now[old.size()].source : nullptr, nullptr};
  }
  return {};
}

/// Takes over what the nodes do and keeps which of them are enabled and what they are called.
void take_over(ExecNodes& old, ExecNodes&& now) {
  for (std::size_t i = 0; i < old.size(); ++i) {
    old[i].payload = std::move(now[i].payload);
    old[i].work = std::move(now[i].work);
    take_over(old[i].child, std::move(now[i].child));
  }
}

}  // namespace

extern "C" {

CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
  return driver_call([&] {
    require(executable, "executable");
    const Scheduler::Lock lock = Scheduler::instance().lock();
    if ((flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "uploading needs a stream; use cuGraphInstantiateWithParams");
    }
    *executable = instantiate(graph, flags)->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphInstantiate_v2(CUgraphExec* executable, CUgraph graph, CUgraphNode* error_node, char* log,
                               std::size_t size) {
  if (error_node != nullptr) {
    *error_node = nullptr;
  }
  if (log != nullptr && size > 0) {
    *log = '\0';
  }
  return cuGraphInstantiateWithFlags(executable, graph, 0);
}

CUresult cuGraphInstantiateWithParams(CUgraphExec* executable, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* given) {
  return driver_call([&] {
    require(executable, "executable");
    require(given, "parameters");
    given->hErrNode_out = nullptr;
    given->result_out = CUDA_GRAPH_INSTANTIATE_ERROR;
    const Scheduler::Lock lock = Scheduler::instance().lock();
    *executable = instantiate(graph, given->flags)->handle;
    given->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecGetFlags(CUgraphExec executable, std::uint64_t* flags) {
  return driver_call([&] {
    require(flags, "flags");
    *flags = find_exec(executable)->flags;
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphUpload(CUgraphExec executable, CUstream stream) {
  return driver_call([&] {
    find_exec(executable);
    find_stream(stream);
    return CUDA_SUCCESS;  // there is nothing to upload to
  });
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  return driver_call([&] {
    const std::shared_ptr<GraphExec> found = find_exec(executable);
    const StreamRef target = find_stream(stream);
    Scheduler::Lock lock = Scheduler::instance().lock();
    require_open(lock, target);
    if (const std::shared_ptr<Capture> capture = target.stream->capture; capture != nullptr) {
      GraphNode& node = add_node(*capture->graph, CU_GRAPH_NODE_TYPE_GRAPH,
                                 std::make_shared<const ChildNode>(ChildNode{graph_of(*found->nodes)}),
                                 target.stream->tail);
      target.stream->tail.assign(1, &node);
      return CUDA_SUCCESS;
    }
    launch_memory(*found);
    launch(found, target, lock);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
  return driver_call([&] {
    find_exec(executable);
    state().executables.take(executable);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecUpdate_v2(CUgraphExec executable, CUgraph graph, CUgraphExecUpdateResultInfo* info) {
  return driver_call([&] {
    require(info, "info");
    *info = {CU_GRAPH_EXEC_UPDATE_ERROR, nullptr, nullptr};
    const std::shared_ptr<GraphExec> found = find_exec(executable);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<Graph> wanted = find_graph(graph);
    ExecNodes now = built(*wanted);
    const Difference different = difference(*found->nodes, now);
    *info = {different.result, different.node, different.before};
    if (different.result != CU_GRAPH_EXEC_UPDATE_SUCCESS) {
      throw Failure(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE,
                    fmt::format("the executable cannot become the graph: result {}",
                                static_cast<int>(different.result)));
    }
    take_over(changeable(*found), std::move(now));
    found->user_objects = std::make_shared<UserReferences>(wanted->user_objects);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecUpdate(CUgraphExec executable, CUgraph graph, CUgraphNode* error_node,
                           CUgraphExecUpdateResult* result) {
  CUgraphExecUpdateResultInfo info{};
  const CUresult code = cuGraphExecUpdate_v2(executable, graph, &info);
  if (error_node != nullptr) {
    *error_node = info.errorNode;
  }
  if (result != nullptr) {
    *result = info.result;
  }
  return code;
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec executable, CUgraphNode node,
                                           const CUDA_KERNEL_NODE_PARAMS* given) {
  return change(executable, node, CU_GRAPH_NODE_TYPE_KERNEL, [&] {
    require(given, "parameters");
    return kernel_payload(*given);
  });
}

CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec executable, CUgraphNode node, const CUDA_MEMCPY3D* given,
                                        CUcontext) {
  return change(executable, node, CU_GRAPH_NODE_TYPE_MEMCPY, [&] {
    require(given, "parameters");
    return copy_payload(*given);
  });
}

CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                        const CUDA_MEMSET_NODE_PARAMS* given, CUcontext) {
  return change(executable, node, CU_GRAPH_NODE_TYPE_MEMSET, [&] {
    require(given, "parameters");
    return fill_payload(*given);
  });
}

CUresult cuGraphExecHostNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                      const CUDA_HOST_NODE_PARAMS* given) {
  return change(executable, node, CU_GRAPH_NODE_TYPE_HOST, [&] {
    require(given, "parameters");
    return host_payload(*given);
  });
}

CUresult cuGraphExecEventRecordNodeSetEvent(CUgraphExec executable, CUgraphNode node, CUevent event) {
  return change(executable, node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, [&] { return event_payload(event); });
}

CUresult cuGraphExecEventWaitNodeSetEvent(CUgraphExec executable, CUgraphNode node, CUevent event) {
  return change(executable, node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, [&] { return event_payload(event); });
}

CUresult cuGraphExecBatchMemOpNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                            const CUDA_BATCH_MEM_OP_NODE_PARAMS* given) {
  return change(executable, node, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, [&] {
    require(given, "parameters");
    return memory_op_payload(*given);
  });
}

CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec executable, CUgraphNode node, CUgraph child) {
  return driver_call([&] {
    const std::shared_ptr<GraphExec> found = find_exec(executable);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    ExecNodes now = built(*find_graph(child));
    ExecNode& target = require_node(*found, node, CU_GRAPH_NODE_TYPE_GRAPH);
    if (difference(target.child, now).result != CU_GRAPH_EXEC_UPDATE_SUCCESS) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "the child graph has another structure");
    }
    take_over(target.child, std::move(now));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecNodeSetParams(CUgraphExec executable, CUgraphNode node, CUgraphNodeParams* given) {
  const CUgraphNodeType type = given != nullptr ? given->type : CU_GRAPH_NODE_TYPE_EMPTY;
  if (type == CU_GRAPH_NODE_TYPE_GRAPH) {
    return cuGraphExecChildGraphNodeSetParams(executable, node, given->graph.graph);
  }
  return change(executable, node, type, [&] {
    require(given, "parameters");
    if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, "nodes of this type cannot be changed");
    }
    return payload_of(*given);
  });
}

CUresult cuGraphNodeSetEnabled(CUgraphExec executable, CUgraphNode node, unsigned int enabled) {
  return driver_call([&] {
    const std::shared_ptr<GraphExec> found = find_exec(executable);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    ExecNode* target = find_in(changeable(*found), node);
    if (target == nullptr ||
        (target->type != CU_GRAPH_NODE_TYPE_KERNEL && target->type != CU_GRAPH_NODE_TYPE_MEMCPY &&
         target->type != CU_GRAPH_NODE_TYPE_MEMSET)) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "only kernel, memcpy and memset nodes can be switched off");
    }
    target->enabled = enabled != 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeGetEnabled(CUgraphExec executable, CUgraphNode node, unsigned int* enabled) {
  return driver_call([&] {
    require(enabled, "enabled");
    const std::shared_ptr<GraphExec> found = find_exec(executable);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const ExecNode* target = find_in(*found->nodes, node);
    if (target == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "the executable graph has no such node");
    }
    *enabled = target->enabled ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
