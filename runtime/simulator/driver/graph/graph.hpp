#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/memory/copy.hpp"
#include "runtime/simulator/driver/module/module.hpp"

namespace kerncast::simulator::api {

struct Event;
struct Graph;
struct StreamRef;

using Dimensions = std::array<std::uint32_t, 3>;

/// A launch whose arguments have been checked.
struct KernelNode {
  std::shared_ptr<Function> function;
  CUfunction named = nullptr;  ///< as the caller gave it: a function, or a kernel cast to one
  Dimensions grid{};
  Dimensions block{};
  unsigned int shared_bytes = 0;
  std::vector<std::byte> parameters;    ///< packed
  std::vector<void*> parameter_places;  ///< of each parameter in `parameters`
  bool cooperative = false;
  int priority = 0;
  std::map<CUlaunchAttributeID, CUlaunchAttributeValue>
      hints;  ///< other attributes; most change nothing here
};

struct HostNode {
  CUDA_HOST_NODE_PARAMS call{};
};

/// The event of a node that records it or waits for it.
struct EventNode {
  std::shared_ptr<Event> event;
};

struct ChildNode {
  std::shared_ptr<Graph> graph;
};

/// Memory that a graph allocates: its address is fixed when the node is made, and the bytes behind it stay as
/// long as a graph or executable graph with the node lives.
struct GraphMemory {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  int device = 0;
  std::atomic<bool> live{false};  ///< allocated by a launch and not freed since
  GraphMemory() = default;
  ~GraphMemory();
  GraphMemory(const GraphMemory&) = delete;
  GraphMemory& operator=(const GraphMemory&) = delete;
};

struct AllocNode {
  std::shared_ptr<GraphMemory> memory;
  CUmemPoolProps properties{};
};

struct FreeNode {
  CUdeviceptr pointer = 0;
  std::shared_ptr<GraphMemory> memory;  ///< null where the memory came from outside of graphs
};

struct MemoryOpNode {
  std::vector<CUstreamBatchMemOpParams> operations;
};

/// The action of a node. It is immutable, and shared by a graph, its clones and its executables.
template <class Node>
using Shared = std::shared_ptr<const Node>;
using Payload = std::variant<std::monostate, Shared<KernelNode>, Shared<CopyNode>, Shared<FillNode>,
                             Shared<HostNode>, Shared<EventNode>, Shared<ChildNode>, Shared<AllocNode>,
                             Shared<FreeNode>, Shared<MemoryOpNode>>;

/// Checks a launch: that it fits on the device, its attributes and its parameters. Throws Failure.
std::shared_ptr<KernelNode> make_kernel(const CUlaunchConfig& config, CUfunction handle, void** parameters,
                                        void** extra);
/// Throws Failure(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE) if the grid does not fit on the device all at
/// once.
void require_cooperative(const KernelNode& node);
/// The blocks of the kernel's clusters, by its launch attribute or as its PTX requires.
Dimensions cluster_of(const KernelNode& node);
/// Throws Failure(CUDA_ERROR_INVALID_CLUSTER_SIZE) if they are too many, are not what the PTX requires, or do
/// not divide the grid.
void require_cluster(const KernelNode& node);
/// Hints are accepted; attributes that would change a kernel's meaning are refused. Throws
/// Failure(CUDA_ERROR_NOT_SUPPORTED).
void require_supported(const CUlaunchAttribute& attribute);
/// Sets `parameter_places`.
void place_parameters(KernelNode& node);
/// True for a launch with the attribute of programmatic stream serialization, on devices that have it.
[[nodiscard]] bool is_dependent(const KernelNode& node);
/// The link of a launch that may overlap with the one before it, if it is `dependent`, or with the one after
/// it; null if it cannot.
[[nodiscard]] std::shared_ptr<GridLink> make_link(const KernelNode& node, bool dependent);
/// Runs a launch, and moves the moment on by its estimated time if there is a device clock.
void run_kernel(const KernelNode& node, Context& context, Moment& moment);

/// The work of a payload; empty if it has none of its own on the stream.
[[nodiscard]] Work work_of(const Payload& payload);

/// A node. Its dependencies belong to the same graph, which owns them.
struct GraphNode {
  CUgraphNode handle = nullptr;
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  Payload payload;
  std::vector<GraphNode*> after;
  std::vector<GraphNode*> programmatic;  ///< those of `after` that need only have triggered
  Graph* graph = nullptr;
  CUgraphNode cloned_from = nullptr;
};

/// An object of the host's that a graph keeps alive.
struct UserObject {
  CUuserObject handle = nullptr;
  void* data = nullptr;
  CUhostFn destroy = nullptr;
  std::atomic<unsigned int> references{0};
  /// Gives up references; the last one calls `destroy`.
  void release(unsigned int count);
};

/// References that a graph or executable graph holds, given up when it is destroyed.
struct UserReferences {
  std::vector<std::pair<std::shared_ptr<UserObject>, unsigned int>> held;
  UserReferences() = default;
  UserReferences(const UserReferences& other);
  UserReferences& operator=(const UserReferences&) = delete;
  ~UserReferences();
};

/// A graph. Guarded by the scheduler's mutex.
struct Graph {
  CUgraph handle = nullptr;
  std::vector<std::shared_ptr<GraphNode>> nodes;  ///< in the order they were made
  bool capturing = false;
  bool is_child = false;  ///< belongs to a child node, and goes with it
  CUgraph cloned_from = nullptr;
  UserReferences user_objects;
  ~Graph();
};

/// A node of an executable graph.
struct ExecNode {
  CUgraphNode source = nullptr;
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  Payload payload;
  Work work;
  bool enabled = true;
  std::vector<CUgraphNode> after;         ///< sources of what comes before
  std::vector<CUgraphNode> programmatic;  ///< those of `after` that need only have triggered
  std::vector<ExecNode> child;            ///< of a child graph
};

struct GraphExec {
  CUgraphExec handle = nullptr;
  std::uint64_t flags = 0;
  /// The nodes in an order that satisfies the dependencies. Guarded by the scheduler's mutex, and not changed
  /// while a launch holds them too.
  std::shared_ptr<std::vector<ExecNode>> nodes;
  Point last;  ///< its latest launch, as launches of one graph do not overlap; guarded as `nodes` is
  std::shared_ptr<UserReferences> user_objects;
};

/// The functions below take no lock; the scheduler's mutex is held by the caller.

/// A graph with a handle.
std::shared_ptr<Graph> make_graph();
/// Adds a node with a handle that comes after `after`.
GraphNode& add_node(Graph& graph, CUgraphNodeType type, Payload payload, std::vector<GraphNode*> after);
/// A copy of `graph` with its own nodes and handles.
std::shared_ptr<Graph> clone(const Graph& graph);
/// The nodes in an order that satisfies the dependencies. Throws Failure(CUDA_ERROR_INVALID_VALUE) for a
/// cycle.
std::vector<const GraphNode*> ordered(const Graph& graph);
/// Finds a graph. Throws Failure(CUDA_ERROR_INVALID_HANDLE).
std::shared_ptr<Graph> find_graph(CUgraph handle);
/// Throws Failure(CUDA_ERROR_ILLEGAL_STATE) while a capture goes on in the graph: it may be read and added
/// to, but neither it nor its nodes can be destroyed.
void require_not_capturing(const Graph& graph);
std::shared_ptr<GraphNode> find_node(CUgraphNode handle);
/// Finds a node of one type only. Throws Failure(CUDA_ERROR_INVALID_VALUE).
std::shared_ptr<GraphNode> find_node(CUgraphNode handle, CUgraphNodeType type);

/// Nodes of `graph` by their handles. Throws Failure(CUDA_ERROR_INVALID_VALUE).
std::vector<GraphNode*> find_nodes(const Graph& graph, const CUgraphNode* handles, std::size_t count);
/// True if `edge` lets a node begin once the other has triggered. Throws Failure: CUDA_ERROR_NOT_SUPPORTED
/// for other edges that are not plain, and for all of them on devices before sm_90, CUDA_ERROR_INVALID_VALUE
/// if one of the nodes is no kernel.
[[nodiscard]] bool is_programmatic(const CUgraphEdgeData& edge, const GraphNode& before,
                                   CUgraphNodeType after);
/// Throws Failure(CUDA_ERROR_NOT_SUPPORTED) for edges that let a node start before another has ended.
void require_plain_edges(const CUgraphEdgeData* edges, std::size_t count);

/// These functions check structures of the interface and make payloads of them. They throw Failure, and take
/// the lock themselves if they need it.
Payload kernel_payload(const CUDA_KERNEL_NODE_PARAMS& given);
Payload copy_payload(const CUDA_MEMCPY3D& given);
Payload fill_payload(const CUDA_MEMSET_NODE_PARAMS& given);
Payload host_payload(const CUDA_HOST_NODE_PARAMS& given);
Payload event_payload(CUevent event);
Payload child_payload(CUgraph graph);
Payload memory_op_payload(const CUDA_BATCH_MEM_OP_NODE_PARAMS& given);
Payload alloc_payload(CUDA_MEM_ALLOC_NODE_PARAMS& given);
Payload free_payload(CUdeviceptr pointer);
/// Makes the payload of any type of node.
Payload payload_of(CUgraphNodeParams& given);
/// The parameters of the node's kernel as the caller gave them. Pointers into them live as long as the node
/// has this payload.
CUDA_KERNEL_NODE_PARAMS parameters_of(const KernelNode& node);

}  // namespace kerncast::simulator::api
