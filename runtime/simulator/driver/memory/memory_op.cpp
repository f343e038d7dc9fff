#include "runtime/simulator/driver/memory/memory_op.hpp"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"
#include "runtime/simulator/driver/memory/memory.hpp"

namespace kerncast::simulator::api {
namespace {

bool is_wide(CUstreamBatchMemOpType type) {
  return type == CU_STREAM_MEM_OP_WAIT_VALUE_64 || type == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

template <class Value>
bool holds(Value found, Value wanted, unsigned int condition) {
  using Signed = std::make_signed_t<Value>;
  switch (condition) {
    case CU_STREAM_WAIT_VALUE_GEQ:
      return static_cast<Signed>(static_cast<Value>(found - wanted)) >= 0;
    case CU_STREAM_WAIT_VALUE_EQ:
      return found == wanted;
    case CU_STREAM_WAIT_VALUE_AND:
      return (found & wanted) != 0;
    default:
      return static_cast<Value>(~(found | wanted)) != 0;
  }
}

/// Whoever writes the value notifies nobody, so this thread polls.
template <class Value>
void wait_for_value(const CUstreamBatchMemOpParams& operation, const Context& context) {
  const unsigned int condition = operation.value.flags & 3;
  const auto wanted = static_cast<Value>(operation.value.value);
  std::atomic_ref<Value> place(*reinterpret_cast<Value*>(operation.value.address));
  while (context.fault() == CUDA_SUCCESS &&
         !holds(place.load(std::memory_order_acquire), wanted, condition)) {
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

template <class Value>
void write_value(const CUstreamBatchMemOpParams& operation) {
  std::atomic_ref<Value> place(*reinterpret_cast<Value*>(operation.value.address));
  place.store(static_cast<Value>(operation.value.value), std::memory_order_release);
  state().memory.mark_written(reinterpret_cast<const void*>(operation.value.address), sizeof(Value));
}

CUstreamBatchMemOpParams single(CUstreamBatchMemOpType type, CUdeviceptr address, std::uint64_t value,
                                unsigned int flags) {
  CUstreamBatchMemOpParams operation{};
  operation.value = {type, address, value, flags, 0};
  return operation;
}

void submit_operations(CUstream stream, std::vector<CUstreamBatchMemOpParams> operations) {
  const StreamRef target = find_stream(stream);
  submit(target, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP,
         std::make_shared<const MemoryOpNode>(MemoryOpNode{std::move(operations)}));
}

CUresult one_operation(CUstream stream, const CUstreamBatchMemOpParams& operation) {
  return driver_call([&] {
    submit_operations(stream, checked_memory_operations(1, &operation, 0));
    return CUDA_SUCCESS;
  });
}

}  // namespace

std::vector<CUstreamBatchMemOpParams> checked_memory_operations(unsigned int count,
                                                                const CUstreamBatchMemOpParams* operations,
                                                                unsigned int flags) {
  constexpr unsigned int most = 256;
  if (flags != 0 || count > most) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("{} memory operations with flags {:#x}; at most {} and no flags are possible",
                              count, flags, most));
  }
  if (count > 0) {
    require(operations, "operations");
  }
  for (unsigned int i = 0; i < count; ++i) {
    const CUstreamBatchMemOpParams& operation = operations[i];
    switch (operation.operation) {
      case CU_STREAM_MEM_OP_WAIT_VALUE_32:
      case CU_STREAM_MEM_OP_WRITE_VALUE_32:
      case CU_STREAM_MEM_OP_WAIT_VALUE_64:
      case CU_STREAM_MEM_OP_WRITE_VALUE_64: {
        const std::size_t bytes = is_wide(operation.operation) ? 8 : 4;
        if (operation.value.address % bytes != 0) {
          throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("a value of {} bytes at {:#x} is not aligned",
                                                              bytes, operation.value.address));
        }
        require_range(reinterpret_cast<const void*>(operation.value.address), bytes, "a memory operation");
        break;
      }
      case CU_STREAM_MEM_OP_BARRIER:
      case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
        break;
      default:
        throw Failure(CUDA_ERROR_INVALID_VALUE,
                      fmt::format("there is no memory operation {}", static_cast<int>(operation.operation)));
    }
  }
  return {operations, operations + count};
}

void run_memory_operations(const std::vector<CUstreamBatchMemOpParams>& operations, Context& context) {
  for (const CUstreamBatchMemOpParams& operation : operations) {
    switch (operation.operation) {
      case CU_STREAM_MEM_OP_WAIT_VALUE_32:
        wait_for_value<std::uint32_t>(operation, context);
        break;
      case CU_STREAM_MEM_OP_WAIT_VALUE_64:
        wait_for_value<std::uint64_t>(operation, context);
        break;
      case CU_STREAM_MEM_OP_WRITE_VALUE_32:
        write_value<std::uint32_t>(operation);
        break;
      case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        write_value<std::uint64_t>(operation);
        break;
      case CU_STREAM_MEM_OP_BARRIER:
      case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
        std::atomic_thread_fence(std::memory_order_seq_cst);
        break;
    }
  }
}

extern "C" {

CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                unsigned int flags) {
  return one_operation(stream, single(CU_STREAM_MEM_OP_WAIT_VALUE_32, address, value, flags));
}

CUresult cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                unsigned int flags) {
  return one_operation(stream, single(CU_STREAM_MEM_OP_WAIT_VALUE_64, address, value, flags));
}

CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                 unsigned int flags) {
  return one_operation(stream, single(CU_STREAM_MEM_OP_WRITE_VALUE_32, address, value, flags));
}

CUresult cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                 unsigned int flags) {
  return one_operation(stream, single(CU_STREAM_MEM_OP_WRITE_VALUE_64, address, value, flags));
}

CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned int count, CUstreamBatchMemOpParams* operations,
                               unsigned int flags) {
  return driver_call([&] {
    submit_operations(stream, checked_memory_operations(count, operations, flags));
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
