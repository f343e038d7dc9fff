#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/cache.hpp"
#include "cache/key.hpp"
#include "cache/single_flight.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/compiler/compiler.hpp"
#include "runtime/compiler/nvrtc_api.hpp"
#include "runtime/compiler/worker/pool.hpp"
#include "runtime/dispatch/observe/kernel_events.hpp"
#include "runtime/dispatch/source_text/source.hpp"
#include "runtime/dispatch/source_text/template_set.hpp"

namespace kerncast {

/// One kernel of an op: the values that its source is generated from, and its architecture.
struct Variant {
  const OpDefinition* op = nullptr;
  Specialisation spec;
  Tunables tunables;
  std::string arch;
};

/// The binaries of a kernel, and where they were found.
struct KernelBinary {
  std::string cubin;
  std::string ptx;
  std::vector<std::string> lowered_names;  ///< entry points of the op's stages, in order
  compiler::Resources resources;
  cache::Key key;
  Origin origin = Origin::compiled;
  std::string found_in;  ///< as KernelReport has it
  double compile_ms = 0;
};

/// Everything that a compile of one variant reads, and the fields of its key.
struct KernelInputs {
  GeneratedSource source;
  TemplateSet::Files headers;
  std::vector<std::string> options;
  cache::KeyFields fields;  ///< with the version of the compiler found, or an empty version
};

/// Says if the builder may compile, and if it uses the cache.
enum class BuildPolicy : std::uint8_t {
  cached_or_compile,
  cached_only,       ///< null if the cache does not hold the kernel
  peek,              ///< like cached_only, but a miss is not counted, since no launch waits for the kernel
  compile_uncached,  ///< compile now, neither reading nor writing the cache
  compile_uncached_with_line_info,  ///< like compile_uncached; the key is that of the kernel without line
                                    ///< info
};

/// Turns variants into binaries: generates the source, computes the key, asks the cache, and compiles, at
/// most once per key however many threads and processes ask. Thread-safe.
class KernelBuilder {
 public:
  /// `workers` compile if given; else this process does. `events` hears of compiles if given.
  KernelBuilder(std::string nvrtc_choice, std::string template_directory, cache::Cache& cache,
                std::unique_ptr<compiler::worker::Pool> workers = nullptr,
                const KernelEvents* events = nullptr);

  /// Throws Error(compile_failed), or Error(not_found) if the kernel is not cached and there is no compiler.
  [[nodiscard]] std::shared_ptr<const KernelBinary> load_or_compile(const Variant& variant,
                                                                    BuildPolicy policy);

  /// Says that `binary`, which load_or_compile() gave, cannot be loaded, because of `reason`. The next call
  /// gives another. False, without effect, if this process compiled it: then no other can be had.
  bool refuse(const KernelBinary& binary, const std::string& reason);

  [[nodiscard]] KernelInputs inputs(const Variant& variant);

  /// Digest of the op's template text and of launch_digest() at `spec` (32 hex digits). A tuned record stores
  /// it, so that a change of the template, or of the host code that divides its launches, makes it stale.
  [[nodiscard]] std::string templates_digest(const OpDefinition& op, const Specialisation& spec) const;
  /// That digest for a specialisation in words, as records have it. It is empty if the op no longer has such
  /// a specialisation.
  [[nodiscard]] std::string templates_digest(const OpDefinition& op, const std::string& spec) const;

  /// The compiler, loaded on first use. A kernel that the cache has needs none: load_or_compile() and
  /// inputs() take its version from the record of an earlier process as long as nothing that decides which
  /// compiler is found has changed.
  [[nodiscard]] const compiler::NvrtcSearch& nvrtc();
  [[nodiscard]] const TemplateSet& templates() const { return templates_; }
  /// Null if this process compiles.
  [[nodiscard]] compiler::worker::Pool* workers() const { return workers_.get(); }

 private:
  /// True if the compiler is not loaded and a record that can be relied on says which it is.
  bool recall_compiler();
  /// The version of the compiler, recalled if it is not loaded yet, else that of the compiler loaded now.
  /// Empty if there is none.
  [[nodiscard]] std::string compiler_version();
  /// Notes which compiler was loaded, for processes to come.
  void record_compiler();
  /// load_or_compile() with the compiler that is loaded.
  [[nodiscard]] std::shared_ptr<const KernelBinary> load_or_compile_with(const compiler::NvrtcSearch& search,
                                                                         const Variant& variant,
                                                                         BuildPolicy policy);
  /// The kernel of `variant` as this machine has it, if the compiler is not loaded and its version is known.
  [[nodiscard]] std::shared_ptr<const KernelBinary> load_without_compiler(const Variant& variant);
  /// Looks for an entry made by any compiler version, which is what a process without a compiler can use.
  [[nodiscard]] std::shared_ptr<const KernelBinary> load_any_version(cache::KeyFields fields,
                                                                     cache::OnMiss on_miss);
  [[nodiscard]] std::shared_ptr<const KernelBinary> compile(const Variant& variant,
                                                            const KernelInputs& inputs, BuildPolicy policy,
                                                            cache::WaitBudget& budget);
  /// Runs NVRTC, here or in a worker, and tells of it.
  [[nodiscard]] compiler::CompileResult run_compiler(const Variant& variant, const cache::Key& key,
                                                     const compiler::CompileRequest& request);

  std::string nvrtc_choice_;
  TemplateSet templates_;
  cache::Cache& cache_;
  std::once_flag recalled_once_;
  std::string recalled_version_;  ///< empty if no record can be relied on
  std::once_flag nvrtc_once_;
  std::atomic<bool> nvrtc_loaded_{false};
  compiler::NvrtcSearch nvrtc_;
  std::string nvrtc_state_;  ///< as it was before the search; see compiler::nvrtc_state()
  std::once_flag recorded_once_;
  std::unique_ptr<compiler::worker::Pool> workers_;
  const KernelEvents* events_;
  cache::SingleFlight<const KernelBinary> flights_;
  std::mutex found_mutex_;
  std::string found_version_;  ///< compiler version of the entry that load_any_version() found last
};

/// The report of `binary` that a user sees.
[[nodiscard]] KernelReport to_report(const Variant& variant, const KernelBinary& binary,
                                     KernelBuilder& builder);

/// Name of a variant in messages: "norm.rms_norm [x_dtype=bf16 hidden=7168] for sm_90a".
[[nodiscard]] std::string describe(const Variant& variant);

}  // namespace kerncast
