#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "runtime/simulator/ptx/decoder.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::uint64_t kRegisterLimit = 1U << 20;
/// Blocks within blocks: compilers nest a handful.
constexpr std::size_t kNestingLimit = 256;

bool same_formals(const std::vector<FormalParameter>& a, const std::vector<FormalParameter>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const FormalParameter& x, const FormalParameter& y) { return x.size == y.size; });
}

/// The PTX line where `caller` first calls `callee` by name.
int line_of_call(const ModuleImpl& module, const Function& caller, std::uint32_t callee) {
  for (std::uint32_t i = caller.first_op; i < caller.end_op; ++i) {
    const Op& op = module.ops[i];
    if (op.code == Code::call && module.calls[static_cast<std::size_t>(op.imm)].callee == callee) {
      return static_cast<int>(module.lines[i]);
    }
  }
  return 1;
}

}  // namespace

void Decoder::run() {
  parse_module();
  link_indirect_calls();
  for (const Function& function : module_.functions) {
    for (const std::uint32_t callee : function.callees) {
      if (!module_.functions[callee].defined) {
        const int line = line_of_call(module_, function, callee);
        throw DecodeError(fmt::format("PTX line {}: '{}' calls '{}', which has no body here", line,
                                      function.name, module_.functions[callee].name),
                          line);
      }
    }
  }
  for (Function& function : module_.functions) {
    function.shared_bytes = std::max(function.shared_bytes, static_cast<std::uint32_t>(shared_top_));
  }
  module_.constants = AlignedBytes(constant_bytes_.size());
  std::copy(constant_bytes_.begin(), constant_bytes_.end(), module_.constants.data());
  // Counting looks one op ahead, so something must follow the last function's end. It is never executed.
  Op& guard = module_.ops.emplace_back();
  guard.prefix = instruction_count_;
  module_.lines.push_back(0);
  select_handlers();
}

void Decoder::skip_braces() {
  lex_.expect('{');
  for (int depth = 1; depth > 0;) {
    const Token token = lex_.take();
    if (token.kind == Token::Kind::end) {
      lex_.fail("'}'");
    }
    depth += token.is('{') ? 1 : token.is('}') ? -1 : 0;
  }
}

void Decoder::parse_version() {
  const std::string_view text = lex_.peek().text;
  const std::size_t dot = text.find('.');
  int major = 0;
  int minor = 0;
  const auto parse = [&text](std::size_t first, std::size_t last, int& number) {
    const auto [end, error] = std::from_chars(text.data() + first, text.data() + last, number);
    return error == std::errc{} && end == text.data() + last && number >= 0 && number < 1000;
  };
  if (lex_.peek().kind != Token::Kind::number || dot == std::string_view::npos || !parse(0, dot, major) ||
      !parse(dot + 1, text.size(), minor)) {
    lex_.fail("the PTX version, such as 8.6");
  }
  lex_.take();
  target_.version = major * 10 + std::min(minor, 9);
  target_.version_text = text;
}

void Decoder::parse_target() {
  const int line = lex_.line();
  const std::string_view target = lex_.expect_word();
  std::size_t at = 3;
  int number = 0;
  while (at < target.size() && target[at] >= '0' && target[at] <= '9' && number < 10000) {
    number = number * 10 + (target[at++] - '0');
  }
  const std::string_view suffix = target.substr(std::min(at, target.size()));
  if (!target.starts_with("sm_") || number == 0 || (!suffix.empty() && suffix != "a" && suffix != "f")) {
    throw DecodeError(fmt::format("PTX line {}: unknown .target '{}'", line, target), line);
  }
  target_.sm = number;
  target_.suffix = suffix.empty() ? '\0' : suffix.front();
  target_.name = target;
  const std::optional<int> version = version_of_target(number, target_.suffix);
  if (!version) {
    throw DecodeError(fmt::format("PTX line {}: unknown .target '{}'", line, target), line);
  }
  const bool fits = suffix == "a"   ? number == sm_
                    : suffix == "f" ? number <= sm_ && number / 10 == sm_ / 10
                                    : number <= sm_;
  if (!fits) {
    throw DecodeError(
        fmt::format("PTX line {}: made for {}, which a device of sm_{} does not run", line, target, sm_),
        line);
  }
  if (const std::string missing = lacking(Requirement{0, *version}, target_); !missing.empty()) {
    throw DecodeError(fmt::format("PTX line {}: .target {} {}", line, target, missing), line);
  }
  while (lex_.accept(',')) {
    const std::string_view option = lex_.expect_word();
    if (option != "debug" && option != "texmode_independent" && option != "texmode_unified") {
      throw DecodeError(fmt::format("PTX line {}: unknown .target option '{}'", line, option), line);
    }
  }
}

void Decoder::parse_module() {
  if (!lex_.accept(std::string_view(".version"))) {
    lex_.fail("'.version' at the start of the PTX");
  }
  parse_version();
  if (!lex_.accept(std::string_view(".target"))) {
    lex_.fail("'.target'");
  }
  parse_target();
  if (lex_.accept(std::string_view(".address_size"))) {
    if (lex_.expect_integer(64, "an address size") != 64) {
      lex_.fail(".address_size 64");
    }
  }
  bool is_external = false;
  while (lex_.peek().kind != Token::Kind::end) {
    const Token token = lex_.take();
    const std::string_view word = token.text;
    if (word == ".visible" || word == ".weak" || word == ".common") {
      continue;
    }
    if (word == ".extern") {
      is_external = true;
      continue;
    }
    if (word == ".entry") {
      parse_function(true, is_external);
    } else if (word == ".func") {
      parse_function(false, is_external);
    } else if (word == ".global") {
      parse_variable(Space::global, is_external, false);
    } else if (word == ".const") {
      parse_variable(Space::constant, is_external, false);
    } else if (word == ".shared") {
      parse_variable(Space::shared, is_external, false);
    } else if (word == ".file" || word == ".loc") {
      const int line = token.line;
      while (lex_.peek().kind != Token::Kind::end && lex_.line() == line) {
        lex_.take();
      }
    } else if (word == ".section") {
      lex_.expect_word();
      skip_braces();
    } else if (word == ".pragma") {
      while (!lex_.accept(';')) {
        if (lex_.take().kind == Token::Kind::end) {
          lex_.fail("';'");
        }
      }
    } else if (!token.is(';')) {
      throw DecodeError(
          fmt::format("PTX line {}: the virtual GPU does not know the directive '{}'", token.line, word),
          token.line);
    }
    is_external = false;
  }
}

std::uint32_t Decoder::function_index(std::string_view name) {
  auto [entry, fresh] =
      function_names_.try_emplace(name, static_cast<std::uint32_t>(module_.functions.size()));
  if (fresh) {
    module_.functions.emplace_back();
    module_.functions.back().name = std::string(name);
  }
  return entry->second;
}

std::vector<FormalParameter> Decoder::parse_formals(Function& function, bool entry, KernelInfo* kernel) {
  std::vector<FormalParameter> formals;
  lex_.expect('(');
  if (lex_.accept(')')) {
    return formals;
  }
  do {
    if (!lex_.accept(std::string_view(".param"))) {
      lex_.fail("'.param' (register parameters are not supported)");
    }
    const VariableType type = parse_variable_type();
    const std::string_view name = lex_.expect_word();
    bool open = false;
    const std::uint64_t size = type.element * parse_extents(type, &open);
    if (open) {
      lex_.fail("a parameter of known size");
    }
    std::uint64_t& top = entry ? parameter_bytes_ : local_top_;
    const std::uint64_t offset = (top + type.align - 1) / type.align * type.align;
    top = offset + size;
    if (top > (1U << 20)) {
      lex_.fail("parameters of at most 1 MiB");
    }
    formals.push_back({static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(size)});
    if (kernel != nullptr) {
      kernel->parameters.push_back({offset, size});
    }
    Variable variable;
    variable.space = Space::param;
    variable.address = offset;
    variable.size = size;
    variable.frame_relative = !entry;
    declare(name, variable, true);
  } while (lex_.accept(','));
  lex_.expect(')');
  (void)function;
  return formals;
}

std::uint32_t Decoder::parse_dimensions() {
  std::uint64_t product = lex_.expect_integer(1U << 20, "a thread count");
  for (int i = 0; i < 2 && lex_.accept(','); ++i) {
    product *= lex_.expect_integer(1U << 20, "a thread count");
    if (product > (1U << 20)) {
      lex_.fail("a thread count of at most 1048576");
    }
  }
  return static_cast<std::uint32_t>(product);
}

void Decoder::parse_kernel_directives(KernelInfo& kernel) {
  for (;;) {
    const Token token = lex_.peek();
    if (token.is(".maxclusterrank") || token.is(".blocksareclusters")) {
      const Requirement needed{90, token.is(".blocksareclusters") ? 90 : 78};
      if (const std::string missing = lacking(needed, target_); !missing.empty()) {
        throw DecodeError(fmt::format("PTX line {}: {} {}", token.line, token.text, missing), token.line);
      }
    }
    if (lex_.accept(std::string_view(".maxntid")) || lex_.accept(std::string_view(".reqntid"))) {
      kernel.max_threads_per_block = parse_dimensions();
    } else if (lex_.accept(std::string_view(".minnctapersm")) || lex_.accept(std::string_view(".maxnreg")) ||
               lex_.accept(std::string_view(".maxnctapersm")) ||
               lex_.accept(std::string_view(".maxclusterrank"))) {
      lex_.expect_integer(1U << 20, "a number");
    } else if (lex_.accept(std::string_view(".pragma"))) {
      lex_.take();
      lex_.expect(';');
    } else if (!lex_.accept(std::string_view(".noreturn")) &&
               !lex_.accept(std::string_view(".blocksareclusters"))) {
      return;
    }
  }
}

void Decoder::parse_function(bool entry, bool is_external) {
  body_.clear();
  locals_.clear();
  local_storage_.clear();
  declared_.clear();
  labels_.clear();
  fixups_.clear();
  scopes_.assign(1, 0);
  next_scope_ = 1;
  local_top_ = 0;
  parameter_bytes_ = 0;
  function_shared_top_ = 0;
  has_carry_ = false;
  while (lex_.peek().kind == Token::Kind::word && lex_.peek().text == ".attribute") {
    lex_.skip_line();
  }
  Function scratch;
  KernelInfo kernel;
  if (!entry && lex_.peek().is('(')) {
    scratch.results = parse_formals(scratch, false, nullptr);
  }
  const int line = lex_.line();
  const std::string_view name = lex_.expect_word();
  if (lex_.peek().is('(')) {
    scratch.arguments = parse_formals(scratch, entry, entry ? &kernel : nullptr);
  }
  const bool known = function_names_.contains(name);
  const std::uint32_t index = function_index(name);
  parse_kernel_directives(kernel);
  Function& function = module_.functions[index];
  if (function.defined && (entry || !lex_.peek().is(';'))) {
    throw DecodeError(fmt::format("PTX line {}: '{}' is defined twice", line, name), line);
  }
  // Calls copy parameters as the declaration they saw says, so no later one may differ.
  if (known && (function.entry != entry || !same_formals(function.results, scratch.results) ||
                !same_formals(function.arguments, scratch.arguments))) {
    throw DecodeError(fmt::format("PTX line {}: '{}' differs from its earlier declaration", line, name),
                      line);
  }
  function.entry = entry;
  function.results = std::move(scratch.results);
  function.arguments = std::move(scratch.arguments);
  if (lex_.accept(';') || (is_external && !lex_.peek().is('{'))) {
    return;
  }
  function.defined = true;
  parse_body(function);
  finish_function(module_.functions[index], index);
  if (entry) {
    kernel.name = std::string(name);
    kernel.parameter_bytes = parameter_bytes_;
    kernel.virtual_registers = static_cast<std::uint32_t>(body_.register_bytes.size());
    module_.kernels.push_back(std::move(kernel));
    module_.kernel_functions.push_back(index);
  }
}

void Decoder::parse_body(Function& function) {
  lex_.expect('{');
  begin_alloca();
  struct Mark {
    std::size_t declared;
    std::size_t locals;
    std::size_t scope;
  };
  std::vector<Mark> marks;
  for (;;) {
    if (lex_.accept('{')) {
      if (marks.size() == kNestingLimit) {
        lex_.fail(fmt::format("no more than {} blocks inside each other", kNestingLimit));
      }
      marks.push_back({declared_.size(), locals_.size(), next_scope_});
      scopes_.push_back(next_scope_++);
    } else if (lex_.accept('}')) {
      if (marks.empty()) {
        break;
      }
      close_scope(scopes_.back());
      scopes_.pop_back();
      declared_.resize(marks.back().declared);
      locals_.resize(marks.back().locals);
      marks.pop_back();
    } else if (lex_.peek().kind == Token::Kind::end) {
      lex_.fail("'}'");
    } else {
      parse_statement(function);
    }
  }
  instruction_ = Instruction{};
  instruction_.line = lex_.line();
  // Running off the end is a return; it is no instruction of the PTX, so it does not count.
  emitted_ = false;
  emit(function.entry ? Code::exit : Code::ret, Type::none);
  close_scope(0);
}

void Decoder::close_scope(std::size_t scope) {
  const std::size_t parent = scopes_.size() > 1 ? scopes_[scopes_.size() - 2] : 0;
  std::unordered_map<std::string_view, const Label*> names;
  bool built = false;
  std::size_t kept = fixups_.size();
  while (kept > 0 && fixups_[kept - 1].scope >= scope) {
    --kept;
  }
  std::size_t out = kept;
  for (std::size_t i = kept; i < fixups_.size(); ++i) {
    Fixup& fixup = fixups_[i];
    if (!built) {
      for (const Label& label : labels_) {
        if (label.scope == scope) {
          names.emplace(label.name, &label);
        }
      }
      built = true;
    }
    const auto found = names.find(fixup.label);
    if (found == names.end()) {
      if (scope == 0) {
        throw DecodeError(
            fmt::format("PTX line {}: label '{}' is not defined in this function", fixup.line, fixup.label),
            fixup.line);
      }
      fixup.scope = parent;
      fixups_[out++] = fixup;
      continue;
    }
    const Label& label = *found->second;
    if (fixup.is_entry) {
      body_.table_targets[fixup.entry] = label.op;
    } else if (body_.ops[fixup.op].code == Code::brx) {
      if (!label.is_table) {
        throw DecodeError(
            fmt::format("PTX line {}: '{}' is not a .branchtargets table", fixup.line, fixup.label),
            fixup.line);
      }
      body_.ops[fixup.op].imm = label.table;
      body_.ops[fixup.op].d2 = label.table_size;
    } else if (label.is_table || label.is_prototype) {
      throw DecodeError(fmt::format("PTX line {}: '{}' is not a code label", fixup.line, fixup.label),
                        fixup.line);
    } else {
      body_.ops[fixup.op].imm = label.op;
    }
  }
  fixups_.resize(out);
  // Inner scopes have closed before, so this one's labels come last; nothing can name them any more.
  while (!labels_.empty() && labels_.back().scope == scope) {
    labels_.pop_back();
  }
}

void Decoder::parse_registers() {
  const int line = lex_.line();
  const Type type = [&] {
    const std::string_view word = lex_.expect_word();
    Modifiers parts(word, line);
    const Type found = word.starts_with('.') ? parts.take_type() : Type::none;
    if (!is_bits(found) && !is_integer(found) && found != Type::pred && found != Type::f16 &&
        found != Type::f16x2 && found != Type::f32 && found != Type::f64) {
      throw DecodeError(fmt::format("PTX line {}: unknown register type '{}'", line, word), line);
    }
    return found;
  }();
  if (type == Type::f16x2 || type == Type::b128) {
    const Requirement needed = type == Type::b128 ? Requirement{70, 83} : Requirement{53, 42};
    if (const std::string missing = lacking(needed, target_); !missing.empty()) {
      throw DecodeError(fmt::format("PTX line {}: a register of .{} {}", line, name_of(type), missing), line);
    }
  }
  const unsigned raw = bytes_of(type);
  const unsigned bytes = type == Type::pred ? 0 : raw == 1 ? 2 : raw;
  do {
    Declared declared;
    declared.name = lex_.expect_word();
    declared.bytes = static_cast<std::uint8_t>(bytes);
    declared.type = type;
    declared.first = static_cast<std::uint32_t>(body_.register_bytes.size());
    std::uint64_t count = 1;
    if (lex_.accept('<')) {
      count = lex_.expect_integer(kRegisterLimit, "a register count");
      lex_.expect('>');
      declared.count = static_cast<std::uint32_t>(count);
      if (count == 0) {
        lex_.fail("a register count above 0");
      }
    }
    const std::uint64_t slots = bytes == 16 ? 2 * count : count;
    if (body_.register_bytes.size() + slots > kRegisterLimit) {
      throw DecodeError(
          fmt::format("PTX line {}: more than {} registers in one function", line, kRegisterLimit), line);
    }
    body_.register_bytes.resize(body_.register_bytes.size() + slots,
                                static_cast<std::uint8_t>(bytes == 16 ? 8 : bytes));
    declared_.push_back(declared);
  } while (lex_.accept(','));
  lex_.expect(';');
}

void Decoder::parse_branch_targets(std::string_view name) {
  Label label;
  label.name = name;
  label.scope = scopes_.back();
  label.is_table = true;
  label.table = static_cast<std::uint32_t>(body_.table_targets.size());
  do {
    Fixup fixup;
    fixup.label = lex_.expect_word();
    fixup.is_entry = true;
    fixup.entry = static_cast<std::uint32_t>(body_.table_targets.size());
    fixup.scope = scopes_.back();
    fixup.line = lex_.line();
    fixups_.push_back(fixup);
    body_.table_targets.push_back(0);
  } while (lex_.accept(','));
  lex_.expect(';');
  label.table_size = static_cast<std::uint32_t>(body_.table_targets.size()) - label.table;
  labels_.push_back(label);
}

void Decoder::parse_statement(Function& function) {
  function_ = &function;
  if (lex_.at_label()) {
    const std::string_view name = lex_.take().text;
    lex_.expect(':');
    if (lex_.accept(std::string_view(".branchtargets"))) {
      parse_branch_targets(name);
      return;
    }
    Label label;
    label.name = name;
    label.scope = scopes_.back();
    label.op = static_cast<std::uint32_t>(body_.ops.size());
    if (lex_.peek().is(".callprototype") || lex_.peek().is(".calltargets")) {
      label.is_prototype = true;
      while (!lex_.accept(';')) {
        if (lex_.take().kind == Token::Kind::end) {
          lex_.fail("';'");
        }
      }
    }
    labels_.push_back(label);
    return;
  }
  if (lex_.accept(';')) {
    return;
  }
  const Token& token = lex_.peek();
  if (token.kind == Token::Kind::word && token.text.front() == '.') {
    const std::string_view word = token.text;
    if (word == ".loc" || word == ".file") {
      lex_.skip_line();
    } else if (word == ".reg") {
      lex_.take();
      parse_registers();
    } else if (word == ".local") {
      lex_.take();
      parse_variable(Space::local, false, true);
    } else if (word == ".shared") {
      lex_.take();
      parse_variable(Space::shared, false, true);
    } else if (word == ".param") {
      lex_.take();
      parse_variable(Space::param, false, true);
    } else if (word == ".global" || word == ".const") {
      lex_.take();
      parse_variable(word == ".global" ? Space::global : Space::constant, false, true);
    } else if (word == ".pragma") {
      lex_.take();
      lex_.take();
      lex_.expect(';');
    } else {
      throw DecodeError(
          fmt::format("PTX line {}: the virtual GPU does not know the directive '{}'", token.line, word),
          token.line);
    }
    return;
  }
  parse_instruction();
}

void Decoder::parse_instruction() {
  instruction_.guarded = false;
  instruction_.count = 0;
  instruction_.line = lex_.line();
  emitted_ = false;
  if (lex_.accept('@')) {
    instruction_.guard_negated = lex_.accept('!');
    const Scalar guard = resolve_word(lex_.expect_word());
    if (guard.kind != Scalar::Kind::reg || guard.bytes != 0) {
      throw DecodeError(
          fmt::format("PTX line {}: guard '{}' is not a predicate", instruction_.line, guard.text),
          instruction_.line);
    }
    instruction_.guard = guard.reg;
    instruction_.guarded = true;
  }
  instruction_.line = lex_.line();
  instruction_.mods = Modifiers(lex_.expect_word(), instruction_.line);
  if (instruction_.mods.base() == "call") {
    parse_call();
  } else {
    while (!lex_.accept(';')) {
      if (instruction_.count == instruction_.operands.size()) {
        lex_.fail("';'");
      }
      instruction_.operands[instruction_.count++] = parse_operand();
      if (!lex_.accept(',') && !lex_.peek().is(';')) {
        lex_.fail("',' or ';'");
      }
    }
    decode_instruction();
  }
  if (!emitted_) {
    emit(Code::nop, Type::none);
  }
  ++instruction_count_;
}

}  // namespace kerncast::simulator
