#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/compiler/nvrtc_api.hpp"

/// PTX as NVRTC makes it of the CUDA sources in tests/simulator/cuda.
namespace kerncast::simulator::testing {

struct Arch {
  std::string name;  ///< as in compute_90a
  int sm;
};

class CudaCompiler {
 public:
  /// Null if there is no NVRTC or no folder with cuda_fp16.h; `why` then says which.
  static std::shared_ptr<const CudaCompiler> find(std::string& why) {
    const compiler::NvrtcSearch search = compiler::load_nvrtc();
    if (search.nvrtc == nullptr) {
      why = "no NVRTC: " + search.remedy;
      return nullptr;
    }
    auto found = std::make_shared<CudaCompiler>();
    found->nvrtc_ = search.nvrtc;
    const auto variable = [](const char* name) {
      const char* value = std::getenv(name);
      return std::filesystem::path(value == nullptr ? "" : value) / "include";
    };
    const std::filesystem::path beside =
        std::filesystem::path(search.nvrtc->path).parent_path().parent_path();
    for (const std::filesystem::path& folder :
         {variable("CUDA_HOME"), variable("CUDA_PATH"), beside / "include", beside.parent_path() / "include",
          beside.parent_path().parent_path() / "include", std::filesystem::path("/usr/local/cuda/include")}) {
      if (std::filesystem::exists(folder / "cuda_fp16.h")) {
        found->include_ = folder.string();
        return found;
      }
    }
    why = "no folder with the CUDA headers";
    return nullptr;
  }

  /// Every architecture of `wanted` that this NVRTC knows.
  [[nodiscard]] std::vector<Arch> known(const std::vector<std::string>& wanted) const {
    std::vector<Arch> archs;
    for (const std::string& name : wanted) {
      const int sm = std::stoi(name);
      for (const int supported : nvrtc_->supported_archs) {
        if (supported == sm) {
          archs.push_back({name, sm});
        }
      }
    }
    return archs;
  }

  /// PTX of tests/simulator/cuda/`file` for `arch`, unoptimised for a debugger if asked; throws with NVRTC's
  /// log.
  [[nodiscard]] std::string ptx(const std::string& file, const Arch& arch, bool debug = false) const {
    static std::map<std::string, std::string> compiled_before;
    std::string& text = compiled_before[file + arch.name + (debug ? " -G" : "")];
    if (!text.empty()) {
      return text;
    }
    std::ifstream stream(std::string(KERNCAST_SIM_CUDA_DIR) + "/" + file);
    std::stringstream source;
    source << stream.rdbuf();
    const compiler::NvrtcApi& api = nvrtc_->api;
    compiler::NvrtcProgram program = nullptr;
    if (api.create_program(&program, source.str().c_str(), file.c_str(), 0, nullptr, nullptr) !=
        compiler::nvrtc_success) {
      throw std::runtime_error("NVRTC made no program of " + file);
    }
    const std::string architecture = "--gpu-architecture=compute_" + arch.name;
    const std::string include = "--include-path=" + include_;
    const std::string standard = "--include-path=" + include_ + "/cccl";
    const char* const options[] = {architecture.c_str(), include.c_str(),   standard.c_str(),
                                   "--std=c++17",        "--device-int128", "--device-debug"};
    const bool compiled = api.compile_program(program, debug ? 6 : 5, options) == compiler::nvrtc_success;
    std::size_t size = 0;
    if (compiled) {
      api.get_ptx_size(program, &size);
      text.resize(size);
      api.get_ptx(program, text.data());
    } else {
      api.get_program_log_size(program, &size);
      text.resize(size);
      api.get_program_log(program, text.data());
    }
    api.destroy_program(&program);
    text.resize(std::string_view(text.c_str()).size());
    if (!compiled) {
      const std::string log = std::move(text);
      text.clear();
      throw std::runtime_error(file + " for " + arch.name + ": " + log);
    }
    return text;
  }

 private:
  std::shared_ptr<const compiler::Nvrtc> nvrtc_;
  std::string include_;
};

}  // namespace kerncast::simulator::testing
