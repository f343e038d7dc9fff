#include "runtime/dispatch/source_text/source.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace kerncast {

GeneratedSource generate_source(const OpDefinition& op, const Specialisation& spec,
                                const Tunables& tunables) {
  GeneratedSource out;
  const TemplateNames names = template_names(op);
  out.text = fmt::format("#include \"{}\"\n\nstruct Config {{\n", names.include);
  // Enumerators compile faster than static members, which NVRTC keeps as variables of every kernel.
  std::string integers;
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    const ParamSpec& param = op.params[i];
    switch (param.kind) {
      case ParamKind::dtype:
        out.text +=
            fmt::format("  using {} = ::kerncast::{};\n", param.name, name_of(static_cast<DType>(spec[i])));
        break;
      case ParamKind::boolean:
        out.text += fmt::format("  static constexpr bool {} = {};\n", param.name, spec[i] != 0);
        break;
      case ParamKind::choice:
        integers += fmt::format("    {} = {},  // {}\n", param.name, spec[i],
                                param.choices.at(static_cast<std::size_t>(spec[i])));
        break;
      case ParamKind::integer:
        integers += fmt::format("    {} = {},\n", param.name, spec[i]);
        break;
    }
  }
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    integers += fmt::format("    {} = {},\n", op.tunables[i].name, tunables[i]);
  }
  if (!integers.empty()) {
    out.text += fmt::format("  enum : int {{\n{}  }};\n", integers);
  }
  out.text += "};\n\n";
  const auto instantiate = [&](const std::string& kernel) {
    out.kernels.push_back(fmt::format("{}<Config>", kernel));
    out.text += fmt::format("template __global__ void {}({});\n", out.kernels.back(), names.arguments_type);
  };
  instantiate(names.kernel);
  for (const LaterStage& stage : op.later_stages) {
    instantiate(stage.kernel);
  }
  return out;
}

std::vector<std::string> compile_options(std::string_view arch) {
  return {fmt::format("--gpu-architecture={}", arch), "--std=c++17", "-default-device", "--ptxas-options=-v"};
}

std::string format_tunables(const OpDefinition& op, const Tunables& tunables) {
  std::string text;
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    text += fmt::format("{}{}={}", i == 0 ? "" : " ", op.tunables[i].name, tunables[i]);
  }
  return text;
}

cache::KeyFields key_fields(const GeneratedSource& source, const TemplateSet::Files& headers,
                            const std::vector<std::string>& options, std::string_view arch,
                            std::string_view nvrtc_version) {
  cache::KeyFields fields;
  fields.add("source", source.text);
  for (const std::string& kernel : source.kernels) {
    fields.add(std::string(kernel_field), kernel);
  }
  for (const auto& [name, text] : headers) {
    fields.add("header:" + name, text);
  }
  fields.add("options", fmt::format("{}", fmt::join(options, "\n")));
  fields.add(std::string(arch_field), std::string(arch));
  fields.add(std::string(compiler_field), std::string(nvrtc_version));
  return fields;
}

}  // namespace kerncast
