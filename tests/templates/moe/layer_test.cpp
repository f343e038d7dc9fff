#include <kerncast/ops/moe/layer.hpp>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <kerncast/ops/quant/per_token_fp8.hpp>
#include <kerncast/ops/quant/per_token_group.hpp>
#include <kerncast/ops/quant/per_token_int8.hpp>
#include "kerncast/device_buffer.hpp"
#include "kerncast/owned_stream.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tests/hot_path_counters.hpp"
#include "tests/templates/moe/expert_weights.hpp"
#include "tests/templates/moe/plain_layer.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

constexpr std::size_t guard = 512;

/// A tensor of `values`, rounded to its type, or of `bytes`; if neither is given, of poison.
class DeviceTensor {
 public:
  DeviceTensor(DType type, std::vector<std::int64_t> dims) : type_(type), dims_(std::move(dims)) {
    std::size_t bytes = static_cast<std::size_t>(size_of(type));
    for (const std::int64_t dim : dims_) {
      bytes *= static_cast<std::size_t>(dim);
    }
    bytes_ = bytes;
    memory_ = DeviceBuffer(runtime(), bytes + guard);
    const std::vector<std::byte> poison(bytes + guard, std::byte{0xff});
    memory_.upload(poison.data(), poison.size());
  }
  DeviceTensor(DType type, std::vector<std::int64_t> dims, const std::vector<double>& values)
      : DeviceTensor(type, std::move(dims)) {
    set(values);
  }
  DeviceTensor(DType type, std::vector<std::int64_t> dims, const std::vector<std::byte>& bytes)
      : DeviceTensor(type, std::move(dims)) {
    set_bytes(bytes);
  }

  void set(const std::vector<double>& values) { set_bytes(to_bytes(type_, values)); }
  [[nodiscard]] TensorView view() const {
    TensorView made = TensorView::contiguous(memory_.data(), type_, {1});
    made.rank = static_cast<int>(dims_.size());
    std::int64_t stride = 1;
    for (std::size_t i = dims_.size(); i-- > 0;) {
      made.shape[i] = dims_[i];
      made.strides[i] = stride;
      stride *= dims_[i];
    }
    return made;
  }
  [[nodiscard]] std::vector<std::byte> bytes() const {
    std::vector<std::byte> all(bytes_ + guard);
    memory_.download(all.data(), all.size());
    CHECK(std::all_of(all.begin() + static_cast<std::ptrdiff_t>(bytes_), all.end(),
                      [](std::byte byte) { return byte == std::byte{0xff}; }));
    all.resize(bytes_);
    return all;
  }
  [[nodiscard]] std::vector<double> values() const { return decoded(type_, bytes()); }

 private:
  void set_bytes(const std::vector<std::byte>& bytes) {
    REQUIRE(bytes.size() == bytes_);
    if (!bytes.empty()) {
      memory_.upload(bytes.data(), bytes.size());
    }
  }

  DType type_;
  std::vector<std::int64_t> dims_;
  std::size_t bytes_ = 0;
  DeviceBuffer memory_;
};

/// A family of models, with fewer experts and narrower rows.
struct Family {
  const char* name;
  moe::LayerGate gate = moe::LayerGate::topk_softmax;
  std::int64_t experts = 16;
  std::int64_t top_k = 8;
  std::int64_t hidden = 128;
  std::int64_t width = 32;
  WeightForm weights = WeightForm::plain;
  DType type = DType::bf16;  ///< of x, y and plain weights
  bool biased = false;
  bool added = false;
  int groups = 1;
  int topk_group = 1;
  double factor = 1;
  moe::GemmActivation activation = moe::GemmActivation::silu_and_mul;
  double limit = 0;
  double alpha = 1.702;
};

constexpr Family deepseek{.name = "DeepSeek V3",
                          .gate = moe::LayerGate::fused_gate,
                          .experts = 32,
                          .hidden = 256,
                          .width = 128,
                          .weights = WeightForm::fp8_blocks,
                          .biased = true,
                          .added = true,
                          .groups = 8,
                          .topk_group = 4,
                          .factor = 2.5};
constexpr Family kimi{.name = "Kimi K2",
                      .gate = moe::LayerGate::fused_gate,
                      .experts = 48,
                      .hidden = 112,
                      .weights = WeightForm::fp8_rows,
                      .biased = true,
                      .added = true,
                      .factor = 2.827};
constexpr Family glm{.name = "GLM 4.5",
                     .gate = moe::LayerGate::fused_gate,
                     .experts = 20,
                     .hidden = 80,
                     .width = 24,
                     .biased = true,
                     .added = true,
                     .factor = 2.5};
constexpr Family gpt_oss{.name = "gpt-oss",
                         .top_k = 4,
                         .hidden = 90,
                         .width = 90,
                         .biased = true,
                         .activation = moe::GemmActivation::swiglu_oai};
constexpr Family mixtral{.name = "Mixtral", .experts = 8, .top_k = 2, .width = 112};
constexpr Family gelu{
    .name = "gelu", .top_k = 2, .width = 40, .activation = moe::GemmActivation::gelu_and_mul};
constexpr Family qwen{.name = "Qwen3 MoE", .hidden = 64, .width = 24};
constexpr Family sigmoid{
    .name = "sigmoid scores in f16", .gate = moe::LayerGate::topk_sigmoid, .top_k = 1, .type = DType::f16};
// 2880, the width of gpt-oss, is no multiple of 128, and neither is 160.
constexpr Family gpt_oss_mxfp4{.name = "gpt-oss, mxfp4",
                               .top_k = 4,
                               .hidden = 160,
                               .width = 160,
                               .weights = WeightForm::mxfp4,
                               .biased = true,
                               .activation = moe::GemmActivation::swiglu_oai,
                               .limit = 7};
constexpr Family narrow_mxfp4{.name = "mxfp4 in f16 with a low limit",
                              .gate = moe::LayerGate::topk_sigmoid,
                              .top_k = 2,
                              .hidden = 96,
                              .width = 32,
                              .weights = WeightForm::mxfp4,
                              .type = DType::f16,
                              .activation = moe::GemmActivation::swiglu_oai,
                              .limit = 1.5,
                              .alpha = 1.25};
constexpr Family kimi_thinking{.name = "Kimi K2 Thinking",
                               .gate = moe::LayerGate::fused_gate,
                               .experts = 48,
                               .hidden = 224,
                               .width = 64,
                               .weights = WeightForm::int4,
                               .biased = true,
                               .added = true,
                               .factor = 2.827};
constexpr Family deepseek_int8{.name = "DeepSeek R1, int8",
                               .gate = moe::LayerGate::fused_gate,
                               .experts = 32,
                               .hidden = 256,
                               .width = 128,
                               .weights = WeightForm::int8,
                               .biased = true,
                               .added = true,
                               .groups = 8,
                               .topk_group = 4,
                               .factor = 2.5};
constexpr Family odd_int8{.name = "int8 in f16 with odd rows",
                          .top_k = 2,
                          .hidden = 83,
                          .width = 41,
                          .weights = WeightForm::int8,
                          .type = DType::f16};
constexpr Family families[] = {deepseek,      kimi,          glm,     gpt_oss,       mixtral,
                               qwen,          sigmoid,       gelu,    gpt_oss_mxfp4, narrow_mxfp4,
                               kimi_thinking, deepseek_int8, odd_int8};

enum class Routing { uniform, skewed, one_expert };

std::vector<double> logits_of(const Family& of, std::int64_t tokens, Routing routing, std::uint64_t seed) {
  std::vector<double> made = samples(static_cast<std::size_t>(tokens * of.experts), seed);
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto expert = static_cast<std::int64_t>(i) % of.experts;
    if (routing == Routing::skewed && expert % 3 == 0) {
      made[i] += 2;
    }
    if (routing == Routing::one_expert && expert >= 3 && expert < 3 + of.top_k) {
      made[i] += 9;
    }
  }
  return made;
}

std::vector<double> rounded(DType type, const std::vector<double>& values) {
  return decoded(type, to_bytes(type, values));
}

/// The type of the rows that the products of a family take.
DType type_of_rows(const Family& of) {
  switch (of.weights) {
    case WeightForm::fp8_rows:
    case WeightForm::fp8_blocks:
      return DType::fp8_e4m3;
    case WeightForm::int8:
      return DType::i8;
    default:
      return of.type;
  }
}

/// The rows of `x` as quant.per_token_fp8 and quant.per_token_int8 describe them: to `type` under a scale of
/// the row, and back.
std::vector<double> through(DType type, std::vector<double> x, std::size_t width) {
  const double most = type == DType::i8 ? 127 : 448;
  for (std::size_t first = 0; first < x.size(); first += width) {
    double largest = 1e-10;
    for (std::size_t i = first; i < first + width; ++i) {
      largest = std::fmax(largest, std::fabs(x[i]));
    }
    for (std::size_t i = first; i < first + width; ++i) {
      x[i] = rounded(type, {x[i] * most / largest})[0] * largest / most;
    }
  }
  return x;
}

/// A layer of a family on the device, and the same numbers for the plain layer.
class LayerCase {
 public:
  LayerCase(const Family& of, std::int64_t tokens, Routing routing = Routing::uniform, std::uint64_t seed = 1)
      : of_(of), tokens_(tokens) {
    const auto count = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    plain.tokens = count(tokens);
    plain.hidden = count(of.hidden);
    plain.width = count(of.width);
    plain.top_k = count(of.top_k);
    plain.factor = of.factor;
    const std::vector<double> added =
        of.added ? rounded(of.type, samples(count(tokens * of.hidden), 4)) : std::vector<double>{};
    plain.addend = added;
    call.x = add(of.type, {tokens, of.hidden});
    x = tensors_.back().get();
    // samples() of one seed begin alike, so a row is the same among any number of rows.
    set_x(rounded(of.type, samples(count(tokens * of.hidden), seed)));
    set_weights();
    call.y = add(of.type, {tokens, of.hidden});
    y = tensors_.back().get();
    if (of.added) {
      call.addend = add(of.type, {tokens, of.hidden}, added);
      addend = tensors_.back().get();
    }
    call.activation = of.activation;
    call.limit = static_cast<float>(of.limit);
    call.alpha = static_cast<float>(of.alpha);
    plain.activation = of.activation == moe::GemmActivation::swiglu_oai     ? PlainActivation::swiglu_oai
                       : of.activation == moe::GemmActivation::gelu_and_mul ? PlainActivation::gelu
                                                                            : PlainActivation::silu;
    plain.limit = of.limit;
    plain.alpha = of.alpha;
    if (plain.activation == PlainActivation::swiglu_oai) {
      plain.limit = of.limit == 0 ? 7 : of.limit;
      plain.bias13 = rounded(DType::bf16, samples(count(of.experts * 2 * of.width), 11));
      plain.bias2 = rounded(DType::f32, samples(count(of.experts * of.hidden), 12));
      call.w13_bias = add(DType::bf16, {of.experts, 2 * of.width}, plain.bias13);
      call.w2_bias = add(DType::f32, {of.experts, of.hidden}, plain.bias2);
    }
    call.gate = of.gate;
    call.top_k = static_cast<int>(of.top_k);
    call.groups = of.groups;
    call.topk_group = of.topk_group;
    call.routed_scaling_factor = static_cast<float>(of.factor);
    call.block = 16;
    call.logits = add(DType::f32, {tokens, of.experts});
    logits = tensors_.back().get();
    if (of.biased) {
      bias_ = rounded(DType::f32, samples(count(of.experts), 8, 0.1));
      call.bias = add(DType::f32, {of.experts}, bias_);
    }
    route(routing, 7);
    make_workspace();
  }

  /// Fills x, and gives the plain layer the numbers that the products take.
  void set_x(const std::vector<double>& values) {
    x->set(values);
    plain.x = values;
    if (const DType type = type_of_rows(of_); type != of_.type) {
      plain.x = through(type, values, of_.weights == WeightForm::fp8_blocks ? 128 : plain.hidden);
    }
  }

  void make_workspace() {
    call.workspace = {};
    const std::int64_t bytes = moe::layer_workspace(call);
    workspace = std::make_unique<DeviceTensor>(DType::u8, std::vector<std::int64_t>{bytes});
    call.workspace = workspace->view();
  }

  /// Chooses experts by the logits of `seed`.
  void route(Routing routing, std::uint64_t seed) {
    const std::vector<double> values = rounded(DType::f32, logits_of(of_, tokens_, routing, seed));
    logits->set(values);
    plain.experts.clear();
    plain.weights.clear();
    for (std::int64_t t = 0; t < tokens_; ++t) {
      const std::vector<double> row(values.begin() + t * of_.experts, values.begin() + (t + 1) * of_.experts);
      const PlainChoice choice =
          of_.gate == moe::LayerGate::topk_softmax
              ? plain_softmax(row, bias_, plain.top_k)
              : plain_sigmoid(row, bias_, plain.top_k, static_cast<std::size_t>(of_.groups),
                              static_cast<std::size_t>(of_.topk_group));
      plain.experts.insert(plain.experts.end(), choice.experts.begin(), choice.experts.end());
      plain.weights.insert(plain.weights.end(), choice.weights.begin(), choice.weights.end());
    }
  }

  /// Makes both matrices and their scales.
  void set_weights() {
    const auto upload = [this](const ExpertWeights& made, TensorView& matrix, TensorView& scales) {
      matrix = add(made.type, made.dims, made.bytes);
      if (!made.scale_dims.empty()) {
        scales = add(made.scale_type, made.scale_dims, made.scales);
      }
    };
    ExpertWeights made = expert_weights(of_.weights, of_.type, of_.experts, 2 * of_.width, of_.hidden,
                                        3 / std::sqrt(static_cast<double>(of_.hidden)), 2);
    upload(made, call.w13, call.w13_scales);
    plain.w13 = std::move(made.values);
    made = expert_weights(of_.weights, of_.type, of_.experts, of_.hidden, of_.width,
                          1 / std::sqrt(static_cast<double>(of_.width)), 3);
    upload(made, call.w2, call.w2_scales);
    plain.w2 = std::move(made.values);
  }

  /// Gives the layer ids and weights in place of its gate.
  void give(const std::vector<int>& ids) {
    const std::vector<double> weights =
        rounded(DType::f32, samples(ids.size(), 9, 0.1, 1 / static_cast<double>(of_.top_k)));
    call.gate = moe::LayerGate::given;
    call.logits = {};
    call.bias = {};
    call.ids = add(DType::i32, {tokens_, of_.top_k}, std::vector<double>(ids.begin(), ids.end()));
    call.weights = add(DType::f32, {tokens_, of_.top_k}, weights);
    plain.experts = ids;
    for (int& e : plain.experts) {
      e = e < of_.experts ? e : -1;
    }
    plain.weights = weights;
    make_workspace();
  }

  /// Puts the experts that `here` accepts on this rank, and the others elsewhere.
  template <class Here>
  void spread(const Here& here) {
    std::vector<double> map(static_cast<std::size_t>(of_.experts), -1);
    for (int e = 0; e < of_.experts; ++e) {
      map[static_cast<std::size_t>(e)] = here(e) ? e : -1;
    }
    call.expert_map = add(DType::i32, {of_.experts}, map);
    for (int& e : plain.experts) {
      e = e >= 0 && here(e) ? e : -1;
    }
    make_workspace();
  }

  /// Launches, and compares y with the plain layer.
  std::vector<std::byte> require_good() {
    launch(runtime(), call, nullptr);
    return check();
  }

  [[nodiscard]] std::vector<std::byte> check() const {
    const std::vector<double> got = y->values();
    static_cast<void>(workspace->bytes());
    const double half_unit = of_.type == DType::f16 ? 0x1p-11 : 0x1p-8;
    // Between the products a row is rounded to 16 bits, then to fp8, or to steps of a share of its largest
    // element.
    const DType rows = type_of_rows(of_);
    PlainRounding rounding{.between = 1.1 * half_unit, .after = 1.1 * half_unit};
    double share = 0.006;
    if (rows == DType::fp8_e4m3) {
      rounding.between = 0x1p-4 + 0x1p-8;
      share = 0.04;
    } else if (rows == DType::i8) {
      rounding.of_largest = 0.5 / 127;
      share = 0.02;
    }
    const PlainRows want = plain_layer(plain, rounding);
    double squares = 0;
    double errors = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double bound = 1.02 * want.reach[i] + half_unit * std::fabs(want.y[i]) + 1e-4;
      if (!(std::fabs(got[i] - want.y[i]) <= bound)) {
        FAIL(of_.name << ", " << tokens_ << " tokens: y[" << i << "] is " << got[i] << ", not " << want.y[i]
                      << " within " << bound);
      }
      errors += (got[i] - want.y[i]) * (got[i] - want.y[i]);
      squares += want.y[i] * want.y[i];
    }
    CHECK(std::sqrt(errors) <= share * std::sqrt(squares));
    return y->bytes();
  }

  moe::Layer call;
  PlainLayer plain;
  DeviceTensor* x = nullptr;
  DeviceTensor* y = nullptr;
  DeviceTensor* logits = nullptr;
  DeviceTensor* addend = nullptr;
  std::unique_ptr<DeviceTensor> workspace;

 private:
  /// A view of a new tensor, with `contents` if any are given.
  template <class... Contents>
  TensorView add(DType type, std::vector<std::int64_t> dims, const Contents&... contents) {
    tensors_.push_back(std::make_unique<DeviceTensor>(type, std::move(dims), contents...));
    return tensors_.back()->view();
  }

  Family of_;
  std::int64_t tokens_;
  std::vector<double> bias_;
  std::vector<std::unique_ptr<DeviceTensor>> tensors_;
};

/// The first `count` bytes of every row that `few` has are those of `many`.
void check_same_rows(const std::vector<std::byte>& few, const std::vector<std::byte>& many) {
  REQUIRE(few.size() <= many.size());
  CHECK(std::equal(few.begin(), few.end(), many.begin()));
}

}  // namespace

TEST_CASE("a layer of every family is right, with the same bits among any number of tokens") {
  for (const Family& family : families) {
    INFO(family.name);
    const Routing routing = family.top_k == 1 ? Routing::one_expert : Routing::uniform;
    const std::vector<std::byte> many = LayerCase(family, 64, routing).require_good();
    check_same_rows(LayerCase(family, 3, routing).require_good(), many);
    check_same_rows(LayerCase(family, 1, routing).require_good(), many);
    CHECK(LayerCase(family, 0).require_good().empty());
  }
}

TEST_CASE("a layer is right for skewed routing and for tokens that all choose the same experts") {
  for (const Routing routing : {Routing::skewed, Routing::one_expert}) {
    LayerCase(kimi, 40, routing).require_good();
    LayerCase(mixtral, 40, routing).require_good();
    for (const Family& family : {gpt_oss_mxfp4, kimi_thinking, deepseek_int8}) {
      const std::vector<std::byte> many = LayerCase(family, 64, routing).require_good();
      check_same_rows(LayerCase(family, 3, routing).require_good(), many);
      check_same_rows(LayerCase(family, 1, routing).require_good(), many);
    }
  }
}

TEST_CASE("a layer is right for a thousand tokens") {
  Family narrow = qwen;
  narrow.hidden = 32;
  narrow.width = 16;
  LayerCase(narrow, 1000, Routing::skewed).require_good();
}

TEST_CASE("a layer takes ids and weights, skips ids that name no expert, and all slots may share one") {
  const Family family = GENERATE(kimi, qwen, gpt_oss_mxfp4, kimi_thinking, deepseek_int8);
  LayerCase one(family, 20);
  one.give(std::vector<int>(static_cast<std::size_t>(20 * family.top_k), 5));
  one.require_good();
  LayerCase strays(family, 20);
  std::vector<int> ids;
  for (int slot = 0; slot < 20 * family.top_k; ++slot) {
    ids.push_back(slot % 3 == 0 ? -1 : slot % 7 == 0 ? 1000 : slot % static_cast<int>(family.experts));
  }
  strays.give(ids);
  strays.require_good();
}

TEST_CASE("ranks of a layer give partial sums, and one without slots gives the addend") {
  const Family family = GENERATE(deepseek, mixtral, kimi_thinking);
  for (const int rank : {0, 1}) {
    LayerCase test(family, 20);
    test.spread([rank](int e) { return e % 2 == rank; });
    test.require_good();
  }
  LayerCase none(family, 20);
  none.spread([](int) { return false; });
  none.require_good();
}

TEST_CASE("a layer leaves tokens out that the device counts as padding") {
  LayerCase test(qwen, 20);
  const DeviceTensor count(DType::i32, {1}, std::vector<double>{13});
  test.call.num_token_non_padded = count.view();
  test.make_workspace();
  std::fill(test.plain.experts.begin() + 13 * 8, test.plain.experts.end(), -1);
  test.require_good();
}

TEST_CASE("a layer takes quantised rows, and writes over x and the addend") {
  const Family family = GENERATE(deepseek, kimi, deepseek_int8);
  LayerCase test(family, 20);
  const std::vector<std::byte> want = test.require_good();
  const bool blocks = family.weights == WeightForm::fp8_blocks;
  const DeviceTensor x(type_of_rows(family), {20, family.hidden});
  const DeviceTensor x_scales(DType::f32, {20, blocks ? 2 : 1});
  if (blocks) {
    launch(runtime(), quant::PerTokenGroup{.x = test.call.x, .q = x.view(), .s = x_scales.view()}, nullptr);
  } else if (family.weights == WeightForm::int8) {
    launch(runtime(), quant::PerTokenInt8{.x = test.call.x, .q = x.view(), .s = x_scales.view()}, nullptr);
  } else {
    launch(runtime(), quant::PerTokenFp8{.x = test.call.x, .q = x.view(), .s = x_scales.view()}, nullptr);
  }
  moe::Layer call = test.call;
  call.x = x.view();
  call.x_scales = x_scales.view();
  call.x_scales.rank = blocks ? 2 : 1;
  CHECK(moe::layer_workspace(call) <= moe::layer_workspace(test.call));
  launch(runtime(), call, nullptr);
  CHECK((test.check() == want));
  // The sum comes last, so it may take the place of the rows that the layer began with.
  call = test.call;
  call.y = call.x;
  launch(runtime(), call, nullptr);
  CHECK((test.x->bytes() == want));
  LayerCase in_place(glm, 20);
  const std::vector<std::byte> apart = in_place.require_good();
  in_place.call.y = in_place.call.addend;
  launch(runtime(), in_place.call, nullptr);
  CHECK((in_place.addend->bytes() == apart));
}

TEST_CASE("a captured layer is replayed at changing tokens and routing") {
  const Family family = GENERATE(deepseek, gpt_oss_mxfp4);
  LayerCase test(family, 16);
  const moe::PreparedLayer prepared = prepare(runtime(), test.call);
  const OwnedStream stream(runtime());
  const auto driver = [](const char* name, auto... arguments) {
    auto* function = reinterpret_cast<int (*)(decltype(arguments)...)>(runtime().driver_symbol(name));
    REQUIRE(function != nullptr);
    REQUIRE(function(arguments...) == 0);
  };
  const bool bound = GENERATE(false, true);
  void* graph = nullptr;
  void* executable = nullptr;
  driver("cuStreamBeginCapture", stream.get(), 1);
  if (bound) {
    prepared.launch(stream.get());
  } else {
    launch(runtime(), test.call, stream.get());
  }
  driver("cuStreamEndCapture", stream.get(), &graph);
  driver("cuGraphInstantiateWithFlags", &executable, graph, 0ULL);
  std::uint64_t seed = 21;
  for (const Routing routing : {Routing::one_expert, Routing::uniform, Routing::skewed}) {
    test.route(routing, ++seed);
    test.set_x(rounded(family.type, samples(test.plain.x.size(), ++seed)));
    driver("cuGraphLaunch", executable, stream.get());
    stream.synchronize();
    const std::vector<std::byte> replayed = test.check();
    CHECK((test.require_good() == replayed));
  }
  driver("cuGraphExecDestroy", executable);
  driver("cuGraphDestroy", graph);
}

namespace {

int launched = 0;

driver::CUresult count_launch(const driver::CUlaunchConfig*, driver::CUfunction, void**, void**) {
  ++launched;
  return driver::CUDA_SUCCESS;
}

}  // namespace

TEST_CASE("a layer whose kernels are in memory neither allocates nor locks") {
  LayerCase test(deepseek, 16);
  test.require_good();
  // The driver's own launch may allocate and lock, so a function that does neither takes its place.
  const driver::DriverApi* const before = implementation_of(runtime()).api.load();
  driver::DriverApi table = *before;
  table.cuLaunchKernelEx = &count_launch;
  implementation_of(runtime()).api.store(&table);
  const moe::PreparedLayer prepared = prepare(runtime(), test.call);
  launched = 0;
  const HotPathCounters start = HotPathCounters::now();
  launch(runtime(), test.call, nullptr);
  prepared.launch(nullptr);
  const HotPathCounters seen = HotPathCounters::now() - start;
  implementation_of(runtime()).api.store(before);
  CHECK(launched == 2 * 7);
  CHECK(seen.allocations == 0);
  CHECK(seen.locks == 0);
}
