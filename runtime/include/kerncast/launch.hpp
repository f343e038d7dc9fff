#pragma once

#include <concepts>
#include <optional>
#include <string_view>

#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"

/// The typed call of an op: fill the op's argument struct, and launch it.
///
///     #include <kerncast/kerncast.hpp>
///     #include <kerncast/ops/norm/rms_norm.hpp>
///
///     void normalise(void* x, void* weight, void* y, std::int64_t tokens, kerncast::Stream stream) {
///       using kerncast::DType;
///       using kerncast::TensorView;
///       kerncast::launch(kerncast::Runtime::instance(),
///                        kerncast::norm::RmsNorm{.x = TensorView::contiguous(x, DType::bf16, {tokens,
///                        4096}),
///                                                .weight = TensorView::contiguous(weight, DType::bf16,
///                                                {4096}), .y = TensorView::contiguous(y, DType::bf16,
///                                                {tokens, 4096})},
///                        stream);
///     }
///
/// Asynchrony: a launch returns as soon as the kernel is enqueued on the stream; only the first call of a
/// kernel waits, for the cache or the compiler. Errors of the arguments are thrown at once, errors of the
/// running kernel show at the next synchronisation of the stream.
///
/// The memory itself is not looked at: a pointer that is no device memory is a fault of the kernel.
///
/// Lifetime: the argument struct and its tensor views may go when the function returns. The device memory
/// that they name must live until the kernel has run.
namespace kerncast {

/// The argument struct of an op: it names the op in `op_name`, and `bind(arguments)`, found in the namespace
/// of the struct, checks the arguments and makes the call. A host's own op has such a struct too.
template <class Arguments>
concept TypedCall = requires(const Arguments& arguments) {
  { Arguments::op_name } -> std::convertible_to<std::string_view>;
  { bind(arguments) } -> std::same_as<Call>;
};

/// The definition of the op in the registry. A host's own op must have been added (OpRegistry::add) before.
/// Throws Error(not_found) if it was not.
template <TypedCall Arguments>
[[nodiscard]] const OpDefinition& definition_of() {
  static const OpDefinition& op = OpRegistry::instance().require(Arguments::op_name);
  return op;
}

/// Checks the arguments and enqueues the op's kernel on `stream`; no rows: success without a launch. A call
/// whose kernel is in memory allocates nothing and takes no lock. Thread-safe. Throws Error; nothing is
/// enqueued then.
template <TypedCall Arguments>
void launch(Runtime& runtime, const Arguments& arguments, Stream stream) {
  runtime.dispatch(definition_of<Arguments>(), bind(arguments), stream);
}

/// Checks the arguments, resolves the kernel and binds the arguments for repeated launches, which is what a
/// captured or often repeated call wants. `tunables`, if given, win over those tuned and over the op's own.
/// The device memory that the arguments name must live as long as the result is launched. Throws Error.
template <TypedCall Arguments>
[[nodiscard]] PreparedLaunch prepare(Runtime& runtime, const Arguments& arguments,
                                     const std::optional<Tunables>& tunables = std::nullopt) {
  return runtime.prepare(definition_of<Arguments>(), bind(arguments), tunables);
}

}  // namespace kerncast
