#include <kerncast/ops/comm/all_reduce_add_rms_norm.hpp>
#include <kerncast/ops/norm/fused_add_rms_norm.hpp>

#include "tests/templates/comm/ranks.hpp"

using namespace kerncast;
using namespace kerncast::test;
using comm::Algorithm;

namespace {

struct Case {
  int world = 2;
  std::int64_t rows = 1;
  std::int64_t hidden = 64;
  DType type = DType::bf16;
  DType y_type = DType::bf16;
  DType residual_type = DType::bf16;
  Algorithm algorithm = Algorithm::automatic;
  bool has_weight = true;
  float weight_offset = 0.0F;
  bool hf_rounding = false;
  bool round_residual = false;
  bool in_place = false;
  std::int32_t threads = 0;  ///< of a block on rank 0, and as many more on each next rank; 0: the default
};

/// The bytes of y and residual after a call.
struct Results {
  std::vector<std::byte> y;
  std::vector<std::byte> residual;
  bool operator==(const Results&) const = default;
};

/// Memory of one rank, or of the call that is compared with.
struct Memory {
  explicit Memory(const Case& of, const std::vector<std::byte>& message)
      : count(static_cast<std::size_t>(of.rows * of.hidden)),
        x(ranks_runtime(), message.size()),
        residual(ranks_runtime(), count * bytes(of.residual_type)),
        weight(ranks_runtime(), static_cast<std::size_t>(of.hidden) * 4),
        y(ranks_runtime(), count * bytes(of.y_type)) {
    const auto put = [](DeviceBuffer& to, const std::vector<std::byte>& from) {
      to.upload(from.data(), from.size());
    };
    put(x, message);
    put(residual, to_bytes(of.residual_type, samples(count, 5)));
    put(weight, to_bytes(DType::f32, samples(static_cast<std::size_t>(of.hidden), 6, 0.2, 1.0)));
    put(y, std::vector<std::byte>(count * bytes(of.y_type), std::byte{0xcd}));
  }
  static std::size_t bytes(DType type) { return static_cast<std::size_t>(size_of(type)); }

  template <class Arguments>
  [[nodiscard]] Arguments arguments(const Case& of) const {
    Arguments made;
    made.x = x.tensor(of.type, {of.rows, of.hidden});
    made.residual = residual.tensor(of.residual_type, {of.rows, of.hidden});
    if (of.has_weight) {
      made.weight = weight.tensor(DType::f32, {of.hidden});
    }
    made.y = of.in_place ? made.x : y.tensor(of.y_type, {of.rows, of.hidden});
    made.eps = 1e-5F;
    made.weight_offset = of.weight_offset;
    made.hf_rounding = of.hf_rounding;
    made.round_residual = of.round_residual;
    return made;
  }
  [[nodiscard]] Results results(const Case& of) const {
    const DeviceBuffer& written = of.in_place ? x : y;
    Results read{std::vector<std::byte>(written.size()), std::vector<std::byte>(residual.size())};
    written.download(read.y.data(), read.y.size());
    residual.download(read.residual.data(), read.residual.size());
    return read;
  }

  std::size_t count;
  DeviceBuffer x;
  DeviceBuffer residual;
  DeviceBuffer weight;
  DeviceBuffer y;
};

/// Results of norm.fused_add_rms_norm, given the sum that a reference in double computes.
Results expected_results(const Case& of, int call) {
  Results expected;
  require_no_errors(on_ranks(1, [&](int) {
    const OwnedStream stream(ranks_runtime());
    const auto count = static_cast<std::size_t>(of.rows * of.hidden);
    const Memory memory(of, expected_sum(of.type, count, of.world, call));
    launch(ranks_runtime(), memory.arguments<norm::FusedAddRmsNorm>(of), stream.get());
    stream.synchronize();
    expected = memory.results(of);
  }));
  return expected;
}

void check_case(const Case& of) {
  INFO(of.world << " ranks, " << of.rows << " x " << of.hidden << " of " << name_of(of.type) << ", algorithm "
                << static_cast<int>(of.algorithm));
  Group group(of.world);
  require_no_errors(group.errors);
  constexpr int calls = 4;
  std::vector<Results> results(place_of(calls, of.world, 0));
  require_no_errors(on_ranks(of.world, [&](int rank) {
    const OwnedStream stream(ranks_runtime());
    for (int call = 0; call < calls; ++call) {
      const auto count = static_cast<std::size_t>(of.rows * of.hidden);
      const Memory memory(of, message_of(of.type, count, rank, call));
      auto arguments = memory.arguments<comm::AllReduceAddRmsNorm>(of);
      arguments.communicator = &group[rank];
      arguments.algorithm = of.algorithm;
      std::this_thread::sleep_for(std::chrono::milliseconds((rank + call) % 3));
      if (of.threads > 0) {
        Tunables tunables;
        tunables.values[0] = of.threads * (rank + 1);
        prepare(ranks_runtime(), arguments, tunables).launch(stream.get());
      } else {
        launch(ranks_runtime(), arguments, stream.get());
      }
      stream.synchronize();
      group[rank].check();
      results[place_of(call, of.world, rank)] = memory.results(of);
    }
  }));
  for (int call = 0; call < calls; ++call) {
    const Results expected = expected_results(of, call);
    for (int rank = 0; rank < of.world; ++rank) {
      INFO("rank " << rank << ", call " << call);
      CHECK((results[place_of(call, of.world, rank)] == expected));
    }
  }
}

}  // namespace

TEST_CASE("the fused call has the bits of the sum and of the norm that follows it") {
  for (const Algorithm algorithm : {Algorithm::one_shot, Algorithm::two_shot}) {
    check_case({.world = 2, .rows = 3, .hidden = 256, .algorithm = algorithm});
    check_case({.world = 4, .rows = 2, .hidden = 100, .algorithm = algorithm, .in_place = true});
    check_case({.world = 8,
                .rows = 1,
                .hidden = 72,
                .type = DType::f16,
                .y_type = DType::f16,
                .residual_type = DType::f32,
                .algorithm = algorithm,
                .weight_offset = 1.0F});
    check_case({.world = 3,
                .rows = 4,
                .hidden = 33,
                .y_type = DType::f32,
                .algorithm = algorithm,
                .hf_rounding = true,
                .round_residual = true});
    check_case({.world = 2,
                .rows = 2,
                .hidden = 7,
                .type = DType::f32,
                .residual_type = DType::f32,
                .algorithm = algorithm,
                .has_weight = false});
  }
}

TEST_CASE(
    "rows of more blocks than run at once, and of more lines than a block has threads, are normalised") {
  check_case({.world = 2, .rows = 150, .hidden = 16});
  check_case({.world = 2, .rows = 1, .hidden = 9216});
}

TEST_CASE("ranks whose blocks have other numbers of threads get the same bits") {
  check_case({.world = 4, .rows = 3, .hidden = 2000, .y_type = DType::f32, .threads = 32});
  check_case({.world = 2, .rows = 3, .hidden = 2000, .algorithm = Algorithm::two_shot, .threads = 480});
}

TEST_CASE("a fused call and a plain one in its place are told apart, and one too large is refused") {
  Group group(2);
  require_no_errors(group.errors);
  const Case of{.rows = 2, .hidden = 64};
  const std::vector<std::string> errors = on_ranks(2, [&](int rank) {
    const OwnedStream stream(ranks_runtime());
    const Memory memory(of, message_of(of.type, 128, rank, 0));
    auto fused = memory.arguments<comm::AllReduceAddRmsNorm>(of);
    fused.communicator = &group[rank];
    if (rank == 0) {
      launch(ranks_runtime(), fused, stream.get());
    } else {
      launch(ranks_runtime(), comm::AllReduce{.x = fused.x, .y = fused.y, .communicator = &group[rank]},
             stream.get());
    }
    stream.synchronize();
    group[rank].check();
  });
  for (const std::string& error : errors) {
    CHECK_THAT(error, Catch::Contains("made another call than rank"));
  }
  Group fresh(2, [](CommunicatorOptions& options) { options.max_bytes = 128; });
  require_no_errors(on_ranks(1, [&](int rank) {
    const Memory memory(of, message_of(of.type, 128, rank, 0));
    auto fused = memory.arguments<comm::AllReduceAddRmsNorm>(of);
    fused.communicator = &fresh[rank];
    CHECK_THROWS_WITH(bind(fused), Catch::Contains("comm.all_reduce_add_rms_norm: rank 0 has 2 rows") &&
                                       Catch::Contains("holds 1"));
  }));
}
