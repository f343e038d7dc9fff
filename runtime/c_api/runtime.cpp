#include "kerncast/runtime.hpp"

#include <memory>

#include "runtime/c_api/error.hpp"
#include "runtime/c_api/handles.hpp"
#include "runtime/c_api/text.hpp"

using kerncast::c_api::copy_for_caller;
using kerncast::c_api::guarded;
using kerncast::c_api::need;

kerncast_status kerncast_runtime_create(const kerncast_options* options, kerncast_runtime** runtime,
                                        kerncast_error** error) {
  return guarded(error, [&] {
    kerncast_runtime*& place = need(runtime, "kerncast_runtime_create", "runtime");
    auto made = std::make_unique<kerncast_runtime>();
    made->runtime = std::make_shared<kerncast::Runtime>(options == nullptr ? kerncast::RuntimeOptions{}
                                                                           : options->options);
    place = made.release();
  });
}

kerncast_status kerncast_runtime_instance(kerncast_runtime** runtime, kerncast_error** error) {
  return guarded(error, [&] {
    kerncast_runtime*& place = need(runtime, "kerncast_runtime_instance", "runtime");
    auto made = std::make_unique<kerncast_runtime>();
    // The instance is never destroyed, so nobody owns it.
    made->runtime =
        std::shared_ptr<kerncast::Runtime>(std::shared_ptr<void>(), &kerncast::Runtime::instance());
    place = made.release();
  });
}

void kerncast_runtime_free(kerncast_runtime* runtime) {
  delete runtime;
}

kerncast_status kerncast_make_current(kerncast_runtime* runtime, int32_t ordinal, kerncast_error** error) {
  return guarded(error,
                 [&] { need(runtime, "kerncast_make_current", "runtime").runtime->make_current(ordinal); });
}

kerncast_status kerncast_device_traits_get(kerncast_runtime* runtime, int32_t ordinal,
                                           kerncast_device_traits* traits, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_device_traits_get";
    kerncast_device_traits& place = need(traits, function, "traits");
    const kerncast::DeviceTraits found = need(runtime, function, "runtime").runtime->traits(ordinal);
    place = {found.sm, found.sm_count, found.max_shared_per_block};
  });
}

kerncast_status kerncast_device_arch(kerncast_runtime* runtime, int32_t ordinal, char** arch,
                                     kerncast_error** error) {
  return guarded(error, [&] {
    char*& place = need(arch, "kerncast_device_arch", "arch");
    place = copy_for_caller(need(runtime, "kerncast_device_arch", "runtime").runtime->arch(ordinal));
  });
}

kerncast_status kerncast_driver_symbol(kerncast_runtime* runtime, const char* symbol, void** address,
                                       kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_driver_symbol";
    void*& place = need(address, function, "address");
    place = need(runtime, function, "runtime").runtime->driver_symbol(&need(symbol, function, "symbol"));
  });
}

kerncast_status kerncast_last_fault(kerncast_runtime* runtime, char** text, kerncast_error** error) {
  return guarded(error, [&] {
    char*& place = need(text, "kerncast_last_fault", "text");
    place = copy_for_caller(need(runtime, "kerncast_last_fault", "runtime").runtime->last_fault());
  });
}

kerncast_status kerncast_cache_metrics(kerncast_runtime* runtime, char** text, kerncast_error** error) {
  return guarded(error, [&] {
    char*& place = need(text, "kerncast_cache_metrics", "text");
    place = copy_for_caller(need(runtime, "kerncast_cache_metrics", "runtime").runtime->cache_metrics());
  });
}
