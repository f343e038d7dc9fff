#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "runtime/simulator/machine/machine.hpp"

/// Loads PTX into a machine of its own and runs kernels on host vectors.
namespace kerncast::simulator::testing {

/// Text of a file in tests/simulator/ptx.
inline std::string read_ptx(const std::string& name) {
  std::ifstream file(std::string(KERNCAST_SIM_PTX_DIR) + "/" + name);
  if (!file) {
    throw std::runtime_error("cannot read the test PTX " + name);
  }
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Runner {
 public:
  explicit Runner(std::string_view ptx, int sm = 90) : module_(Module::decode(ptx, sm, memory_, 0)) {}
  ~Runner() { module_.reset(); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  template <class T>
  T* upload(const std::vector<T>& values) {
    std::byte* at = memory_.allocate(values.size() * sizeof(T), MemoryKind::device, 0);
    std::memcpy(at, values.data(), values.size() * sizeof(T));
    memory_.mark_written(at, values.size() * sizeof(T));
    return reinterpret_cast<T*>(at);
  }

  template <class T>
  T* zeros(std::size_t count) {
    return upload(std::vector<T>(count));
  }

  template <class T>
  static std::vector<T> download(const T* at, std::size_t count) {
    std::vector<T> values(count);
    std::memcpy(values.data(), at, count * sizeof(T));
    return values;
  }

  /// Runs `kernel` with `arguments` packed at the kernel's parameter offsets.
  template <class... Args>
  Fault run(const char* kernel, std::array<std::uint32_t, 3> grid, std::array<std::uint32_t, 3> block,
            std::uint32_t shared, const Args&... arguments) {
    Launch launch;
    launch.module = module_.get();
    launch.kernel = module_->find_kernel(kernel);
    if (launch.kernel < 0) {
      throw std::runtime_error(std::string("the PTX has no kernel ") + kernel);
    }
    const KernelInfo& info = module_->kernels()[static_cast<std::size_t>(launch.kernel)];
    std::vector<std::byte> packed(info.parameter_bytes);
    std::size_t index = 0;
    [[maybe_unused]] const auto put = [&](const auto& value) {
      const KernelParameter& parameter = info.parameters.at(index++);
      if (parameter.size != sizeof(value)) {
        throw std::runtime_error("argument size differs from the parameter's");
      }
      std::memcpy(packed.data() + parameter.offset, &value, sizeof(value));
    };
    (put(arguments), ...);
    launch.grid = grid;
    launch.block = block;
    launch.cluster = cluster;
    launch.dynamic_shared_bytes = shared;
    launch.parameters = packed;
    launch.cooperative = cooperative;
    launch.link = link;
    launch.checks = checks;
    launch.findings = findings;
    launch.stack_limit = stack_limit;
    launch.profile = profile;
    launch.footprint = footprint;
    launch.most_warp_instructions = most_warp_instructions;
    counts = {};
    return execute(launch, memory_, &counts);
  }

  Memory& memory() { return memory_; }
  [[nodiscard]] const Module& module() const { return *module_; }

  /// Memory that nobody has written yet.
  std::byte* unwritten(std::size_t bytes) { return memory_.allocate(bytes, MemoryKind::device, 0); }

  LaunchCounts counts;
  std::array<std::uint32_t, 3> cluster{1, 1, 1};
  bool cooperative = false;
  bool checks = false;
  std::vector<std::string>* findings = nullptr;
  std::uint64_t stack_limit = 0;
  LaunchProfile* profile = nullptr;
  bool footprint = false;
  std::uint64_t most_warp_instructions = 0;
  GridLink* link = nullptr;

 private:
  Memory memory_;
  std::shared_ptr<Module> module_;
};

/// PTX module around `body`, a kernel k with the .u64 parameters `parameters` (comma separated names).
inline std::string kernel_text(std::initializer_list<const char*> parameters, const std::string& body,
                               const std::string& before = "", const std::string& target = "sm_90") {
  std::string text =
      ".version 8.8\n.target " + target + "\n.address_size 64\n" + before + "\n.visible .entry k(";
  const char* comma = "";
  for (const char* parameter : parameters) {
    text += std::string(comma) + ".param .u64 " + parameter;
    comma = ", ";
  }
  return text + ")\n{\n" + body + "\n}\n";
}

template <class T>
std::string register_type() {
  return sizeof(T) == 2 ? ".b16" : sizeof(T) == 4 ? ".b32" : ".b64";
}

/// Runs `instruction`, which computes register d from registers a, b and c (predicates p and q are at hand),
/// once per element of a, b and c.
template <class D, class A, class B = A, class C = A>
std::vector<D> run_op(const std::string& instruction, const std::vector<A>& a, const std::vector<B>& b = {},
                      const std::vector<C>& c = {}, const std::string& target = "sm_90") {
  const auto load = [](const std::string& name, std::size_t size, bool used) {
    const std::string bits = size == 2 ? "16" : size == 4 ? "32" : "64";
    return !used ? std::string()
                 : "ld.param.u64 addr, [p" + name + "]; mad.wide.u32 addr, i, " + std::to_string(size) +
                       ", addr; ld.global.b" + bits + " " + name + ", [addr];\n";
  };
  const std::string body =
      ".reg .u64 addr; .reg .u32 i, base, ntid; .reg .pred p, q;\n.reg " + register_type<D>() + " d; .reg " +
      register_type<A>() + " a; .reg " + register_type<B>() + " b; .reg " + register_type<C>() +
      " c; .reg .u64 n;\n"
      "mov.u32 i, %tid.x; mov.u32 base, %ctaid.x; mov.u32 ntid, %ntid.x;\n"
      "mad.lo.u32 i, base, ntid, i; ld.param.u64 n, [pn]; cvt.u32.u64 base, n;\n"
      "setp.ge.u32 p, i, base; @p exit;\n" +
      load("a", sizeof(A), true) + load("b", sizeof(B), !b.empty()) + load("c", sizeof(C), !c.empty()) +
      instruction + "\nld.param.u64 addr, [pd]; mad.wide.u32 addr, i, " + std::to_string(sizeof(D)) +
      ", addr; st.global.b" + std::to_string(sizeof(D) * 8) + " [addr], d; ret;";
  Runner runner(kernel_text({"pd", "pa", "pb", "pc", "pn"}, body, "", target), target == "sm_90" ? 90 : 120);
  D* d = runner.zeros<D>(a.size());
  const auto count = static_cast<std::uint64_t>(a.size());
  const Fault fault = runner.run("k", {static_cast<std::uint32_t>((a.size() + 63) / 64), 1, 1}, {64, 1, 1}, 0,
                                 d, runner.upload(a), b.empty() ? nullptr : runner.upload(b),
                                 c.empty() ? nullptr : runner.upload(c), count);
  if (fault.kind != FaultKind::none) {
    throw std::runtime_error(fault.message);
  }
  return Runner::download(d, a.size());
}

/// All pairs of `values`, as two parallel vectors.
template <class T>
void all_pairs(const std::vector<T>& values, std::vector<T>& first, std::vector<T>& second) {
  for (const T x : values) {
    for (const T y : values) {
      first.push_back(x);
      second.push_back(y);
    }
  }
}

/// Throws what the virtual GPU says of PTX that it refuses, or of a kernel `k` in it that needs what is not
/// modelled.
inline void require_modelled(const std::string& ptx, int sm = 90) {
  const Runner runner(ptx, sm);
  const std::string& refusal =
      runner.module().kernels()[static_cast<std::size_t>(runner.module().find_kernel("k"))].refusal;
  if (!refusal.empty()) {
    throw std::runtime_error(refusal);
  }
}

}  // namespace kerncast::simulator::testing
