#pragma once

#include <string>
#include <vector>

#include "kerncast/model.hpp"
#include "tools/model/config_fields.hpp"
#include "tools/model/family.hpp"

namespace kerncast::tools {

/// One thing that is known of a model, for people to read.
struct ModelFact {
  std::string name;    ///< "head_dim"
  std::string value;   ///< "128"
  std::string source;  ///< "key head_dim", "default of llama", "rule of gemma3_text"
};

/// A model as its family's entry describes it.
struct BuiltModel {
  ModelConfig config;  ///< all but name, architecture and deep_gemm
  std::vector<ModelFact> facts;
  std::vector<std::string> not_offered;  ///< steps that the model has and no op computes
};

/// Reads the facts of `family` from `fields`. `dtype` is that of the weights; `attention_quantised` is false
/// if the checkpoint leaves the layers of attention as they are. Throws Error(io_error) that names the key,
/// for a value of the wrong type and for a model whose parts do not fit together.
[[nodiscard]] BuiltModel build_model(const Family& family, const ConfigFields& fields, DType dtype,
                                     bool attention_quantised);

}  // namespace kerncast::tools
