// The shared library loads the code of remote servers from its own folder, when an address asks for it.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/c_api/loaded/loaded_library.hpp"
#include "tests/temporary_directory.hpp"

namespace {

namespace fs = std::filesystem;

constexpr const char* module_name = "libkerncast-remote.so";
constexpr const char* unreachable = "http://127.0.0.1:1/kernels";

/// A folder with a copy of the library and, unless `module` is empty, of a module.
class Installed {
 public:
  explicit Installed(const std::string& module) {
    fs::copy_file(KERNCAST_LIBRARY, library());
    if (!module.empty()) {
      fs::copy_file(module, this->module());
    }
  }
  [[nodiscard]] std::string library() const { return folder_.file("libkerncast.so"); }
  [[nodiscard]] std::string module() const { return folder_.file(module_name); }
  [[nodiscard]] const std::string& path() const { return folder_.path(); }

 private:
  TemporaryDirectory folder_;
};

/// Changes the current folder for as long as it lives.
class CurrentFolder {
 public:
  explicit CurrentFolder(const std::string& path) : before_(fs::current_path()) { fs::current_path(path); }
  ~CurrentFolder() { fs::current_path(before_); }
  CurrentFolder(const CurrentFolder&) = delete;
  CurrentFolder& operator=(const CurrentFolder&) = delete;

 private:
  fs::path before_;
};

/// The warnings of a runtime that looks a kernel up, with the server at `url`.
std::string warnings_with(const LoadedLibrary& library, const std::string& url) {
  const TemporaryDirectory cache;
  const LoadedRuntime runtime(library,
                              {{"nvrtc", "none"}, {"cache_directory", cache.path()}, {"cache_remote", url}});
  const kerncast_op* op = nullptr;
  KERNCAST_CALL(library, kerncast_op_find, "norm.rms_norm", &op);
  CHECK_THROWS_WITH(KERNCAST_CALL(library, kerncast_compile, runtime.get(), op, "x_dtype=bf16 hidden=256",
                                  "sm_90a", std::int64_t{1}, static_cast<const char*>(nullptr),
                                  static_cast<kerncast_report**>(nullptr)),
                    Catch::Contains("NVRTC"));
  return runtime.warnings();
}

bool is_loaded(const std::string& path) {
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (handle != nullptr) {
    ::dlclose(handle);
  }
  return handle != nullptr;
}

}  // namespace

TEST_CASE("the module is loaded when an address asks for it") {
  const Installed installed(KERNCAST_REMOTE_MODULE);
  const LoadedLibrary library(installed.library());
  const TemporaryDirectory cache;
  const LoadedRuntime local(library, {{"nvrtc", "none"}, {"cache_directory", cache.path()}});
  CHECK(local.warnings().empty());
  CHECK_FALSE(is_loaded(installed.module()));
  for (const std::string url : {unreachable, "redis://127.0.0.1:1"}) {
    const std::string warnings = warnings_with(library, url);
    CHECK_THAT(warnings, Catch::Contains("the remote cache " + url + " failed ("));
    CHECK_THAT(warnings, !Catch::Contains("is not used"));
  }
  CHECK(is_loaded(installed.module()));
}

TEST_CASE("without the module one warning names the missing file, and the cache works on") {
  const Installed installed("");
  const LoadedLibrary library(installed.library());
  const std::string warnings = warnings_with(library, unreachable);
  CHECK_THAT(warnings, Catch::Contains("the remote cache " + std::string(unreachable) +
                                       " is not used: " + fs::canonical(installed.path()).string() + "/" +
                                       module_name + " is missing; install it beside the library"));
  CHECK(std::count(warnings.begin(), warnings.end(), '\n') == 1);
}

TEST_CASE("a module of another version is refused by name") {
  const Installed installed(KERNCAST_FOREIGN_MODULE);
  const LoadedLibrary library(installed.library());
  const std::string warnings = warnings_with(library, unreachable);
  CHECK_THAT(warnings, Catch::Contains(std::string(module_name) +
                                       " cannot be used: it belongs to Kerncast 0.0.7 (libstdc++), and this "
                                       "library is " KERNCAST_TEST_VERSION));
}

TEST_CASE("a file that is no module is refused") {
  const Installed other(KERNCAST_LIBRARY);
  const LoadedLibrary library(other.library());
  CHECK_THAT(warnings_with(library, unreachable),
             Catch::Contains("it has no symbol kerncast_remote_servers"));

  const Installed damaged(KERNCAST_REMOTE_MODULE);
  fs::resize_file(damaged.module(), 100);
  const LoadedLibrary beside_damaged(damaged.library());
  CHECK_THAT(warnings_with(beside_damaged, unreachable),
             Catch::Contains("libkerncast-remote.so cannot be used: it is truncated"));
}

TEST_CASE("a module in the current folder is not loaded") {
  const Installed installed("");
  const Installed elsewhere(KERNCAST_REMOTE_MODULE);
  const LoadedLibrary library(installed.library());
  const CurrentFolder current(elsewhere.path());
  CHECK_THAT(warnings_with(library, unreachable), Catch::Contains("is missing"));
  CHECK_FALSE(is_loaded(elsewhere.module()));
}

TEST_CASE("a library that was loaded by a relative path finds its module, and no other one") {
  const Installed installed(KERNCAST_REMOTE_MODULE);
  const Installed elsewhere(KERNCAST_FOREIGN_MODULE);
  const auto load = [&] {
    const CurrentFolder current(installed.path());
    return std::make_unique<LoadedLibrary>("./libkerncast.so");
  };
  const std::unique_ptr<LoadedLibrary> library = load();
  const CurrentFolder current(elsewhere.path());
  CHECK_THAT(warnings_with(*library, unreachable), Catch::Contains(" failed ("));
}
