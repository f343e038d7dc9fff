#include "runtime/dispatch/kernel_builder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cache/cache.hpp"
#include "cache/entry.hpp"
#include "cache/process_lock.hpp"
#include "runtime/compiler/nvrtc_state.hpp"
#include "runtime/dispatch/entry_proof.hpp"
#include "runtime/dispatch/tunables/launch_digest.hpp"
#include "runtime/util/split.hpp"

namespace kerncast {
namespace {

// A process without a compiler looks for entries of these NVRTC releases, newest first.
constexpr int newest_major = 14;
constexpr int oldest_major = 12;
constexpr int newest_minor = 9;

constexpr const char* resource_names[] = {"registers",        "stack_bytes",  "spill_store_bytes",
                                          "spill_load_bytes", "shared_bytes", "constant_bytes"};

bool is_uncached(BuildPolicy policy) {
  return policy == BuildPolicy::compile_uncached || policy == BuildPolicy::compile_uncached_with_line_info;
}

bool is_cached_only(BuildPolicy policy) {
  return policy == BuildPolicy::cached_only || policy == BuildPolicy::peek;
}

cache::OnMiss on_miss(BuildPolicy policy) {
  return policy == BuildPolicy::peek ? cache::OnMiss::ignore : cache::OnMiss::count;
}

cache::Entry to_entry(const compiler::CompileResult& compiled, const Variant& variant,
                      const cache::KeyFields& fields) {
  cache::Entry entry;
  entry.op = variant.op->name;
  entry.spec = format_specialisation(*variant.op, variant.spec);
  entry.arch = variant.arch;
  entry.cubin = compiled.cubin;
  entry.ptx = compiled.ptx;
  entry.lowered_name = fmt::format("{}", fmt::join(compiled.lowered_names, "\n"));
  entry.key_fields = fields.fields();
  const compiler::Resources& r = compiled.resources;
  const int values[] = {r.registers,        r.stack_bytes,  r.spill_store_bytes,
                        r.spill_load_bytes, r.shared_bytes, r.constant_bytes};
  for (std::size_t i = 0; i < std::size(values); ++i) {
    entry.resources.emplace_back(resource_names[i], values[i]);
  }
  return entry;
}

/// Null if `hit` is empty.
std::shared_ptr<const KernelBinary> from_hit(const cache::Hit& hit, const cache::Key& key) {
  if (!hit) {
    return nullptr;
  }
  const cache::Entry& entry = *hit.entry;
  auto binary = std::make_shared<KernelBinary>();
  binary->cubin = entry.cubin;
  binary->ptx = entry.ptx;
  binary->lowered_names = split(entry.lowered_name, '\n');
  binary->key = key;
  binary->origin = hit.layer == cache::Layer::memory ? Origin::memory : Origin::disk;
  binary->found_in = hit.place;
  compiler::Resources& r = binary->resources;
  int* const targets[] = {&r.registers,        &r.stack_bytes,  &r.spill_store_bytes,
                          &r.spill_load_bytes, &r.shared_bytes, &r.constant_bytes};
  for (std::size_t i = 0; i < std::size(targets); ++i) {
    for (const auto& [name, value] : entry.resources) {
      if (name == resource_names[i]) {
        *targets[i] = static_cast<int>(value);
      }
    }
  }
  return binary;
}

}  // namespace

KernelReport to_report(const Variant& variant, const KernelBinary& binary, KernelBuilder& builder) {
  KernelInputs inputs = builder.inputs(variant);
  KernelReport report;
  report.op = variant.op->name;
  report.spec = format_specialisation(*variant.op, variant.spec);
  report.tunables = format_tunables(*variant.op, variant.tunables);
  report.arch = variant.arch;
  report.key = binary.key.hex();
  report.origin = binary.origin;
  report.found_in = binary.found_in;
  report.compile_ms = binary.compile_ms;
  report.registers = binary.resources.registers;
  report.spill_store_bytes = binary.resources.spill_store_bytes;
  report.spill_load_bytes = binary.resources.spill_load_bytes;
  report.shared_bytes = binary.resources.shared_bytes;
  report.local_bytes = binary.resources.stack_bytes;
  report.source = std::move(inputs.source.text);
  report.ptx = binary.ptx;
  report.cubin = binary.cubin;
  report.lowered_name = fmt::format("{}", fmt::join(binary.lowered_names, "\n"));
  report.key_fields = inputs.fields.fields();
  return report;
}

std::string describe(const Variant& variant) {
  return fmt::format("{} [{}] for {}", variant.op->name, format_specialisation(*variant.op, variant.spec),
                     variant.arch);
}

KernelBuilder::KernelBuilder(std::string nvrtc_choice, std::string template_directory, cache::Cache& cache,
                             std::unique_ptr<compiler::worker::Pool> workers, const KernelEvents* events)
    : nvrtc_choice_(std::move(nvrtc_choice)),
      templates_(std::move(template_directory)),
      cache_(cache),
      workers_(std::move(workers)),
      events_(events != nullptr && events->heard() ? events : nullptr) {}

const compiler::NvrtcSearch& KernelBuilder::nvrtc() {
  std::call_once(nvrtc_once_, [this] {
    recall_compiler();
    nvrtc_ = compiler::load_nvrtc(nvrtc_choice_);
    nvrtc_loaded_.store(true, std::memory_order_release);
  });
  return nvrtc_;
}

bool KernelBuilder::recall_compiler() {
  std::call_once(recalled_once_, [this] {
    nvrtc_state_ = compiler::nvrtc_state(nvrtc_choice_);
    const auto record = nvrtc_state_.empty() ? std::nullopt : cache_.recall_compiler(nvrtc_state_);
    if (record && record->identity == compiler::file_identity(record->library)) {
      recalled_version_ = record->version;
    }
  });
  return !recalled_version_.empty() && !nvrtc_loaded_.load(std::memory_order_acquire);
}

std::string KernelBuilder::compiler_version() {
  if (recall_compiler()) {
    return recalled_version_;
  }
  const compiler::NvrtcSearch& search = nvrtc();
  return search.nvrtc != nullptr ? search.nvrtc->version() : std::string();
}

void KernelBuilder::record_compiler() {
  std::call_once(recorded_once_, [this] {
    if (nvrtc_.nvrtc != nullptr && !nvrtc_state_.empty()) {
      cache_.record_compiler(nvrtc_state_,
                             {nvrtc_.nvrtc->version(), nvrtc_.nvrtc->loaded_as, nvrtc_.nvrtc->identity});
    }
  });
}

KernelInputs KernelBuilder::inputs(const Variant& variant) {
  KernelInputs inputs{generate_source(*variant.op, variant.spec, variant.tunables),
                      templates_.closure(template_names(*variant.op).include, variant.op->sources),
                      compile_options(variant.arch),
                      {}};
  inputs.fields = key_fields(inputs.source, inputs.headers, inputs.options, variant.arch, compiler_version());
  return inputs;
}

bool KernelBuilder::refuse(const KernelBinary& binary, const std::string& reason) {
  if (binary.origin == Origin::compiled) {
    return false;
  }
  const std::string names = fmt::format("{}", fmt::join(binary.lowered_names, "\n"));
  return cache_.refuse(binary.key, cache::code_digest(binary.cubin, binary.ptx, names), reason);
}

std::string KernelBuilder::templates_digest(const OpDefinition& op, const std::string& spec) const {
  std::vector<std::pair<std::string, std::string>> settings;
  for (const std::string& word : non_empty_parts(spec, ' ')) {
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) {
      settings.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
  }
  try {
    return templates_digest(op, specialise(op, settings));
  } catch (const Error&) {
    return {};
  }
}

std::string KernelBuilder::templates_digest(const OpDefinition& op, const Specialisation& spec) const {
  cache::KeyFields fields;
  for (auto& [name, text] : templates_.closure(template_names(op).include, op.sources)) {
    fields.add(name, text);
  }
  fields.add("launches", launch_digest(op, spec));
  return fields.key().hex();
}

std::shared_ptr<const KernelBinary> KernelBuilder::load_or_compile(const Variant& variant,
                                                                   BuildPolicy policy) {
  if (!is_uncached(policy)) {
    if (auto found = load_without_compiler(variant)) {
      return found;
    }
  }
  const compiler::NvrtcSearch& search = nvrtc();
  auto binary = load_or_compile_with(search, variant, policy);
  record_compiler();
  return binary;
}

std::shared_ptr<const KernelBinary> KernelBuilder::load_without_compiler(const Variant& variant) {
  if (!recall_compiler()) {
    return nullptr;
  }
  const KernelInputs inputs = this->inputs(variant);
  // The server is asked once, with the compiler that is loaded, since a miss there would cost time twice.
  const cache::Key key = inputs.fields.key();
  return from_hit(cache_.load_local(key), key);
}

std::shared_ptr<const KernelBinary> KernelBuilder::load_or_compile_with(const compiler::NvrtcSearch& search,
                                                                        const Variant& variant,
                                                                        BuildPolicy policy) {
  const KernelInputs inputs = this->inputs(variant);
  if (search.nvrtc == nullptr) {
    std::shared_ptr<const KernelBinary> found =
        is_uncached(policy) ? nullptr : load_any_version(inputs.fields, on_miss(policy));
    if (found == nullptr && !is_cached_only(policy)) {
      throw Error(ErrorCode::not_found,
                  fmt::format("{} is not in the cache and there is no NVRTC to compile it: {}",
                              describe(variant), search.remedy));
    }
    return found;
  }
  if (is_uncached(policy)) {
    cache::WaitBudget budget = cache_.wait_budget();
    return compile(variant, inputs, policy, budget);
  }
  const cache::Key key = inputs.fields.key();
  if (is_cached_only(policy)) {
    return from_hit(cache_.load(key, on_miss(policy)), key);
  }
  return flights_.run(key, [&]() -> std::shared_ptr<const KernelBinary> {
    cache::WaitBudget budget = cache_.wait_budget();
    if (auto found = from_hit(cache_.load(key, cache::OnMiss::count, budget), key)) {
      return found;
    }
    // The lock only saves work: without it, two processes compile the same kernel.
    const cache::ProcessLock lock = cache_.lock(key, budget);
    // Another process may have published between the load above and the lock, without making this one wait.
    if (auto found = from_hit(cache_.load_published(key), key)) {
      return found;
    }
    // The lease is among machines what the lock is among processes. It ends when the kernel is published.
    const cache::Turn turn = cache_.take_turn(key, budget);
    if (auto found = from_hit(turn.hit, key)) {
      return found;
    }
    return compile(variant, inputs, policy, budget);
  });
}

std::shared_ptr<const KernelBinary> KernelBuilder::load_any_version(cache::KeyFields fields,
                                                                    cache::OnMiss on_miss) {
  const cache::LayerCompilers layers = cache_.compilers();
  std::vector<std::string> versions;
  for (int major = newest_major; major >= oldest_major; --major) {
    for (int minor = newest_minor; minor >= 0; --minor) {
      if (std::string version = fmt::format("{}.{}", major, minor); layers.may_hold(version)) {
        versions.push_back(std::move(version));
      }
    }
  }
  {
    // Most entries of a cache come from one compiler version, so the version found last is tried first.
    const std::lock_guard lock(found_mutex_);
    if (const auto last = std::find(versions.begin(), versions.end(), found_version_);
        last != versions.end()) {
      std::rotate(versions.begin(), last, last + 1);
    }
  }
  cache::WaitBudget budget = cache_.wait_budget();
  for (const std::string& version : versions) {
    fields.set(compiler_field, version);
    const cache::Key key = fields.key();
    if (auto found = from_hit(cache_.load(key, cache::OnMiss::ignore, budget, layers, version), key)) {
      const std::lock_guard lock(found_mutex_);
      found_version_ = version;
      return found;
    }
  }
  if (on_miss == cache::OnMiss::count) {
    cache_.count_miss();
  }
  return nullptr;
}

compiler::CompileResult KernelBuilder::run_compiler(const Variant& variant, const cache::Key& key,
                                                    const compiler::CompileRequest& request) {
  const auto run = [&] {
    return workers_ != nullptr ? workers_->compile(request, nvrtc_.nvrtc->version())
                               : compiler::compile(*nvrtc_.nvrtc, request);
  };
  if (events_ == nullptr) {
    return run();
  }
  const std::string spec = format_specialisation(*variant.op, variant.spec);
  const std::string digits = key.hex();
  KernelEvent event;
  event.kind = KernelEventKind::compile_begin;
  event.op = variant.op->name;
  event.spec = spec;
  event.arch = variant.arch;
  event.key = digits;
  event.begin = std::chrono::steady_clock::now();
  events_->tell(event);
  event.kind = KernelEventKind::compile_end;
  const auto end = [&](std::string_view error) {
    event.error = error;
    event.duration = std::chrono::steady_clock::now() - event.begin;
    events_->tell(event);
  };
  try {
    compiler::CompileResult compiled = run();
    end("");
    return compiled;
  } catch (const std::exception& error) {
    end(error.what());
    throw;
  }
}

std::shared_ptr<const KernelBinary> KernelBuilder::compile(const Variant& variant, const KernelInputs& inputs,
                                                           BuildPolicy policy, cache::WaitBudget& budget) {
  compiler::CompileRequest request;
  request.what = describe(variant);
  request.source = inputs.source.text;
  request.kernels = inputs.source.kernels;
  request.headers = inputs.headers;
  request.options = inputs.options;
  if (policy == BuildPolicy::compile_uncached_with_line_info) {
    request.options.emplace_back("--generate-line-info");
  }
  const cache::Key key = inputs.fields.key();
  const compiler::CompileResult compiled = run_compiler(variant, key, request);
  auto binary = std::make_shared<KernelBinary>();
  binary->cubin = compiled.cubin;
  binary->ptx = compiled.ptx;
  binary->lowered_names = compiled.lowered_names;
  binary->resources = compiled.resources;
  binary->key = key;
  binary->origin = Origin::compiled;
  binary->compile_ms = compiled.milliseconds;
  if (!is_uncached(policy)) {
    // Count the compiler's own time, without the wait for a free worker.
    cache_.count_compile(static_cast<std::uint64_t>(compiled.milliseconds * 1000));
    cache::Entry entry = to_entry(compiled, variant, inputs.fields);
    if (const std::string reason = disproof(binary->key, entry); !reason.empty()) {
      throw Error(ErrorCode::compile_failed,
                  fmt::format("the result of compiling {} is not used: {}", describe(variant), reason));
    }
    cache_.publish(binary->key, std::move(entry), budget);
  }
  return binary;
}

}  // namespace kerncast
