#include "runtime/simulator/watch/undefined.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>

#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/watch/strict.hpp"

namespace kerncast::simulator {

namespace {

/// The dependence of the bytes of an instruction's results on those of its operands.
enum class Flow : std::uint8_t {
  uses,     ///< its operands have to be defined
  mixes,    ///< each result depends on every byte of every operand
  copies,   ///< byte by byte
  packs,    ///< elements to one register
  unpacks,  ///< one register to elements
  selects,
  logic,   ///< of predicates
  shifts,  ///< by a constant
  masks,   ///< by a constant
};

bool is_constant(std::uint32_t offset) {
  return (offset & 1U) != 0;
}

bool is_whole(Type type) {
  return type >= Type::b8 && type <= Type::s64;
}

Flow flow_of(const Op& op) {
  switch (op.code) {
    case Code::ld:
    case Code::ld_param:
    case Code::st:
    case Code::atom:
    case Code::red:
    case Code::cp_async:
    case Code::bra:
    case Code::brx:
    case Code::call:
    case Code::call_indirect:
    case Code::ret:
    case Code::exit:
    case Code::barrier_sync:
    case Code::barrier_arrive:
    case Code::barrier_red:
    case Code::warp_sync:
    case Code::shfl:
    case Code::vote:
    case Code::match:
    case Code::redux:
    case Code::activemask:
    case Code::elect:
    case Code::trap:
    case Code::host_call:
    case Code::mma:
    case Code::wgmma:
    case Code::cp_tensor:
    case Code::ldmatrix:
    case Code::stmatrix:
    case Code::movmatrix:
    case Code::mbarrier:
    case Code::cp_bulk:
    case Code::atom_vector:
    case Code::red_vector:
    case Code::reserve:
      return Flow::uses;
    case Code::mov:
    case Code::mov_pred:
      return Flow::copies;
    case Code::cvt:
      return is_whole(op.type) && is_whole(op.source) ? Flow::copies : Flow::mixes;
    case Code::widen_parts:
      return Flow::packs;
    case Code::narrow_parts:
      return Flow::unpacks;
    case Code::selp:
      return Flow::selects;
    case Code::pred_and:
    case Code::pred_or:
      return Flow::logic;
    case Code::setp:
      return (op.flags & (flag::bool_and | flag::bool_or)) != 0 ? Flow::logic : Flow::mixes;
    case Code::shl:
    case Code::shr:
      return is_constant(op.b) ? Flow::shifts : Flow::mixes;
    case Code::bit_and:
      return is_constant(op.a) || is_constant(op.b) ? Flow::masks : Flow::mixes;
    default:
      return Flow::mixes;
  }
}

std::uint32_t predicate(const Warp& warp, std::uint32_t offset, bool negated) {
  return *reinterpret_cast<const std::uint32_t*>(warp.base[0] + offset) ^ (negated ? all_lanes : 0U);
}

/// Lane 0 of a constant of `bytes` bytes; all its lanes are the same.
std::uint64_t constant(const Warp& warp, std::uint32_t offset, std::uint32_t bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, warp.base[1] + (offset & ~63U), std::min<std::uint32_t>(bytes, sizeof(value)));
  return value;
}

constexpr std::uint8_t field_a = 1;
constexpr std::uint8_t field_b = 2;
constexpr std::uint8_t field_c = 3;
constexpr std::uint8_t field_guard = 5;

}  // namespace

std::uint32_t Undefined::Bytes::any() const {
  std::uint32_t all = 0;
  for (const std::uint32_t byte : lanes) {
    all |= byte;
  }
  return all;
}

void Undefined::Bytes::add(const Bytes& other) {
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    lanes[i] |= other.lanes[i];
  }
  for (std::size_t i = 0; i < origin.size(); ++i) {
    origin[i] = origin[i] != nullptr ? origin[i] : other.origin[i];
  }
}

void Undefined::clear() {
  registers_.clear();
  origins_.clear();
}

bool Undefined::note_shared(Warp& warp, const Op* op, const WarpAccess& touch, UnwrittenRead& missing) {
  Origin origin;
  origin.shared = true;
  origin.base = reinterpret_cast<std::uint64_t>(warp.shared);
  origin.bytes = touch.bytes;
  for (std::uint32_t lane = 0; lane < lane_count; ++lane) {
    origin.at[lane] = (missing.lanes >> lane & 1U) != 0 ? touch.at(lane) : 0;
  }
  return note(warp, op, missing, origin);
}

bool Undefined::note_global(Warp& warp, const Op* op, const WarpAccess& touch, UnwrittenRead& missing,
                            std::uint64_t base, std::uint64_t end) {
  Origin origin;
  origin.base = base;
  origin.end = end;
  origin.bytes = touch.bytes;
  for (std::uint32_t lane = 0; lane < lane_count; ++lane) {
    origin.at[lane] = (missing.lanes >> lane & 1U) != 0 ? touch.at(lane) : 0;
  }
  return note(warp, op, missing, origin);
}

bool Undefined::note(Warp& warp, const Op* op, UnwrittenRead& missing, Origin origin) {
  origin.op = op;
  origin.missing = missing;
  missing.lanes = 0;
  if (op->code != Code::ld) {
    return report(warp, nullptr, static_cast<std::uint32_t>(std::countr_zero(origin.missing.lanes)), origin);
  }
  const Origin& kept = *origins_.emplace_back(std::make_unique<const Origin>(origin));
  const UnwrittenRead& found = kept.missing;
  const std::uint32_t element = kept.bytes / op->count;
  std::uint32_t part = 0;
  for (const OperandUse& use : warp.block->launch->module->uses_of(op)) {
    if (!use.defines) {
      continue;
    }
    Bytes bytes;
    bytes.origin.fill(&kept);
    for (std::uint32_t lane = 0; lane < lane_count; ++lane) {
      for (std::uint32_t i = 0; (found.lanes >> lane & 1U) != 0 && i < element; ++i) {
        bytes.lanes[i] |= (found.bytes[lane] >> (part * element + i) & 1U) << lane;
      }
    }
    // The register may be wider: what a sign fills hangs on the highest byte.
    const bool is_signed = op->type == Type::s8 || op->type == Type::s16 || op->type == Type::s32;
    for (std::uint32_t i = element; is_signed && i < bytes.lanes.size(); ++i) {
      bytes.lanes[i] = bytes.lanes[element - 1];
    }
    write(warp, use, found.lanes, bytes);
    ++part;
  }
  if (!registers_.empty()) {
    warp.cautious = true;
    warp.limit = std::min(warp.limit, op + 1, std::less<>());
  }
  return true;
}

Undefined::Bytes Undefined::read(const Warp& warp, const OperandUse& use, std::uint32_t mask) const {
  Bytes found;
  for (const Register& held : registers_) {
    if (held.place == warp.frame + use.place) {
      found = held.bytes;
      for (std::uint32_t& byte : found.lanes) {
        byte &= mask;
      }
    }
  }
  return found;
}

void Undefined::write(Warp& warp, const OperandUse& use, std::uint32_t mask, const Bytes& bytes) {
  const std::uint32_t place = warp.frame + use.place;
  auto held = std::find_if(registers_.begin(), registers_.end(),
                           [place](const Register& other) { return other.place == place; });
  if (held == registers_.end()) {
    if (bytes.any() == 0) {
      return;
    }
    registers_.push_back({place, {}});
    held = std::prev(registers_.end());
  }
  const std::size_t size = std::max<std::size_t>(use.bytes, 1);
  for (std::size_t i = 0; i < held->bytes.lanes.size(); ++i) {
    std::uint32_t& lanes = held->bytes.lanes[i];
    lanes = (lanes & ~mask) | (i < size ? bytes.lanes[i] & mask : 0U);
  }
  for (std::uint32_t rest = mask & bytes.any(); rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::size_t>(std::countr_zero(rest));
    held->bytes.origin[lane] = bytes.origin[lane];
  }
  if (held->bytes.any() == 0) {
    *held = registers_.back();
    registers_.pop_back();
  }
}

bool Undefined::before(Warp& warp, const Op* op, std::uint32_t mask) {
  const Uses uses = warp.block->launch->module->uses_of(op);
  const bool uses_all = flow_of(*op) == Flow::uses;
  std::vector<Bytes> sources;
  for (const OperandUse& use : uses) {
    if (use.defines) {
      continue;
    }
    const bool is_guard = use.field == field_guard;
    Bytes bytes = read(warp, use, is_guard ? warp.active : mask);
    if (const std::uint32_t lanes = bytes.any(); lanes != 0 && (is_guard || uses_all)) {
      const auto lane = static_cast<std::uint32_t>(std::countr_zero(lanes));
      if (!report(warp, op, lane, *bytes.origin[lane])) {
        return false;
      }
      bytes = {};
    }
    if (!is_guard) {
      sources.push_back(bytes);
    }
  }
  propagate(warp, op, mask, uses, sources);
  warp.cautious = !registers_.empty() || warp.strict->group_order(warp).watches();
  if (registers_.empty()) {
    origins_.clear();
  }
  return true;
}

void Undefined::propagate(Warp& warp, const Op* op, std::uint32_t mask, Uses uses,
                          const std::vector<Bytes>& sources) {
  const auto source_of = [&](std::uint8_t field) {
    std::size_t index = 0;
    for (const OperandUse& use : uses) {
      if (use.defines || use.field == field_guard) {
        continue;
      }
      if (!use.in_list && use.field == field) {
        return sources[index];
      }
      ++index;
    }
    return Bytes{};
  };
  const Flow flow = flow_of(*op);
  Bytes all;
  for (const Bytes& source : sources) {
    all.add(source);
  }
  Bytes result;
  result.origin = all.origin;
  const std::uint32_t any = flow == Flow::uses ? 0 : all.any();
  std::uint32_t part = 0;
  switch (flow) {
    case Flow::uses:
      break;
    case Flow::mixes:
      result.lanes.fill(any);
      break;
    case Flow::copies: {
      result.lanes = all.lanes;
      const std::size_t given = op->code == Code::cvt ? std::max(1U, op->width * 1U) : 8;
      const bool is_signed = op->source >= Type::s8 && op->source <= Type::s64;
      for (std::size_t i = given; i < result.lanes.size(); ++i) {
        result.lanes[i] = is_signed ? any : 0U;
      }
      break;
    }
    case Flow::packs:
      for (const OperandUse& use : uses) {
        if (use.defines || use.field == field_guard) {
          continue;
        }
        const Bytes bytes = read(warp, use, mask);
        const std::uint32_t first = (use.list - op->d2) * op->width;
        for (std::uint32_t i = 0; i < op->width && first + i < result.lanes.size(); ++i) {
          result.lanes[first + i] = bytes.lanes[i];
        }
      }
      break;
    case Flow::selects: {
      const std::uint32_t chosen = predicate(warp, op->c, (op->flags & flag::neg_c) != 0);
      const Bytes a = source_of(field_a);
      const Bytes b = source_of(field_b);
      const std::uint32_t unknown = source_of(field_c).any();
      for (std::size_t i = 0; i < result.lanes.size(); ++i) {
        result.lanes[i] = (a.lanes[i] & chosen) | (b.lanes[i] & ~chosen) | unknown;
      }
      break;
    }
    case Flow::logic: {
      // A defined operand may decide by itself.
      std::uint32_t decided = 0;
      const bool conjunction =
          op->code == Code::pred_and || (op->code == Code::setp && (op->flags & flag::bool_and) != 0);
      const auto look = [&](std::uint32_t offset, bool negated, std::uint32_t unknown) {
        const std::uint32_t value = predicate(warp, offset, negated);
        decided |= (conjunction ? ~value : value) & ~unknown;
      };
      if (op->code == Code::setp) {
        look(op->c, (op->flags & flag::neg_c) != 0, source_of(field_c).any());
      } else {
        look(op->a, (op->flags & flag::neg_a) != 0, source_of(field_a).any());
        look(op->b, (op->flags & flag::neg_c) != 0, source_of(field_b).any());
      }
      result.lanes.fill(any & ~decided);
      break;
    }
    case Flow::shifts: {
      const std::uint64_t by = constant(warp, op->b, 4);
      const Bytes a = source_of(field_a);
      if (by % 8 != 0 || by >= 64 || op->type == Type::s16 || op->type == Type::s32 ||
          op->type == Type::s64) {
        result.lanes.fill(any);
        break;
      }
      for (std::size_t i = 0; i < result.lanes.size(); ++i) {
        const std::size_t from = op->code == Code::shl ? i - by / 8 : i + by / 8;
        result.lanes[i] = from < a.lanes.size() ? a.lanes[from] : 0U;
      }
      break;
    }
    case Flow::masks: {
      const bool first = is_constant(op->a);
      const std::uint64_t kept = constant(warp, first ? op->a : op->b, 8);
      const Bytes a = source_of(first ? field_b : field_a);
      for (std::size_t i = 0; i < result.lanes.size(); ++i) {
        result.lanes[i] = (kept >> (8 * i) & 0xffU) != 0 ? a.lanes[i] : 0U;
      }
      break;
    }
    case Flow::unpacks:
      break;
  }
  for (const OperandUse& use : uses) {
    if (!use.defines) {
      continue;
    }
    if (flow == Flow::unpacks) {
      part = (use.list - op->d2) * op->width;
      for (std::uint32_t i = 0; i < result.lanes.size(); ++i) {
        result.lanes[i] = i < op->width && part + i < all.lanes.size() ? all.lanes[part + i] : 0U;
      }
    }
    write(warp, use, mask, result);
  }
}

bool Undefined::report(Warp& warp, const Op* use, std::uint32_t lane, const Origin& origin) const {
  return violation(warp, origin.op, [&] {
    const std::uint64_t missing = origin.at[lane] - origin.base + origin.missing.first[lane];
    const std::string thread = describe_thread(warp, origin.op, lane);
    std::string text =
        origin.shared
            ? fmt::format(
                  "{} reads {} bytes of shared memory at offset {}, of which offset {} was never written",
                  thread, origin.bytes, origin.at[lane] - origin.base, missing)
            : fmt::format(
                  "{} reads {} bytes of global memory at {:#x}, of which byte {} of the {}-byte allocation "
                  "at {:#x} was never written",
                  thread, origin.bytes, origin.at[lane], missing, origin.end - origin.base, origin.base);
    text += describe_op(warp, origin.op);
    return use == nullptr ? text : text + "; the value is used" + describe_op(warp, use);
  });
}

}  // namespace kerncast::simulator
