#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "runtime/simulator/ptx/decoder.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::uint64_t kVariableLimit = std::uint64_t{1} << 32;
constexpr std::uint64_t kLocalLimit = std::uint64_t{1} << 19;

std::uint64_t align_up(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) / to * to;
}

}  // namespace

const Variable* Decoder::find_variable(std::string_view name) const {
  for (std::size_t i = locals_.size(); i-- > 0;) {
    if (locals_[i].first == name) {
      return locals_[i].second;
    }
  }
  const auto found = globals_.find(name);
  return found == globals_.end() ? nullptr : &found->second;
}

const Variable& Decoder::declare(std::string_view name, const Variable& variable, bool in_function) {
  if (in_function) {
    local_storage_.push_back(std::make_unique<Variable>(variable));
    locals_.emplace_back(name, local_storage_.back().get());
    return *local_storage_.back();
  }
  return globals_.insert_or_assign(name, variable).first->second;
}

Decoder::VariableType Decoder::parse_variable_type() {
  VariableType result;
  bool points = false;
  for (;;) {
    const int line = lex_.line();
    if (lex_.accept(std::string_view(".align"))) {
      const std::uint64_t align = lex_.expect_integer(1U << 16, "an alignment");
      if (align == 0 || (align & (align - 1)) != 0) {
        throw DecodeError(fmt::format("PTX line {}: alignment {} is not a power of two", line, align), line);
      }
      // After .ptr it is what the parameter points to that is aligned.
      result.align = points ? result.align : align;
      continue;
    }
    if (lex_.accept(std::string_view(".ptr"))) {
      points = true;
      continue;
    }
    if (lex_.accept(std::string_view(".global")) || lex_.accept(std::string_view(".const")) ||
        lex_.accept(std::string_view(".shared")) || lex_.accept(std::string_view(".local"))) {
      continue;
    }
    if (lex_.accept(std::string_view(".attribute"))) {
      lex_.expect('(');
      while (!lex_.accept(')')) {
        if (lex_.take().kind == Token::Kind::end) {
          lex_.fail("')'");
        }
      }
      continue;
    }
    if (lex_.accept(std::string_view(".v2")) || lex_.accept(std::string_view(".v4"))) {
      lex_.fail("an array instead of a vector variable");
    }
    if (lex_.peek().kind != Token::Kind::word || lex_.peek().text.front() != '.') {
      break;
    }
    const std::string_view word = lex_.take().text;
    const Type type = Modifiers(word, line).take_type();
    if (type == Type::none || type == Type::pred || result.type != Type::none) {
      throw DecodeError(fmt::format("PTX line {}: unexpected '{}' in a variable declaration", line, word),
                        line);
    }
    result.type = type;
    result.element = bytes_of(type);
  }
  if (result.type == Type::none) {
    lex_.fail("a type");
  }
  if (result.align < result.element || result.align == 0) {
    result.align = result.element;
  }
  return result;
}

std::uint64_t Decoder::parse_extents(const VariableType& type, bool* open) {
  std::uint64_t count = 1;
  *open = false;
  for (bool first = true; lex_.accept('['); first = false) {
    if (first && lex_.accept(']')) {
      *open = true;
      continue;
    }
    const std::uint64_t extent = lex_.expect_integer(kVariableLimit, "an array extent");
    lex_.expect(']');
    if (extent != 0 && count * type.element > kVariableLimit / extent) {
      lex_.fail("a variable of at most 4 GiB");
    }
    count *= extent;
  }
  return count;
}

void Decoder::parse_initial_value(const VariableType& type, std::byte* at) {
  const int line = lex_.line();
  const bool minus = lex_.accept('-');
  std::uint64_t bits = 0;
  if (lex_.peek().kind == Token::Kind::number) {
    Scalar scalar;
    scalar.kind = Scalar::Kind::number;
    scalar.float_bytes = lex_.peek().float_bytes;
    scalar.bits = lex_.take().bits;
    instruction_.line = line;
    const bool is_float = type.type == Type::f32 || type.type == Type::f64;
    if (is_float && scalar.float_bytes == 0) {
      lex_.fail("a float constant");
    }
    bits = is_float ? number_bits(scalar, type.type) : scalar.bits;
    if (minus) {
      bits = is_float ? bits ^ (std::uint64_t{1} << (8 * type.element - 1)) : ~bits + 1;
    }
  } else {
    const bool generic = lex_.accept(std::string_view("generic"));
    if (generic) {
      lex_.expect('(');
    }
    const std::string_view name = lex_.expect_word();
    if (generic) {
      lex_.expect(')');
    }
    const Variable* variable = find_variable(name);
    if (variable == nullptr && function_names_.contains(name) && type.element == 8 && !minus) {
      instruction_.line = line;
      bits = function_pointer(name);
      std::memcpy(at, &bits, 8);
      return;
    }
    if (variable == nullptr || variable->space == Space::param || variable->space == Space::local ||
        variable->external_shared || type.element != 8 || minus) {
      throw DecodeError(
          fmt::format("PTX line {}: '{}' cannot initialise a .{} variable", line, name, name_of(type.type)),
          line);
    }
    bits = variable->address | (generic && variable->space == Space::shared ? kSharedWindow : 0);
    if (lex_.peek().is('+') || lex_.peek().is('-')) {
      const bool down = lex_.take().is('-');
      const std::uint64_t offset = lex_.expect_integer(kVariableLimit, "an offset");
      bits += down ? ~offset + 1 : offset;
    }
  }
  std::memcpy(at, &bits, type.element < 8 ? type.element : 8);
}

std::vector<std::byte> Decoder::parse_initialiser(const VariableType& type, std::uint64_t most) {
  std::vector<std::byte> values;
  const auto add_value = [&] {
    if (values.size() + type.element > most) {
      lex_.fail("no more initial values than elements");
    }
    values.resize(values.size() + type.element);
    parse_initial_value(type, values.data() + values.size() - type.element);
  };
  if (!lex_.peek().is('{')) {
    if (type.element > most) {
      lex_.fail("no initial value for a variable without elements");
    }
    add_value();
    return values;
  }
  int depth = 0;
  do {
    while (lex_.accept('{')) {
      if (++depth > 16) {
        lex_.fail("an initialiser of at most 16 levels");
      }
    }
    if (!lex_.peek().is('}')) {
      add_value();
    }
    while (depth > 0 && lex_.accept('}')) {
      --depth;
    }
  } while (depth > 0 && lex_.accept(','));
  if (depth != 0) {
    lex_.fail("'}'");
  }
  return values;
}

void Decoder::parse_variable(Space space, bool is_external, bool in_function) {
  const VariableType type = parse_variable_type();
  do {
    const int line = lex_.line();
    const std::string_view name = lex_.expect_word();
    bool open = false;
    std::uint64_t size = type.element * parse_extents(type, &open);
    Variable variable;
    variable.space = space;
    switch (space) {
      case Space::shared: {
        if (is_external || open) {
          variable.external_shared = true;
          size = 0;
          if (type.align > module_.dynamic_shared_alignment) {
            module_.dynamic_shared_alignment = static_cast<std::uint32_t>(type.align);
          }
          break;
        }
        std::uint64_t& top = in_function ? function_shared_top_ : shared_top_;
        if (in_function && top < shared_top_) {
          top = shared_top_;
        }
        variable.address = align_up(top, type.align);
        top = variable.address + size;
        if (top > (1U << 20)) {
          throw DecodeError(fmt::format("PTX line {}: over 1 MiB of static shared memory", line), line);
        }
        break;
      }
      case Space::local:
      case Space::param: {
        variable.frame_relative = true;
        variable.address = align_up(local_top_, type.align < 8 ? 8 : type.align);
        local_top_ = variable.address + size;
        if (local_top_ > kLocalLimit) {
          throw DecodeError(fmt::format("PTX line {}: over 512 KiB of local memory per thread", line), line);
        }
        break;
      }
      default: {
        if (is_external) {
          throw DecodeError(
              fmt::format("PTX line {}: '{}' is defined in another module; linking modules is not supported",
                          line, name),
              line);
        }
        std::vector<std::byte> values;
        if (lex_.accept('=')) {
          values = parse_initialiser(type, open ? kVariableLimit : size);
        }
        if (open) {
          // The initial values tell how many rows there are.
          if (values.empty() || size == 0) {
            lex_.fail("a variable of known size");
          }
          size = align_up(values.size(), size);
        }
        std::byte* at = memory_.allocate(size == 0 ? 1 : size, MemoryKind::device, device_);
        if (at == nullptr) {
          throw DecodeError(fmt::format("PTX line {}: no memory for the {} bytes of '{}'", line, size, name),
                            line);
        }
        module_.variable_index.insert_or_assign(std::string(name), module_.variables.size());
        module_.variables.push_back({std::string(name), at, size});
        if (size < Memory::kZeroedFrom) {
          std::memset(at, 0, size);
        }
        std::copy(values.begin(), values.end(), at);
        memory_.mark_written(at, size);
        variable.address = reinterpret_cast<std::uintptr_t>(at);
        break;
      }
    }
    variable.size = size;
    declare(name, variable, in_function);
  } while (lex_.accept(','));
  lex_.expect(';');
}

}  // namespace kerncast::simulator
