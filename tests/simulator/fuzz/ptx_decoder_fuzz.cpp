#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include "tests/simulator/fuzz/decode_and_run.hpp"
#include "tests/simulator/fuzz/ptx_mutator.hpp"

// libFuzzer's entry points. See tools/dev/fuzz.sh.

using namespace kerncast::simulator::testing;  // NOLINT(google-build-using-namespace)

extern "C" {

std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  // One thread: an input must do the same every time.
  return setenv("KERNCAST_SIM_THREADS", "1", 1);
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  decode_and_run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  // Texts that are no PTX at all are worth a try too.
  if (size == 0 || random() % 16 == 0) {
    return LLVMFuzzerMutate(data, size, most);
  }
  const std::string text = mutate_ptx(std::string_view(reinterpret_cast<const char*>(data), size), random);
  const std::size_t bytes = text.size() < most ? text.size() : most;
  std::memcpy(data, text.data(), bytes);
  return bytes;
}

std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* data, std::size_t size, const std::uint8_t* other,
                                      std::size_t other_size, std::uint8_t* out, std::size_t most,
                                      unsigned seed) {
  std::minstd_rand random(seed);
  const std::string text =
      cross_ptx(std::string_view(reinterpret_cast<const char*>(data), size),
                std::string_view(reinterpret_cast<const char*>(other), other_size), random);
  const std::size_t bytes = text.size() < most ? text.size() : most;
  std::memcpy(out, text.data(), bytes);
  return bytes;
}
}
