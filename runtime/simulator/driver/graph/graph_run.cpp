#include "runtime/simulator/driver/graph/graph_run.hpp"

#include <algorithm>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/simulator/driver/context/event.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {
namespace {

/// The most kernels of a graph that run at once.
constexpr std::size_t most_kernels_at_once = 8;

void record_event(const ExecNode& node, const Records& records, const Context& context,
                  const Moment& moment) {
  const auto record = records.find(node.source);
  if (record == records.end()) {
    return;
  }
  if (const std::shared_ptr<EventRecord> live = record->second.lock(); live != nullptr) {
    live->time = recorded_time(context, moment);
  }
}

class GraphRun {
 public:
  GraphRun(const std::vector<ExecNode>& nodes, const Records& records, Context& context, const Moment& start)
      : nodes_(nodes), records_(records), context_(context), start_(start) {}
  ~GraphRun() { finish(); }
  GraphRun(const GraphRun&) = delete;
  GraphRun& operator=(const GraphRun&) = delete;

  /// Runs all nodes and returns the device time at which the last one ended.
  DeviceTime run() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (!joins_) {
        finish();
      }
      if (context_.fault() != CUDA_SUCCESS) {
        break;
      }
      run_node(nodes_[i], lets_next_begin(i));
    }
    finish();
    return end_;
  }

 private:
  /// The times of a node on the device clock.
  struct Span {
    DeviceTime begin{};
    DeviceTime end{};
  };

  /// The link of a kernel that may overlap; it follows the kernel at the other end of its programmatic edge.
  /// With several such edges it begins after all of them.
  std::shared_ptr<GridLink> link_of(const ExecNode& node) {
    const auto* kernel = std::get_if<Shared<KernelNode>>(&node.payload);
    if (kernel == nullptr) {
      return nullptr;
    }
    std::shared_ptr<GridLink> link = make_link(**kernel, !node.programmatic.empty());
    if (link == nullptr) {
      return nullptr;
    }
    if (node.programmatic.size() == 1) {
      if (const auto before = links_.find(node.programmatic.front()); before != links_.end()) {
        link->follow(before->second);
      }
    }
    links_[node.source] = link;
    return link;
  }

  /// True if node `i` is a kernel that may still run when the next one begins.
  [[nodiscard]] bool lets_next_begin(std::size_t i) const {
    const ExecNode& node = nodes_[i];
    if (state().overlap == Overlap::late || !node.enabled || i + 1 == nodes_.size() ||
        running_.size() + 1 >= most_kernels_at_once) {
      return false;
    }
    const ExecNode& next = nodes_[i + 1];
    const auto runs = [this](CUgraphNode source) {
      return std::find(running_.begin(), running_.end(), source) != running_.end();
    };
    return next.enabled && next.programmatic.size() == 1 && next.programmatic.front() == node.source &&
           std::none_of(next.after.begin(), next.after.end(), runs);
  }

  void run_node(const ExecNode& node, bool lets_next) {
    Moment own = start_;
    if (clocked_) {
      for (const CUgraphNode before : node.after) {
        own.now = std::max(own.now, spans_[before].end);
      }
    }
    const DeviceTime begin = own.now;
    joins_ = false;
    if (node.enabled) {
      const std::shared_ptr<GridLink> link = link_of(node);
      if (clocked_ && link != nullptr && link->before() != nullptr) {
        const Span& before = spans_[node.programmatic.front()];
        own.hidden = before.end == own.now ? before.end - before.begin : DeviceTime::zero();
      }
      if (link != nullptr && !lets_next) {
        link->release();  // no kernel follows it, so it need not sit for one
      }
      if (link != nullptr && lets_next && start(node, link, own)) {
        link->await_trigger();
        link->followed();
        joins_ = true;
      } else {
        act(node, link, own);
      }
    }
    if (clocked_) {
      spans_[node.source] = {begin, own.now};
      end_ = std::max(end_, own.now);
    }
  }

  void act(const ExecNode& node, const std::shared_ptr<GridLink>& link, Moment& own) {
    own.link = link.get();
    if (node.work) {
      node.work(context_, own);
    }
    if (link != nullptr) {
      link->settle();
      link->await_before();
      link->complete(context_.fault() != CUDA_SUCCESS);
    }
    if (node.type == CU_GRAPH_NODE_TYPE_EVENT_RECORD) {
      record_event(node, records_, context_, own);
    }
    run_nodes(node.child, records_, context_, own);
  }

  /// Runs a kernel on a thread of its own. False if there is none for it.
  bool start(const ExecNode& node, const std::shared_ptr<GridLink>& link, const Moment& own) {
    try {
      threads_.emplace_back([this, &node, link, own = Moment(own)]() mutable {
        try {
          act(node, link, own);
        } catch (const std::exception& error) {
          context_.set_fault(CUDA_ERROR_UNKNOWN, error.what());
          link->complete(true);
        }
      });
    } catch (const std::system_error&) {
      return false;
    }
    running_.push_back(node.source);
    return true;
  }

  /// Waits for the kernels that still run.
  void finish() {
    for (std::thread& thread : std::exchange(threads_, {})) {
      thread.join();
    }
    running_.clear();
  }

  const std::vector<ExecNode>& nodes_;
  const Records& records_;
  Context& context_;
  const Moment start_;
  const bool clocked_ = state().clock(context_.device) != nullptr;
  DeviceTime end_ = start_.now;
  std::unordered_map<CUgraphNode, Span> spans_;  ///< with a device clock only
  std::unordered_map<CUgraphNode, std::shared_ptr<GridLink>> links_;
  std::vector<std::thread> threads_;
  std::vector<CUgraphNode> running_;  ///< the nodes that `threads_` run, each after the one before it
  bool joins_ = false;                ///< the next node may begin while they run
};

}  // namespace

void run_nodes(const std::vector<ExecNode>& nodes, const Records& records, Context& context, Moment& moment) {
  if (!nodes.empty()) {
    moment.now = GraphRun(nodes, records, context, moment).run();
  }
}

}  // namespace kerncast::simulator::api
