#pragma once

#include <cstddef>
#include <cstdint>

/// The virtual GPU's report to a tool about the launches that it ran: plain structures behind C symbols of
/// the shared library, which are found by name like the Driver API's. All counts are exact, the same on every
/// run and machine.
extern "C" {

/// The counts of one PTX instruction in a launch. A sector is 32 aligned bytes of global or local memory; a
/// wavefront is one pass over the 32 banks of shared memory, four bytes wide each. The least_ counts are the
/// fewest that hold the bytes touched by each request: what perfect coalescing and conflict-free banks would
/// take.
struct KerncastSimCounts {
  std::uint64_t warp_instructions;
  std::uint64_t thread_instructions;
  std::uint64_t divergent;  ///< branches that split the warp
  std::uint64_t global_requests;
  std::uint64_t global_bytes;  ///< asked for by the lanes together
  std::uint64_t global_sectors;
  std::uint64_t global_least_sectors;
  std::uint64_t local_requests;
  std::uint64_t local_bytes;
  std::uint64_t shared_requests;
  std::uint64_t shared_bytes;
  std::uint64_t shared_wavefronts;
  std::uint64_t shared_least_wavefronts;
};

struct KerncastSimInstruction {
  std::uint32_t ptx_line;     ///< 1-based
  std::uint32_t source_line;  ///< 0 if the PTX has no line info
  const char* source_file;    ///< as the PTX names it; "" if it has no line info
  const char* text;           ///< the PTX line, without surrounding blanks
  /// "float", "double", "half", "tensor", "integer", "special", "convert", "move", "control", "load",
  /// "store", "atomic", "barrier", "warp" (shuffles, votes) or "other".
  const char* unit;
  KerncastSimCounts counts;
};

struct KerncastSimLaunch {
  const char* kernel;
  std::uint32_t grid[3];
  std::uint32_t block[3];
  std::uint32_t static_shared;          ///< bytes
  std::uint32_t dynamic_shared;         ///< bytes
  std::uint64_t longest_warp;           ///< instructions of the warp that ran most of them
  std::uint64_t longest_warp_requests;  ///< global requests of that warp
  std::size_t instruction_count;
  const KerncastSimInstruction*
      instructions;  ///< of the kernel and the functions it calls, in the order of the PTX
};

/// Starts (1) or stops (0) recording launches of the whole process. Starting forgets what was recorded.
__attribute__((visibility("default"))) void kerncastSimProfile(int on);
/// Launches recorded, in the order they ended. Synchronise first.
__attribute__((visibility("default"))) std::size_t kerncastSimProfileCount();
/// Recorded launch `index`, or null. Valid until recording starts anew.
__attribute__((visibility("default"))) const KerncastSimLaunch* kerncastSimProfileLaunch(std::size_t index);
}
