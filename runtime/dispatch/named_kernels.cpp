// The calls of a Runtime that name kernels by op, specialisation and architecture, and launch nothing.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kerncast/runtime.hpp"
#include "runtime/dispatch/known_devices.hpp"
#include "runtime/dispatch/observe/request_record.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/dispatch/source_text/fingerprint.hpp"
#include "runtime/dispatch/variant_choice.hpp"

namespace kerncast {
namespace {

/// Request for the tunables that a typical device of `arch` uses for `rows` rows of `spec`.
TunablesRequest typical_request(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                                std::int64_t rows, int sm_count = 0) {
  check_specialisation(op, spec);
  return {&op, spec, std::string(arch), typical_traits(arch, sm_count), {}, rows};
}

}  // namespace

KernelReport Runtime::compile(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                              std::int64_t rows, const std::optional<Tunables>& tunables) {
  const Impl::Use use(*impl_);
  const TunablesRequest request = typical_request(op, spec, arch, rows);
  TunablesChoice choice = impl_->chooser.choose(request, tunables);
  impl_->metrics.note();
  const bool sealed = impl_->sealed.load(std::memory_order_relaxed);
  KernelReport report =
      try_tuned_then_default(impl_->chooser, impl_->events, request, choice, [&](const Variant& variant) {
        const std::shared_ptr<const KernelBinary> binary = impl_->builder.load_or_compile(
            variant, sealed ? BuildPolicy::cached_only : BuildPolicy::cached_or_compile);
        if (binary == nullptr) {
          throw Error(ErrorCode::cache_miss,
                      not_cached(variant, impl_->no_compile_reason(false), request.traits.sm_count, rows));
        }
        return to_report(variant, *binary, impl_->builder);
      });
  report_tunables_origin(choice, report);
  return report;
}

KeyReport Runtime::identify(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                            std::int64_t rows, const std::optional<Tunables>& tunables) {
  const Impl::Use use(*impl_);
  const TunablesRequest request = typical_request(op, spec, arch, rows);
  const TunablesChoice choice = impl_->chooser.choose(request, tunables);
  KeyReport report;
  report.spec = format_specialisation(op, spec);
  report.tunables = format_tunables(op, choice.tunables);
  report_tunables_origin(choice, report);
  const cache::KeyFields fields = impl_->builder.inputs(variant_of(request, choice)).fields;
  report.key_fields = fields.fields();
  report.key = fields.key().hex();
  return report;
}

KernelReport Runtime::inspect(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                              std::int64_t rows, const std::optional<Tunables>& tunables) {
  const Impl::Use use(*impl_);
  const TunablesRequest request = typical_request(op, spec, arch, rows);
  const TunablesChoice choice = impl_->chooser.choose(request, tunables);
  const Variant variant = variant_of(request, choice);
  KernelReport report = to_report(
      variant, *impl_->builder.load_or_compile(variant, BuildPolicy::compile_uncached), impl_->builder);
  report_tunables_origin(choice, report);
  return report;
}

std::vector<Tunables> Runtime::tunables(const OpDefinition& op, const Specialisation& spec,
                                        std::string_view arch, std::int64_t rows, int sm_count) {
  const Impl::Use use(*impl_);
  return impl_->chooser.choices(typical_request(op, spec, arch, rows, sm_count));
}

std::optional<KernelReport> Runtime::find(const OpDefinition& op, const Specialisation& spec,
                                          std::string_view arch, std::int64_t rows,
                                          const std::optional<Tunables>& tunables) {
  const Impl::Use use(*impl_);
  const TunablesRequest request = typical_request(op, spec, arch, rows);
  const TunablesChoice choice = impl_->chooser.choose(request, tunables);
  const Variant variant = variant_of(request, choice);
  impl_->metrics.note();
  const std::shared_ptr<const KernelBinary> found =
      impl_->builder.load_or_compile(variant, BuildPolicy::peek);
  if (found == nullptr) {
    return std::nullopt;
  }
  KernelReport report = to_report(variant, *found, impl_->builder);
  report_tunables_origin(choice, report);
  return report;
}

std::vector<int> Runtime::sm_counts(std::string_view arch) {
  std::vector<int> counts;
  for (const DeviceTraits& device : known_devices(arch)) {
    counts.push_back(device.sm_count);
  }
  return counts;
}

LoadReport Runtime::load_all(const std::string& record, int ordinal) {
  const std::string arch = impl_->device(ordinal).arch();
  const RequestRecord requests = read_request_record(record);
  LoadReport report;
  for (const KernelRequest& request : requests.kernels) {
    if (request.arch != arch) {
      ++report.elsewhere;
      continue;
    }
    try {
      const OpDefinition& op = OpRegistry::instance().require(request.op);
      const HotKey key{identity_of(op), ordinal, row_bucket(request.rows), specialise(op, request.settings)};
      KernelReport kernel;
      impl_->resolve(op, key, request.rows, nullptr, &kernel);
      ++(kernel.origin == Origin::memory ? report.present
         : kernel.origin == Origin::disk ? report.loaded
                                         : report.compiled);
    } catch (const Error& error) {
      report.failures.push_back(fmt::format("{}: {}", request.op, first_line(error.what())));
    }
  }
  if (requests.bad_lines > 0) {
    report.failures.push_back(fmt::format("{}: {} lines are no records of kernels, the first is line {}",
                                          record, requests.bad_lines, requests.first_bad_line));
  }
  return report;
}

}  // namespace kerncast
