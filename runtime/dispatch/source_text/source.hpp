#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/key.hpp"
#include "kerncast/op_definition.hpp"
#include "runtime/dispatch/source_text/template_set.hpp"

namespace kerncast {

/// Translation unit of one kernel: one include, one configuration, one explicit instantiation per stage.
struct GeneratedSource {
  std::string text;
  std::vector<std::string> kernels;  ///< name expressions of the instantiations, in order of launch
};

[[nodiscard]] GeneratedSource generate_source(const OpDefinition& op, const Specialisation& spec,
                                              const Tunables& tunables);

/// Compiler options for `arch` ("sm_90a"), architecture first.
[[nodiscard]] std::vector<std::string> compile_options(std::string_view arch);

/// The tunables as text: "threads=256 rows_per_block=1".
[[nodiscard]] std::string format_tunables(const OpDefinition& op, const Tunables& tunables);

/// Label of the key field that holds the compiler's version.
constexpr std::string_view compiler_field = "nvrtc";
/// Label of the key fields that hold a kernel's name expression, one for each stage.
constexpr std::string_view kernel_field = "kernel";
/// Label of the key field that holds the architecture.
constexpr std::string_view arch_field = "arch";

/// The labelled fields whose hash is the key of a kernel. `nvrtc_version` is written as "13.0".
[[nodiscard]] cache::KeyFields key_fields(const GeneratedSource& source, const TemplateSet::Files& headers,
                                          const std::vector<std::string>& options, std::string_view arch,
                                          std::string_view nvrtc_version);

}  // namespace kerncast
