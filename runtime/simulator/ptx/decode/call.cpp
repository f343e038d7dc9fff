#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "runtime/simulator/ptx/decode/families.hpp"

namespace kerncast::simulator {

namespace {

/// The variable that holds an argument or result. Null if `name` is no .param variable of the caller.
const Variable* find_parameter(const DecodeContext& c, std::string_view name) {
  const Variable* variable = c.names.find_variable(name);
  return variable != nullptr && variable->space == Space::param && variable->frame_relative ? variable
                                                                                            : nullptr;
}

/// The function of the machine's own that a module may declare under `name`.
HostFunction host_function(std::string_view name) {
  return name == "vprintf"        ? HostFunction::vprintf
         : name == "__assertfail" ? HostFunction::assertfail
         : name == "malloc"       ? HostFunction::malloc
         : name == "free"         ? HostFunction::free
                                  : HostFunction::none;
}

/// The call itself checks if the function fits the prototype.
void decode_indirect_call(DecodeContext& c, const Call& call, const Scalar& callee) {
  CallSite site;
  const auto place = [&](const std::vector<std::string_view>& names, std::vector<CallSite::Copy>& copies) {
    for (const std::string_view name : names) {
      const Variable* variable = find_parameter(c, name);
      if (variable == nullptr) {
        c.fail(fmt::format("'{}' is not a .param variable", name));
      }
      copies.push_back(
          {static_cast<std::uint32_t>(variable->address), static_cast<std::uint32_t>(variable->size)});
    }
  };
  place(call.arguments, site.arguments);
  place(call.results, site.results);
  c.functions.note_indirect_call(c.function.index);
  Op& op = c.emit(Code::call_indirect, Type::u64);
  op.imm = static_cast<std::int64_t>(c.program.calls.size());
  c.read(Field::a, callee, Type::u64);
  c.program.calls.push_back(std::move(site));
}

}  // namespace

void decode_call(DecodeContext& c, const Call& call) {
  c.mods().take("uni");
  c.mods().finish();
  Scalar pointer;
  pointer.kind = Scalar::Kind::name;
  pointer.text = call.callee;
  c.names.resolve(pointer);
  if (pointer.kind == Scalar::Kind::reg) {
    decode_indirect_call(c, call, pointer);
    return;
  }
  const std::optional<std::uint32_t> callee = c.functions.find(call.callee);
  if (!callee) {
    c.fail(fmt::format("'{}' is not declared", call.callee));
  }
  const PtxFunction& target = c.program.functions[*callee];
  CallSite site;
  site.callee = *callee;
  site.host = target.defined ? HostFunction::none : host_function(call.callee);
  if (target.entry) {
    c.fail("kernels cannot be called");
  }
  const auto collect = [&](const std::vector<std::string_view>& names,
                           const std::vector<FormalParameter>& formals, std::vector<CallSite::Copy>& copies) {
    if (names.size() != formals.size()) {
      c.fail(
          fmt::format("'{}' takes or returns {} values, not {}", call.callee, formals.size(), names.size()));
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      const Variable* variable = find_parameter(c, names[i]);
      if (variable == nullptr || variable->size < formals[i].size) {
        c.fail(fmt::format("'{}' is not a .param variable of {} bytes", names[i], formals[i].size));
      }
      copies.push_back({static_cast<std::uint32_t>(variable->address), formals[i].size});
    }
  };
  collect(call.arguments, target.arguments, site.arguments);
  collect(call.results, target.results, site.results);
  if (site.host == HostFunction::none) {
    c.program.functions[c.function.index].callees.push_back(site.callee);
  }
  Op& op = c.emit(site.host == HostFunction::none ? Code::call : Code::host_call, Type::none);
  op.imm = static_cast<std::int64_t>(c.program.calls.size());
  c.program.calls.push_back(std::move(site));
}

}  // namespace kerncast::simulator
