#pragma once

namespace kerncast {

/// The mapping of the rows of an operand that modulates x to the rows of x.
enum class BroadcastForm : int {
  none,     ///< the operand is absent
  scalar,   ///< [1]: one value
  shared,   ///< [1, H]: one row for all rows of x
  grouped,  ///< [N, H], N dividing the rows: one row for each run of rows, such as a batch or a frame
  token,    ///< [T, H]: one row for each row of x
};

/// A broadcast operand as a kernel takes it.
struct Broadcast {
  const void* data;
  long long stride;               ///< elements from one row of the operand to the next
  long long group;                ///< rows of x that share a row of the operand
  unsigned long long reciprocal;  ///< (2^64 - 1) / group, rounded down
};

}  // namespace kerncast
