#include "tools/warm/plan_record.hpp"

#include <set>
#include <tuple>

#include "kerncast/workload.hpp"
#include "runtime/dispatch/observe/request_record.hpp"
#include "tools/io/file.hpp"

namespace kerncast::tools {

std::string plan_record(const std::vector<PlannedKernel>& kernels) {
  // Variants of one specialisation that differ in tunables serve the same launches.
  std::set<std::tuple<std::string, std::string, std::string, int>> requests;
  for (const PlannedKernel& kernel : kernels) {
    for (const int bucket : kernel.buckets) {
      requests.emplace(kernel.op->name, kernel.spec_text, kernel.arch, bucket);
    }
  }
  std::string text;
  for (const auto& [op, settings, arch, bucket] : requests) {
    const std::vector<int> sm_counts = Runtime::sm_counts(arch);
    text += request_line(op, settings, arch, sm_counts.empty() ? 0 : sm_counts.front(),
                         row_range(bucket).lowest) +
            "\n";
  }
  return text;
}

void write_plan_record(const std::string& path, const std::vector<PlannedKernel>& kernels) {
  const std::string text = plan_record(kernels);
  AtomicOutput output(path);
  output.write(text.data(), text.size());
  output.commit();
}

}  // namespace kerncast::tools
