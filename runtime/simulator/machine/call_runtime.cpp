#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <optional>

#include "runtime/simulator/machine/scheduler.hpp"

namespace kerncast::simulator {

namespace {

std::uint32_t& header(Warp& warp, std::uint32_t frame, std::uint32_t field, std::uint32_t lane) {
  return reinterpret_cast<std::uint32_t*>(warp.stack + frame + field)[lane];
}

std::byte* lane_memory(Warp& warp, std::uint32_t lane) {
  return warp.local + lane * warp.local_bytes;
}

/// Host address behind a generic address of a kernel, or null. `room` gets the number of bytes that follow.
const std::byte* reach(const Warp& warp, std::uint32_t lane, std::uint64_t address, std::size_t& room) {
  const std::uint64_t window = address & window_mask;
  const std::uint64_t offset = address & ~window_mask;
  const auto within = [&](const std::byte* base, std::uint64_t size) -> const std::byte* {
    room = offset < size ? size - offset : 0;
    return room == 0 ? nullptr : base + offset;
  };
  if (window == shared_window) {
    return within(warp.shared, warp.shared_bytes);
  }
  if (window == local_window) {
    return within(warp.local + lane * warp.local_bytes, warp.local_bytes);
  }
  const auto* at = reinterpret_cast<const std::byte*>(address);
  const auto found = warp.block->launch->memory->find(at);
  if (!found) {
    return nullptr;
  }
  room = found->size - static_cast<std::size_t>(address - reinterpret_cast<std::uintptr_t>(found->base));
  return at;
}

std::optional<std::string> read_text(const Warp& warp, std::uint32_t lane, std::uint64_t address) {
  std::size_t room = 0;
  const std::byte* at = reach(warp, lane, address, room);
  const void* end = at == nullptr ? nullptr : std::memchr(at, 0, room);
  if (end == nullptr) {
    return std::nullopt;
  }
  return std::string(reinterpret_cast<const char*>(at), static_cast<const char*>(end));
}

template <class T>
T argument(Warp& warp, std::uint32_t lane, const CallSite& site, std::size_t index) {
  T value{};
  if (index < site.arguments.size() && site.arguments[index].size >= sizeof(T)) {
    std::memcpy(&value,
                lane_memory(warp, lane) + header(warp, warp.frame, frame_header::local_base, lane) +
                    site.arguments[index].caller_offset,
                sizeof(T));
  }
  return value;
}

/// Widths and precisions beyond this are cut to it: the host would spend its memory on blanks.
constexpr int widest = 4096;

/// `value` as the host's printf formats it.
template <class T>
void append_formatted(std::string& out, const std::string& spec, T value) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  const int length = std::snprintf(nullptr, 0, spec.c_str(), value);
  if (length <= 0) {
    return;
  }
  const std::size_t start = out.size();
  out.resize(start + static_cast<std::size_t>(length) + 1);
  std::snprintf(out.data() + start, static_cast<std::size_t>(length) + 1, spec.c_str(), value);
#pragma GCC diagnostic pop
  out.pop_back();
}

/// Formats one conversion of printf with its value. `plain` is its percent sign, flags, width and precision.
void append_conversion(std::string& out, const std::string& plain, char kind, std::uint64_t bits,
                       const std::string& text) {
  switch (kind) {
    case 'd':
    case 'i':
      append_formatted(out, plain + "lld", static_cast<long long>(bits));
      break;
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      append_formatted(out, plain + "ll" + kind, static_cast<unsigned long long>(bits));
      break;
    case 'c':
      append_formatted(out, plain + "c", static_cast<int>(bits));
      break;
    case 'p':
      out += fmt::format("{:#x}", bits);
      break;
    case 's':
      append_formatted(out, plain + "s", text.c_str());
      break;
    default:
      append_formatted(out, plain + kind, std::bit_cast<double>(bits));
      break;
  }
}

std::string format_print(const Warp& warp, std::uint32_t lane, const std::string& format,
                         std::uint64_t values) {
  std::string out;
  std::size_t used = 0;
  const auto next = [&](std::size_t bytes) {
    used = (used + bytes - 1) / bytes * bytes;
    std::size_t room = 0;
    std::uint64_t bits = 0;
    const std::byte* at = reach(warp, lane, values + used, room);
    if (at != nullptr && room >= bytes) {
      std::memcpy(&bits, at, bytes);
    }
    used += bytes;
    return bits;
  };
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const std::size_t end = format.find_first_not_of("0123456789.-+ #*lhzjt", i + 1);
    if (end == std::string::npos ||
        std::string_view("diuoxXcpsfFeEgGaA%").find(format[end]) == std::string_view::npos) {
      out += format[i];
      continue;
    }
    const char kind = format[end];
    std::string plain = "%";
    bool wide = false;
    unsigned halves = 0;
    for (std::size_t at = i + 1; at < end;) {
      const char c = format[at];
      if (c == '*') {
        plain += std::to_string(std::clamp(static_cast<int>(next(4)), -widest, widest));
        ++at;
      } else if (c >= '1' && c <= '9') {
        int number = 0;
        for (; at < end && format[at] >= '0' && format[at] <= '9'; ++at) {
          number = std::min(number * 10 + (format[at] - '0'), widest);
        }
        plain += std::to_string(number);
      } else {
        halves += c == 'h' ? 1 : 0;
        wide = wide || c == 'l' || c == 'z' || c == 'j' || c == 't';
        if (std::string_view("lhzjt").find(c) == std::string_view::npos) {
          plain += c;
        }
        ++at;
      }
    }
    i = end;
    if (kind == '%') {
      out += '%';
      continue;
    }
    const bool integer = std::string_view("diuoxXc").find(kind) != std::string_view::npos;
    std::uint64_t bits = next(integer && !wide ? 4 : 8);
    if (integer && !wide && kind != 'c') {
      const unsigned unused = halves == 0 ? 32 : halves == 1 ? 48 : 56;
      const bool with_sign = kind == 'd' || kind == 'i';
      bits <<= unused;
      bits =
          with_sign ? static_cast<std::uint64_t>(static_cast<std::int64_t>(bits) >> unused) : bits >> unused;
    }
    append_conversion(out, plain, kind, bits,
                      kind == 's' ? read_text(warp, lane, bits).value_or("(unreadable)") : std::string());
  }
  return out;
}

}  // namespace

namespace {

/// Bytes of a thread's stack that a call takes beside its variables: for the return address and kept
/// registers.
constexpr std::uint64_t call_bytes = 16;

const Op* raise_stack_overflow(Warp& warp, const Op* op, std::uint32_t lane, const std::string& why) {
  return raise(warp, FaultKind::stack_overflow,
               fmt::format("{} {}{}", describe_thread(warp, op, lane), why, describe_op(warp, op)));
}

/// Bytes of the stack of `lane` once it has called a function with `variable_bytes` from `site`.
std::uint64_t stack_use(Warp& warp, const CallSite& site, std::uint32_t variable_bytes, std::uint32_t lane) {
  const Program& module = *warp.block->launch->module;
  std::uint64_t used = variable_bytes + call_bytes + site.variable_bytes;
  for (std::uint32_t frame = warp.frame; frame != 0;) {
    const std::uint32_t back = header(warp, frame, frame_header::return_op, lane);
    used += call_bytes + module.calls[static_cast<std::size_t>(module.ops[back - 1].imm)].variable_bytes;
    frame = header(warp, frame, frame_header::caller_frame, lane);
  }
  return used;
}

/// False after raising a fault because `lane` has no stack left. Without recursion a device gives what a
/// kernel needs, whatever the limit is.
bool fits_on_stack(Warp& warp, const Op* op, const CallSite& site, std::uint32_t variable_bytes,
                   std::uint32_t lane) {
  const std::uint64_t limit = warp.block->launch->launch->stack_limit;
  if (limit == 0 || !warp.block->launch->function->recursive) {
    return true;
  }
  const std::uint64_t used = stack_use(warp, site, variable_bytes, lane);
  if (used <= limit) {
    return true;
  }
  raise_stack_overflow(warp, op, lane,
                       fmt::format("needs {} bytes of stack, and the limit is {}", used, limit));
  return false;
}

/// Puts the lanes of `mask` at the start of `callee`. False after a fault.
bool enter(Warp& warp, const Op* op, const CallSite& site, const PtxFunction& callee, std::uint32_t mask) {
  const Program& module = *warp.block->launch->module;
  const std::uint32_t frame = warp.frame + site.frame_bytes;
  const auto first = static_cast<std::uint32_t>(std::countr_zero(mask));
  if (std::uint64_t{frame} + callee.frame_bytes > warp.stack_bytes) {
    raise_stack_overflow(warp, op, first, "calls deeper than the machine's stack allows");
    return false;
  }
  if (!fits_on_stack(warp, op, site, callee.variable_bytes, first)) {
    return false;
  }
  std::memcpy(warp.stack + frame + frame_header::true_predicate, &all_lanes, sizeof(all_lanes));
  std::memset(warp.stack + frame + frame_header::false_predicate, 0, sizeof(std::uint32_t));
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    const std::uint32_t caller_local = header(warp, warp.frame, frame_header::local_base, lane);
    const std::uint32_t local = caller_local + site.local_bytes;
    if (std::uint64_t{local} + callee.local_bytes > warp.local_bytes) {
      raise_stack_overflow(warp, op, lane, "calls deeper than its local memory allows");
      return false;
    }
    header(warp, frame, frame_header::return_op, lane) =
        static_cast<std::uint32_t>(op - module.ops.data()) + 1;
    header(warp, frame, frame_header::caller_frame, lane) = warp.frame;
    header(warp, frame, frame_header::local_base, lane) = local;
    for (std::size_t i = 0; i < site.arguments.size(); ++i) {
      std::memcpy(lane_memory(warp, lane) + local + callee.arguments[i].offset,
                  lane_memory(warp, lane) + caller_local + site.arguments[i].caller_offset,
                  callee.arguments[i].size);
    }
  }
  add_fragment(warp, module.ops.data() + callee.first_op, mask, frame, Fragment::State::ready);
  return true;
}

bool fits(const std::vector<CallSite::Copy>& passed, const std::vector<FormalParameter>& formals) {
  return passed.size() == formals.size() &&
         std::equal(passed.begin(), passed.end(), formals.begin(),
                    [](const CallSite::Copy& copy, const FormalParameter& formal) {
                      return copy.size == formal.size;
                    });
}

/// Enters the functions that the lanes' pointers name, one after the other.
bool enter_pointed(Warp& warp, const Op* op, const CallSite& site, std::uint32_t mask) {
  const Program& module = *warp.block->launch->module;
  const auto* pointers =
      reinterpret_cast<const std::uint64_t*>(warp.base[op->a & 1U] + (op->a & ~std::uint32_t{63}));
  for (std::uint32_t rest = mask; rest != 0;) {
    const auto leader = static_cast<std::uint32_t>(std::countr_zero(rest));
    const std::uint64_t index = pointers[leader] & ~window_mask;
    if ((pointers[leader] & window_mask) != function_window || index >= module.functions.size()) {
      raise_illegal(warp, op, leader, "calls through a pointer that names no function");
      return false;
    }
    const PtxFunction& callee = module.functions[index];
    if (callee.entry || !callee.defined || !fits(site.arguments, callee.arguments) ||
        !fits(site.results, callee.results)) {
      raise_illegal(warp, op, leader, "calls a function that does not fit the call's prototype");
      return false;
    }
    std::uint32_t same = 0;
    for (std::uint32_t left = rest; left != 0; left &= left - 1) {
      const auto lane = static_cast<std::uint32_t>(std::countr_zero(left));
      same |= pointers[lane] == pointers[leader] ? 1U << lane : 0U;
    }
    rest &= ~same;
    if (!enter(warp, op, site, callee, same)) {
      return false;
    }
  }
  return true;
}

}  // namespace

const Op* call_function(Warp& warp, const Op* op, std::uint32_t mask) {
  const Program& module = *warp.block->launch->module;
  const CallSite& site = module.calls[static_cast<std::size_t>(op->imm)];
  count_through(warp, op);
  if (op->code == Code::call ? !enter(warp, op, site, module.functions[site.callee], mask)
                             : !enter_pointed(warp, op, site, mask)) {
    return nullptr;
  }
  warp.active &= ~mask;
  warp.resume = op + 1;
  end_run(warp);
  return nullptr;
}

const Op* return_function(Warp& warp, const Op* op, std::uint32_t mask) {
  const Program& module = *warp.block->launch->module;
  const PtxFunction& callee = module.functions[static_cast<std::size_t>(op->imm)];
  count_through(warp, op);
  for (std::uint32_t rest = mask; rest != 0;) {
    const auto leader = static_cast<std::uint32_t>(std::countr_zero(rest));
    const std::uint32_t back = header(warp, warp.frame, frame_header::return_op, leader);
    const std::uint32_t caller = header(warp, warp.frame, frame_header::caller_frame, leader);
    const CallSite& site = module.calls[static_cast<std::size_t>(module.ops[back - 1].imm)];
    std::uint32_t same = 0;
    for (std::uint32_t left = rest; left != 0; left &= left - 1) {
      const auto lane = static_cast<std::uint32_t>(std::countr_zero(left));
      if (header(warp, warp.frame, frame_header::return_op, lane) != back ||
          header(warp, warp.frame, frame_header::caller_frame, lane) != caller) {
        continue;
      }
      same |= 1U << lane;
      const std::uint32_t from = header(warp, warp.frame, frame_header::local_base, lane);
      const std::uint32_t to = header(warp, caller, frame_header::local_base, lane);
      for (std::size_t i = 0; i < site.results.size(); ++i) {
        std::memcpy(lane_memory(warp, lane) + to + site.results[i].caller_offset,
                    lane_memory(warp, lane) + from + callee.results[i].offset, site.results[i].size);
      }
    }
    rest &= ~same;
    add_fragment(warp, module.ops.data() + back, same, caller, Fragment::State::ready);
  }
  warp.active &= ~mask;
  warp.resume = op + 1;
  warp.event = Event::reschedule;
  return nullptr;
}

namespace {

/// Sets the result of a call, if it has one of this size.
template <class T>
void give_back(Warp& warp, std::uint32_t lane, const CallSite& site, T value) {
  if (!site.results.empty() && site.results[0].size == sizeof(T)) {
    std::memcpy(lane_memory(warp, lane) + header(warp, warp.frame, frame_header::local_base, lane) +
                    site.results[0].caller_offset,
                &value, sizeof(value));
  }
}

/// Allocates or frees memory of the device's heap for one lane. False after a fault.
bool use_heap(Warp& warp, const Op* op, std::uint32_t lane, const CallSite& site) {
  LaunchState& state = *warp.block->launch;
  const auto given = argument<std::uint64_t>(warp, lane, site, 0);
  if (site.host == HostFunction::malloc) {
    const std::byte* made =
        state.memory->heap_allocate(given, state.launch->heap_bytes, state.launch->device);
    give_back(warp, lane, site, reinterpret_cast<std::uint64_t>(made));
    return true;
  }
  const auto* gone = reinterpret_cast<const std::byte*>(given);
  if (gone != nullptr && !state.memory->heap_free(gone)) {
    raise_illegal(warp, op, lane, "frees what malloc did not give, or frees it twice");
    return false;
  }
  return true;
}

}  // namespace

const Op* call_host(Warp& warp, const Op* op, std::uint32_t mask) {
  const CallSite& site = warp.block->launch->module->calls[static_cast<std::size_t>(op->imm)];
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (site.host == HostFunction::assertfail) {
      const auto text = [&](std::size_t index) {
        return read_text(warp, lane, argument<std::uint64_t>(warp, lane, site, index)).value_or("?");
      };
      return raise(warp, FaultKind::assertion,
                   fmt::format("{}: {}:{}: {}: assertion `{}` failed", describe_thread(warp, op, lane),
                               text(1), argument<std::uint32_t>(warp, lane, site, 2), text(3), text(0)));
    }
    if (site.host == HostFunction::malloc || site.host == HostFunction::free) {
      if (!use_heap(warp, op, lane, site)) {
        return nullptr;
      }
      continue;
    }
    const auto format = read_text(warp, lane, argument<std::uint64_t>(warp, lane, site, 0));
    if (!format) {
      return raise_illegal(warp, op, lane, "prints with a format string outside any allocation");
    }
    const std::string text = format_print(warp, lane, *format, argument<std::uint64_t>(warp, lane, site, 1));
    std::fwrite(text.data(), 1, text.size(), stdout);
    give_back(warp, lane, site, static_cast<std::uint32_t>(text.size()));
  }
  return op + 1;
}

}  // namespace kerncast::simulator
