#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/module/module.hpp"

namespace kerncast::simulator::api {
namespace {

std::shared_ptr<LinkState> find_link(CUlinkState handle) {
  std::shared_ptr<LinkState> found = state().links.find(handle);
  if (found == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such link, or it is destroyed");
  }
  return found;
}

/// Runs `action` with its failure also written to the log buffers that the link was created with.
template <class Action>
CUresult logged(CUlinkState handle, Action&& action) {
  return driver_call([&] {
    const std::shared_ptr<LinkState> link = find_link(handle);
    const std::lock_guard lock(link->mutex);
    try {
      action(*link);
    } catch (const Failure& failure) {
      link->log.write(failure.what());
      throw;
    }
    return CUDA_SUCCESS;
  });
}

void add(LinkState& link, CUjitInputType type, std::string text, std::string_view name) {
  if (type != CU_JIT_INPUT_PTX) {
    throw Failure(
        CUDA_ERROR_NOT_SUPPORTED,
        fmt::format("{} has input type {}; the virtual GPU links PTX only", name, static_cast<int>(type)));
  }
  if (!link.linked.empty()) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "the link is complete; nothing can be added to it");
  }
  text.resize(text.find('\0') == std::string::npos ? text.size() : text.find('\0'));
  examine_image(text.c_str());
  link.modules.push_back(std::move(text));
}

}  // namespace

extern "C" {

CUresult cuLinkCreate_v2(unsigned int count, CUjit_option* options, void** values, CUlinkState* handle) {
  return driver_call([&] {
    require(static_cast<const void*>(handle), "state");
    current_context();
    auto made = std::make_shared<LinkState>(JitLog(count, options, values));
    *handle = state().links.insert(made);
    return CUDA_SUCCESS;
  });
}

CUresult cuLinkAddData_v2(CUlinkState handle, CUjitInputType type, void* data, std::size_t size,
                          const char* name, unsigned int, CUjit_option*, void**) {
  return logged(handle, [&](LinkState& link) {
    require(data, "data");
    add(link, type, std::string(static_cast<const char*>(data), size), name != nullptr ? name : "the input");
  });
}

CUresult cuLinkAddFile_v2(CUlinkState handle, CUjitInputType type, const char* path, unsigned int,
                          CUjit_option*, void**) {
  return logged(handle, [&](LinkState& link) {
    require(path, "path");
    add(link, type, type == CU_JIT_INPUT_PTX ? read_file(path) : std::string(), path);
  });
}

CUresult cuLinkComplete(CUlinkState handle, void** linked, std::size_t* size) {
  return logged(handle, [&](LinkState& link) {
    require(static_cast<const void*>(linked), "cubin");
    if (link.modules.empty()) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "there is nothing to link");
    }
    if (link.linked.empty()) {
      std::string text;
      try {
        text = link_ptx(link.modules);
      } catch (const DecodeError& error) {
        throw Failure(CUDA_ERROR_INVALID_PTX, error.what());
      }
      // Loading it shows what is still missing.
      decode_image(text, 0);
      link.linked = std::move(text);
    }
    *linked = link.linked.data();
    if (size != nullptr) {
      *size = link.linked.size() + 1;
    }
    link.log.write({});
  });
}

CUresult cuLinkCreate(unsigned int count, CUjit_option* options, void** values, CUlinkState* handle) {
  return cuLinkCreate_v2(count, options, values, handle);
}

CUresult cuLinkAddData(CUlinkState handle, CUjitInputType type, void* data, std::size_t size,
                       const char* name, unsigned int count, CUjit_option* options, void** values) {
  return cuLinkAddData_v2(handle, type, data, size, name, count, options, values);
}

CUresult cuLinkAddFile(CUlinkState handle, CUjitInputType type, const char* path, unsigned int count,
                       CUjit_option* options, void** values) {
  return cuLinkAddFile_v2(handle, type, path, count, options, values);
}

CUresult cuLinkDestroy(CUlinkState handle) {
  return driver_call([&] {
    find_link(handle);
    state().links.take(handle);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
