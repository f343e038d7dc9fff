#pragma once

#include "comm/shared/exchange_args.h"
#include "comm/shared/packed_line.cuh"
#include "device/pair.cuh"

/// All-reduce through the workspaces of the ranks. A rank stores its lines into the others' memory (push) and
/// polls its own until no word is empty, so that data are their own flags and nothing else is waited for.
///
/// Three buffers take turns. When a launch has ended on a rank, all ranks have begun that launch; so while
/// launch s runs, others may write to the buffers of s and s + 1, and the one of s - 1 is emptied for s + 2.
namespace kerncast::comm {

/// Accesses at the scope of the system: the L1 cache is passed by.
__device__ __forceinline__ void store_for_ranks(uint4* to, const uint4& line) {
  asm volatile("st.relaxed.sys.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(line.x), "r"(line.y),
               "r"(line.z), "r"(line.w)
               : "memory");
}
__device__ __forceinline__ uint4 load_from_ranks(const uint4* from) {
  uint4 line;
  asm volatile("ld.relaxed.sys.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(line.x), "=r"(line.y), "=r"(line.z), "=r"(line.w)
               : "l"(from)
               : "memory");
  return line;
}

/// Accesses of a line at the scope of the system that are done if `present`. The predicates are in the text,
/// since a branch for each rank makes compiles long.
__device__ __forceinline__ void store_for_ranks_if(bool present, uint4* to, const uint4& line) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.u32 p, %5, 0;\n"
      "@p st.relaxed.sys.global.v4.b32 [%0], {%1, %2, %3, %4};\n"
      "}" ::"l"(to),
      "r"(line.x), "r"(line.y), "r"(line.z), "r"(line.w), "r"(static_cast<unsigned>(present))
      : "memory");
}
__device__ __forceinline__ void load_from_ranks_if(bool present, const uint4* from, uint4& line) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.u32 p, %5, 0;\n"
      "@p ld.relaxed.sys.global.v4.b32 {%0, %1, %2, %3}, [%4];\n"
      "}"
      : "+r"(line.x), "+r"(line.y), "+r"(line.z), "+r"(line.w)
      : "l"(from), "r"(static_cast<unsigned>(present))
      : "memory");
}

template <class Word>
__device__ __forceinline__ void store_for_ranks(Word* to, Word value) {
  if constexpr (sizeof(Word) == 8) {
    asm volatile("st.relaxed.sys.global.b64 [%0], %1;" ::"l"(to), "l"(value) : "memory");
  } else {
    asm volatile("st.relaxed.sys.global.b32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
  }
}
template <class Word>
__device__ __forceinline__ Word load_from_ranks(const Word* from) {
  Word value;
  if constexpr (sizeof(Word) == 8) {
    asm volatile("ld.relaxed.sys.global.b64 %0, [%1];" : "=l"(value) : "l"(from) : "memory");
  } else {
    asm volatile("ld.relaxed.sys.global.b32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
  }
  return value;
}
__device__ __forceinline__ unsigned long long nanoseconds() {
  unsigned long long now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}

/// The failures that a kernel reports, see Communicator::check.
enum class Failure : unsigned { absent = 1, different = 2, overlap = 3 };

/// It is not inlined, since many waits may end in it, and gets no reference to what registers hold.
__device__ __noinline__ void break_ranks(ExchangeControl* control, unsigned* report_to, unsigned report) {
  const unsigned before = atomicCAS(&control->broken, 0u, report);
  if (before != 0) {
    // Another rank may have broken this one, whose host has not learnt it yet.
    store_for_ranks(report_to, before);
    return;
  }
  store_for_ranks(report_to, report);
  for (int rank = 0; rank < 8; ++rank) {
    auto* other = static_cast<ExchangeControl*>(control->workspaces[rank]);
    if (other != nullptr && other != control) {
      store_for_ranks(&other->broken, report);
    }
  }
}

/// The time at which a wait ends that has no deadline yet if `deadline` is 0, else `deadline`; 1 if that is
/// over; 0 if another thread or rank has broken the communicator. It is not inlined, since many waits call
/// it.
__device__ __noinline__ unsigned long long deadline_of_wait(const ExchangeControl* control,
                                                            unsigned* report_to, unsigned long long deadline,
                                                            unsigned long long timeout) {
  const unsigned broken = load_from_ranks(&control->broken);
  if (broken != 0) {
    store_for_ranks(report_to, broken);
    return 0;
  }
  const unsigned long long now = nanoseconds();
  if (deadline == 0) {
    return now + timeout;
  }
  return now < deadline ? deadline : 1;
}

/// One launch's part in the exchange.
template <class Config>
class Exchange {
 public:
  using X = Element<Config>;
  static constexpr int world = Config::world;
  static constexpr unsigned empty = 0x80000000u;
  static constexpr bool two_steps = Config::algorithm == 1;

  __device__ __forceinline__ explicit Exchange(const ExchangeArgs& args)
      : args_(args),
        own_(workspace(args, args.rank)),
        control_(reinterpret_cast<ExchangeControl*>(own_)),
        lines_(args.rows * row_lines<Config>),
        part_((lines_ + world - 1) / world) {
    const unsigned sequence = load_from_ranks(&control_->sequence);
    current_ = static_cast<int>(sequence % 3u);
    failed_ = load_from_ranks(&control_->broken) != 0;
    if (failed_) {
      if (blockIdx.x == 0 && threadIdx.x == 0) {
        store_for_ranks(args_.report, load_from_ranks(&control_->broken));
      }
    } else if (threadIdx.x == 0) {
      ticket_ = atomicAdd(&control_->started, 1u);
    }
  }

  /// True if the communicator was broken before this launch, which must then end.
  __device__ __forceinline__ bool broken() const { return failed_; }

  [[nodiscard]] __device__ __forceinline__ long long lines() const { return lines_; }

  /// Sends line `line` of this rank's message to the ranks that need it.
  __device__ __forceinline__ void push(long long line, const uint4& data) const {
    if constexpr (two_steps) {
      const int owner = owner_of(line);
      if (owner != args_.rank) {
        store_for_ranks(place(owner, args_.rank * part_ + line - owner * part_), data);
      }
    } else {
#pragma unroll
      for (int to = 0; to < world; ++to) {
        store_for_ranks_if(to != args_.rank, place(to, args_.rank * lines_ + line), data);
      }
    }
  }

  /// Tells the other ranks of the call, compares theirs, and empties the buffer that comes after the next.
  __device__ __forceinline__ void meet() {
    if (threadIdx.x == 0 && ticket_ >= gridDim.x) {
      fail(Failure::overlap, args_.rank);
    }
    const int old = (current_ + 2) % 3;
    const unsigned long long call = args_.call ^ static_cast<unsigned long long>(lines_) << 24;
    if (blockIdx.x == 0 && threadIdx.x < world) {
      const int other = static_cast<int>(threadIdx.x);
      control_->calls[old][other] = 0;
      if (other != args_.rank) {
        ExchangeControl* theirs = reinterpret_cast<ExchangeControl*>(workspace(args_, other));
        store_for_ranks(&theirs->calls[current_][args_.rank], call);
      }
    }
    const uint4 nothing = make_uint4(empty, empty, empty, empty);
    uint4* lines = place(own_, 0) + (old - current_) * static_cast<long long>(args_.buffer_bytes / 16);
    const auto used = static_cast<long long>(control_->used[old]);
#pragma unroll 1
    for (long long i = first_line(); i < used; i += all_threads()) {
      lines[i] = nothing;
    }
    if (blockIdx.x == 0 && threadIdx.x < world && static_cast<int>(threadIdx.x) != args_.rank) {
      const int other = static_cast<int>(threadIdx.x);
      const unsigned long long* said = &control_->calls[current_][other];
      unsigned long long theirs = load_from_ranks(said);
      for (unsigned turn = 1; theirs == 0 && goes_on(turn, [&] { return other; }); ++turn) {
        theirs = load_from_ranks(said);
      }
      if (theirs != 0 && theirs != call) {
        fail(Failure::different, other);
      }
    }
  }

  /// The sum of all ranks' line `line`, of which this rank's is `own`: in rank order, in f32, rounded once.
  /// In two steps only the owner of the line may ask.
  __device__ __forceinline__ uint4 sum(long long line, const uint4& own) {
    const uint4* first = place(own_, two_steps ? line - args_.rank * part_ : line);
    const long long step = two_steps ? part_ : lines_;
    const auto missing = [&] {
      int rank = 0;
#pragma unroll 1
      while (rank < world - 1 && (rank == args_.rank || !has_empty(load_from_ranks(first + rank * step)))) {
        ++rank;
      }
      return rank;
    };
    // All loads are in flight at once, and one loop waits for all ranks.
    uint4 data[world];
    for (unsigned turn = 1;; ++turn) {
      int least = 0;
#pragma unroll
      for (int rank = 0; rank < world; ++rank) {
        data[rank] = own;
        load_from_ranks_if(rank != args_.rank, first + rank * step, data[rank]);
        least = min(least, least_word(data[rank]));
      }
      if (!is_empty(least) || !goes_on(turn, missing)) {
        break;
      }
    }
    float total[line_elements<Config>];
    unpack<X>(data[0], total);
#pragma unroll
    for (int rank = 1; rank < world; ++rank) {
      float values[line_elements<Config>];
      unpack<X>(data[rank], values);
#pragma unroll
      for (int i = 0; i < line_elements<Config>; ++i) {
        total[i] = __fadd_rn(total[i], values[i]);
      }
    }
    return without_negative_zeros<X>(pack_vector<X>(total));
  }

  /// The second step: reduces the lines that this rank owns and sends them to all. own(line) gives this
  /// rank's line.
  template <class Own>
  __device__ __forceinline__ void reduce_part(const Own& own) {
    const long long begin = args_.rank * part_;
    const long long end = begin + part_ < lines_ ? begin + part_ : lines_;
    for (long long line = begin + first_line(); line < end; line += all_threads()) {
      const uint4 data = sum(line, own(line));
#pragma unroll
      for (int to = 0; to < world; ++to) {
        store_for_ranks(place(to, world * part_ + line), data);
      }
    }
  }

  /// Line `line` of the result of reduce_part of its owner.
  __device__ __forceinline__ uint4 result(long long line) {
    const uint4* at = place(own_, world * part_ + line);
    uint4 data = load_from_ranks(at);
    for (unsigned turn = 1; has_empty(data) && goes_on(turn, [&] { return owner_of(line); }); ++turn) {
      data = load_from_ranks(at);
    }
    return data;
  }

  /// Memory of this rank for its lines of the result, one after another: of results themselves in two steps,
  /// else of this rank's own message, which nobody sends.
  __device__ __forceinline__ uint4* results() const {
    return place(own_, two_steps ? world * part_ : args_.rank * lines_);
  }

  /// Ends the launch. Every block calls it once, after its last access to the workspace.
  __device__ __forceinline__ void finish() {
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();
      if (atomicAdd(&control_->finished, 1u) + 1 == gridDim.x) {
        control_->started = 0;
        control_->finished = 0;
        control_->used[current_] =
            static_cast<unsigned long long>(two_steps ? world * part_ + lines_ : world * lines_);
        control_->sequence = control_->sequence + 1;
      }
    }
  }

  /// A thread's first line and the distance to its next one.
  __device__ __forceinline__ static long long first_line() {
    return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  }
  __device__ __forceinline__ static long long all_threads() {
    return static_cast<long long>(gridDim.x) * blockDim.x;
  }

 private:
  /// The workspace of rank `rank`, chosen without an index into the argument, which would copy it to the
  /// stack.
  __device__ __forceinline__ static char* workspace(const ExchangeArgs& args, int rank) {
    void* found = args.workspaces[0];
#pragma unroll
    for (int i = 1; i < world; ++i) {
      found = rank == i ? args.workspaces[i] : found;
    }
    return static_cast<char*>(found);
  }

  /// Line `index` of the current buffer of rank `rank`.
  __device__ __forceinline__ uint4* place(int rank, long long index) const {
    return place(workspace(args_, rank), index);
  }
  __device__ __forceinline__ uint4* place(char* workspace, long long index) const {
    return reinterpret_cast<uint4*>(workspace + args_.control_bytes +
                                    static_cast<unsigned long long>(current_) * args_.buffer_bytes) +
           index;
  }

  /// The rank that owns line `line`. A division of 64 bits would take longer.
  __device__ __forceinline__ int owner_of(long long line) const {
    int owner = 0;
#pragma unroll
    for (int rank = 1; rank < world; ++rank) {
      owner += line >= rank * part_ ? 1 : 0;
    }
    return owner;
  }

  /// The empty word is the least one of a signed comparison, so a line is full if its least word is another.
  __device__ __forceinline__ static int least_word(const uint4& data) {
    return min(min(static_cast<int>(data.x), static_cast<int>(data.y)),
               min(static_cast<int>(data.z), static_cast<int>(data.w)));
  }
  __device__ __forceinline__ static bool is_empty(int word) { return static_cast<unsigned>(word) == empty; }
  __device__ __forceinline__ static bool has_empty(const uint4& data) { return is_empty(least_word(data)); }

  /// False if a wait for the rank that `missing` gives has lasted too long, or another thread or rank has
  /// given up.
  template <class Missing>
  __device__ __forceinline__ bool goes_on(unsigned turn, const Missing& missing) {
    if (failed_) {
      return false;
    }
    if (turn % 64 != 0) {
      return true;
    }
    deadline_ = deadline_of_wait(control_, args_.report, deadline_, args_.timeout_ns);
    failed_ = deadline_ <= 1;
    if (deadline_ == 1) {
      fail(Failure::absent, missing());
    }
    return !failed_;
  }

  /// Breaks the communicator on all ranks. The first failure of a rank is the one that it reports.
  __device__ __forceinline__ void fail(Failure failure, int rank) {
    failed_ = true;
    break_ranks(control_, args_.report,
                static_cast<unsigned>(failure) | static_cast<unsigned>(rank) << 8 |
                    static_cast<unsigned>(args_.rank) << 16);
  }

  const ExchangeArgs& args_;
  char* own_;  ///< this rank's workspace
  ExchangeControl* control_;
  long long lines_;  ///< of the message
  long long part_;   ///< of it, the lines that a rank owns
  int current_ = 0;  ///< the buffer in use
  bool failed_ = false;
  unsigned ticket_ = 0;
  unsigned long long deadline_ = 0;
};

}  // namespace kerncast::comm
