#include "tools/tune/space/kept_inputs.hpp"

#include <catch2/catch.hpp>

using namespace kerncast;
using namespace kerncast::tools;

namespace {

Workload rows_of(const char* hidden) {
  return {&OpRegistry::instance().require("norm.rms_norm"), "", {{"hidden", hidden}}, {}};
}

bool are_drawn(const std::vector<HostTensor>& inputs, const Workload& workload, std::int64_t rows) {
  const std::vector<HostTensor> drawn =
      synthetic_inputs(*workload.op, workload.params, workload.scalars, rows);
  bool same = inputs.size() == drawn.size();
  for (std::size_t i = 0; same && i < drawn.size(); ++i) {
    same = inputs[i].name == drawn[i].name && inputs[i].bytes == drawn[i].bytes;
  }
  return same;
}

}  // namespace

TEST_CASE("kept inputs are those of the call, however calls alternate") {
  KeptInputs kept;
  const Workload narrow = rows_of("256");
  const Workload wide = rows_of("512");
  for (int turn = 0; turn < 2; ++turn) {
    CHECK(are_drawn(kept.of(narrow, 4), narrow, 4));
    CHECK(are_drawn(kept.of(narrow, 8), narrow, 8));
    CHECK(are_drawn(kept.of(narrow, 4), narrow, 4));
    CHECK(are_drawn(kept.of(wide, 4), wide, 4));
  }
}

TEST_CASE("inputs of a call that was among the last two are not drawn again") {
  KeptInputs kept;
  const Workload workload = rows_of("256");
  const HostTensor* few = kept.of(workload, 4).data();
  static_cast<void>(kept.of(workload, 8));
  CHECK(kept.of(workload, 4).data() == few);
}
