#include <fmt/format.h>

#include "runtime/simulator/ptx/decoder.hpp"

namespace kerncast::simulator {

void Decoder::parse_call() {
  Modifiers& mods = instruction_.mods;
  mods.take("uni");
  mods.finish();
  std::vector<std::string_view> results;
  std::vector<std::string_view> arguments;
  const auto parse_names = [&](std::vector<std::string_view>& names) {
    lex_.expect('(');
    while (!lex_.accept(')')) {
      names.push_back(lex_.expect_word());
      if (!lex_.accept(',') && !lex_.peek().is(')')) {
        lex_.fail("',' or ')'");
      }
    }
  };
  if (lex_.peek().is('(')) {
    parse_names(results);
    lex_.expect(',');
  }
  const std::string_view callee = lex_.expect_word();
  if (lex_.accept(',')) {
    if (lex_.peek().is('(')) {
      parse_names(arguments);
      if (lex_.accept(',')) {
        lex_.expect_word();
      }
    } else {
      lex_.expect_word();
    }
  }
  lex_.expect(';');
  if (const Scalar pointer = resolve_word(callee); pointer.kind == Scalar::Kind::reg) {
    CallSite site;
    const auto place = [&](const std::vector<std::string_view>& names, std::vector<CallSite::Copy>& copies) {
      for (const std::string_view name : names) {
        const Variable* variable = find_variable(name);
        if (variable == nullptr || variable->space != Space::param || !variable->frame_relative) {
          fail(fmt::format("'{}' is not a .param variable", name));
        }
        copies.push_back(
            {static_cast<std::uint32_t>(variable->address), static_cast<std::uint32_t>(variable->size)});
      }
    };
    place(arguments, site.arguments);
    place(results, site.results);
    parse_indirect_call(pointer, std::move(site));
    return;
  }
  const auto found = function_names_.find(callee);
  if (found == function_names_.end()) {
    fail(fmt::format("'{}' is not declared", callee));
  }
  const Function& target = module_.functions[found->second];
  CallSite site;
  site.callee = found->second;
  site.host = callee == "vprintf"        ? HostFunction::vprintf
              : callee == "__assertfail" ? HostFunction::assertfail
                                         : HostFunction::none;
  if (target.entry) {
    fail("kernels cannot be called");
  }
  const auto collect = [&](const std::vector<std::string_view>& names,
                           const std::vector<FormalParameter>& formals, std::vector<CallSite::Copy>& copies) {
    if (names.size() != formals.size()) {
      fail(fmt::format("'{}' takes or returns {} values, not {}", callee, formals.size(), names.size()));
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      const Variable* variable = find_variable(names[i]);
      if (variable == nullptr || variable->space != Space::param || !variable->frame_relative ||
          variable->size < formals[i].size) {
        fail(fmt::format("'{}' is not a .param variable of {} bytes", names[i], formals[i].size));
      }
      copies.push_back({static_cast<std::uint32_t>(variable->address), formals[i].size});
    }
  };
  collect(arguments, target.arguments, site.arguments);
  collect(results, target.results, site.results);
  if (site.host == HostFunction::none) {
    function_->callees.push_back(site.callee);
  }
  Op& op = emit(site.host == HostFunction::none ? Code::call : Code::host_call, Type::none);
  op.imm = static_cast<std::int64_t>(module_.calls.size());
  module_.calls.push_back(std::move(site));
}

/// Whether the function fits the prototype is checked when it is called.
void Decoder::parse_indirect_call(const Scalar& callee, CallSite site) {
  indirect_callers_.push_back(static_cast<std::uint32_t>(function_ - module_.functions.data()));
  Op& op = emit(Code::call_indirect, Type::u64);
  op.imm = static_cast<std::int64_t>(module_.calls.size());
  read(Field::a, callee, Type::u64);
  module_.calls.push_back(std::move(site));
}

std::uint64_t Decoder::function_pointer(std::string_view name) {
  const auto found = function_names_.find(name);
  if (found == function_names_.end() || module_.functions[found->second].entry) {
    fail(fmt::format("'{}' is not a variable or device function declared here", name));
  }
  address_taken_.push_back(found->second);
  return kFunctionWindow | found->second;
}

void Decoder::link_indirect_calls() {
  for (const std::uint32_t caller : indirect_callers_) {
    for (const std::uint32_t callee : address_taken_) {
      if (module_.functions[callee].defined) {
        module_.functions[caller].callees.push_back(callee);
      }
    }
  }
}

}  // namespace kerncast::simulator
