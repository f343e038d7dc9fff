#include "runtime/dispatch/source.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace kerncast {

GeneratedSource generate_source(const OpDefinition& op, const Specialisation& spec,
                                const Tunables& tunables) {
  GeneratedSource out;
  const TemplateNames names = template_names(op);
  out.text = fmt::format("#include \"{}\"\n\nstruct Config {{\n", names.include);
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
        out.text += fmt::format("  static constexpr int {} = {};  // {}\n", param.name, spec[i],
                                param.choices.at(static_cast<std::size_t>(spec[i])));
        break;
      case ParamKind::integer:
        out.text += fmt::format("  static constexpr int {} = {};\n", param.name, spec[i]);
        break;
    }
  }
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    out.text += fmt::format("  static constexpr int {} = {};\n", op.tunables[i].name, tunables[i]);
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

std::vector<std::pair<std::string, std::string>> key_fields(
    const GeneratedSource& source, const std::vector<std::pair<std::string, std::string>>& headers,
    const std::vector<std::string>& options, std::string_view arch, std::string_view nvrtc_version) {
  std::vector<std::pair<std::string, std::string>> fields;
  fields.emplace_back("source", source.text);
  for (const std::string& kernel : source.kernels) {
    fields.emplace_back("kernel", kernel);
  }
  for (const auto& [name, text] : headers) {
    fields.emplace_back("header:" + name, text);
  }
  fields.emplace_back("options", fmt::format("{}", fmt::join(options, "\n")));
  fields.emplace_back("arch", arch);
  fields.emplace_back("nvrtc", nvrtc_version);
  return fields;
}

}  // namespace kerncast
