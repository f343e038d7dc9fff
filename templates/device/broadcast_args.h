#pragma once

namespace kerncast {

/// How an operand that modulates rows is spread over them.
enum class BroadcastForm : int {
  none,     ///< there is none
  scalar,   ///< [1]: one value
  shared,   ///< [1, H]: one row for all
  grouped,  ///< [N, H], N dividing the rows: one for each run of consecutive rows, as of a batch or a frame
  token,    ///< [T, H]: one for each row
};

/// Such an operand as a kernel takes it.
struct Broadcast {
  const void* data;
  long long stride;               ///< elements from one of its rows to the next
  long long group;                ///< rows that share one of its rows
  unsigned long long reciprocal;  ///< (2^64 - 1) / group, rounded down
};

}  // namespace kerncast
