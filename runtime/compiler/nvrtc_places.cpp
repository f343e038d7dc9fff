#include "runtime/compiler/nvrtc_places.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>

#include "runtime/util/environment.hpp"
#include "runtime/util/own_folder.hpp"

namespace kerncast::compiler {
namespace {

namespace fs = std::filesystem;

constexpr const char* install_remedy =
    "install NVRTC: the CUDA toolkit, or `pip install nvidia-cuda-nvrtc` in the active Python environment, "
    "or name a "
    "folder that holds it by KERNCAST_NVRTC; kernels that are in the cache run without it";

/// Adds the libraries named libnvrtc.so.N in `folder` and in the subfolders that a wheel or a toolkit keeps
/// them in.
void add_folder(NvrtcPlaces& places, const fs::path& folder) {
  constexpr const char* subfolders[] = {"",
                                        "lib64",
                                        "lib",
                                        "nvidia/cu13/lib",
                                        "nvidia/cuda_nvrtc/lib",
                                        "targets/x86_64-linux/lib",
                                        "targets/sbsa-linux/lib"};
  if (std::find(places.searched.begin(), places.searched.end(), folder.string()) != places.searched.end()) {
    return;
  }
  places.searched.push_back(folder.string());
  for (const char* subfolder : subfolders) {
    for (const char* soname : nvrtc_sonames) {
      const fs::path path = folder / subfolder / soname;
      std::error_code error;
      if (fs::exists(path, error)) {
        places.libraries.push_back(path.string());
      }
    }
  }
}

/// Adds the prefix that this library is installed in, and the folders beside it.
void add_own_prefix(NvrtcPlaces& places) {
  const fs::path folder = own_folder();
  if (!folder.empty()) {
    add_folder(places, folder / "kerncast/nvrtc");
    add_folder(places, folder.parent_path() / KERNCAST_INSTALL_LIBDIR / "kerncast/nvrtc");
  }
  if (constexpr std::string_view installed = KERNCAST_INSTALL_FULL_LIBDIR; !installed.empty()) {
    add_folder(places, fs::path(installed) / "kerncast/nvrtc");
  }
  if (folder.empty()) {
    return;
  }
  // In the Python package the wheels of its environment lie beside the folder.
  if (std::error_code error; fs::exists(folder / "__init__.py", error)) {
    add_folder(places, folder.parent_path());
  }
  // In a build tree the command lies in the root, other programs in bin.
  add_folder(places, folder / "nvrtc");
  add_folder(places, folder.parent_path() / "nvrtc");
  add_folder(places, folder);
}

/// Adds the package folders of the Python installed in `prefix`, those of the newest version first.
void add_python(NvrtcPlaces& places, const fs::path& prefix) {
  std::vector<fs::path> versions;
  std::error_code error;
  for (fs::directory_iterator entry(prefix / "lib", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with("python3")) {
      versions.push_back(entry->path());
    }
  }
  std::sort(versions.begin(), versions.end(), [](const fs::path& a, const fs::path& b) {
    const std::string& left = a.native();
    const std::string& right = b.native();
    return left.size() != right.size() ? left.size() > right.size() : left > right;
  });
  for (const fs::path& version : versions) {
    for (const char* packages : {"site-packages", "dist-packages"}) {
      if (fs::is_directory(version / packages, error)) {
        add_folder(places, version / packages);
      }
    }
  }
}

/// Adds the package folders of the Python that `python3` on PATH starts, without starting it.
void add_python_on_path(NvrtcPlaces& places) {
  const std::string path = environment("PATH");
  std::size_t begin = 0;
  while (begin < path.size()) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const fs::path folder = path.substr(begin, end - begin);
    begin = end + 1;
    std::error_code error;
    if (!folder.is_absolute() || !fs::exists(folder / "python3", error)) {
      continue;
    }
    // The folder above is the prefix of a virtual environment; the resolved file's prefix is the Python
    // behind it.
    add_python(places, folder.parent_path());
    const fs::path resolved = fs::canonical(folder / "python3", error);
    const fs::path prefix = resolved.parent_path().parent_path();
    add_python(places, prefix);
    if (prefix == "/usr") {
      add_python(places, "/usr/local");
    }
    if (const std::string home = environment("HOME"); !home.empty()) {
      add_python(places, fs::path(home) / ".local");
    }
    return;
  }
}

/// Adds the wheels: the one in this installation or build, then those of the Python environment in use.
void add_wheels(NvrtcPlaces& places) {
  add_own_prefix(places);
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    if (const std::string value = environment(variable); !value.empty()) {
      add_python(places, value);
      add_folder(places, value);
    }
  }
  add_python_on_path(places);
}

/// Adds what the dynamic loader finds by name, then the CUDA toolkits.
void add_toolkits(NvrtcPlaces& places) {
  places.libraries.insert(places.libraries.end(), std::begin(nvrtc_sonames), std::end(nvrtc_sonames));
  places.searched.emplace_back("the dynamic loader's path");
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const std::string value = environment(variable); !value.empty()) {
      add_folder(places, value);
    }
  }
  add_folder(places, "/usr/local/cuda");
}

}  // namespace

std::string nvrtc_choice(const std::string& choice) {
  return choice.empty() ? environment("KERNCAST_NVRTC") : choice;
}

NvrtcPlaces nvrtc_places(const std::string& wanted) {
  NvrtcPlaces places;
  places.advice = install_remedy;
  std::error_code error;
  if (wanted.empty()) {
    add_toolkits(places);
    add_wheels(places);
  } else if (wanted == "toolkit") {
    add_toolkits(places);
  } else if (wanted == "wheel") {
    add_wheels(places);
    places.advice =
        "KERNCAST_NVRTC=wheel finds no wheel of NVRTC; run `pip install nvidia-cuda-nvrtc` in the active "
        "Python "
        "environment, or `KERNCAST_NVRTC=wheel bash tools/quickstart.sh` in the source tree";
  } else if (fs::is_directory(wanted, error)) {
    add_folder(places, wanted);
    places.searched.clear();
    places.advice =
        fmt::format("'{}' (KERNCAST_NVRTC) holds no libnvrtc.so.13 or .12; {}", wanted, install_remedy);
  } else {
    places.libraries.push_back(wanted);
    places.advice = fmt::format("'{}' (KERNCAST_NVRTC) is not a usable NVRTC; {}", wanted, install_remedy);
  }
  return places;
}

}  // namespace kerncast::compiler
