#include "runtime/simulator/driver/graph/graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <unordered_map>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {
namespace {

/// Returns handles as the driver does: the count alone if `handles` is null, else the first `*count` and
/// nulls beyond the last.
void hand_out(const std::vector<CUgraphNode>& found, CUgraphNode* handles, std::size_t* count) {
  require(count, "count");
  if (handles == nullptr) {
    *count = found.size();
    return;
  }
  for (std::size_t i = 0; i < *count; ++i) {
    handles[i] = i < found.size() ? found[i] : nullptr;
  }
  *count = std::min(*count, found.size());
}

/// CUgraphKernelNodePort and CUgraphDependencyType of an edge from a kernel that need only have triggered.
constexpr CUgraphEdgeData programmatic_edge{1, 0, 1, {}};

bool contains(const std::vector<GraphNode*>& nodes, const GraphNode* node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

CUgraphEdgeData edge_between(const GraphNode& before, const GraphNode& after) {
  return contains(after.programmatic, &before) ? programmatic_edge : CUgraphEdgeData{};
}

/// Returns the edges of handles that are handed out, `count` of them. Throws Failure(CUDA_ERROR_LOSSY_QUERY)
/// if the caller asks for the handles alone and an edge is not plain.
void hand_out_edges(const std::vector<CUgraphEdgeData>& found, const void* handles, CUgraphEdgeData* edges,
                    const std::size_t* count) {
  require(count, "count");
  if (handles == nullptr) {
    return;
  }
  if (edges != nullptr) {
    std::fill_n(edges, *count, CUgraphEdgeData{});
    std::copy_n(found.begin(), std::min(*count, found.size()), edges);
  } else if (std::any_of(found.begin(), found.end(),
                         [](const CUgraphEdgeData& edge) { return edge.type != 0; })) {
    throw Failure(CUDA_ERROR_LOSSY_QUERY, "an edge is programmatic; ask for the data of the edges too");
  }
}

bool is_plain(const CUgraphEdgeData& edge) {
  return edge.from_port == 0 && edge.to_port == 0 && edge.type == 0;
}

}  // namespace

Graph::~Graph() {
  for (const std::shared_ptr<GraphNode>& node : nodes) {
    state().graph_nodes.take(node->handle);
    if (const auto* child = std::get_if<Shared<ChildNode>>(&node->payload)) {
      state().graphs.take((*child)->graph->handle);
    }
  }
}

void UserObject::release(unsigned int count) {
  if (references.fetch_sub(count, std::memory_order_acq_rel) == count) {
    // The caller may hold locks that the host's function takes.
    std::thread([call = destroy, argument = data] { call(argument); }).detach();
  }
}

UserReferences::UserReferences(const UserReferences& other) : held(other.held) {
  for (const auto& [object, count] : held) {
    object->references.fetch_add(count, std::memory_order_relaxed);
  }
}

UserReferences::~UserReferences() {
  for (const auto& [object, count] : held) {
    object->release(count);
  }
}

std::shared_ptr<Graph> make_graph() {
  auto graph = std::make_shared<Graph>();
  state().graphs.insert(graph);
  return graph;
}

GraphNode& add_node(Graph& graph, CUgraphNodeType type, Payload payload, std::vector<GraphNode*> after) {
  auto node = std::make_shared<GraphNode>();
  node->type = type;
  node->payload = std::move(payload);
  node->after = std::move(after);
  node->graph = &graph;
  state().graph_nodes.insert(node);
  graph.nodes.push_back(node);
  return *node;
}

std::shared_ptr<Graph> clone(const Graph& graph) {
  std::shared_ptr<Graph> copy = make_graph();
  copy->cloned_from = graph.handle;
  std::unordered_map<const GraphNode*, GraphNode*> twins;
  for (const std::shared_ptr<GraphNode>& node : graph.nodes) {
    Payload payload = node->payload;
    if (const auto* child = std::get_if<Shared<ChildNode>>(&payload)) {
      std::shared_ptr<Graph> inner = clone(*(*child)->graph);
      inner->is_child = true;
      payload = std::make_shared<const ChildNode>(ChildNode{std::move(inner)});
    }
    GraphNode& twin = add_node(*copy, node->type, std::move(payload), {});
    twin.cloned_from = node->handle;
    twins[node.get()] = &twin;
  }
  for (const std::shared_ptr<GraphNode>& node : graph.nodes) {
    for (const GraphNode* before : node->after) {
      twins[node.get()]->after.push_back(twins[before]);
    }
    for (const GraphNode* before : node->programmatic) {
      twins[node.get()]->programmatic.push_back(twins[before]);
    }
  }
  for (const auto& [object, count] : graph.user_objects.held) {
    object->references.fetch_add(count, std::memory_order_relaxed);
    copy->user_objects.held.emplace_back(object, count);
  }
  return copy;
}

std::vector<const GraphNode*> ordered(const Graph& graph) {
  std::unordered_map<const GraphNode*, std::vector<const GraphNode*>> dependents;
  std::unordered_map<const GraphNode*, std::size_t> waits_for;
  std::vector<const GraphNode*> order;
  order.reserve(graph.nodes.size());
  for (const std::shared_ptr<GraphNode>& node : graph.nodes) {
    waits_for[node.get()] = node->after.size();
    for (const GraphNode* before : node->after) {
      dependents[before].push_back(node.get());
    }
    if (node->after.empty()) {
      order.push_back(node.get());
    }
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (const GraphNode* next : dependents[order[i]]) {
      if (--waits_for[next] == 0) {
        order.push_back(next);
      }
    }
  }
  if (order.size() != graph.nodes.size()) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "the graph's dependencies form a cycle");
  }
  return order;
}

std::shared_ptr<Graph> find_graph(CUgraph handle) {
  std::shared_ptr<Graph> graph = state().graphs.find(handle);
  if (graph == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such graph, or it is destroyed");
  }
  return graph;
}

void require_not_capturing(const Graph& graph) {
  if (graph.capturing) {
    throw Failure(CUDA_ERROR_ILLEGAL_STATE, "the graph is still being captured");
  }
}

std::shared_ptr<GraphNode> find_node(CUgraphNode handle) {
  std::shared_ptr<GraphNode> node = state().graph_nodes.find(handle);
  if (node == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "there is no such graph node, or it is destroyed");
  }
  return node;
}

std::shared_ptr<GraphNode> find_node(CUgraphNode handle, CUgraphNodeType type) {
  std::shared_ptr<GraphNode> node = find_node(handle);
  if (node->type != type) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("the graph node has type {}, and the call needs type {}",
                              static_cast<int>(node->type), static_cast<int>(type)));
  }
  return node;
}

std::vector<GraphNode*> find_nodes(const Graph& graph, const CUgraphNode* handles, std::size_t count) {
  std::vector<GraphNode*> found;
  if (count > 0) {
    require(handles, "dependencies");
  }
  for (std::size_t i = 0; i < count; ++i) {
    GraphNode* node = find_node(handles[i]).get();
    if (node->graph != &graph) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "a dependency is a node of another graph");
    }
    if (std::find(found.begin(), found.end(), node) != found.end()) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "a dependency is given twice");
    }
    found.push_back(node);
  }
  return found;
}

bool is_programmatic(const CUgraphEdgeData& edge, const GraphNode& before, CUgraphNodeType after) {
  if (is_plain(edge)) {
    return false;
  }
  if (edge.from_port != programmatic_edge.from_port || edge.to_port != 0 ||
      edge.type != programmatic_edge.type || state().arch.sm < 90) {
    throw Failure(CUDA_ERROR_NOT_SUPPORTED,
                  "edges other than plain ones, and from sm_90 on programmatic ones, are not offered");
  }
  if (before.type != CU_GRAPH_NODE_TYPE_KERNEL || after != CU_GRAPH_NODE_TYPE_KERNEL) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "a programmatic edge leads from one kernel to another");
  }
  return true;
}

void require_plain_edges(const CUgraphEdgeData* edges, std::size_t count) {
  for (std::size_t i = 0; edges != nullptr && i < count; ++i) {
    if (!is_plain(edges[i])) {
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, "a capture goes on behind plain edges only");
    }
  }
}

extern "C" {

CUresult cuGraphCreate(CUgraph* graph, unsigned int flags) {
  return driver_call([&] {
    require(graph, "graph");
    if (flags != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "cuGraphCreate takes no flags");
    }
    const Scheduler::Lock lock = Scheduler::instance().lock();
    *graph = make_graph()->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return driver_call([&] {
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<Graph> found = find_graph(graph);
    require_not_capturing(*found);
    if (found->is_child) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "a child graph goes with its node");
    }
    state().graphs.take(graph);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphClone(CUgraph* copy, CUgraph graph) {
  return driver_call([&] {
    require(copy, "clone");
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<Graph> found = find_graph(graph);
    for (const std::shared_ptr<GraphNode>& node : found->nodes) {
      if (node->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || node->type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
        throw Failure(CUDA_ERROR_NOT_SUPPORTED, "a graph that allocates or frees memory cannot be cloned");
      }
    }
    *copy = clone(*found)->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeFindInClone(CUgraphNode* twin, CUgraphNode original, CUgraph copy) {
  return driver_call([&] {
    require(twin, "node");
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<Graph> found = find_graph(copy);
    const auto node = std::find_if(found->nodes.begin(), found->nodes.end(),
                                   [original](const auto& other) { return other->cloned_from == original; });
    if (node == found->nodes.end()) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "the graph is no clone of one with this node");
    }
    *twin = (*node)->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, std::size_t* count) {
  return driver_call([&] {
    const Scheduler::Lock lock = Scheduler::instance().lock();
    std::vector<CUgraphNode> handles;
    for (const std::shared_ptr<GraphNode>& node : find_graph(graph)->nodes) {
      handles.push_back(node->handle);
    }
    hand_out(handles, nodes, count);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphGetRootNodes(CUgraph graph, CUgraphNode* nodes, std::size_t* count) {
  return driver_call([&] {
    const Scheduler::Lock lock = Scheduler::instance().lock();
    std::vector<CUgraphNode> handles;
    for (const std::shared_ptr<GraphNode>& node : find_graph(graph)->nodes) {
      if (node->after.empty()) {
        handles.push_back(node->handle);
      }
    }
    hand_out(handles, nodes, count);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphGetEdges_v2(CUgraph graph, CUgraphNode* from, CUgraphNode* to, CUgraphEdgeData* edges,
                            std::size_t* count) {
  return driver_call([&] {
    require(count, "count");
    if ((from == nullptr) != (to == nullptr)) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "from and to are given together or not at all");
    }
    const Scheduler::Lock lock = Scheduler::instance().lock();
    std::vector<CUgraphNode> sources;
    std::vector<CUgraphNode> targets;
    std::vector<CUgraphEdgeData> kinds;
    for (const std::shared_ptr<GraphNode>& node : find_graph(graph)->nodes) {
      for (const GraphNode* before : node->after) {
        sources.push_back(before->handle);
        targets.push_back(node->handle);
        kinds.push_back(edge_between(*before, *node));
      }
    }
    hand_out_edges(kinds, static_cast<const void*>(from), edges, count);
    std::size_t same = *count;
    hand_out(sources, from, &same);
    hand_out(targets, to, count);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphGetEdges(CUgraph graph, CUgraphNode* from, CUgraphNode* to, std::size_t* count) {
  return cuGraphGetEdges_v2(graph, from, to, nullptr, count);
}

CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType* type) {
  return driver_call([&] {
    require(type, "type");
    const Scheduler::Lock lock = Scheduler::instance().lock();
    *type = find_node(node)->type;
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode* dependencies, CUgraphEdgeData* edges,
                                       std::size_t* count) {
  return driver_call([&] {
    require(count, "count");
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<GraphNode> found = find_node(node);
    std::vector<CUgraphNode> handles;
    std::vector<CUgraphEdgeData> kinds;
    for (const GraphNode* before : found->after) {
      handles.push_back(before->handle);
      kinds.push_back(edge_between(*before, *found));
    }
    hand_out_edges(kinds, static_cast<const void*>(dependencies), edges, count);
    hand_out(handles, dependencies, count);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode* dependencies, std::size_t* count) {
  return cuGraphNodeGetDependencies_v2(node, dependencies, nullptr, count);
}

CUresult cuGraphNodeGetDependentNodes_v2(CUgraphNode node, CUgraphNode* dependents, CUgraphEdgeData* edges,
                                         std::size_t* count) {
  return driver_call([&] {
    require(count, "count");
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<GraphNode> found = find_node(node);
    std::vector<CUgraphNode> handles;
    std::vector<CUgraphEdgeData> kinds;
    for (const std::shared_ptr<GraphNode>& other : found->graph->nodes) {
      if (contains(other->after, found.get())) {
        handles.push_back(other->handle);
        kinds.push_back(edge_between(*found, *other));
      }
    }
    hand_out_edges(kinds, static_cast<const void*>(dependents), edges, count);
    hand_out(handles, dependents, count);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode* dependents, std::size_t* count) {
  return cuGraphNodeGetDependentNodes_v2(node, dependents, nullptr, count);
}

CUresult cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                   const CUgraphEdgeData* edges, std::size_t count) {
  return driver_call([&] {
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<Graph> found = find_graph(graph);
    for (std::size_t i = 0; i < count; ++i) {
      require(from, "from");
      require(to, "to");
      GraphNode* before = find_nodes(*found, from + i, 1).front();
      GraphNode* after = find_nodes(*found, to + i, 1).front();
      if (before == after || contains(after->after, before)) {
        throw Failure(CUDA_ERROR_INVALID_VALUE, "the dependency is there already, or of a node on itself");
      }
      const bool programmatic = edges != nullptr && is_programmatic(edges[i], *before, after->type);
      after->after.push_back(before);
      if (programmatic) {
        after->programmatic.push_back(before);
      }
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphAddDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                std::size_t count) {
  return cuGraphAddDependencies_v2(graph, from, to, nullptr, count);
}

CUresult cuGraphRemoveDependencies_v2(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                      const CUgraphEdgeData* edges, std::size_t count) {
  return driver_call([&] {
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<Graph> found = find_graph(graph);
    for (std::size_t i = 0; i < count; ++i) {
      require(from, "from");
      require(to, "to");
      const GraphNode* before = find_nodes(*found, from + i, 1).front();
      GraphNode* after = find_nodes(*found, to + i, 1).front();
      const bool programmatic = edges != nullptr && is_programmatic(edges[i], *before, after->type);
      if (!contains(after->after, before) || programmatic != contains(after->programmatic, before)) {
        throw Failure(CUDA_ERROR_INVALID_VALUE, "there is no such dependency");
      }
      std::erase(after->after, before);
      std::erase(after->programmatic, before);
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphRemoveDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                   std::size_t count) {
  return cuGraphRemoveDependencies_v2(graph, from, to, nullptr, count);
}

CUresult cuGraphDestroyNode(CUgraphNode node) {
  return driver_call([&] {
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<GraphNode> gone = find_node(node);
    require_not_capturing(*gone->graph);
    if (gone->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || gone->type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, "a node that allocates or frees memory cannot be destroyed");
    }
    Graph& graph = *gone->graph;
    for (const std::shared_ptr<GraphNode>& other : graph.nodes) {
      std::erase(other->after, gone.get());
      std::erase(other->programmatic, gone.get());
    }
    state().graph_nodes.take(node);
    if (const auto* child = std::get_if<Shared<ChildNode>>(&gone->payload)) {
      state().graphs.take((*child)->graph->handle);
    }
    std::erase(graph.nodes, gone);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphDebugDotPrint(CUgraph graph, const char* path, unsigned int) {
  return driver_call([&] {
    require(path, "path");
    std::string text = "digraph graph_1 {\n";
    {
      const Scheduler::Lock lock = Scheduler::instance().lock();
      for (const std::shared_ptr<GraphNode>& node : find_graph(graph)->nodes) {
        text += fmt::format("  n{} [label=\"type {}\"];\n", reinterpret_cast<std::uintptr_t>(node->handle),
                            static_cast<int>(node->type));
        for (const GraphNode* before : node->after) {
          text += fmt::format("  n{} -> n{};\n", reinterpret_cast<std::uintptr_t>(before->handle),
                              reinterpret_cast<std::uintptr_t>(node->handle));
        }
      }
    }
    text += "}\n";
    std::FILE* file = std::fopen(path, "w");
    if (file == nullptr) {
      throw Failure(CUDA_ERROR_OPERATING_SYSTEM, fmt::format("{} cannot be written", path));
    }
    const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (std::fclose(file) != 0 || !written) {
      throw Failure(CUDA_ERROR_OPERATING_SYSTEM, fmt::format("{} cannot be written", path));
    }
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
