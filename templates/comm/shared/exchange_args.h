#pragma once

namespace kerncast::comm {

/// The counters at the start of a workspace.
struct ExchangeControl {
  void* workspaces[8];  ///< of each rank, null past the last; the host writes them
  unsigned sequence;    ///< launches that have ended
  unsigned started;     ///< blocks of the current launch
  unsigned finished;
  unsigned broken;                 ///< 0, or the report of a failure
  unsigned long long used[3];      ///< 16-byte lines of each buffer that its last launch used
  unsigned long long calls[3][8];  ///< for each buffer what each rank says of its call; 0: nothing yet
};

/// One rank's view of the workspaces.
struct ExchangeArgs {
  void* workspaces[8];               ///< of each rank
  unsigned* report;                  ///< host memory
  unsigned long long buffer_bytes;   ///< from one of the three buffers to the next
  unsigned long long control_bytes;  ///< before the first one
  unsigned long long timeout_ns;
  unsigned long long call;  ///< what must be the same on all ranks, as a number other than 0
  long long rows;           ///< of the message
  int rank;
};

}  // namespace kerncast::comm
