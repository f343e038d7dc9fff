#include "runtime/compiler/compiler.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "kerncast/error.hpp"
#include "runtime/util/leading_number.hpp"

namespace kerncast::compiler {
namespace {

constexpr const char* unit_name = "kernel.cu";

class Program {
 public:
  Program(const NvrtcApi& api, const CompileRequest& request) : api_(api) {
    std::vector<const char*> names;
    std::vector<const char*> texts;
    for (const auto& [name, text] : request.headers) {
      names.push_back(name.c_str());
      texts.push_back(text.c_str());
    }
    const NvrtcResult result =
        api_.create_program(&program_, request.source.c_str(), unit_name, static_cast<int>(names.size()),
                            texts.data(), names.data());
    if (result != nvrtc_success) {
      throw Error(ErrorCode::compile_failed, fmt::format("NVRTC could not start on {}: {}", request.what,
                                                         api_.get_error_string(result)));
    }
  }
  ~Program() { api_.destroy_program(&program_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Compiles with the options of `request`, and without NVRTC's declarations of the CUDA runtime if
  /// `minimal`.
  NvrtcResult compile(const CompileRequest& request, bool minimal) {
    for (const std::string& kernel : request.kernels) {
      if (const NvrtcResult result = api_.add_name_expression(program_, kernel.c_str());
          result != nvrtc_success) {
        throw Error(ErrorCode::compile_failed, fmt::format("NVRTC refused the name '{}' of {}: {}", kernel,
                                                           request.what, api_.get_error_string(result)));
      }
    }
    std::vector<const char*> options;
    options.reserve(request.options.size() + 1);
    for (const std::string& option : request.options) {
      options.push_back(option.c_str());
    }
    if (minimal) {
      options.push_back("-minimal");
    }
    return api_.compile_program(program_, static_cast<int>(options.size()), options.data());
  }

  /// The names that the kernels of `request` have in the compiled code.
  [[nodiscard]] std::vector<std::string> lowered_names(const CompileRequest& request) const {
    std::vector<std::string> names;
    for (const std::string& kernel : request.kernels) {
      const char* lowered = nullptr;
      if (api_.get_lowered_name(program_, kernel.c_str(), &lowered) != nvrtc_success || lowered == nullptr) {
        throw Error(
            ErrorCode::compile_failed,
            fmt::format(
                "NVRTC compiled {} but knows no kernel '{}': the template and its definition disagree",
                request.what, kernel));
      }
      names.emplace_back(lowered);
    }
    return names;
  }

  [[nodiscard]] std::string text(NvrtcResult (*size)(NvrtcProgram, std::size_t*),
                                 NvrtcResult (*read)(NvrtcProgram, char*)) const {
    std::size_t bytes = 0;
    if (size(program_, &bytes) != nvrtc_success || bytes == 0) {
      return {};
    }
    std::string out(bytes, '\0');
    return read(program_, out.data()) == nvrtc_success ? out : std::string();
  }

 private:
  const NvrtcApi& api_;
  NvrtcProgram program_ = nullptr;
};

std::string without_terminator(std::string text) {
  while (!text.empty() && text.back() == '\0') {
    text.pop_back();
  }
  return text;
}

/// A place in a source, as a log names it: "kernel.cu(12): error: ...".
struct SourcePlace {
  std::string file;
  int line = 0;
};

/// The place of the first error in `log`.
std::optional<SourcePlace> failing_place(std::string_view log) {
  for (std::size_t close = log.find("): "); close != log.npos; close = log.find("): ", close + 1)) {
    const std::string_view message = log.substr(close + 3);
    const std::size_t open = log.rfind('(', close);
    if (open == log.npos || !(message.starts_with("error") || message.starts_with("catastrophic error"))) {
      continue;
    }
    const std::size_t start = log.find_last_of(" \t\n()", open - std::min<std::size_t>(open, 1)) + 1;
    const int line = leading_number(log.substr(open + 1, close - open - 1));
    if (line > 0 && start < open) {
      return SourcePlace{std::string(log.substr(start, open - start)), line};
    }
  }
  return std::nullopt;
}

/// The numbered lines around the first error that the log names.
std::string failing_source(const CompileRequest& request, const std::string& log) {
  const std::optional<SourcePlace> place = failing_place(log);
  if (!place) {
    return fmt::format("generated source:\n{}", numbered_excerpt(request.source, 1, 20));
  }
  for (const auto& [name, text] : request.headers) {
    if (place->file.ends_with(name)) {
      return fmt::format("{}:\n{}", name, numbered_excerpt(text, place->line));
    }
  }
  return fmt::format("generated source:\n{}", numbered_excerpt(request.source, place->line));
}

/// A sentence on the architectures that NVRTC supports: "It knows sm_75, ..., sm_121, and those from sm_90 on
/// with the suffix a. "
std::string known_archs(const Nvrtc& nvrtc) {
  constexpr int first_with_variant = 90;
  std::string text;
  for (const int arch : nvrtc.supported_archs) {
    text += fmt::format("{}sm_{}", text.empty() ? "It knows " : ", ", arch);
  }
  const bool variants = !nvrtc.supported_archs.empty() && nvrtc.supported_archs.back() >= first_with_variant;
  return text.empty() ? text : text + (variants ? ", and those from sm_90 on with the suffix a. " : ". ");
}

/// True if NVRTC can leave out its declarations of the CUDA runtime, which it reads in 3 ms and kernels
/// seldom use.
bool can_be_minimal(const Nvrtc& nvrtc) {
  return nvrtc.major > 12 || (nvrtc.major == 12 && nvrtc.minor >= 4);
}

[[noreturn]] void refuse(const Nvrtc& nvrtc, const CompileRequest& request, NvrtcResult result,
                         const std::string& log) {
  if (log.find("invalid value for --gpu-architecture") != std::string::npos) {
    throw Error(ErrorCode::unsupported,
                fmt::format("NVRTC {} ({}) cannot compile {} with [{}]: it does not know the architecture. {}"
                            "Choose another, or install a newer NVRTC",
                            nvrtc.version(), nvrtc.path, request.what, fmt::join(request.options, " "),
                            known_archs(nvrtc)));
  }
  throw Error(ErrorCode::compile_failed,
              fmt::format("NVRTC {} failed on {}: {}\n{}options: {}\nlog:\n{}", nvrtc.version(), request.what,
                          nvrtc.api.get_error_string(result), failing_source(request, log),
                          fmt::join(request.options, " "), log));
}

int number_before(const std::string& line, std::string_view unit) {
  const std::size_t at = line.find(unit);
  if (at == std::string::npos) {
    return 0;
  }
  std::size_t end = at;
  while (end > 0 && line[end - 1] == ' ') {
    --end;
  }
  std::size_t begin = end;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9') {
    --begin;
  }
  return leading_number(line.substr(begin, end - begin));
}

void raise(Resources& most, const Resources& other) {
  for (int Resources::* const member :
       {&Resources::registers, &Resources::stack_bytes, &Resources::spill_store_bytes,
        &Resources::spill_load_bytes, &Resources::shared_bytes, &Resources::constant_bytes}) {
    most.*member = std::max(most.*member, other.*member);
  }
}

}  // namespace

std::string numbered_excerpt(const std::string& source, int line, int context) {
  std::string out;
  int number = 1;
  std::size_t at = 0;
  while (at < source.size()) {
    const std::size_t end = std::min(source.find('\n', at), source.size());
    if (number >= line - context && number <= line + context) {
      out += fmt::format("{} {:4} | {}\n", number == line ? '>' : ' ', number, source.substr(at, end - at));
    }
    at = end + 1;
    ++number;
  }
  return out;
}

Resources parse_ptxas_log(const std::string& log, const std::string& lowered_name) {
  Resources resources;
  bool ours = false;
  std::size_t at = 0;
  while (at < log.size()) {
    const std::size_t end = std::min(log.find('\n', at), log.size());
    const std::string line = log.substr(at, end - at);
    at = end + 1;
    if (line.find("Compiling entry function") != std::string::npos) {
      ours = line.find("'" + lowered_name + "'") != std::string::npos;
    } else if (ours && line.find("bytes stack frame") != std::string::npos) {
      resources.stack_bytes = number_before(line, "bytes stack frame");
      resources.spill_store_bytes = number_before(line, "bytes spill stores");
      resources.spill_load_bytes = number_before(line, "bytes spill loads");
    } else if (ours && line.find("Used ") != std::string::npos) {
      resources.registers = number_before(line, "registers");
      resources.shared_bytes = number_before(line, "bytes smem");
      resources.constant_bytes = number_before(line, "bytes cmem[0]");
    }
  }
  return resources;
}

CompileResult compile(const Nvrtc& nvrtc, const CompileRequest& request) {
  const NvrtcApi& api = nvrtc.api;
  const auto start = std::chrono::steady_clock::now();
  CompileResult out;
  std::optional<Program> program;
  NvrtcResult result = nvrtc_success;
  const auto attempt = [&](bool minimal) {
    program.emplace(api, request);
    result = program->compile(request, minimal);
    out.log = without_terminator(program->text(api.get_program_log_size, api.get_program_log));
  };
  attempt(can_be_minimal(nvrtc));
  if (result != nvrtc_success && can_be_minimal(nvrtc)) {
    // A host's own template may need the declarations that were left out.
    attempt(false);
  }
  if (result != nvrtc_success) {
    refuse(nvrtc, request, result, out.log);
  }
  out.lowered_names = program->lowered_names(request);
  out.ptx = without_terminator(program->text(api.get_ptx_size, api.get_ptx));
  out.cubin = program->text(api.get_cubin_size, api.get_cubin);
  if (out.ptx.empty() && out.cubin.empty()) {
    throw Error(ErrorCode::compile_failed,
                fmt::format("NVRTC gave neither cubin nor PTX for {}", request.what));
  }
  for (const std::string& name : out.lowered_names) {
    raise(out.resources, parse_ptxas_log(out.log, name));
  }
  out.milliseconds =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace kerncast::compiler
