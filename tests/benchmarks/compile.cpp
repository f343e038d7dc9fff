// A cold compile of each op at DeepSeek-V3's shapes to an sm_90a cubin, against an empty kernel in the same
// process. Fails where one takes more than its bound.
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "kerncast/runtime.hpp"
#include "runtime/compiler/compiler.hpp"
#include "runtime/dispatch/source.hpp"
#include "runtime/dispatch/template_set.hpp"

namespace {

using namespace kerncast;

constexpr double bound_ratio = 3;

double median(std::vector<double> times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

struct Measured {
  double empty_ms = 0;
  double ms = 0;
};

/// Medians of 9 compiles of each, taken in turn so that whatever else the machine does falls on both.
Measured measure(const compiler::Nvrtc& nvrtc, const compiler::CompileRequest& empty,
                 const compiler::CompileRequest& request) {
  std::vector<double> bases;
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) {
    bases.push_back(compiler::compile(nvrtc, empty).milliseconds);
    times.push_back(compiler::compile(nvrtc, request).milliseconds);
  }
  return {median(std::move(bases)), median(std::move(times))};
}

ModelConfig deepseek_v3() {
  ModelConfig model;
  model.name = "deepseek-v3";
  model.architecture = "DeepseekV3ForCausalLM";
  model.hidden = 7168;
  model.q_lora_rank = 1536;
  model.kv_lora_rank = 512;
  model.intermediate = 18432;
  model.moe_intermediate = 2048;
  model.experts = 256;
  model.top_k = 8;
  model.groups = 8;
  model.topk_group = 4;
  model.shared_experts = 1;
  model.routed_scaling_factor = 2.5;
  model.sigmoid_gate = true;
  model.heads = 128;
  model.kv_heads = 128;
  model.head_dim = 128;
  return model;
}

}  // namespace

int main() {
  const compiler::NvrtcSearch search = compiler::load_nvrtc();
  if (search.nvrtc == nullptr) {
    fmt::print(stderr, "{}\n", search.remedy);
    return 1;
  }
  compiler::CompileRequest empty;
  empty.what = "empty kernel";
  empty.source =
      "struct Config {};\ntemplate <class C> __global__ void kernel() {}\n"
      "template __global__ void kernel<Config>();\n";
  empty.kernel = "kernel<Config>";
  empty.options = compile_options("sm_90a");
  static_cast<void>(compiler::compile(*search.nvrtc, empty));  // the first in a process loads the compiler
  fmt::print("NVRTC {}, sm_90a, medians of 9 against those of an empty kernel\n", search.nvrtc->version());
  const TemplateSet templates("");
  bool all_good = true;
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    for (const ModelCase& item :
         op->model_cases != nullptr ? op->model_cases(deepseek_v3()) : std::vector<ModelCase>()) {
      const Specialisation spec = specialise(*op, item.params);
      const Tunables tunables = op->default_tunables(spec, DeviceTraits{90, 132, 232448}, 16);
      const GeneratedSource source = generate_source(*op, spec, tunables);
      compiler::CompileRequest request{op->name, source.text, source.kernel, templates.closure(op->include),
                                       compile_options("sm_90a")};
      const Measured measured = measure(*search.nvrtc, empty, request);
      const double ratio = measured.ms / measured.empty_ms;
      const bool good = ratio <= bound_ratio;
      all_good = all_good && good;
      fmt::print("{:<22} {:<78} {:6.1f} ms  empty {:5.1f} ms  ratio {:.2f}  bound {:.0f}  {}\n", op->name,
                 format_specialisation(*op, spec), measured.ms, measured.empty_ms, ratio, bound_ratio,
                 good ? "pass" : "FAIL");
    }
  }
  return all_good ? 0 : 1;
}
