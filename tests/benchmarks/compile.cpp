// Measures cold compiles of each op to an sm_90a cubin as multiples of an empty kernel's compile in the same
// process. The empty kernel is compiled with NVRTC's defaults, so that an option that shortens the compiles
// lowers the multiples. It compiles every variant that a shipped model asks for, and some more that vary the
// template. Fails if one ratio is above the bound of its op, or if the median of all ratios is above three.
// Each line also has the ratio of the least times.
//   bench_compile [OP...] [RUNS]      (default all ops, 9 runs)
// KERNCAST_TEMPLATE_DIR names a folder of changed templates, which are compiled in place of the built-in
// ones.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/runtime.hpp"
#include "runtime/compiler/compiler.hpp"
#include "runtime/dispatch/source_text/source.hpp"
#include "runtime/dispatch/source_text/template_set.hpp"
#include "tests/benchmarks/median.hpp"
#include "tests/templates/catalogue/catalogue.hpp"

namespace {

using namespace kerncast;
using bench::median;

constexpr double median_bound = 3.0;

/// A variant may take longer where that buys at least 5 % of a launch. The quantised norms hold two vectors
/// in a thread: by the cost model of an H100, 16 rows of 7168 take 1.93 us with 448 threads, and 2.06 us with
/// 896 threads of one vector.
double bound_of(const OpDefinition& op) {
  return op.name == "norm.rms_norm_quant" ? 6.0 : 4.0;
}

/// A case beside those of the models: settings that vary what the template generates.
struct Extra {
  const char* op;
  std::vector<std::pair<std::string, std::string>> settings;
};

std::vector<Extra> extras() {
  const auto gate = [](std::string type, std::string experts, std::string groups, std::string kept) {
    return Extra{"moe.fused_gate",
                 {{"logits_dtype", std::move(type)},
                  {"experts", std::move(experts)},
                  {"groups", std::move(groups)},
                  {"topk_group", std::move(kept)},
                  {"top_k", "9"},
                  {"num_fused_shared_experts", "1"}}};
  };
  const auto norm = [](std::string x, std::string y, std::string hidden, std::string rounding,
                       std::string aligned) {
    return Extra{"norm.rms_norm",
                 {{"x_dtype", x},
                  {"weight_dtype", std::move(x)},
                  {"y_dtype", std::move(y)},
                  {"hidden", std::move(hidden)},
                  {"hf_rounding", std::move(rounding)},
                  {"alignment", std::move(aligned)}}};
  };
  const auto quant = [](std::string x, std::string q, std::string group, std::string layout,
                        std::string format) {
    return Extra{"quant.per_token_group",
                 {{"x_dtype", std::move(x)},
                  {"q_dtype", std::move(q)},
                  {"hidden", "7168"},
                  {"group", std::move(group)},
                  {"scale_layout", std::move(layout)},
                  {"scale_format", std::move(format)}}};
  };
  const auto heads = [](std::string type, std::string q_heads, std::string rotary, std::string style) {
    Extra made{"norm.qk_norm",
               {{"qkv_dtype", type},
                {"weight_dtype", std::move(type)},
                {"q_heads", std::move(q_heads)},
                {"kv_heads", "8"},
                {"head_dim", "128"}}};
    if (!rotary.empty()) {
      made.op = "norm.qk_norm_rope";
      made.settings.emplace_back("rotary_dim", std::move(rotary));
      made.settings.emplace_back("rope_style", std::move(style));
    }
    return made;
  };
  return {
      heads("bf16", "96", "", ""),
      heads("bf16", "96", "64", "neox"),
      heads("bf16", "24", "128", "interleaved"),
      heads("f32", "32", "128", "neox"),
      gate("f32", "384", "1", "1"),
      gate("f16", "160", "1", "1"),
      gate("bf16", "256", "8", "4"),
      gate("f16", "256", "8", "4"),
      gate("bf16", "160", "8", "3"),
      gate("f32", "1024", "32", "5"),
      gate("bf16", "1000", "50", "7"),
      norm("bf16", "bf16", "7168", "true", "16"),
      norm("f16", "f32", "7168", "true", "16"),
      norm("f32", "f32", "7168", "false", "16"),
      norm("bf16", "bf16", "2881", "false", "2"),
      norm("bf16", "bf16", "65536", "false", "16"),
      quant("bf16", "fp8_e4m3", "128", "row_major", "ue8m0"),
      quant("f16", "fp8_e5m2", "64", "column_major", "f32"),
      quant("f32", "i8", "32", "column_major_tma_aligned", "ue8m0"),
      quant("bf16", "i8", "16", "row_major", "f32"),
      quant("f32", "fp8_e4m3", "128", "column_major_tma_aligned", "packed_ue8m0"),
  };
}

/// Time of one compile, in milliseconds.
struct Time {
  double processor = 0;  ///< processor time
  double passed = 0;     ///< elapsed time
};

Time compile_once(const compiler::Nvrtc& nvrtc, const compiler::CompileRequest& request) {
  const std::clock_t start = std::clock();
  const double passed = compiler::compile(nvrtc, request).milliseconds;
  return {static_cast<double>(std::clock() - start) * 1e3 / CLOCKS_PER_SEC, passed};
}

/// An empty kernel by NVRTC alone, to a cubin.
Time compile_empty(const compiler::Nvrtc& nvrtc) {
  const compiler::NvrtcApi& api = nvrtc.api;
  const std::clock_t start = std::clock();
  const auto before = std::chrono::steady_clock::now();
  constexpr const char* source =
      "struct Config {};\ntemplate <class C> __global__ void kernel() {}\n"
      "template __global__ void kernel<Config>();\n";
  constexpr const char* architecture = "--gpu-architecture=sm_90a";
  compiler::NvrtcProgram program = nullptr;
  std::size_t bytes = 0;
  const bool made =
      api.create_program(&program, source, "empty.cu", 0, nullptr, nullptr) == compiler::nvrtc_success &&
      api.compile_program(program, 1, &architecture) == compiler::nvrtc_success &&
      api.get_cubin_size(program, &bytes) == compiler::nvrtc_success && bytes > 0;
  api.destroy_program(&program);
  if (!made) {
    throw std::runtime_error("the empty kernel does not compile");
  }
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - before;
  return {static_cast<double>(std::clock() - start) * 1e3 / CLOCKS_PER_SEC, passed.count()};
}

struct Row {
  const OpDefinition* op;
  Specialisation spec;
  std::int64_t tokens;
  compiler::CompileRequest request;
  std::vector<double> processor;
  /// Ratio of each compile to the mean of the empty kernels before and after it, so that other load on the
  /// machine slows both.
  std::vector<double> ratios;
  std::vector<double> passed_ratios;
};

/// Adds a row for few tokens, and one for many tokens if they select another kernel.
void add_rows(std::vector<Row>& rows, const TemplateSet& templates, const OpDefinition& op,
              const Specialisation& spec) {
  std::string last;
  for (const std::int64_t tokens : {std::int64_t{16}, std::int64_t{8192}}) {
    const Tunables tunables = op.default_tunables(spec, DeviceTraits{90, 132, 232448}, tokens);
    const GeneratedSource source = generate_source(op, spec, tunables);
    if (source.text == last) {
      continue;
    }
    last = source.text;
    rows.push_back({&op,
                    spec,
                    tokens,
                    {op.name, source.text, source.kernels, templates.closure(op.include, op.sources),
                     compile_options("sm_90a")},
                    {},
                    {},
                    {}});
  }
}

double least(const std::vector<double>& times) {
  return *std::min_element(times.begin(), times.end());
}

}  // namespace

int main(int count, char** arguments) try {
  int runs = 9;
  std::set<std::string> wanted;
  for (int i = 1; i < count; ++i) {
    if (const int number = std::atoi(arguments[i]); number > 0) {
      runs = number;
    } else {
      wanted.insert(OpRegistry::instance().require(arguments[i]).name);
    }
  }
  const compiler::NvrtcSearch search = compiler::load_nvrtc();
  if (search.nvrtc == nullptr) {
    fmt::print(stderr, "{}\n", search.remedy);
    return 1;
  }
  const char* directory = std::getenv("KERNCAST_TEMPLATE_DIR");
  const TemplateSet templates(directory != nullptr ? directory : "");
  std::vector<Row> rows;
  const auto add = [&](const OpDefinition& op, const auto& settings) {
    if (wanted.empty() || wanted.contains(op.name)) {
      add_rows(rows, templates, op, specialise(op, settings));
    }
  };
  for (const tools::Workload& workload : test::catalogue_variants()) {
    add(*workload.op, workload.params);
  }
  for (const Extra& extra : extras()) {
    add(OpRegistry::instance().require(extra.op), extra.settings);
  }
  constexpr std::size_t between_empty = 4;
  std::vector<double> empty_times;
  static_cast<void>(compile_empty(*search.nvrtc));
  for (int run = 0; run < runs; ++run) {
    Time before = compile_empty(*search.nvrtc);
    for (std::size_t first = 0; first < rows.size(); first += between_empty) {
      const std::size_t last = std::min(first + between_empty, rows.size());
      std::vector<Time> times;
      for (std::size_t i = first; i < last; ++i) {
        times.push_back(compile_once(*search.nvrtc, rows[i].request));
      }
      const Time after = compile_empty(*search.nvrtc);
      empty_times.push_back(after.processor);
      for (std::size_t i = first; i < last; ++i) {
        const Time time = times[i - first];
        rows[i].processor.push_back(time.processor);
        rows[i].ratios.push_back(2 * time.processor / (before.processor + after.processor));
        rows[i].passed_ratios.push_back(2 * time.passed / (before.passed + after.passed));
      }
      before = after;
    }
  }
  fmt::print("NVRTC {}, sm_90a, medians of {}: empty kernel {:.1f} ms of processor time\n",
             search.nvrtc->version(), runs, median(empty_times));
  int over = 0;
  std::vector<double> ratios;
  for (Row& row : rows) {
    const double ratio = median(row.ratios);
    const bool within = ratio <= bound_of(*row.op);
    ratios.push_back(ratio);
    over += within ? 0 : 1;
    fmt::print("{:<22} {:<100} {:>5} tokens {:7.1f} ms  ratio {:.2f}  (elapsed: {:.2f}, least: {:.2f})  {}\n",
               row.op->name, format_specialisation(*row.op, row.spec), row.tokens, median(row.processor),
               ratio, median(row.passed_ratios), least(row.processor) / least(empty_times),
               within ? "ok" : "OVER");
  }
  if (over > 0) {
    fmt::print("{} of {} are over the bound\n", over, rows.size());
  }
  const double middle = median(ratios);
  fmt::print("median of {}: ratio {:.2f}, bound {:.1f}  {}\n", ratios.size(), middle, median_bound,
             middle <= median_bound ? "ok" : "OVER");
  return over > 0 || middle > median_bound ? 1 : 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
