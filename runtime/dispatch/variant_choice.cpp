#include "runtime/dispatch/variant_choice.hpp"

#include <fmt/format.h>

namespace kerncast {
namespace {

/// The command line that puts the kernel into the cache ahead of time.
std::string warm_command(const Variant& variant, int sm_count, std::int64_t rows) {
  const std::string settings = format_specialisation(*variant.op, variant.spec);
  return fmt::format("kerncast warm {}{}{} --arch {} --sms {} --rows {}", variant.op->name,
                     settings.empty() ? "" : " --set ", settings, variant.arch, sm_count, rows);
}

}  // namespace

std::string not_cached(const Variant& variant, std::string_view reason, int sm_count, std::int64_t rows) {
  return fmt::format("{} is not in the cache, and {}. Warm it first: {}", describe(variant), reason,
                     warm_command(variant, sm_count, rows));
}

}  // namespace kerncast
