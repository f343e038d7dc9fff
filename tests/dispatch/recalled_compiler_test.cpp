// The test itself never loads NVRTC: what does runs in child processes.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "cache/cache.hpp"
#include "runtime/compiler/nvrtc_state.hpp"
#include "runtime/dispatch/kernel_builder.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"
#include "tests/dispatch/sample_op.hpp"

using namespace kerncast;
namespace fs = std::filesystem;

namespace {

constexpr const char* text =
    "namespace test { struct Arguments { int* out; };\n"
    "template <class C> __global__ void scale(Arguments a) { a.out[0] = C::hidden; } }\n"
    "namespace kerncast { struct bf16; struct f16; }\n";

/// Outcomes of a look-up, as the exit code of a process.
constexpr int miss = 1;
constexpr int hit_without_library = 2;
constexpr int hit_with_library = 3;
constexpr int failed = 4;

bool is_mapped(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(name) != std::string::npos) {
      return true;
    }
  }
  return false;
}

/// A folder with a template, a cache, and a library that passes for NVRTC.
struct Fixture {
  Fixture() : op(sample_op()) {
    fs::create_directories(folder.path() + "/templates/test");
    std::ofstream(folder.path() + "/templates/test/scale.cuh") << text;
    fs::create_directory(folder.path() + "/lib");
    variant = {&op, specialise(op, {{"x_dtype", "bf16"}, {"hidden", "64"}}), Tunables{{128}}, "sm_90a"};
    install(KERNCAST_FAKE_NVRTC);
  }
  [[nodiscard]] std::string library() const { return folder.path() + "/lib/libnvrtc.so.13"; }
  [[nodiscard]] std::string records() const { return folder.path() + "/cache/nvrtc"; }
  /// The only file of records.
  [[nodiscard]] std::string record() const {
    return fs::exists(records()) && !fs::is_empty(records())
               ? fs::directory_iterator(records())->path().string()
               : std::string();
  }
  /// Replaces the library by a copy of `file`, as a package manager does.
  void install(const char* file) const {
    fs::copy_file(file, library() + ".new", fs::copy_options::overwrite_existing);
    fs::rename(library() + ".new", library());
  }
  [[nodiscard]] cache::CacheOptions options() const {
    cache::CacheOptions out;
    out.directory = folder.path() + "/cache";
    return out;
  }
  /// Stores a kernel of the library that is there now.
  void store() const {
    REQUIRE(run_child([&] {
              cache::Cache cache(options(), nullptr);
              KernelBuilder builder(folder.path() + "/lib", folder.path() + "/templates", cache);
              const cache::KeyFields fields = builder.inputs(variant).fields;
              cache::Entry entry = sample_entry();
              entry.key_fields = fields.fields();
              return cache.publish(fields.key(), entry) ? 0 : failed;
            }) == 0);
  }
  /// Looks the kernel up in a new process.
  [[nodiscard]] int look_up(BuildPolicy policy = BuildPolicy::cached_only) const {
    return run_child([&] {
      try {
        cache::Cache cache(options(), nullptr);
        KernelBuilder builder(folder.path() + "/lib", folder.path() + "/templates", cache);
        const bool hit = builder.load_or_compile(variant, policy) != nullptr;
        const bool with_library = is_mapped(library());
        return hit ? (with_library ? hit_with_library : hit_without_library) : miss;
      } catch (const std::exception&) {
        return failed;
      }
    });
  }

  TemporaryDirectory folder;
  OpDefinition op;
  Variant variant;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a kernel in the cache needs the compiler once, and then its record alone") {
  store();
  CHECK(record().empty());
  CHECK(look_up() == hit_with_library);
  CHECK(!record().empty());
  CHECK(look_up() == hit_without_library);
  CHECK(look_up(BuildPolicy::cached_or_compile) == hit_without_library);
  CHECK(look_up(BuildPolicy::peek) == hit_without_library);
}

TEST_CASE_METHOD(Fixture, "a miss loads the compiler, which then compiles") {
  store();
  CHECK(look_up() == hit_with_library);
  variant.tunables = Tunables{{256}};
  CHECK(look_up() == miss);
  // The stand-in compiles nothing, which it says only when it is asked.
  CHECK(look_up(BuildPolicy::cached_or_compile) == failed);
  CHECK(look_up(BuildPolicy::compile_uncached) == failed);
}

TEST_CASE_METHOD(Fixture, "a library that was replaced or touched is loaded again") {
  store();
  CHECK(look_up() == hit_with_library);

  fs::last_write_time(library(), fs::last_write_time(library()) - std::chrono::hours(1));
  CHECK(look_up() == hit_with_library);
  CHECK(look_up() == hit_without_library);

  install(KERNCAST_FAKE_NVRTC);
  CHECK(look_up() == hit_with_library);
  CHECK(look_up() == hit_without_library);

  install(KERNCAST_OTHER_FAKE_NVRTC);
  CHECK(look_up() == miss);
  store();
  CHECK(look_up() == hit_without_library);
}

TEST_CASE_METHOD(Fixture, "a library that comes before the recorded one in the search is not overlooked") {
  fs::create_directory(folder.path() + "/lib/lib64");
  fs::rename(library(), folder.path() + "/lib/lib64/libnvrtc.so.13");
  store();
  CHECK(look_up() == hit_without_library);  // another path than library()
  install(KERNCAST_OTHER_FAKE_NVRTC);
  CHECK(look_up() == miss);
}

TEST_CASE_METHOD(Fixture, "a record that lies about the version gives no kernel of another key") {
  store();
  CHECK(look_up() == hit_with_library);
  // An intact record of another version, as if the library had changed without a trace.
  const std::string state = compiler::nvrtc_state(folder.path() + "/lib");
  cache::Cache cache(options(), nullptr);
  auto recalled = cache.recall_compiler(state);
  REQUIRE(recalled);
  CHECK(recalled->library == library());
  recalled->version = "12.9";
  cache.record_compiler(state, *recalled);
  CHECK(look_up() == hit_with_library);
  CHECK(cache.recall_compiler(state)->version != "12.9");
  CHECK(look_up() == hit_without_library);
}

TEST_CASE_METHOD(Fixture, "damaged and foreign records are not used, and are replaced") {
  store();
  CHECK(look_up() == hit_with_library);
  const std::string file = record();
  std::ifstream in(file);
  const std::string good((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  for (const std::string& bad : {std::string(), good.substr(0, good.size() / 2), good + "x",
                                 std::string(good).replace(35, 1, "9"), std::string(1 << 20, '\n')}) {
    std::ofstream(file) << bad;
    CHECK(look_up() == hit_with_library);
    CHECK(look_up() == hit_without_library);
  }
  const std::string elsewhere = folder.path() + "/elsewhere";
  std::ofstream(elsewhere) << good;
  fs::remove(file);
  fs::create_symlink(elsewhere, file);
  CHECK(look_up() == hit_with_library);
  CHECK(look_up() == hit_without_library);
  CHECK(!fs::is_symlink(file));
  CHECK(fs::exists(elsewhere));
  REQUIRE(::chmod(file.c_str(), 0666) == 0);
  CHECK(look_up() == hit_with_library);
  CHECK(look_up() == hit_without_library);
}

TEST_CASE_METHOD(Fixture, "a folder of records that is not trusted is neither read nor written") {
  store();
  CHECK(look_up() == hit_with_library);
  REQUIRE(::chmod(records().c_str(), 0777) == 0);
  CHECK(look_up() == hit_with_library);
  CHECK(look_up() == hit_with_library);
}

TEST_CASE_METHOD(Fixture, "where no record can be written, the compiler is loaded as ever") {
  store();
  std::ofstream(records()) << "a file";
  CHECK(look_up() == hit_with_library);
  CHECK(look_up() == hit_with_library);
}

TEST_CASE_METHOD(Fixture, "a process without a cache directory makes no record") {
  cache::Cache cache({}, nullptr);
  CHECK(!cache.recall_compiler("a search"));
  cache.record_compiler("a search", {"13.0", "/lib/libnvrtc.so.13", "1 2 3"});
  CHECK(!cache.recall_compiler("a search"));
}

TEST_CASE_METHOD(Fixture, "clearing a cache removes the records") {
  store();
  CHECK(look_up() == hit_with_library);
  cache::Cache cache(options(), nullptr);
  cache.store().clear();
  CHECK(record().empty());
}

TEST_CASE("a search that loads nothing has no state") {
  CHECK(compiler::nvrtc_state("none").empty());
  CHECK(compiler::file_identity("/nonexistent") == "absent");
  CHECK(compiler::file_identity("/proc/self/exe") != "absent");
}

TEST_CASE("a library in the process is used, whatever is recorded") {
  CHECK(compiler::nvrtc_state("libc.so.6").empty());
}
