#include "tools/tune/evaluate/result_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "tools/tune/evaluate/outputs_difference.hpp"

namespace kerncast::tools {
std::string ResultCheck::difference(const Point& point, std::int64_t rows, const Candidate& candidate,
                                    const Candidate& own) {
  if (candidate.text == own.text) {
    return {};
  }
  const std::string call = fmt::format("{} {} {} {} {}", point.op().name, point.spec_text,
                                       fmt::join(point.workload.scalars, " "), rows, own.text);
  const std::string name = call + "\n" + candidate.text;
  if (const auto known = known_.find(name); known != known_.end()) {
    return known->second;
  }
  if (own_name_ != call) {
    own_ = outputs(point, rows, own.tunables);
    own_name_ = call;
  }
  std::string found = outputs_difference(own_, outputs(point, rows, candidate.tunables));
  if (!found.empty() && !outputs_difference(own_, outputs(point, rows, own.tunables)).empty()) {
    found.clear();
  }
  known_[name] = found;
  return found;
}

std::vector<StoredTensor> ResultCheck::outputs(const Point& point, std::int64_t rows,
                                               const Tunables& tunables) {
  OpRunRequest request;
  request.op = &point.op();
  request.params = point.workload.params;
  request.scalars = point.workload.scalars;
  request.inputs = inputs_.of(point.workload, rows);
  request.check = false;
  request.timed_dispatches = 0;
  request.launch = [&](const Call& call) {
    runtime_.prepare(point.op(), call, tunables).launch(nullptr);
    return KernelReport{};
  };
  std::vector<StoredTensor> written = run_op(runtime_, device_, request).outputs;
  // A workspace is no result.
  std::erase_if(written, [](const StoredTensor& tensor) { return tensor.name == "workspace"; });
  return written;
}

}  // namespace kerncast::tools
