#include "tools/commands/selection_options.hpp"

namespace kerncast::tools {

void add_selection_options(const Command& command, ModelSelection& selection) {
  command.option("--tp", selection.tensor_ranks, "Ranks of tensor parallelism; default 1")
      .between(1, 1024)
      .separated();
  command.option("--ep", selection.expert_ranks, "Ranks that the experts are spread over; default 1")
      .between(1, 4096);
  command.option("--quant", selection.quant,
                 "How activations are quantised: fp8-block, fp8-static, fp8-tensor, fp8-token, fp8 (those "
                 "three), int8, nvfp4, "
                 "mxfp8, mxfp4, none, all; default: as the model's files say");
  command.option("--ops", selection.op_globs, "Only these ops, such as 'norm.*'").separated();
}

}  // namespace kerncast::tools
