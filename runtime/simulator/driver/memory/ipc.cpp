#include "runtime/simulator/driver/memory/ipc.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/event.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"
#include "runtime/simulator/driver/memory/memory.hpp"

namespace kerncast::simulator::api {
namespace {

constexpr std::size_t page = 4096;
constexpr std::uint64_t memory_magic = 0x6b63'5349'4d6d'656d;
constexpr std::uint64_t event_magic = 0x6b63'5349'4d65'7674;

/// Contents of a handle for another process.
struct Ticket {
  std::uint64_t magic;
  std::int32_t owner;  ///< the process
  std::int32_t descriptor;
  std::uint64_t bytes;
  std::int32_t device;
};
static_assert(sizeof(Ticket) <= sizeof(CUipcMemHandle) && sizeof(Ticket) <= sizeof(CUipcEventHandle));

Ticket read_ticket(const char* from, std::uint64_t magic) {
  Ticket ticket{};
  std::memcpy(&ticket, from, sizeof ticket);
  if (ticket.magic != magic) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "the handle is none of the virtual GPU's");
  }
  if (ticket.owner == getpid()) {
    throw Failure(CUDA_ERROR_INVALID_CONTEXT, "a handle is opened by other processes than its own");
  }
  return ticket;
}

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + page - 1) / page * page;
}

/// Replaces the pages of an allocation by shared pages with the same contents. No work may be under way on
/// it.
std::shared_ptr<SharedPages> share(const Allocation& allocation) {
  auto pages = std::make_shared<SharedPages>(allocation.size);
  // Copies through a mapping of its own first, so that a failure leaves the allocation as it was.
  std::byte* copy = pages->map();
  std::memcpy(copy, allocation.base, allocation.size);
  munmap(copy, pages->bytes());
  pages->map(allocation.base);
  return pages;
}

}  // namespace

SharedPages::SharedPages(std::size_t bytes) : bytes_(whole_pages(bytes)) {
  descriptor_ = memfd_create("kerncast-sim", MFD_CLOEXEC);
  if (descriptor_ < 0 || ftruncate(descriptor_, static_cast<off_t>(bytes_)) != 0) {
    const int error = errno;
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
    throw Failure(CUDA_ERROR_OPERATING_SYSTEM, fmt::format("no shared memory: {}", std::strerror(error)));
  }
}

SharedPages::SharedPages(int owner, int descriptor, std::size_t bytes) : bytes_(whole_pages(bytes)) {
  descriptor_ = open(fmt::format("/proc/{}/fd/{}", owner, descriptor).c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor_ < 0) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("process {} does not share it any more: {}", owner, std::strerror(errno)));
  }
}

SharedPages::~SharedPages() {
  close(descriptor_);
}

std::byte* SharedPages::map(std::byte* place) const {
  void* mapped = mmap(place, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | (place != nullptr ? MAP_FIXED : 0),
                      descriptor_, 0);
  if (mapped == MAP_FAILED) {
    throw Failure(CUDA_ERROR_OPERATING_SYSTEM,
                  fmt::format("shared memory cannot be mapped: {}", std::strerror(errno)));
  }
  return static_cast<std::byte*>(mapped);
}

void take_back_pages(std::byte* base, const SharedPages& pages) {
  if (mmap(base, pages.bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED) {
    throw Failure(CUDA_ERROR_OPERATING_SYSTEM,
                  fmt::format("shared memory cannot be given up: {}", std::strerror(errno)));
  }
}

SharedEvent::SharedEvent() : pages_(sizeof(Counters)), counters_(reinterpret_cast<Counters*>(pages_.map())) {}

SharedEvent::SharedEvent(int owner, int descriptor)
    : pages_(owner, descriptor, sizeof(Counters)), counters_(reinterpret_cast<Counters*>(pages_.map())) {}

SharedEvent::~SharedEvent() {
  munmap(counters_, pages_.bytes());
}

std::uint64_t SharedEvent::begin() {
  return counters_->begun.fetch_add(1, std::memory_order_acq_rel) + 1;
}

void SharedEvent::pass(std::uint64_t recording) {
  std::uint64_t before = counters_->passed.load(std::memory_order_acquire);
  while (before < recording && !counters_->passed.compare_exchange_weak(before, recording)) {
  }
}

std::uint64_t SharedEvent::latest() const {
  return counters_->begun.load(std::memory_order_acquire);
}

bool SharedEvent::passed(std::uint64_t recording) const {
  return counters_->passed.load(std::memory_order_acquire) >= recording;
}

extern "C" {

CUresult cuIpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr pointer) {
  return driver_call([&] {
    require(handle, "handle");
    current_context();
    refuse_unsafe_call("cuIpcGetMemHandle");
    const std::optional<Allocation> found = state().memory.find(reinterpret_cast<const void*>(pointer));
    if (!found) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{:#x} lies in no allocation", pointer));
    }
    wait_for_device(found->device);
    const std::lock_guard lock(state().owned_mutex);
    const auto owned = state().owned.find(found->base);
    if (owned == state().owned.end() || owned->second.kind != Owned::Kind::device ||
        owned->second.pool != nullptr || owned->second.freeing) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("{:#x} is no memory of cuMemAlloc; nothing else can be shared so", pointer));
    }
    if (owned->second.shared == nullptr) {
      owned->second.shared = share(*found);
    }
    const Ticket ticket{memory_magic, getpid(), owned->second.shared->descriptor(), found->size,
                        found->device};
    *handle = {};
    std::memcpy(handle->reserved, &ticket, sizeof ticket);
    return CUDA_SUCCESS;
  });
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* pointer, CUipcMemHandle handle, unsigned int flags) {
  return driver_call([&] {
    require(pointer, "pointer");
    const std::shared_ptr<Context> context = current_context();
    constexpr unsigned int lazy_peer_access = 1;
    if ((flags & ~lazy_peer_access) != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no flags {:#x}", flags));
    }
    refuse_unsafe_call("cuIpcOpenMemHandle");
    const Ticket ticket = read_ticket(handle.reserved, memory_magic);
    require_device(ticket.device);
    DriverState& all = state();
    const std::lock_guard lock(all.owned_mutex);
    for (auto& [base, owned] : all.owned) {
      if (owned.kind == Owned::Kind::imported &&
          owned.imported_from == std::pair(ticket.owner, ticket.descriptor)) {
        ++owned.opened;
        *pointer = reinterpret_cast<CUdeviceptr>(base);
        return CUDA_SUCCESS;
      }
    }
    auto pages = std::make_shared<SharedPages>(ticket.owner, ticket.descriptor, ticket.bytes);
    std::byte* base = pages->map();
    if (!all.memory.adopt(base, ticket.bytes, MemoryKind::device, ticket.device)) {
      munmap(base, pages->bytes());
      throw Failure(CUDA_ERROR_OPERATING_SYSTEM, "shared memory was mapped into an allocation");
    }
    if (ticket.device != context->device && (flags & lazy_peer_access) != 0) {
      all.memory.set_peers(base, std::uint64_t{1} << context->device, false);
    }
    Owned& owned = all.owned[base];
    owned.context = context->handle;
    owned.kind = Owned::Kind::imported;
    owned.shared = std::move(pages);
    owned.imported_from = {ticket.owner, ticket.descriptor};
    owned.opened = 1;
    *pointer = reinterpret_cast<CUdeviceptr>(base);
    return CUDA_SUCCESS;
  });
}

CUresult cuIpcCloseMemHandle(CUdeviceptr pointer) {
  return driver_call([&] {
    const std::shared_ptr<Context> context = current_context();
    refuse_unsafe_call("cuIpcCloseMemHandle");
    const auto* base = reinterpret_cast<const std::byte*>(pointer);
    {
      const std::lock_guard lock(state().owned_mutex);
      const auto found = state().owned.find(base);
      if (found == state().owned.end() || found->second.kind != Owned::Kind::imported) {
        throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{:#x} was not opened by a handle", pointer));
      }
      if (--found->second.opened > 0) {
        return CUDA_SUCCESS;
      }
    }
    wait_for_device(context->device);
    release_allocation(base);
    return CUDA_SUCCESS;
  });
}

CUresult cuIpcGetEventHandle(CUipcEventHandle* handle, CUevent event) {
  return driver_call([&] {
    require(handle, "handle");
    const std::shared_ptr<Event> found = state().events.find(event);
    if (found == nullptr || found->shared == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such event, or it was not made for processes");
    }
    const Ticket ticket{event_magic, getpid(), found->shared->descriptor(), 0, 0};
    *handle = {};
    std::memcpy(handle->reserved, &ticket, sizeof ticket);
    return CUDA_SUCCESS;
  });
}

CUresult cuIpcOpenEventHandle(CUevent* event, CUipcEventHandle handle) {
  return driver_call([&] {
    require(event, "event");
    const std::shared_ptr<Context> context = current_context();
    const Ticket ticket = read_ticket(handle.reserved, event_magic);
    auto made = std::make_shared<Event>();
    made->context = context;
    made->flags = CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
    made->shared = std::make_shared<SharedEvent>(ticket.owner, ticket.descriptor);
    *event = state().events.insert(made);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
