#pragma once

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
#include "runtime/dispatch/source.hpp"
#include "runtime/dispatch/template_set.hpp"

namespace kerncast {

/// What identifies a binary before anything is generated.
struct Variant {
  const OpDefinition* op = nullptr;
  Specialisation spec;
  Tunables tunables;
  std::string arch;
};

/// A kernel's binaries and how they were had.
struct KernelBinary {
  std::string cubin;
  std::string ptx;
  std::vector<std::string> lowered_names;  ///< of the op's stages, in order
  compiler::Resources resources;
  cache::Key key;
  Origin origin = Origin::compiled;
  double compile_ms = 0;
};

/// May the builder compile, and may it use the cache?
enum class BuildPolicy : std::uint8_t {
  cached_or_compile,
  cached_only,               ///< null where the cache has nothing
  look,                      ///< the same, and not counted as a miss: no launch waits for it
  compile_aside,             ///< compile now and leave the cache alone
  compile_aside_with_lines,  ///< the same with line info; the key is that of the kernel without
};

/// From a variant to its binaries: source, key, cache, compiler, with one compile per key however many
/// threads and processes ask.
class KernelBuilder {
 public:
  /// `workers` compile where given, else this process does.
  KernelBuilder(std::string nvrtc_choice, std::string template_directory, cache::Cache& cache,
                std::unique_ptr<compiler::worker::Pool> workers = nullptr);

  /// Throws Error: compile_failed, or not_found where nothing is cached and there is no compiler.
  [[nodiscard]] std::shared_ptr<const KernelBinary> obtain(const Variant& variant, BuildPolicy policy);

  [[nodiscard]] GeneratedSource source(const Variant& variant) const;
  /// The key's fields under the compiler found (its version is empty where there is none).
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> fields(const Variant& variant);

  /// Of the template text that `op` is made of, in 32 hex digits: what tuned records are kept with.
  [[nodiscard]] std::string templates_digest(const OpDefinition& op) const;

  /// Loaded on first use.
  [[nodiscard]] const compiler::NvrtcSearch& nvrtc();
  [[nodiscard]] const TemplateSet& templates() const { return templates_; }
  /// Null where this process compiles.
  [[nodiscard]] compiler::worker::Pool* workers() const { return workers_.get(); }

 private:
  struct Prepared;
  [[nodiscard]] Prepared prepare(const Variant& variant) const;
  [[nodiscard]] std::shared_ptr<const KernelBinary> load_any_version(const Variant& variant,
                                                                     const Prepared& prepared,
                                                                     cache::OnMiss counted);
  [[nodiscard]] std::shared_ptr<const KernelBinary> compile(const Variant& variant, const Prepared& prepared,
                                                            const cache::KeyFields& fields,
                                                            BuildPolicy policy);

  std::string nvrtc_choice_;
  TemplateSet templates_;
  cache::Cache& cache_;
  std::once_flag nvrtc_once_;
  compiler::NvrtcSearch nvrtc_;
  std::unique_ptr<compiler::worker::Pool> workers_;
  cache::SingleFlight<const KernelBinary> flights_;
  std::mutex found_mutex_;
  std::string found_version_;  ///< of the entry that a builder without a compiler found last
};

/// What a user is told of `binary`.
[[nodiscard]] KernelReport to_report(const Variant& variant, const KernelBinary& binary,
                                     KernelBuilder& builder);

/// "norm.rms_norm [x_dtype=bf16 hidden=7168] for sm_90a": how messages name a variant.
[[nodiscard]] std::string describe(const Variant& variant);

}  // namespace kerncast
