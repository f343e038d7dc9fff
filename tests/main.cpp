#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#ifdef __SANITIZE_THREAD__
// Threads of a guest may race. The sanitizer sees none of their accesses but the memmove() of a bulk copy. It
// does not see either how NVRTC, which is not built with it, orders the accesses of threads that compile at
// once.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:copy_bulk\nrace:libnvrtc.so\n";
}
#endif
