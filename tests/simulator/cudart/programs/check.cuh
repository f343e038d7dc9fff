#pragma once

#include <cstdio>
#include <cstdlib>

// Ends the program with the runtime's text if a call fails.
#define CHECK(call)                                                                     \
  do {                                                                                  \
    const cudaError_t check_error = (call);                                             \
    if (check_error != cudaSuccess) {                                                   \
      std::printf("%s:%d: %s: %s\n", __FILE__, __LINE__, cudaGetErrorName(check_error), \
                  cudaGetErrorString(check_error));                                     \
      std::exit(1);                                                                     \
    }                                                                                   \
  } while (0)

#define EXPECT(condition)                                             \
  do {                                                                \
    if (!(condition)) {                                               \
      std::printf("%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                   \
    }                                                                 \
  } while (0)
