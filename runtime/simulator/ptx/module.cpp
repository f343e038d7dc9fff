#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "runtime/simulator/exec/isa.hpp"
#include "runtime/simulator/ptx/decoder.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::size_t kVectorAlignment = 64;
/// Deepest recursion a kernel may reach, in calls.
constexpr std::uint64_t kRecursion = 256;
/// Longest chain of calls between different functions.
constexpr std::uint32_t kCallChain = 1024;
/// Register frames of a warp's deepest call chain: what 32 threads could spill to 512 KiB of local memory
/// each.
constexpr std::uint64_t kStackLimit = std::uint64_t{1} << 24;
/// Local memory of one thread.
constexpr std::uint64_t kLocalLimit = std::uint64_t{1} << 20;

}  // namespace

AlignedBytes::AlignedBytes(std::size_t size) : size_(size) {
  // calloc leaves large blocks to the kernel's zero pages; its alignment is too small.
  std::size_t room = std::max<std::size_t>(size, 1) + 2 * kVectorAlignment;
  raw_.reset(static_cast<std::byte*>(std::calloc(room, 1)));
  if (raw_ == nullptr) {
    throw std::bad_alloc();
  }
  void* start = raw_.get();
  data_ = static_cast<std::byte*>(std::align(kVectorAlignment, room - kVectorAlignment, start, room));
}

ModuleImpl::~ModuleImpl() {
  for (const GlobalVariable& variable : variables) {
    memory->release(variable.address);
  }
}

int ModuleImpl::line_of(const Op* op) const {
  const auto index = static_cast<std::size_t>(op - ops.data());
  return index < lines.size() ? static_cast<int>(lines[index]) : 0;
}

std::string_view ModuleImpl::line_text(int line) const {
  std::string_view rest = text;
  for (int i = 1; i < line; ++i) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      return {};
    }
    rest.remove_prefix(end + 1);
  }
  rest = rest.substr(0, rest.find('\n'));
  const std::size_t first = rest.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) {
    return {};
  }
  return rest.substr(first, rest.find_last_not_of(" \t\r") - first + 1);
}

std::string_view ModuleImpl::function_of(const Op* op) const {
  const auto index = static_cast<std::uint32_t>(op - ops.data());
  for (const Function& function : functions) {
    if (index >= function.first_op && index < function.end_op) {
      return function.name;
    }
  }
  return "?";
}

void Decoder::finish_function(Function& function, std::uint32_t index) {
  function.local_bytes = static_cast<std::uint32_t>((local_top_ + 15) / 16 * 16);
  function.shared_bytes = static_cast<std::uint32_t>(function_shared_top_);
  function.frame_bytes = assign_registers(body_, module_.lists);
  const auto base = static_cast<std::uint32_t>(module_.ops.size());
  const auto tables = static_cast<std::int64_t>(module_.targets.size());
  function.first_op = base;
  for (std::size_t i = 0; i < body_.ops.size(); ++i) {
    Op& op = body_.ops[i];
    if (op.code == Code::bra) {
      op.imm -= static_cast<std::int64_t>(i);
    } else if (op.code == Code::brx) {
      op.imm += tables;
    } else if (op.code == Code::ret) {
      op.imm = index;
    } else if (op.code == Code::call || op.code == Code::call_indirect || op.code == Code::host_call) {
      CallSite& site = module_.calls[static_cast<std::size_t>(op.imm)];
      site.frame_bytes = function.frame_bytes;
      site.local_bytes = function.local_bytes;
    }
  }
  for (const std::uint32_t target : body_.table_targets) {
    module_.targets.push_back(target + base);
  }
  module_.ops.insert(module_.ops.end(), body_.ops.begin(), body_.ops.end());
  module_.lines.insert(module_.lines.end(), body_.lines.begin(), body_.lines.end());
  function.end_op = static_cast<std::uint32_t>(module_.ops.size());
}

void Decoder::select_handlers() {
  for (Op& op : module_.ops) {
    op.handler = isa().select(op);
    if (op.handler == nullptr) {
      const int line = module_.line_of(&op);
      throw DecodeError(
          fmt::format("PTX line {}: the virtual GPU cannot execute '{}'", line, module_.line_text(line)),
          line);
    }
  }
}

namespace {

/// Sums frames and local memory along the deepest call chain from each function. Functions that recur, and
/// their callers, get a fixed depth.
class CallDepth {
 public:
  explicit CallDepth(ModuleImpl& module)
      : module_(module), state_(module.functions.size(), 0), recursive_(module.functions.size(), false) {}

  void run() {
    for (std::uint32_t i = 0; i < module_.functions.size(); ++i) {
      visit(i, 0);
    }
    for (std::size_t i = 0; i < module_.functions.size(); ++i) {
      if (recursive_[i]) {
        Function& function = module_.functions[i];
        function.stack_bytes =
            static_cast<std::uint32_t>(std::min(function.stack_bytes * kRecursion, kStackLimit));
        function.stack_local_bytes =
            static_cast<std::uint32_t>(std::min(function.stack_local_bytes * kRecursion, kLocalLimit));
      }
    }
  }

 private:
  void visit(std::uint32_t index, std::uint32_t depth) {
    if (state_[index] != 0) {
      recursive_[index] = recursive_[index] || state_[index] == 1;
      return;
    }
    Function& function = module_.functions[index];
    if (depth == kCallChain) {
      refuse(function, fmt::format("is called through a chain of more than {} functions", kCallChain));
    }
    state_[index] = 1;
    std::uint64_t deepest = 0;
    std::uint64_t deepest_local = 0;
    for (const std::uint32_t callee : function.callees) {
      visit(callee, depth + 1);
      recursive_[index] = recursive_[index] || recursive_[callee];
      deepest = std::max<std::uint64_t>(deepest, module_.functions[callee].stack_bytes);
      deepest_local = std::max<std::uint64_t>(deepest_local, module_.functions[callee].stack_local_bytes);
    }
    deepest += function.frame_bytes;
    deepest_local += function.local_bytes;
    if (deepest > kStackLimit || deepest_local > kLocalLimit) {
      refuse(function,
             fmt::format("needs {} bytes of registers per warp and {} of local memory per thread with all "
                         "it calls; the most are {} and {}",
                         deepest, deepest_local, kStackLimit, kLocalLimit));
    }
    function.stack_bytes = static_cast<std::uint32_t>(deepest);
    function.stack_local_bytes = static_cast<std::uint32_t>(deepest_local);
    state_[index] = 2;
  }

  [[noreturn]] void refuse(const Function& function, const std::string& why) const {
    const int line = function.defined ? static_cast<int>(module_.lines[function.first_op]) : 1;
    throw DecodeError(fmt::format("PTX line {}: function '{}' {}", line, function.name, why), line);
  }

  ModuleImpl& module_;
  std::vector<std::uint8_t> state_;
  std::vector<bool> recursive_;  ///< reaches itself, or calls what does
};

}  // namespace

Module::Module(std::unique_ptr<ModuleImpl> impl) : impl_(std::move(impl)) {}
Module::~Module() = default;

std::shared_ptr<Module> Module::decode(std::string_view ptx, int sm, Memory& memory, int device) {
  auto impl = std::make_unique<ModuleImpl>();
  impl->memory = &memory;
  impl->text = std::string(ptx);
  Decoder(*impl, sm, memory, device).run();
  CallDepth(*impl).run();
  for (std::size_t i = 0; i < impl->kernels.size(); ++i) {
    const Function& function = impl->functions[impl->kernel_functions[i]];
    impl->kernels[i].static_shared_bytes = function.shared_bytes;
    impl->kernels[i].local_bytes = function.stack_local_bytes;
  }
  return std::shared_ptr<Module>(new Module(std::move(impl)));
}

int Module::find_kernel(std::string_view name) const {
  for (std::size_t i = 0; i < impl_->kernels.size(); ++i) {
    if (impl_->kernels[i].name == name) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

std::span<const KernelInfo> Module::kernels() const {
  return impl_->kernels;
}

const GlobalVariable* Module::find_variable(std::string_view name) const {
  const auto found = impl_->variable_index.find(std::string(name));
  return found == impl_->variable_index.end() ? nullptr : &impl_->variables[found->second];
}

}  // namespace kerncast::simulator
