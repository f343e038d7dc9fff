#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string_view>
#include <system_error>
#include <vector>

#include "runtime/c_api/error.hpp"
#include "runtime/c_api/handles.hpp"
#include "runtime/util/nearest_name.hpp"

namespace kerncast::c_api {
namespace {

[[noreturn]] void refuse_value(std::string_view name, std::string_view value, std::string_view wanted) {
  throw Error(ErrorCode::invalid_argument,
              fmt::format("kerncast_options_set: {} is '{}', but must be {}", name, value, wanted));
}

bool flag_of(std::string_view name, std::string_view value) {
  if (value != "true" && value != "false") {
    refuse_value(name, value, "true or false");
  }
  return value == "true";
}

template <class Number>
Number number_of(std::string_view name, std::string_view value) {
  Number number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < Number{0}) {
    refuse_value(name, value, fmt::format("a number from 0 to {}", std::numeric_limits<Number>::max()));
  }
  return number;
}

MissPolicy policy_of(std::string_view name, std::string_view value) {
  if (value == "compile") {
    return MissPolicy::compile;
  }
  if (value != "cache_only") {
    refuse_value(name, value, "compile or cache_only");
  }
  return MissPolicy::cache_only;
}

struct Setter {
  const char* name;
  void (*set)(RuntimeOptions&, std::string_view name, std::string_view value);
};

template <std::string RuntimeOptions::* member>
void set_text(RuntimeOptions& options, std::string_view /*name*/, std::string_view value) {
  options.*member = value;
}

template <std::vector<std::string> RuntimeOptions::* member>
void add_text(RuntimeOptions& options, std::string_view /*name*/, std::string_view value) {
  (options.*member).emplace_back(value);
}

template <std::optional<bool> RuntimeOptions::* member>
void set_flag(RuntimeOptions& options, std::string_view name, std::string_view value) {
  options.*member = flag_of(name, value);
}

template <std::optional<std::uint64_t> RuntimeOptions::* member>
void set_size(RuntimeOptions& options, std::string_view name, std::string_view value) {
  options.*member = number_of<std::uint64_t>(name, value);
}

constexpr Setter setters[] = {
    {"driver", set_text<&RuntimeOptions::driver>},
    {"nvrtc", set_text<&RuntimeOptions::nvrtc>},
    {"cache_directory", set_text<&RuntimeOptions::cache_directory>},
    {"cache_read_only", add_text<&RuntimeOptions::cache_read_only>},
    {"cache_remote", set_text<&RuntimeOptions::cache_remote>},
    {"cache_remote_credentials", set_text<&RuntimeOptions::cache_remote_credentials>},
    {"cache_remote_read_only", set_flag<&RuntimeOptions::cache_remote_read_only>},
    {"cache_remote_leases", set_flag<&RuntimeOptions::cache_remote_leases>},
    {"cache_max_bytes", set_size<&RuntimeOptions::cache_max_bytes>},
    {"cache_max_entries", set_size<&RuntimeOptions::cache_max_entries>},
    {"cache_trust", set_flag<&RuntimeOptions::cache_trust>},
    {"cache_owners", add_text<&RuntimeOptions::cache_owners>},
    {"cache_trusted_keys", set_text<&RuntimeOptions::cache_trusted_keys>},
    {"cache_signing_key", set_text<&RuntimeOptions::cache_signing_key>},
    {"cache_hostname", set_flag<&RuntimeOptions::cache_hostname>},
    {"programmatic_launch", set_flag<&RuntimeOptions::programmatic_launch>},
    {"record", set_text<&RuntimeOptions::record>},
    {"metrics_file", set_text<&RuntimeOptions::metrics_file>},
    {"trace", set_text<&RuntimeOptions::trace>},
    {"nvtx", set_text<&RuntimeOptions::nvtx>},
    {"miss_policy", [](RuntimeOptions& options, std::string_view name,
                       std::string_view value) { options.miss_policy = policy_of(name, value); }},
    {"workers_command", [](RuntimeOptions& options, std::string_view /*name*/,
                           std::string_view value) { options.compile_workers.command = value; }},
    {"workers_jobs",
     [](RuntimeOptions& options, std::string_view name, std::string_view value) {
       options.compile_workers.jobs = number_of<int>(name, value);
     }},
    {"workers_memory_bytes",
     [](RuntimeOptions& options, std::string_view name, std::string_view value) {
       options.compile_workers.memory_bytes = number_of<std::uint64_t>(name, value);
     }},
    {"workers_timeout_s", [](RuntimeOptions& options, std::string_view name, std::string_view value) {
       options.compile_workers.timeout_s = number_of<int>(name, value);
     }}};

void set_option(RuntimeOptions& options, std::string_view name, std::string_view value) {
  std::vector<std::string> names;
  for (const Setter& setter : setters) {
    if (name == setter.name) {
      setter.set(options, name, value);
      return;
    }
    names.emplace_back(setter.name);
  }
  const std::string nearest = nearest_name(name, names);
  throw Error(ErrorCode::not_found,
              fmt::format("kerncast_options_set: there is no option '{}'{}", name,
                          nearest.empty() ? "; kerncast/kerncast.h lists them"
                                          : fmt::format("; did you mean '{}'?", nearest)));
}

/// Hands an event to a listener in C. A view of the library may lack the zero that ends a text of C.
void tell(kerncast_listener_function listener, void* user, const KernelEvent& event) {
  const std::string op(event.op);
  const std::string spec(event.spec);
  const std::string arch(event.arch);
  const std::string key(event.key);
  const std::string error(event.error);
  kerncast_event out{};
  out.kind = static_cast<std::int32_t>(event.kind);
  out.device = event.device;
  out.op = op.c_str();
  out.spec = spec.c_str();
  out.arch = arch.c_str();
  out.key = key.c_str();
  out.error = error.c_str();
  out.duration_ns = event.duration.count();
  out.rows = event.rows;
  out.stage = event.stage;
  std::copy(event.grid.begin(), event.grid.end(), out.grid);
  std::copy(event.block.begin(), event.block.end(), out.block);
  out.stream = event.stream;
  listener(user, &out);
}

}  // namespace
}  // namespace kerncast::c_api

using kerncast::c_api::guarded;
using kerncast::c_api::need;

kerncast_status kerncast_options_create(kerncast_options** options, kerncast_error** error) {
  return guarded(error, [&] { need(options, "kerncast_options_create", "options") = new kerncast_options; });
}

kerncast_status kerncast_options_set(kerncast_options* options, const char* name, const char* value,
                                     kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_options_set";
    kerncast::c_api::set_option(need(options, function, "options").options, &need(name, function, "name"),
                                &need(value, function, "value"));
  });
}

kerncast_status kerncast_options_set_warn(kerncast_options* options, kerncast_warn_function warn, void* user,
                                          kerncast_error** error) {
  return guarded(error, [&] {
    kerncast::RuntimeOptions& target = need(options, "kerncast_options_set_warn", "options").options;
    target.warn = nullptr;
    if (warn != nullptr) {
      target.warn = [warn, user](std::string_view text) { warn(user, std::string(text).c_str()); };
    }
  });
}

kerncast_status kerncast_options_set_listener(kerncast_options* options, kerncast_listener_function listener,
                                              void* user, int32_t launches, kerncast_error** error) {
  return guarded(error, [&] {
    kerncast::RuntimeOptions& target = need(options, "kerncast_options_set_listener", "options").options;
    target.listener = nullptr;
    target.listen_to_launches = listener != nullptr && launches != 0;
    if (listener != nullptr) {
      target.listener = [listener, user](const kerncast::KernelEvent& event) {
        kerncast::c_api::tell(listener, user, event);
      };
    }
  });
}

void kerncast_options_free(kerncast_options* options) {
  delete options;
}
