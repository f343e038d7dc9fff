#include <fmt/format.h>

#include "runtime/simulator/decoder.hpp"

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
  if (resolve_word(callee).kind == Scalar::Kind::reg) {
    unsupported("calls through a function pointer");
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

}  // namespace kerncast::simulator
