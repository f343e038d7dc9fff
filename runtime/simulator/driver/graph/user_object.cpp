#include <fmt/format.h>

#include <algorithm>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"

namespace kerncast::simulator::api {
namespace {

std::shared_ptr<UserObject> find_object(CUuserObject handle) {
  std::shared_ptr<UserObject> object = state().user_objects.find(handle);
  if (object == nullptr || object->references.load(std::memory_order_acquire) == 0) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "there is no such user object, or its last reference is gone");
  }
  return object;
}

void require_count(unsigned int count) {
  if (count == 0 || count > 0x7fffffffU) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{} references", count));
  }
}

}  // namespace

extern "C" {

CUresult cuUserObjectCreate(CUuserObject* object, void* data, CUhostFn destroy, unsigned int references,
                            unsigned int flags) {
  return driver_call([&] {
    require(object, "object");
    require(reinterpret_cast<const void*>(destroy), "destroy");
    require_count(references);
    constexpr unsigned int no_destructor_sync = 1;  // required: nothing waits for destructors
    if (flags != no_destructor_sync) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no user object flags {:#x}", flags));
    }
    auto made = std::make_shared<UserObject>();
    made->data = data;
    made->destroy = destroy;
    made->references = references;
    *object = state().user_objects.insert(made);
    return CUDA_SUCCESS;
  });
}

CUresult cuUserObjectRetain(CUuserObject object, unsigned int count) {
  return driver_call([&] {
    require_count(count);
    find_object(object)->references.fetch_add(count, std::memory_order_relaxed);
    return CUDA_SUCCESS;
  });
}

CUresult cuUserObjectRelease(CUuserObject object, unsigned int count) {
  return driver_call([&] {
    require_count(count);
    const std::shared_ptr<UserObject> found = find_object(object);
    if (count > found->references.load(std::memory_order_acquire)) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "more references are given up than there are");
    }
    found->release(count);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned int count, unsigned int flags) {
  return driver_call([&] {
    require_count(count);
    constexpr unsigned int move = 1;  // the caller's own references become the graph's
    if (flags > move) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no flags {:#x}", flags));
    }
    const std::shared_ptr<UserObject> found = find_object(object);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    // A graph may be given objects while it is being captured.
    const std::shared_ptr<Graph> target = state().graphs.find(graph);
    if (target == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such graph, or it is destroyed");
    }
    if (flags != move) {
      found->references.fetch_add(count, std::memory_order_relaxed);
    }
    target->user_objects.held.emplace_back(found, count);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned int count) {
  return driver_call([&] {
    require_count(count);
    const std::shared_ptr<UserObject> found = find_object(object);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    auto& held = find_graph(graph)->user_objects.held;
    unsigned int left = count;
    for (auto& [other, references] : held) {
      const unsigned int taken = other == found ? std::min(left, references) : 0;
      references -= taken;
      left -= taken;
    }
    std::erase_if(held, [](const auto& entry) { return entry.second == 0; });
    if (count > left) {
      found->release(count - left);
    }
    if (left > 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "the graph holds fewer references");
    }
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
