#include "runtime/dispatch/entry_proof.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cache/cache.hpp"
#include "runtime/dispatch/kernel_builder.hpp"
#include "tests/dispatch/sample_op.hpp"
#include "tests/temporary_directory.hpp"

using namespace kerncast;

namespace {

/// The entries of one small kernel for some architectures, as this machine's NVRTC compiles them.
struct Compiled {
  Compiled() {
    std::filesystem::create_directories(folder.file("templates/test"));
    folder.write("templates/test/scale.cuh",
                 "namespace test { struct Arguments { int* out; };\n"
                 "template <class C> __global__ void scale(Arguments a) { a.out[0] = C::hidden; } }\n"
                 "namespace kerncast { struct bf16; struct f16; }\n");
    cache::CacheOptions options;
    options.directory = folder.file("cache");
    cache::Cache cache(options, nullptr);
    const OpDefinition op = sample_op();
    KernelBuilder builder("", folder.file("templates"), cache);
    for (const char* arch : {"sm_75", "sm_90a", "sm_120a"}) {
      const Variant variant{&op, specialise(op, {{"x_dtype", "bf16"}, {"hidden", "64"}}), Tunables{{128}},
                            arch};
      keys.push_back(builder.load_or_compile(variant, BuildPolicy::cached_or_compile)->key);
      entries.push_back(*cache.load(keys.back()).entry);
    }
  }

  TemporaryDirectory folder;
  std::vector<cache::Key> keys;
  std::vector<cache::Entry> entries;
};

}  // namespace

TEST_CASE("entries that a compiler made are what their keys stand for, and others are not") {
  if (compiler::load_nvrtc().nvrtc == nullptr) {
    WARN("no NVRTC on this machine");
    return;
  }
  const Compiled compiled;
  const cache::Key key = compiled.keys[1];
  const cache::Entry& right = compiled.entries[1];
  const cache::Entry& other = compiled.entries[0];
  for (std::size_t i = 0; i < compiled.keys.size(); ++i) {
    INFO(compiled.entries[i].arch);
    CHECK(disproof(compiled.keys[i], compiled.entries[i]).empty());
    CHECK(!compiled.entries[i].cubin.empty());
    CHECK(!compiled.entries[i].ptx.empty());
  }
  cache::Entry one_form = right;
  one_form.cubin.clear();
  CHECK(disproof(key, one_form).empty());
  one_form = right;
  one_form.ptx.clear();
  CHECK(disproof(key, one_form).empty());

  struct Wrong {
    std::function<void(cache::Entry&)> make;
    const char* reason;
  };
  const Wrong wrongs[] = {
      {[&](cache::Entry& entry) { entry = other; }, "another key"},
      {[](cache::Entry& entry) { entry.key_fields.pop_back(); }, "another key"},
      {[](cache::Entry& entry) { entry.key_fields[0].second += ' '; }, "another key"},
      {[](cache::Entry& entry) { entry.arch = "sm_75"; }, "it is for sm_90a, and says sm_75"},
      {[](cache::Entry& entry) { entry.lowered_name += "\nmore"; }, "it names 2 entry points of 1"},
      {[](cache::Entry& entry) { entry.lowered_name.clear(); }, "it names 1 entry points of 1"},
      {[](cache::Entry& entry) { entry.lowered_name = "other"; }, "its cubin lacks the kernel other"},
      {[](cache::Entry& entry) { entry.cubin = entry.ptx = ""; }, "no code"},
      {[](cache::Entry& entry) { entry.cubin = "no cubin"; }, "its cubin is none"},
      {[](cache::Entry& entry) { entry.cubin.resize(63); }, "its cubin is none"},
      {[](cache::Entry& entry) { entry.cubin[18] = 62; }, "its cubin is none"},
      {[](cache::Entry& entry) { entry.cubin.resize(entry.cubin.size() / 2); }, "its cubin is cut short"},
      {[&](cache::Entry& entry) { entry.cubin = other.cubin; }, "its cubin is for sm_75, not for sm_90a"},
      {[](cache::Entry& entry) { entry.ptx = "no PTX"; }, "its PTX is none"},
      {[&](cache::Entry& entry) { entry.ptx = other.ptx; }, "its PTX is for sm_75, not for sm_90a"},
      {[](cache::Entry& entry) { entry.ptx.resize(entry.ptx.find(".entry ")); }, "its PTX lacks the kernel"},
  };
  for (const Wrong& wrong : wrongs) {
    cache::Entry entry = right;
    wrong.make(entry);
    CHECK_THAT(disproof(key, entry), Catch::Contains(wrong.reason));
  }
}

TEST_CASE("an entry of a lower layer that is disproved is refused, and not copied into the own directory") {
  const TemporaryDirectory folder;
  const cache::Key key{1, 2};
  cache::Entry entry;
  entry.op = "norm.rms_norm";
  entry.ptx = ".version 8.0";
  REQUIRE(cache::Store(folder.file("layer"), nullptr).publish(key, entry));
  cache::CacheOptions options;
  options.directory = folder.file("own");
  options.read_only = {folder.file("layer")};
  options.disproof = disproof;
  std::vector<std::string> warnings;
  cache::Cache cache(options, [&](std::string_view text) { warnings.emplace_back(text); });
  CHECK(!cache.load(key));
  CHECK(!cache.outlives_process(key, 1));
  CHECK(cache.counters().promoted == 0);
  CHECK(cache.counters().refused == 1);
  CHECK(cache.store().list().empty());
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("its fields belong to another key"));
}
