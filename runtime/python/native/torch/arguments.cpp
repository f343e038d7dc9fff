#include "runtime/python/native/torch/arguments.hpp"

#include <cstring>

namespace kerncast::python {
namespace {

/// The object whose bytes are the first ones of `value`.
template <class Type>
Type bits(TorchShim::Value value) noexcept {
  Type type;
  std::memcpy(&type, &value, sizeof(Type));
  return type;
}

}  // namespace

TorchArguments::TorchArguments(const TorchShim& torch, const std::vector<TorchArgument>& schema,
                               const TorchShim::Value* stack)
    : torch_(torch), schema_(schema) {
  for (std::size_t i = 0; i < schema.size(); ++i) {
    values_[i] = stack[i];
    given_[i] = true;
    if (!schema[i].optional) {
      continue;
    }
    auto* const place = bits<TorchShim::Value*>(stack[i]);
    given_[i] = place != nullptr;
    if (place == nullptr) {
      continue;
    }
    values_[i] = *place;
    if (torch.delete_optional != nullptr) {
      torch.delete_optional(place);
    } else {
      delete place;
    }
  }
}

TorchArguments::~TorchArguments() {
  for (std::size_t i = 0; i < schema_.size(); ++i) {
    if (!given_[i]) {
      continue;
    }
    if (schema_[i].kind == TorchArgument::Kind::tensor) {
      torch_.delete_tensor(tensor(i));
    } else if (schema_[i].kind == TorchArgument::Kind::text) {
      torch_.delete_string(bits<TorchShim::String>(values_[i]));
    }
  }
}

TorchShim::Tensor TorchArguments::tensor(std::size_t i) const noexcept {
  return bits<TorchShim::Tensor>(values_[i]);
}

double TorchArguments::real(std::size_t i) const noexcept {
  return bits<double>(values_[i]);
}

std::int64_t TorchArguments::integer(std::size_t i) const noexcept {
  return bits<std::int64_t>(values_[i]);
}

bool TorchArguments::boolean(std::size_t i) const noexcept {
  return bits<unsigned char>(values_[i]) != 0;
}

std::string TorchArguments::text(std::size_t i) const {
  const auto handle = bits<TorchShim::String>(values_[i]);
  std::size_t length = 0;
  const char* text = nullptr;
  if (torch_.string_length(handle, &length) != 0 || torch_.string_text(handle, &text) != 0) {
    return {};
  }
  return {text, length};
}

std::int32_t TorchArguments::dtype(std::size_t i) const noexcept {
  return bits<std::int32_t>(values_[i]);
}

}  // namespace kerncast::python
