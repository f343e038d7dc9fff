#include "kerncast/version.hpp"

namespace kerncast {

const char* version() noexcept {
  return KERNCAST_VERSION ".other";
}

}  // namespace kerncast
