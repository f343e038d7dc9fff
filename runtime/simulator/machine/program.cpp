#include "runtime/simulator/machine/program.hpp"

#include <algorithm>
#include <new>

namespace kerncast::simulator {

namespace {

constexpr std::size_t vector_alignment = 64;

}  // namespace

AlignedBytes::AlignedBytes(std::size_t size) : size_(size) {
  // calloc leaves large blocks to the kernel's zero pages; its alignment is too small.
  std::size_t room = std::max<std::size_t>(size, 1) + 2 * vector_alignment;
  raw_.reset(static_cast<std::byte*>(std::calloc(room, 1)));
  if (raw_ == nullptr) {
    throw std::bad_alloc();
  }
  void* start = raw_.get();
  data_ = static_cast<std::byte*>(std::align(vector_alignment, room - vector_alignment, start, room));
}

Program::~Program() {
  for (const GlobalVariable& variable : variables) {
    memory->release(variable.address);
  }
}

int Program::line_of(const Op* op) const {
  const auto index = static_cast<std::size_t>(op - ops.data());
  return index < lines.size() ? static_cast<int>(lines[index]) : 0;
}

std::span<const OperandUse> Program::uses_of(const Op* op) const {
  const auto index = static_cast<std::size_t>(op - ops.data());
  if (index + 1 >= first_use.size()) {
    return {};
  }
  return {uses.data() + first_use[index], uses.data() + first_use[index + 1]};
}

std::string_view Program::line_text(int line) const {
  std::string_view rest = text;
  for (int i = 1; i < line; ++i) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      return {};
    }
    rest.remove_prefix(end + 1);
  }
  rest = rest.substr(0, rest.find('\n'));
  const std::size_t first = rest.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) {
    return {};
  }
  return rest.substr(first, rest.find_last_not_of(" \t\r") - first + 1);
}

std::size_t Program::function_index_of(const Op* op) const {
  const auto index = static_cast<std::uint32_t>(op - ops.data());
  return static_cast<std::size_t>(std::find_if(functions.begin(), functions.end(),
                                               [index](const PtxFunction& function) {
                                                 return index >= function.first_op && index < function.end_op;
                                               }) -
                                  functions.begin());
}

std::string_view Program::function_of(const Op* op) const {
  const std::size_t index = function_index_of(op);
  return index < functions.size() ? std::string_view(functions[index].name) : "?";
}

}  // namespace kerncast::simulator
