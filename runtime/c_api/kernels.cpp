#include <fmt/ranges.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kerncast/runtime.hpp"
#include "runtime/c_api/error.hpp"
#include "runtime/c_api/given_tunables.hpp"
#include "runtime/c_api/handles.hpp"
#include "runtime/c_api/text.hpp"

namespace kerncast::c_api {
namespace {

/// A kernel that a caller names by text instead of by the arguments of a call.
struct NamedKernel {
  Runtime& runtime;
  const OpDefinition& op;
  Specialisation spec;
  std::string_view arch;
};

NamedKernel named_kernel(const char* function, kerncast_runtime* runtime, const kerncast_op* op,
                         const char* settings, const char* arch) {
  Runtime& target = *need(runtime, function, "runtime").runtime;
  const OpDefinition& definition = need(definition_of(op), function, "op");
  return {target, definition,
          specialise(definition, settings_of(&need(settings, function, "settings"), function)),
          &need(arch, function, "arch")};
}

const char* tunables_origin_name(TunablesOrigin origin) noexcept {
  switch (origin) {
    case TunablesOrigin::tuned:
      return "tuned";
    case TunablesOrigin::given:
      return "given";
    default:
      return "defaults";
  }
}

const char* origin_name(Origin origin) noexcept {
  switch (origin) {
    case Origin::disk:
      return "disk";
    case Origin::compiled:
      return "compiled";
    default:
      return "memory";
  }
}

struct ReportText {
  std::string_view name;
  std::string KernelReport::* member;
};

constexpr ReportText report_texts[] = {{"op", &KernelReport::op},
                                       {"spec", &KernelReport::spec},
                                       {"tunables", &KernelReport::tunables},
                                       {"tuned_record", &KernelReport::tuned_record},
                                       {"arch", &KernelReport::arch},
                                       {"key", &KernelReport::key},
                                       {"found_in", &KernelReport::found_in},
                                       {"source", &KernelReport::source},
                                       {"ptx", &KernelReport::ptx},
                                       {"lowered_name", &KernelReport::lowered_name}};

struct ReportCount {
  std::string_view name;
  int KernelReport::* member;
};

constexpr ReportCount report_counts[] = {{"registers", &KernelReport::registers},
                                         {"spill_store_bytes", &KernelReport::spill_store_bytes},
                                         {"spill_load_bytes", &KernelReport::spill_load_bytes},
                                         {"shared_bytes", &KernelReport::shared_bytes},
                                         {"local_bytes", &KernelReport::local_bytes}};

std::string tunables_line(const OpDefinition& op, const Tunables& values) {
  std::string line;
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    line += fmt::format("{}{}={}", i == 0 ? "" : " ", op.tunables[i].name, values[i]);
  }
  return line + "\n";
}

}  // namespace
}  // namespace kerncast::c_api

using kerncast::c_api::guarded;
using kerncast::c_api::need;

kerncast_status kerncast_compile(kerncast_runtime* runtime, const kerncast_op* op, const char* settings,
                                 const char* arch, int64_t rows, const char* tunables,
                                 kerncast_report** report, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_compile";
    const auto kernel = kerncast::c_api::named_kernel(function, runtime, op, settings, arch);
    kerncast::KernelReport made =
        kernel.runtime.compile(kernel.op, kernel.spec, kernel.arch, rows,
                               kerncast::c_api::given_tunables(kernel.op, tunables, function));
    if (report != nullptr) {
      *report = new kerncast_report{std::move(made)};
    }
  });
}

kerncast_status kerncast_cache_find(kerncast_runtime* runtime, const kerncast_op* op, const char* settings,
                                    const char* arch, int64_t rows, const char* tunables,
                                    kerncast_report** report, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_cache_find";
    kerncast_report*& place = need(report, function, "report");
    const auto kernel = kerncast::c_api::named_kernel(function, runtime, op, settings, arch);
    std::optional<kerncast::KernelReport> found =
        kernel.runtime.find(kernel.op, kernel.spec, kernel.arch, rows,
                            kerncast::c_api::given_tunables(kernel.op, tunables, function));
    place = found.has_value() ? new kerncast_report{std::move(*found)} : nullptr;
  });
}

kerncast_status kerncast_tunables(kerncast_runtime* runtime, const kerncast_op* op, const char* settings,
                                  const char* arch, int64_t rows, int32_t sm_count, char** lines,
                                  kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_tunables";
    char*& place = need(lines, function, "lines");
    const auto kernel = kerncast::c_api::named_kernel(function, runtime, op, settings, arch);
    std::string text;
    for (const kerncast::Tunables& values :
         kernel.runtime.tunables(kernel.op, kernel.spec, kernel.arch, rows, sm_count)) {
      text += kerncast::c_api::tunables_line(kernel.op, values);
    }
    place = kerncast::c_api::copy_for_caller(text);
  });
}

kerncast_status kerncast_load_all(kerncast_runtime* runtime, const char* record, int32_t ordinal,
                                  kerncast_load_report* report, char** failures, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_load_all";
    kerncast::Runtime& target = *need(runtime, function, "runtime").runtime;
    const kerncast::LoadReport made = target.load_all(&need(record, function, "record"), ordinal);
    if (failures != nullptr) {
      *failures = kerncast::c_api::copy_for_caller(fmt::format("{}", fmt::join(made.failures, "\n")));
    }
    if (report != nullptr) {
      *report = {made.loaded, made.compiled, made.present, made.elsewhere, made.failures.size()};
    }
  });
}

kerncast_status kerncast_seal(kerncast_runtime* runtime, kerncast_error** error) {
  return guarded(error, [&] { need(runtime, "kerncast_seal", "runtime").runtime->seal(); });
}

const char* kerncast_report_text(const kerncast_report* report, const char* name) {
  if (report == nullptr || name == nullptr) {
    return nullptr;
  }
  const std::string_view wanted = name;
  if (wanted == "tunables_origin") {
    return kerncast::c_api::tunables_origin_name(report->report.tunables_origin);
  }
  if (wanted == "origin") {
    return kerncast::c_api::origin_name(report->report.origin);
  }
  for (const auto& [known, member] : kerncast::c_api::report_texts) {
    if (known == wanted) {
      return (report->report.*member).c_str();
    }
  }
  return nullptr;
}

double kerncast_report_number(const kerncast_report* report, const char* name) {
  if (report == nullptr || name == nullptr) {
    return -1;
  }
  const std::string_view wanted = name;
  if (wanted == "compile_ms") {
    return report->report.compile_ms;
  }
  if (wanted == "load_us") {
    return report->report.load_us;
  }
  for (const auto& [known, member] : kerncast::c_api::report_counts) {
    if (known == wanted) {
      return report->report.*member;
    }
  }
  return -1;
}

void kerncast_report_free(kerncast_report* report) {
  delete report;
}
