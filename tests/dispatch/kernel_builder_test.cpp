#include "runtime/dispatch/kernel_builder.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "cache/cache.hpp"
#include "tests/cache/sample.hpp"
#include "tests/dispatch/sample_op.hpp"

using namespace kerncast;

namespace {

constexpr const char* good =
    "namespace test { struct Arguments { int* out; };\n"
    "template <class C> __global__ void scale(Arguments a) { a.out[0] = C::hidden; } }\n"
    "namespace kerncast { struct bf16; struct f16; }\n";

/// A template directory with one template, and a cache beside it.
struct Fixture {
  Fixture() : op(sample_op()), cache(options(), nullptr), store(cache.store()) {
    write(good);
    variant = {&op, specialise(op, {{"x_dtype", "bf16"}, {"hidden", "64"}}), Tunables{{128}}, "sm_90a"};
  }
  void write(const std::string& text) const {
    std::filesystem::create_directories(folder.path() + "/templates/test");
    std::ofstream(folder.path() + "/templates/test/scale.cuh") << text;
  }
  [[nodiscard]] std::string templates() const { return folder.path() + "/templates"; }
  /// A cache without its memory layer, so that every hit comes from disk.
  [[nodiscard]] cache::CacheOptions options() const {
    cache::CacheOptions out;
    out.directory = folder.path() + "/cache";
    out.memory_bytes = 0;
    return out;
  }
  [[nodiscard]] static bool have_nvrtc() { return compiler::load_nvrtc().nvrtc != nullptr; }

  TemporaryDirectory folder;
  OpDefinition op;
  cache::Cache cache;
  cache::Store& store;
  Variant variant;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "compiled once, then had from disk, also by a process without a compiler") {
  if (!have_nvrtc()) {
    WARN("no NVRTC on this machine");
    return;
  }
  KernelBuilder builder("", templates(), cache);
  CHECK(builder.load_or_compile(variant, BuildPolicy::cached_only) == nullptr);
  const auto compiled = builder.load_or_compile(variant, BuildPolicy::cached_or_compile);
  CHECK(compiled->origin == Origin::compiled);
  CHECK(compiled->compile_ms > 0);
  const auto cached = builder.load_or_compile(variant, BuildPolicy::cached_or_compile);
  CHECK(cached->origin == Origin::disk);
  CHECK(cached->ptx == compiled->ptx);
  CHECK(cached->cubin == compiled->cubin);
  CHECK(cached->lowered_names == compiled->lowered_names);
  CHECK(cached->resources.registers == compiled->resources.registers);

  KernelBuilder without("none", templates(), cache);
  const auto found = without.load_or_compile(variant, BuildPolicy::cached_or_compile);
  REQUIRE(found != nullptr);
  CHECK(found->key == compiled->key);

  Variant other = variant;
  other.tunables = Tunables{{256}};
  CHECK_THROWS_WITH(without.load_or_compile(other, BuildPolicy::cached_or_compile),
                    Catch::Contains("test.scale") && Catch::Contains("KERNCAST_NVRTC"));
}

TEST_CASE_METHOD(Fixture, "without a compiler only keys of compilers that the layers hold are tried") {
  // An entry as NVRTC 12.4 would leave it.
  KernelBuilder builder("none", templates(), cache);
  const auto key_of = [&](const Variant& of, const std::string& version) {
    cache::KeyFields fields = builder.inputs(of).fields;
    fields.set("nvrtc", version);
    return fields;
  };
  const auto publish = [&](const Variant& of, const std::string& version) {
    cache::Entry entry = sample_entry("test.scale");
    entry.key_fields = key_of(of, version).fields();
    REQUIRE(store.publish(key_of(of, version).key(), entry));
  };
  CHECK(builder.load_or_compile(variant, BuildPolicy::cached_only) == nullptr);
  CHECK(store.counters().misses == 0);
  publish(variant, "12.4");
  REQUIRE(builder.load_or_compile(variant, BuildPolicy::cached_only) != nullptr);
  CHECK(store.counters().misses == 0);
  CHECK(cache.counters().misses == 1);

  // The version that was found last is tried first.
  Variant other = variant;
  other.tunables = Tunables{{256}};
  publish(other, "13.0");
  REQUIRE(builder.load_or_compile(other, BuildPolicy::cached_only) != nullptr);
  CHECK(store.counters().misses == 1);
  REQUIRE(builder.load_or_compile(other, BuildPolicy::cached_only) != nullptr);
  CHECK(store.counters().misses == 1);
  Variant absent = variant;
  absent.arch = "sm_80";
  CHECK(builder.load_or_compile(absent, BuildPolicy::cached_only) == nullptr);
  CHECK(store.counters().misses == 3);

  // A directory that was filled before there were marks may hold entries of any compiler.
  std::filesystem::remove_all(folder.path() + "/cache/compilers");
  REQUIRE(builder.load_or_compile(variant, BuildPolicy::cached_only) != nullptr);
  cache::Cache fresh(options(), nullptr);
  KernelBuilder unknowing("none", templates(), fresh);
  CHECK(unknowing.load_or_compile(absent, BuildPolicy::cached_only) == nullptr);
  CHECK(fresh.store().counters().misses == 30);
  cache::Entry newer = sample_entry();
  newer.key_fields = {{"nvrtc", "13.1"}};
  REQUIRE(fresh.publish({7, 7}, newer));
  REQUIRE(unknowing.load_or_compile(variant, BuildPolicy::cached_only) != nullptr);

  // A read-only layer behaves in the same way.
  cache::CacheOptions below = options();
  below.read_only = {below.directory};
  below.directory = folder.path() + "/above";
  cache::Cache layered(below, nullptr);
  KernelBuilder through("none", templates(), layered);
  REQUIRE(through.load_or_compile(variant, BuildPolicy::cached_only) != nullptr);
  CHECK(layered.counters().read_only_hits == 1);
  CHECK(layered.store().counters().misses == 0);
}

TEST_CASE_METHOD(Fixture, "a changed template is another key") {
  KernelBuilder before("none", templates(), cache);
  const auto fields = before.inputs(variant).fields.fields();
  write(std::string(good) + "// changed\n");
  KernelBuilder after("none", templates(), cache);
  CHECK(after.inputs(variant).fields.fields() != fields);
}

TEST_CASE_METHOD(Fixture, "many threads on one cold kernel compile it once") {
  if (!have_nvrtc()) {
    WARN("no NVRTC on this machine");
    return;
  }
  KernelBuilder builder("", templates(), cache);
  std::vector<std::thread> threads;
  std::atomic<int> done{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      done += builder.load_or_compile(variant, BuildPolicy::cached_or_compile)->ptx.empty() ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(done == 8);
  CHECK(store.counters().published == 1);
}

TEST_CASE_METHOD(Fixture,
                 "a template that does not compile publishes nothing and is tried again when mended") {
  if (!have_nvrtc()) {
    WARN("no NVRTC on this machine");
    return;
  }
  write(
      "namespace test { struct Arguments {}; template <class C> __global__ void scale(Arguments) { oops; } "
      "}\n"
      "namespace kerncast { struct bf16; struct f16; }\n");
  KernelBuilder builder("", templates(), cache);
  CHECK_THROWS_WITH(builder.load_or_compile(variant, BuildPolicy::cached_or_compile),
                    Catch::Contains("test.scale [x_dtype=bf16 hidden=64]") && Catch::Contains("oops") &&
                        Catch::Contains("test/scale.cuh"));
  CHECK(store.statistics().entries == 0);
  write(good);
  CHECK(builder.load_or_compile(variant, BuildPolicy::cached_or_compile)->origin == Origin::compiled);
}

TEST_CASE_METHOD(Fixture, "a corrupt entry is compiled anew") {
  if (!have_nvrtc()) {
    WARN("no NVRTC on this machine");
    return;
  }
  KernelBuilder builder("", templates(), cache);
  const auto compiled = builder.load_or_compile(variant, BuildPolicy::cached_or_compile);
  std::filesystem::resize_file(store.path_of(compiled->key), 100);
  CHECK(builder.load_or_compile(variant, BuildPolicy::cached_or_compile)->origin == Origin::compiled);
  CHECK(store.counters().quarantined == 1);
  CHECK(builder.load_or_compile(variant, BuildPolicy::cached_or_compile)->origin == Origin::disk);
}
