// A decoder block shared out over the devices of several processes, as a tensor-parallel engine runs it: the
// processes exchange the handles of their memory over sockets, each captures its part of a decode step in a
// CUDA graph, and the all-reduces inside of the graphs join the parts at every replay.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <kerncast/communicator.hpp>
#include <kerncast/kerncast.hpp>
#include <kerncast/ops/comm/all_reduce_add_rms_norm.hpp>
#include <kerncast/ops/moe/align_block_size.hpp>
#include <kerncast/ops/moe/grouped_gemm.hpp>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/driver.hpp"
#include "tensor_parallel/block.hpp"
#include "tensor_parallel/process_group.hpp"

namespace {

using example::Block;
using example::Matrix;
using kerncast::DeviceBuffer;
using kerncast::DType;
using kerncast::TensorView;

constexpr std::size_t tokens = 4;
constexpr std::size_t hidden = 256;
constexpr std::size_t attention = 256;  // columns that all heads together give
constexpr std::size_t width = 512;      // of the MLP
constexpr float eps = 1e-6F;
constexpr int steps = 4;
constexpr int tile = 16;  // rows of a tile of the matrix products
static_assert(tokens <= tile);

// A result passes through about ten roundings to bf16, of up to 1/512 of a value each.
constexpr double largest_limit = 0.05;
constexpr double typical_limit = 0.01;

/// The part of `count` columns that a rank has, in multiples of 8 for the sake of vectors.
struct Part {
  std::size_t begin;
  std::size_t end;

  Part(std::size_t count, const example::ProcessGroup& group)
      : begin(bound(count, group, 0)), end(bound(count, group, 1)) {}
  [[nodiscard]] std::size_t size() const { return end - begin; }

 private:
  static std::size_t bound(std::size_t count, const example::ProcessGroup& group, std::size_t past) {
    const std::size_t rank = static_cast<std::size_t>(group.rank()) + past;
    return count / 8 * rank / static_cast<std::size_t>(group.world()) * 8;
  }
};

/// Device memory of a bf16 tensor. An engine takes all of these from its own allocator.
struct Tensor {
  DeviceBuffer memory;
  TensorView view;

  Tensor(kerncast::Runtime& runtime, std::initializer_list<std::int64_t> dims)
      : memory(runtime, bytes_of(dims)), view(memory.tensor(DType::bf16, dims)) {}
  void set(const Matrix& values, kerncast::Stream stream = nullptr) {
    memory.upload(values.bits.data(), memory.size(), stream);
  }
  [[nodiscard]] Matrix rows(kerncast::Stream stream) const {
    Matrix made{.rows = tokens, .columns = hidden, .bits = std::vector<std::uint16_t>(tokens * hidden)};
    memory.download(made.bits.data(), memory.size(), stream);
    return made;
  }

 private:
  static std::size_t bytes_of(std::initializer_list<std::int64_t> dims) {
    std::size_t bytes = 2;
    for (const std::int64_t dim : dims) {
      bytes *= static_cast<std::size_t>(dim);
    }
    return bytes;
  }
};

/// Device memory of integers.
DeviceBuffer integers(kerncast::Runtime& runtime, const std::vector<std::int32_t>& values) {
  DeviceBuffer made(runtime, values.size() * sizeof(std::int32_t));
  made.upload(values.data(), made.size());
  return made;
}

/// Makes the device of a rank current. Ranks share devices if there are too few.
int make_device_current(kerncast::Runtime& runtime, int rank) {
  int devices = 0;
  example::call_driver(runtime, "cuInit", 0U);
  example::call_driver(runtime, "cuDeviceGetCount", &devices);
  if (devices == 0) {
    throw std::runtime_error("the driver has no device");
  }
  const int device = rank % devices;
  runtime.make_current(device);
  return device;
}

/// A rank's part of the block, ready to be replayed.
class CapturedPart {
 public:
  CapturedPart(kerncast::Runtime& runtime, const example::ProcessGroup& group,
               kerncast::Communicator& communicator, const Block& weights)
      : runtime_(runtime),
        heads_(attention, group),
        columns_(width, group),
        stream_(runtime),
        attn_(runtime, {tokens, signed_of(heads_.size())}),
        partial_(runtime, {tokens, hidden}),
        residual_(runtime, {tokens, hidden}),
        h_(runtime, {tokens, hidden}),
        act_(runtime, {tokens, signed_of(columns_.size())}),
        y_(runtime, {tokens, hidden}),
        project_(runtime, {1, hidden, signed_of(heads_.size())}),
        gates_and_ups_(runtime, {1, signed_of(2 * columns_.size()), hidden}),
        down_(runtime, {1, hidden, signed_of(columns_.size())}),
        first_norm_(runtime, {hidden}),
        second_norm_(runtime, {hidden}),
        sorted_(integers(runtime, slots())),
        expert_(integers(runtime, experts())),
        total_(integers(runtime, {tile})) {
    // The matrices before an all-reduce are shared out by columns, those before them by rows.
    Matrix gates = example::rows_of(weights.gates, columns_.begin, columns_.end);
    const Matrix ups = example::rows_of(weights.ups, columns_.begin, columns_.end);
    gates.bits.insert(gates.bits.end(), ups.bits.begin(), ups.bits.end());
    project_.set(example::columns_of(weights.project, heads_.begin, heads_.end));
    gates_and_ups_.set(gates);
    down_.set(example::columns_of(weights.down, columns_.begin, columns_.end));
    first_norm_.set(weights.first_norm);
    second_norm_.set(weights.second_norm);

    const auto join = [&](const Tensor& norm, const Tensor& y) {
      return kerncast::prepare(runtime, kerncast::comm::AllReduceAddRmsNorm{.x = partial_.view,
                                                                            .residual = residual_.view,
                                                                            .weight = norm.view,
                                                                            .y = y.view,
                                                                            .eps = eps,
                                                                            .communicator = &communicator});
    };
    // Nothing may be compiled during the capture, so the kernels are made ready before.
    const std::array launches = {
        multiply(attn_, project_, partial_),
        join(first_norm_, h_),
        multiply(h_, gates_and_ups_, act_, kerncast::moe::GemmActivation::silu_and_mul),
        multiply(act_, down_, partial_),
        join(second_norm_, y_),
    };
    constexpr int thread_local_mode = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    void* graph = nullptr;
    example::call_driver(runtime, "cuStreamBeginCapture", stream_.get(), thread_local_mode);
    for (const kerncast::PreparedLaunch& launch : launches) {
      launch.launch(stream_.get());
    }
    example::call_driver(runtime, "cuStreamEndCapture", stream_.get(), &graph);
    example::call_driver(runtime, "cuGraphInstantiateWithFlags", &executable_, graph, 0ULL);
    example::call_driver(runtime, "cuGraphDestroy", graph);
  }
  ~CapturedPart() {
    auto* destroy = reinterpret_cast<int (*)(void*)>(runtime_.driver_symbol("cuGraphExecDestroy"));
    destroy(executable_);
  }
  CapturedPart(const CapturedPart&) = delete;
  CapturedPart& operator=(const CapturedPart&) = delete;

  /// Results of a replay.
  struct Results {
    Matrix y;
    Matrix residual;
  };

  /// Replays the graph on this rank's columns of `attn` and on the whole `residual`.
  Results replay(const Matrix& attn, const Matrix& residual, const kerncast::Communicator& communicator) {
    attn_.set(example::columns_of(attn, heads_.begin, heads_.end), stream_.get());
    residual_.set(residual, stream_.get());
    example::call_driver(runtime_, "cuGraphLaunch", executable_, stream_.get());
    stream_.synchronize();
    communicator.check();  // says which rank failed, if one has
    return {.y = y_.rows(stream_.get()), .residual = residual_.rows(stream_.get())};
  }

 private:
  static std::int64_t signed_of(std::size_t count) { return static_cast<std::int64_t>(count); }
  static std::int64_t places() { return kerncast::moe::align_block_size_places(tokens, 1, tile); }
  /// The rows of a product, in its first tile. The value past the last row fills up.
  static std::vector<std::int32_t> slots() {
    std::vector<std::int32_t> made(static_cast<std::size_t>(places()), static_cast<std::int32_t>(tokens));
    std::iota(made.begin(), made.begin() + tokens, 0);
    return made;
  }
  /// The expert of each tile: the only one, and none.
  static std::vector<std::int32_t> experts() {
    std::vector<std::int32_t> made(static_cast<std::size_t>(places() / tile), -1);
    made[0] = 0;
    return made;
  }

  /// c = a * transpose(b). An engine has a matrix product of its own; here it is a mixture of one expert.
  kerncast::PreparedLaunch multiply(const Tensor& a, const Tensor& b, const Tensor& c,
                                    kerncast::moe::GemmActivation activation = {}) {
    return kerncast::prepare(
        runtime_, kerncast::moe::GroupedGemm{.a = a.view,
                                             .b = b.view,
                                             .sorted = sorted_.tensor(DType::i32, {places()}),
                                             .expert = expert_.tensor(DType::i32, {places() / tile}),
                                             .total = total_.tensor(DType::i32, {1}),
                                             .c = c.view,
                                             .activation = activation,
                                             .block = tile});
  }

  kerncast::Runtime& runtime_;
  Part heads_;
  Part columns_;
  kerncast::OwnedStream stream_;
  Tensor attn_;
  Tensor partial_;
  Tensor residual_;
  Tensor h_;
  Tensor act_;
  Tensor y_;
  Tensor project_;
  Tensor gates_and_ups_;
  Tensor down_;
  Tensor first_norm_;
  Tensor second_norm_;
  DeviceBuffer sorted_;
  DeviceBuffer expert_;
  DeviceBuffer total_;
  void* executable_ = nullptr;
};

/// The work of one process. Returns true if all replays gave the right results on all ranks.
bool run_rank(const example::ProcessGroup& group) {
  kerncast::Runtime& runtime = kerncast::Runtime::instance();
  const int device = make_device_current(runtime, group.rank());
  kerncast::CommunicatorOptions options;
  options.rank = group.rank();
  options.world = group.world();
  options.max_bytes = tokens * hidden * 2;
  options.all_gather = [&](const void* mine, std::size_t bytes, void* all) {
    group.all_gather(mine, bytes, all);
  };
  kerncast::Communicator communicator(runtime, options);

  const Block weights{.project = example::random_matrix(hidden, attention, 1, 0.2),
                      .first_norm = example::random_matrix(1, hidden, 2, 0.5, 1),
                      .gates = example::random_matrix(width, hidden, 3, 0.1),
                      .ups = example::random_matrix(width, hidden, 4, 0.1),
                      .down = example::random_matrix(hidden, width, 5, 0.15),
                      .second_norm = example::random_matrix(1, hidden, 6, 0.5, 1)};
  CapturedPart part(runtime, group, communicator, weights);
  // A kernel waits for the other ranks no longer than the communicator's timeout, and a compile may take
  // longer.
  const std::vector<int> devices = group.gathered(device);
  if (group.rank() == 0) {
    for (std::size_t rank = 0; rank < devices.size(); ++rank) {
      std::printf("rank %zu has device %d\n", rank, devices[rank]);
    }
  }

  int right = 0;
  for (std::uint32_t step = 0; step < steps; ++step) {
    const Matrix attn = example::random_matrix(tokens, attention, 10 + step, 1);
    const Matrix residual = example::random_matrix(tokens, hidden, 20 + step, 1);
    const CapturedPart::Results results = part.replay(attn, residual, communicator);
    const example::BlockResult expected = example::compute(weights, attn, residual, double{eps});

    const example::Distance of_y = example::distance(results.y, expected.y);
    const example::Distance of_residual = example::distance(results.residual, expected.residual);
    struct Verdict {
      double largest;
      double typical;
      std::array<std::uint16_t, tokens * hidden> y;
    };
    Verdict own{.largest = std::fmax(of_y.largest, of_residual.largest),
                .typical = std::fmax(of_y.typical, of_residual.typical),
                .y = {}};
    std::copy(results.y.bits.begin(), results.y.bits.end(), own.y.begin());
    const std::vector<Verdict> all = group.gathered(own);
    bool near = true;
    bool same = true;
    Verdict worst = own;
    for (const Verdict& verdict : all) {
      near = near && verdict.largest <= largest_limit && verdict.typical <= typical_limit;
      same = same && verdict.y == all[0].y;
      worst.largest = std::fmax(worst.largest, verdict.largest);
      worst.typical = std::fmax(worst.typical, verdict.typical);
    }
    if (group.rank() == 0) {
      std::printf(
          "step %u: the ranks have %s bits; errors in units of the results: %.4f (at most %.2f), "
          "root mean square %.4f (at most %.2f): %s\n",
          step, same ? "the same" : "DIFFERENT", worst.largest, largest_limit, worst.typical, typical_limit,
          near && same ? "right" : "wrong");
    }
    right += near && same ? 1 : 0;
  }
  if (group.rank() == 0) {
    std::printf("%d of %d replays agree with double precision on all %d ranks\n", right, steps,
                group.world());
  }
  return right == steps;
}

/// The number of ranks that the command line asks for, 0 if it is not understood.
int ranks_of(int argc, char** argv) {
  if (argc == 1) {
    return 2;
  }
  int ranks = 0;
  if (argc == 3 && std::string_view(argv[1]) == "--ranks") {
    const std::string_view text = argv[2];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ranks);
    if (error != std::errc() || end != text.data() + text.size() || ranks < 2 || ranks > 8) {
      return 0;
    }
  }
  return ranks;
}

}  // namespace

int main(int argc, char** argv) try {
  const int world = ranks_of(argc, argv);
  if (world == 0) {
    std::fprintf(stderr,
                 "usage: tensor_parallel [--ranks N], with N from 2 to 8 processes; the default is 2\n");
    return 2;
  }
  std::printf(
      "a decoder block of %zu tokens, hidden size %zu and an MLP of %zu, shared out over %d processes\n",
      tokens, hidden, width, world);
  const int failed = example::run_ranks(world, run_rank);
  if (failed > 0) {
    std::fprintf(stderr, "%d of %d ranks failed\n", failed, world);
  }
  return failed == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
