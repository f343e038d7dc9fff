#include "runtime/dispatch/observe/nvtx_ranges.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <exception>

#include "runtime/util/elf_file.hpp"

namespace kerncast {
namespace {

/// Libraries that offer the functions of NVTX, newest first. CUDA 13 has the first one alone.
constexpr const char* library_names[] = {"libnvtx3interop.so.1", "libnvToolsExt.so.1"};

template <class Function>
bool resolve(void* library, const char* symbol, Function& target) {
  target = reinterpret_cast<Function>(::dlsym(library, symbol));
  return target != nullptr;
}

std::string name_of(const KernelEvent& event) {
  const std::string_view kind =
      event.kind == KernelEventKind::compile_begin ? "compile" : event_name(event.kind);
  return fmt::format("kerncast {} {} [{}]{}{}", kind, event.op, event.spec, event.error.empty() ? "" : ": ",
                     event.error);
}

}  // namespace

std::unique_ptr<NvtxRanges> NvtxRanges::from_setting(const std::string& setting,
                                                     const cache::WarningSink& warn) {
  if (setting.empty() || setting == "0") {
    return nullptr;
  }
  if (setting != "1" && setting != "launches") {
    warn(
        fmt::format("KERNCAST_NVTX is '{}', which is none of 0, 1 and launches; nothing is marked", setting));
    return nullptr;
  }
  std::string reasons;
  for (const char* name : library_names) {
    std::string reason = library_defect(name);
    // The library stays open, since a profiler that it has loaded keeps threads of its own.
    void* library = reason.empty() ? ::dlopen(name, RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (library != nullptr) {
      std::unique_ptr<NvtxRanges> ranges(new NvtxRanges);
      ranges->launches_ = setting == "launches";
      if (resolve(library, "nvtxRangePushA", ranges->push_) &&
          resolve(library, "nvtxRangePop", ranges->pop_) && resolve(library, "nvtxMarkA", ranges->mark_)) {
        return ranges;
      }
      reason = "it lacks nvtxRangePushA, nvtxRangePop or nvtxMarkA";
    } else if (reason.empty()) {
      const char* text = ::dlerror();
      reason = text != nullptr ? text : "unknown loader error";
    }
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", name, reason);
  }
  warn(
      fmt::format("KERNCAST_NVTX marks nothing, since NVTX cannot be loaded ({}); put the folder of the CUDA "
                  "toolkit that holds it on the loader's path, or unset KERNCAST_NVTX",
                  reasons));
  return nullptr;
}

void NvtxRanges::write(const KernelEvent& event) const noexcept {
  try {
    switch (event.kind) {
      case KernelEventKind::compile_begin:
        push(name_of(event).c_str());
        break;
      case KernelEventKind::compile_end:
        pop();
        break;
      case KernelEventKind::miss:
      case KernelEventKind::replaced:
        mark_(name_of(event).c_str());
        break;
      case KernelEventKind::load:
      case KernelEventKind::launch:
        break;
    }
  } catch (const std::exception&) {
    // There is no memory for the name. A compile has a range nevertheless, since its end is a pop.
    if (event.kind == KernelEventKind::compile_begin) {
      push("kerncast compile");
    }
  }
}

}  // namespace kerncast
