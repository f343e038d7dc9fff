#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/op.hpp"
#include "runtime/dispatch/template_set.hpp"

namespace kerncast {

/// The translation unit of one kernel: one include, one configuration, one explicit instantiation per stage.
struct GeneratedSource {
  std::string text;
  std::vector<std::string> kernels;  ///< name expressions of the instantiations, in order of launch
};

[[nodiscard]] GeneratedSource generate_source(const OpDefinition& op, const Specialisation& spec,
                                              const Tunables& tunables);

/// Compiler options for `arch` ("sm_90a"), architecture first.
[[nodiscard]] std::vector<std::string> compile_options(std::string_view arch);

/// "threads=256 rows_per_block=1".
[[nodiscard]] std::string format_tunables(const OpDefinition& op, const Tunables& tunables);

/// The labelled fields whose hash is the key of a kernel. `nvrtc_version` as "13.0".
[[nodiscard]] std::vector<std::pair<std::string, std::string>> key_fields(
    const GeneratedSource& source, const std::vector<std::pair<std::string, std::string>>& headers,
    const std::vector<std::string>& options, std::string_view arch, std::string_view nvrtc_version);

}  // namespace kerncast
