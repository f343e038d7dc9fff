// The mixture of experts of a decoder, as a decode loop runs it: captured once in a CUDA graph, and replayed
// for every token while the gate chooses other experts each time.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <kerncast/kerncast.hpp>
#include <kerncast/ops/moe/layer.hpp>
#include <kerncast/ops/norm/fused_add_rms_norm_quant.hpp>
#include <vector>

#include "support/driver.hpp"

namespace {

using kerncast::DeviceBuffer;
using kerncast::DType;
using kerncast::TensorView;

constexpr std::int64_t tokens = 4;
constexpr std::int64_t hidden = 256;
constexpr std::int64_t width = 128;
constexpr std::int64_t experts = 16;
constexpr std::int64_t top_k = 4;

/// Bit patterns of `count` small numbers that look drawn at random: a sign, an exponent and a mantissa.
template <class Bits>
std::vector<Bits> numbers(std::int64_t count, std::uint32_t seed, Bits lowest, Bits spread, Bits sign) {
  std::vector<Bits> made(static_cast<std::size_t>(count));
  for (Bits& bits : made) {
    seed = seed * 1664525U + 1013904223U;
    bits = static_cast<Bits>(lowest + (seed >> 8U) % spread + (seed >> 31U) * sign);
  }
  return made;
}

std::vector<std::uint16_t> bf16_numbers(std::int64_t count, std::uint32_t seed) {
  return numbers<std::uint16_t>(count, seed, 0x3e00, 0x180, 0x8000);
}

/// Device memory of a tensor. An engine takes all of these from its own allocator.
struct Tensor {
  TensorView view;
  DeviceBuffer memory;

  Tensor(kerncast::Runtime& runtime, DType type, std::initializer_list<std::int64_t> dims)
      : view(TensorView::contiguous(nullptr, type, dims)),
        memory(runtime, static_cast<std::size_t>(view.numel() * kerncast::size_of(type))) {
    view.data = memory.data();
  }
  template <class Bits>
  void set(const std::vector<Bits>& bits) {
    memory.upload(bits.data(), bits.size() * sizeof(Bits));
  }
  [[nodiscard]] std::vector<std::byte> bytes() const {
    std::vector<std::byte> made(memory.size());
    memory.download(made.data(), made.size());
    return made;
  }
};

}  // namespace

int main() try {
  kerncast::Runtime& runtime = kerncast::Runtime::instance();
  runtime.make_current(0);
  Tensor x(runtime, DType::bf16, {tokens, hidden});
  Tensor residual(runtime, DType::bf16, {tokens, hidden});
  Tensor logits(runtime, DType::f32, {tokens, experts});
  Tensor q(runtime, DType::fp8_e4m3, {tokens, hidden});
  Tensor q_scales(runtime, DType::f32, {tokens, 1});
  Tensor w13(runtime, DType::fp8_e4m3, {experts, 2 * width, hidden});
  Tensor w2(runtime, DType::fp8_e4m3, {experts, hidden, width});
  Tensor scales(runtime, DType::f32, {experts});
  const Tensor y(runtime, DType::bf16, {tokens, hidden});
  w13.set(numbers<std::uint8_t>(w13.view.numel(), 1, 0x20, 0x20, 0x80));
  w2.set(numbers<std::uint8_t>(w2.view.numel(), 2, 0x20, 0x20, 0x80));
  scales.set(std::vector<float>(experts, 0.25F));

  // The sum with the residual stream, its norm and the quantisation are one kernel. The logits come from the
  // engine's product with the gate's matrix, which would run here.
  const kerncast::norm::FusedAddRmsNormQuant norm{
      .x = x.view, .residual = residual.view, .out = {.q = q.view, .s = q_scales.view}};
  kerncast::moe::Layer layer{.x = q.view,
                             .w13 = w13.view,
                             .w2 = w2.view,
                             .y = y.view,
                             .workspace = {},
                             .gate = kerncast::moe::LayerGate::topk_softmax,
                             .logits = logits.view,
                             .x_scales = TensorView::contiguous(q_scales.view.data, DType::f32, {tokens}),
                             .w13_scales = scales.view,
                             .w2_scales = scales.view,
                             .top_k = top_k,
                             .block = 16};
  const Tensor workspace(runtime, DType::u8, {kerncast::moe::layer_workspace(layer)});
  layer.workspace = workspace.view;

  // Nothing may be compiled during the capture, so the kernels are made ready before.
  const kerncast::PreparedLaunch prepared_norm = kerncast::prepare(runtime, norm);
  const kerncast::moe::PreparedLayer prepared_layer = kerncast::prepare(runtime, layer);
  constexpr int thread_local_mode = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
  const kerncast::OwnedStream stream(runtime);
  void* graph = nullptr;
  void* executable = nullptr;
  example::call_driver(runtime, "cuStreamBeginCapture", stream.get(), thread_local_mode);
  prepared_norm.launch(stream.get());
  prepared_layer.launch(stream.get());
  example::call_driver(runtime, "cuStreamEndCapture", stream.get(), &graph);
  example::call_driver(runtime, "cuGraphInstantiateWithFlags", &executable, graph, 0ULL);

  int right = 0;
  constexpr int steps = 4;
  std::vector<std::byte> before;
  for (std::uint32_t step = 0; step < steps; ++step) {
    const std::vector<std::uint16_t> stream_before = bf16_numbers(residual.view.numel(), 10 + step);
    x.set(bf16_numbers(x.view.numel(), 20 + step));
    logits.set(numbers<std::uint32_t>(logits.view.numel(), 30 + step, 0x3e000000, 0x2000000, 0x80000000));
    residual.set(stream_before);
    example::call_driver(runtime, "cuGraphLaunch", executable, stream.get());
    stream.synchronize();
    const std::vector<std::byte> replayed = y.bytes();

    residual.set(stream_before);
    kerncast::launch(runtime, norm, stream.get());
    kerncast::launch(runtime, layer, stream.get());
    stream.synchronize();
    right += replayed == y.bytes() && replayed != before ? 1 : 0;
    before = replayed;
  }
  std::printf("%d of %d replays of the captured block gave what its launches give\n", right, steps);
  example::call_driver(runtime, "cuGraphExecDestroy", executable);
  example::call_driver(runtime, "cuGraphDestroy", graph);
  return right == steps ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
