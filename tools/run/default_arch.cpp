#include "tools/run/default_arch.hpp"

#include "kerncast/error.hpp"

namespace kerncast::tools {

std::string default_arch(Runtime& runtime, Console& console) {
  try {
    return runtime.arch(0);
  } catch (const Error&) {
    console.note("no device found; taking sm_90a (choose with --arch)");
    return "sm_90a";
  }
}

}  // namespace kerncast::tools
