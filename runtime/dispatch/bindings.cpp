#include <fmt/format.h>

#include <algorithm>

#include "kerncast/op_definition.hpp"

namespace kerncast {
namespace {

template <class Pairs, class Value>
void assign(Pairs& pairs, std::string name, Value value) {
  const auto found =
      std::find_if(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == name; });
  if (found != pairs.end()) {
    found->second = std::move(value);
  } else {
    pairs.emplace_back(std::move(name), std::move(value));
  }
}

template <class Pairs>
auto lookup(const Pairs& pairs, std::string_view name) -> decltype(&pairs.front().second) {
  const auto found =
      std::find_if(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == name; });
  return found == pairs.end() ? nullptr : &found->second;
}

}  // namespace

void Bindings::set_tensor(std::string name, const TensorView& view) {
  assign(tensors_, std::move(name), view);
}

void Bindings::set_scalar(std::string name, double value) {
  assign(scalars_, std::move(name), value);
}

void Bindings::set_param(std::string name, std::string value) {
  assign(params_, std::move(name), std::move(value));
}

const TensorView* Bindings::tensor(std::string_view name) const noexcept {
  return lookup(tensors_, name);
}

const TensorView& Bindings::require_tensor(std::string_view op, std::string_view name) const {
  const TensorView* view = tensor(name);
  if (view == nullptr) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: tensor '{}' is missing; `kerncast ops {}` lists the tensors it takes", op,
                            name, op));
  }
  return *view;
}

TensorView Bindings::tensor_or_absent(std::string_view name) const noexcept {
  const TensorView* view = tensor(name);
  return view != nullptr ? *view : TensorView{};
}

std::optional<double> Bindings::scalar(std::string_view name) const noexcept {
  const double* value = lookup(scalars_, name);
  return value != nullptr ? std::optional<double>(*value) : std::nullopt;
}

const std::string* Bindings::param(std::string_view name) const noexcept {
  return lookup(params_, name);
}

}  // namespace kerncast
