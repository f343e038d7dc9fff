#include "kerncast/runtime.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <new>

#include "cache/layout.hpp"
#include "cache/metrics.hpp"
#include "runtime/dispatch/fork_count.hpp"
#include "runtime/dispatch/host_options.hpp"
#include "runtime/dispatch/observe/tell.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/dispatch/source_text/fingerprint.hpp"
#include "runtime/dispatch/variant_choice.hpp"
#include "runtime/driver/context.hpp"
#include "runtime/driver/driver_error.hpp"
#include "runtime/driver/programmatic_launch.hpp"
#include "runtime/util/environment.hpp"

namespace kerncast {
namespace {

/// Hands one stage of `call` to the driver. This is the end of the hot path.
void enqueue(const driver::DriverApi& api, const HotEntry& entry, std::size_t stage,
             const LaunchGeometry& geometry, const Call& call, Stream stream) {
  if (geometry.grid[0] == 0) {
    return;
  }
  driver::CUlaunchConfig config{};
  config.gridDimX = geometry.grid[0];
  config.gridDimY = geometry.grid[1];
  config.gridDimZ = geometry.grid[2];
  config.blockDimX = geometry.block[0];
  config.blockDimY = geometry.block[1];
  config.blockDimZ = geometry.block[2];
  config.sharedMemBytes = geometry.dynamic_shared;
  config.hStream = static_cast<driver::CUstream>(stream);
  if (entry.starts_early) {
    driver::allow_early_start(config);
  }
  // The driver reads the arguments before it returns and never writes them.
  void* arguments[] = {const_cast<std::byte*>(call.arguments.data())};
  const auto begin =
      entry.launch_events != nullptr ? begin_launch(entry) : std::chrono::steady_clock::time_point();
  const driver::CUresult result = api.cuLaunchKernelEx(
      &config, static_cast<driver::CUfunction>(entry.functions[stage]), arguments, nullptr);
  if (result != driver::CUDA_SUCCESS) [[unlikely]] {
    if (entry.launch_events != nullptr) {
      drop_launch(entry);
    }
    if (result == driver::CUDA_ERROR_NOT_INITIALIZED && fork_count() != 0) {
      throw Error(ErrorCode::unsupported, fmt::format("launching {}: {}", entry.kernel, forked_after_use));
    }
    driver::check(
        api, result,
        fmt::format("launching {}, grid {}x{}x{}, block {}", entry.kernel, geometry.grid[0], geometry.grid[1],
                    geometry.grid[2], geometry.block[0] * geometry.block[1] * geometry.block[2]));
  }
  if (entry.launch_events != nullptr) [[unlikely]] {
    tell_launch(entry, stage, geometry, call, stream, begin);
  }
}

/// Grid and block of each stage of `call`. A call of no rows has grids of 0 blocks, which launch nothing.
std::array<LaunchGeometry, max_stages> geometries_of(const OpDefinition& op, const HotEntry& entry,
                                                     const Call& call) {
  std::array<LaunchGeometry, max_stages> geometries{};
  if (call.rows == 0) {
    geometries.fill({{0, 1, 1}, {1, 1, 1}, 0});
    return geometries;
  }
  geometries[0] = op.geometry(call.spec, entry.tunables, entry.traits, call.rows);
  for (std::size_t i = 0; i < op.later_stages.size(); ++i) {
    geometries[i + 1] = op.later_stages[i].geometry(call.spec, entry.tunables, entry.traits, call.rows);
  }
  return geometries;
}

HotKey hot_key(const OpDefinition& op, const Call& call) noexcept {
  return {identity_of(op), call.device, row_bucket(call.rows), call.spec};
}

/// The part of a kernel's identity that does not depend on device and row bucket.
std::string kernel_identity(const OpFingerprint& op, const Specialisation& spec, const Tunables& tunables) {
  return fmt::format("{:016x}{:016x}\n{}\n{}", op.high, op.low, fmt::join(spec.values, ","),
                     fmt::join(tunables.values, ","));
}

/// Keeps `impl` until the process ends, where a leak checker sees that this is on purpose.
void leave(Runtime::Impl* impl) noexcept {
  struct Left {
    Runtime::Impl* impl;
    Left* before;
  };
  static std::atomic<Left*> last{nullptr};
  if (auto* left = new (std::nothrow) Left{impl, nullptr}) {
    left->before = last.exchange(left);
  }
}

}  // namespace

Runtime::Impl::Impl(RuntimeOptions given)
    : options(std::move(given)),
      events(options.listener, options.listen_to_launches,
             options.trace.empty() ? environment("KERNCAST_TRACE") : options.trace,
             options.nvtx.empty() ? environment("KERNCAST_NVTX") : options.nvtx, warning_sink(options)),
      cache(cache_options(options), warning_sink(options)),
      builder(options.nvrtc, environment("KERNCAST_TEMPLATE_DIR"), cache,
              worker_pool(options.compile_workers, options.nvrtc, cache.store()), &events),
      chooser(cache, builder, warning_sink(options)),
      requests(options.record.empty() ? environment("KERNCAST_RECORD") : options.record,
               warning_sink(options)),
      metrics(
          options.metrics_file.empty() ? environment("KERNCAST_METRICS_FILE") : options.metrics_file,
          [this] { return cache.counters(); }, warning_sink(options)),
      policy(miss_policy(options)),
      programmatic(programmatic_launch(options)) {}

bool Runtime::Impl::forked_since_use() const {
  const std::int64_t used_at = used_at_.load(std::memory_order_relaxed);
  return used_at != never && used_at != std::int64_t{fork_count()};
}

bool Runtime::Impl::must_stay() const {
  return forked_since_use() || uses_.load(std::memory_order_acquire) != 0;
}

Runtime::Impl::Use::Use(Impl& impl) : impl_(impl) {
  std::int64_t first = never;
  impl_.used_at_.compare_exchange_strong(first, std::int64_t{fork_count()}, std::memory_order_relaxed);
  if (impl_.forked_since_use()) {
    throw Error(ErrorCode::unsupported, forked_after_use);
  }
  impl_.uses_.fetch_add(1, std::memory_order_relaxed);
}

const driver::Driver& Runtime::Impl::driver() {
  const Use use(*this);
  const std::lock_guard lock(mutex_);
  if (driver_ == nullptr) {
    driver_ = driver::load_driver(options.driver);
    api.store(&driver_->api, std::memory_order_release);
  }
  return *driver_;
}

DeviceState& Runtime::Impl::device(int ordinal) {
  const Use use(*this);
  driver();
  const std::lock_guard lock(mutex_);
  if (ordinal < 0) {
    throw Error(ErrorCode::invalid_argument, fmt::format("device {} does not exist", ordinal));
  }
  const auto index = static_cast<std::size_t>(ordinal);
  if (index < devices_.size() && devices_[index] != nullptr) {
    return *devices_[index];
  }
  auto state = std::make_unique<DeviceState>(driver_, ordinal);
  if (index >= devices_.size()) {
    devices_.resize(index + 1);
  }
  devices_[index] = std::move(state);
  return *devices_[index];
}

bool Runtime::Impl::starts_early(const OpDefinition& op, const DeviceTraits& traits) const {
  return op.waits_for_primary && starts_early(traits);
}

bool Runtime::Impl::starts_early(const DeviceTraits& traits) const {
  constexpr int first_sm = 90;
  return programmatic && traits.sm >= first_sm;
}

std::pair<LoadedKernel, bool> Runtime::Impl::load_once(const std::string& identity, DeviceState& state,
                                                       const Variant& variant,
                                                       const std::shared_ptr<const KernelBinary>& binary) {
  const std::lock_guard lock(loaded_mutex_);
  if (const auto found = loaded_.find(identity); found != loaded_.end()) {
    return {found->second, true};
  }
  const std::string what = describe(variant);
  const NvtxRange range(events.ranges(), ("kerncast load " + what).c_str());
  LoadedKernel loaded = state.load(binary, what);
  loaded_.emplace(identity, loaded);
  return {std::move(loaded), false};
}

std::string_view Runtime::Impl::no_compile_reason(bool capturing) const {
  if (capturing) {
    return "nothing may be compiled while a stream is being captured";
  }
  if (sealed.load(std::memory_order_relaxed)) {
    return "this Runtime is sealed (Runtime::seal) and compiles nothing";
  }
  return policy == MissPolicy::compile
             ? ""
             : "strict mode (KERNCAST_STRICT, MissPolicy::cache_only) compiles nothing";
}

std::pair<LoadedKernel, bool> Runtime::Impl::load_or_compile(DeviceState& state, const Variant& variant,
                                                             std::int64_t rows, bool capturing) {
  const std::string identity = fmt::format(
      "{}\n{}", state.ordinal(), kernel_identity(identity_of(*variant.op), variant.spec, variant.tunables));
  {
    const std::lock_guard lock(loaded_mutex_);
    if (const auto found = loaded_.find(identity); found != loaded_.end()) {
      return {found->second, true};
    }
  }
  tell_miss(events, state.ordinal(), variant);
  const std::string_view reason = no_compile_reason(capturing);
  while (true) {
    const std::shared_ptr<const KernelBinary> binary = builder.load_or_compile(
        variant, reason.empty() ? BuildPolicy::cached_or_compile : BuildPolicy::cached_only);
    if (binary == nullptr) {
      throw Error(capturing ? ErrorCode::capture_miss : ErrorCode::cache_miss,
                  not_cached(variant, reason, state.traits().sm_count, rows));
    }
    const std::size_t kernels = 1 + variant.op->later_stages.size();
    if (binary->lowered_names.size() != kernels &&
        builder.refuse(*binary, fmt::format("it names {} kernels in place of {}",
                                            binary->lowered_names.size(), kernels))) {
      continue;
    }
    try {
      auto [loaded, present] = load_once(identity, state, variant, binary);
      if (!present) {
        tell_load(events, state.ordinal(), variant, loaded);
      }
      return {std::move(loaded), present};
    } catch (const Error& error) {
      // Each turn refuses other code, so there are no more turns than layers.
      if (!driver::code_is_to_blame(error) || !builder.refuse(*binary, first_line(error.what()))) {
        throw;
      }
    }
  }
}

HotEntry Runtime::Impl::make_entry(const OpDefinition& op, const HotKey& key, std::int64_t rows,
                                   Stream stream, const std::optional<Tunables>& given,
                                   KernelReport* report) {
  const Use use(*this);
  check_specialisation(op, key.spec);
  const driver::DriverApi& functions = driver().api;
  const driver::RelaxedCapture relaxed(functions);
  DeviceState& state = device(key.device);
  const driver::CurrentContext current(functions, state.context());
  const TunablesRequest request{&op, key.spec, state.arch(), state.traits(), state.name(), rows};
  TunablesChoice choice = chooser.choose(request, given);

  driver::CUstreamCaptureStatus capture = driver::CU_STREAM_CAPTURE_STATUS_NONE;
  const driver::CUresult asked =
      functions.cuStreamIsCapturing(static_cast<driver::CUstream>(stream), &capture);
  // The legacy stream itself cannot capture. This code says that another stream of the context does.
  if (asked != driver::CUDA_ERROR_STREAM_CAPTURE_IMPLICIT) {
    driver::check(functions, asked, fmt::format("asking whether the stream of {} is captured", op.name));
  }
  requests.note(op, key.spec, request.arch, state.traits().sm_count, rows);
  metrics.note();
  const auto [loaded, present] =
      try_tuned_then_default(chooser, events, request, choice, [&](const Variant& variant) {
        return load_or_compile(state, variant, rows, capture != driver::CU_STREAM_CAPTURE_STATUS_NONE);
      });
  if (report != nullptr) {
    *report = to_report(variant_of(request, choice), *loaded.binary, builder);
    report_tunables_origin(choice, *report);
    report->load_us = present ? 0 : loaded.load_us;
    if (present) {
      report->origin = Origin::memory;
      report->found_in.clear();
      report->compile_ms = 0;
    }
  }
  HotEntry entry;
  entry.key = key;
  entry.kernel = fmt::format("{} [{}]", op.name, format_specialisation(op, key.spec));
  entry.functions = loaded.functions;
  entry.tunables = choice.tunables;
  entry.traits = state.traits();
  entry.starts_early = starts_early(op, state.traits());
  if (events.launches_heard()) {
    entry.spec = format_specialisation(op, key.spec);
    entry.arch = state.arch();
    entry.launch_events = &events;
  }
  return entry;
}

const HotEntry& Runtime::Impl::resolve(const OpDefinition& op, const HotKey& key, std::int64_t rows,
                                       Stream stream, KernelReport* report) {
  return *hot.insert(make_entry(op, key, rows, stream, std::nullopt, report));
}

const HotEntry& Runtime::Impl::resolve_given(const OpDefinition& op, const HotKey& key, std::int64_t rows,
                                             Stream stream, const Tunables& given, KernelReport* report) {
  HotEntry entry = make_entry(op, key, rows, stream, given, report);
  const std::string identity =
      fmt::format("{}\n{}\n{}", key.device, key.bucket, kernel_identity(key.op, key.spec, given));
  const std::lock_guard lock(given_mutex_);
  std::unique_ptr<HotEntry>& kept = given_[identity];
  if (kept == nullptr) {
    kept = std::make_unique<HotEntry>(std::move(entry));
  }
  return *kept;
}

Runtime::Runtime(RuntimeOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Runtime::~Runtime() {
  if (impl_->must_stay()) {
    leave(impl_.release());
  }
}

Runtime& Runtime::instance() {
  // Never destroyed, since hosts launch from static destructors too.
  static Runtime* runtime = [] {
    auto* made = new Runtime;
    std::atexit([] {
      instance().impl_->metrics.finish();
      instance().impl_->events.finish();
    });
    return made;
  }();
  return *runtime;
}

void Runtime::dispatch(const OpDefinition& op, const Call& call, Stream stream) {
  if (call.rows == 0) {
    return;
  }
  const HotKey key = hot_key(op, call);
  const HotEntry* entry = impl_->hot.find(key, HotTable::hash(key));
  if (entry == nullptr) [[unlikely]] {
    entry = &impl_->resolve(op, key, call.rows, stream, nullptr);
  }
  const driver::DriverApi& api = *impl_->api.load(std::memory_order_acquire);
  enqueue(api, *entry, 0, op.geometry(call.spec, entry->tunables, entry->traits, call.rows), call, stream);
  for (std::size_t i = 0; i < op.later_stages.size(); ++i) {
    enqueue(api, *entry, i + 1,
            op.later_stages[i].geometry(call.spec, entry->tunables, entry->traits, call.rows), call, stream);
  }
}

void Runtime::run(const OpDefinition& op, const Bindings& bindings, Stream stream) {
  check_names(op, bindings);
  const Call call = op.bind(bindings);
  const driver::DriverApi& api = impl_->driver().api;
  impl_->device(call.device);
  for (const auto& [name, view] : bindings.tensors()) {
    if (view.data == nullptr || view.numel() == 0) {
      continue;
    }
    unsigned int kind = 0;
    const driver::CUresult result = api.cuPointerGetAttribute(
        &kind, driver::CU_POINTER_ATTRIBUTE_MEMORY_TYPE, reinterpret_cast<driver::CUdeviceptr>(view.data));
    if (result != driver::CUDA_SUCCESS) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("{}: tensor '{}' at {} is host memory, not device memory; copy it to the device first",
                      op.name, name, fmt::ptr(view.data)));
    }
  }
  dispatch(op, call, stream);
}

PreparedLaunch Runtime::prepare(const OpDefinition& op, const Call& call,
                                const std::optional<Tunables>& tunables) {
  PreparedLaunch prepared;
  prepared.prepared_ = true;
  prepared.call_ = call;
  if (call.rows == 0) {
    return prepared;
  }
  const HotKey key = hot_key(op, call);
  const HotEntry* entry = tunables ? &impl_->resolve_given(op, key, call.rows, nullptr, *tunables, nullptr)
                                   : impl_->hot.find(key, HotTable::hash(key));
  if (entry == nullptr) {
    entry = &impl_->resolve(op, key, call.rows, nullptr, nullptr);
  } else {
    const Impl::Use use(*impl_);
  }
  prepared.entry_ = entry;
  prepared.api_ = impl_->api.load(std::memory_order_acquire);
  prepared.geometries_ = geometries_of(op, *entry, call);
  return prepared;
}

void PreparedLaunch::rebind(const OpDefinition& op, const Call& call) {
  const auto* entry = static_cast<const HotEntry*>(entry_);
  const bool no_kernel_needed = call.rows == 0;
  if (!prepared_ || (entry == nullptr && !no_kernel_needed)) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{}: there is no kernel to rebind, since the launch was {}; prepare it for this call",
                    op.name, prepared_ ? "prepared for no rows" : "never prepared"));
  }
  if (entry != nullptr) {
    HotKey key = hot_key(op, call);
    if (no_kernel_needed) {
      key.bucket = entry->key.bucket;
    }
    if (key != entry->key) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("{} [{}] on device {} with {} rows needs another kernel than {} on device {} with up "
                      "to {} rows, which was prepared; prepare a launch for it",
                      op.name, format_specialisation(op, call.spec), call.device, call.rows, entry->kernel,
                      entry->key.device, row_range(entry->key.bucket).highest));
    }
    geometries_ = geometries_of(op, *entry, call);
  }
  call_ = call;
}

void PreparedLaunch::launch(Stream stream) const {
  if (!prepared_) {
    throw Error(ErrorCode::invalid_argument,
                "this PreparedLaunch was never prepared; assign it the result of Runtime::prepare first");
  }
  if (entry_ == nullptr) {
    return;
  }
  const auto& entry = *static_cast<const HotEntry*>(entry_);
  for (std::size_t i = 0; i < geometries_.size() && entry.functions[i] != nullptr; ++i) {
    enqueue(*static_cast<const driver::DriverApi*>(api_), entry, i, geometries_[i], call_, stream);
  }
}

KernelReport Runtime::ensure(const OpDefinition& op, const Call& call,
                             const std::optional<Tunables>& tunables) {
  KernelReport report;
  const HotKey key = hot_key(op, call);
  if (tunables) {
    impl_->resolve_given(op, key, call.rows, nullptr, *tunables, &report);
  } else {
    impl_->resolve(op, key, call.rows, nullptr, &report);
  }
  return report;
}

void Runtime::seal() noexcept {
  impl_->sealed.store(true, std::memory_order_relaxed);
}

std::string Runtime::arch(int ordinal) {
  return impl_->device(ordinal).arch();
}

CacheCounters Runtime::cache_counters() const {
  return impl_->cache.counters();
}

std::string Runtime::cache_metrics() const {
  return cache::prometheus_text(impl_->cache.counters());
}

void Runtime::make_current(int ordinal) {
  impl_->device(ordinal).make_current();
}

void* Runtime::driver_symbol(const char* symbol) const {
  return impl_->driver().symbol(symbol);
}

std::string Runtime::last_fault() const {
  const driver::DriverApi& api = impl_->driver().api;
  const char* text = api.last_fault != nullptr ? api.last_fault() : nullptr;
  return text != nullptr ? text : "";
}

DeviceTraits Runtime::traits(int ordinal) {
  return impl_->device(ordinal).traits();
}

}  // namespace kerncast
