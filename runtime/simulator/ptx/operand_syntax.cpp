#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "runtime/simulator/ptx/decoder.hpp"

namespace kerncast::simulator {

namespace {

const std::unordered_map<std::string_view, Special>& specials() {
  static const std::unordered_map<std::string_view, Special> table{
      {"%tid.x", Special::tid_x},
      {"%tid.y", Special::tid_y},
      {"%tid.z", Special::tid_z},
      {"%ntid.x", Special::ntid_x},
      {"%ntid.y", Special::ntid_y},
      {"%ntid.z", Special::ntid_z},
      {"%ctaid.x", Special::ctaid_x},
      {"%ctaid.y", Special::ctaid_y},
      {"%ctaid.z", Special::ctaid_z},
      {"%nctaid.x", Special::nctaid_x},
      {"%nctaid.y", Special::nctaid_y},
      {"%nctaid.z", Special::nctaid_z},
      // Without cluster launches every block is a cluster of its own.
      {"%clusterid.x", Special::ctaid_x},
      {"%clusterid.y", Special::ctaid_y},
      {"%clusterid.z", Special::ctaid_z},
      {"%nclusterid.x", Special::nctaid_x},
      {"%nclusterid.y", Special::nctaid_y},
      {"%nclusterid.z", Special::nctaid_z},
      {"%cluster_ctaid.x", Special::zero},
      {"%cluster_ctaid.y", Special::zero},
      {"%cluster_ctaid.z", Special::zero},
      {"%cluster_nctaid.x", Special::one},
      {"%cluster_nctaid.y", Special::one},
      {"%cluster_nctaid.z", Special::one},
      {"%cluster_ctarank", Special::zero},
      {"%cluster_nctarank", Special::one},
      {"%laneid", Special::laneid},
      {"%warpid", Special::warpid},
      {"%nwarpid", Special::nwarpid},
      {"%envreg0", Special::zero},
      {"%envreg1", Special::grid_workspace_hi},
      {"%envreg2", Special::grid_workspace_lo},
      {"%smid", Special::smid},
      {"%nsmid", Special::nsmid},
      {"%gridid", Special::gridid},
      {"%clock", Special::clock},
      {"%clock64", Special::clock},
      {"%clock_hi", Special::clock_hi},
      {"%globaltimer", Special::globaltimer},
      {"%globaltimer_lo", Special::globaltimer_lo},
      {"%globaltimer_hi", Special::globaltimer_hi},
      {"%lanemask_eq", Special::lanemask_eq},
      {"%lanemask_le", Special::lanemask_le},
      {"%lanemask_lt", Special::lanemask_lt},
      {"%lanemask_ge", Special::lanemask_ge},
      {"%lanemask_gt", Special::lanemask_gt},
      {"%dynamic_smem_size", Special::dynamic_smem_size},
      {"%total_smem_size", Special::total_smem_size},
      {"%aggr_smem_size", Special::total_smem_size},
  };
  return table;
}

}  // namespace

void Decoder::need_special(std::string_view name) const {
  if (name.starts_with("%cluster") || name.starts_with("%ncluster")) {
    need({90, 78}, name);
  } else if (name == "%aggr_smem_size") {
    need({90, 81}, name);
  } else if (name == "%dynamic_smem_size" || name == "%total_smem_size") {
    need({0, 41}, name);
  } else if (name == "%clock_hi") {
    need({0, 50}, name);
  } else if (name.starts_with("%globaltimer")) {
    need({0, 31}, name);
  }
}

Scalar Decoder::resolve_word(std::string_view word) {
  Scalar scalar;
  scalar.text = word;
  for (std::size_t i = declared_.size(); i-- > 0;) {
    const Declared& declared = declared_[i];
    if (!word.starts_with(declared.name)) {
      continue;
    }
    const std::string_view digits = word.substr(declared.name.size());
    std::uint32_t number = 0;
    if (declared.count == 0) {
      if (!digits.empty()) {
        continue;
      }
    } else {
      if (digits.empty() || digits.size() > 7 || (digits.size() > 1 && digits.front() == '0') ||
          !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        continue;
      }
      for (const char c : digits) {
        number = number * 10 + static_cast<std::uint32_t>(c - '0');
      }
      if (number >= declared.count) {
        continue;
      }
    }
    scalar.kind = Scalar::Kind::reg;
    scalar.bytes = declared.bytes;
    scalar.type = declared.type;
    scalar.reg = declared.first + (declared.bytes == 16 ? 2 * number : number);
    return scalar;
  }
  if (word == "_") {
    scalar.kind = Scalar::Kind::sink;
  } else if (word == "WARP_SZ") {
    scalar.kind = Scalar::Kind::number;
    scalar.bits = kLanes;
  } else if (const auto special = specials().find(word); word.front() == '%' && special != specials().end()) {
    need_special(word);
    scalar.kind = Scalar::Kind::special;
    scalar.special = special->second;
    scalar.bytes = word == "%clock64" || word == "%globaltimer" || word == "%gridid" ? 8 : 4;
  } else if (const Variable* variable = find_variable(word); variable != nullptr) {
    scalar.kind = Scalar::Kind::variable;
    scalar.variable = variable;
  } else {
    scalar.kind = Scalar::Kind::name;
  }
  return scalar;
}

Scalar Decoder::parse_scalar() {
  const bool negated = lex_.accept('!');
  const bool minus = !negated && lex_.accept('-');
  const Token token = lex_.peek();
  Scalar scalar;
  if (token.kind == Token::Kind::number) {
    lex_.take();
    scalar.kind = Scalar::Kind::number;
    scalar.text = token.text;
    scalar.bits = token.bits;
    scalar.float_bytes = token.float_bytes;
    if (minus) {
      scalar.bits = token.float_bytes == 0   ? ~token.bits + 1
                    : token.float_bytes == 4 ? token.bits ^ 0x80000000U
                                             : token.bits ^ 0x8000000000000000ULL;
    }
    return scalar;
  }
  if (minus || token.kind != Token::Kind::word) {
    lex_.fail("an operand");
  }
  lex_.take();
  scalar = resolve_word(token.text);
  scalar.negated = negated;
  if (scalar.kind == Scalar::Kind::variable && (lex_.peek().is('+') || lex_.peek().is('-'))) {
    const bool down = lex_.take().is('-');
    const std::uint64_t offset = lex_.expect_integer(std::numeric_limits<std::int64_t>::max(), "an offset");
    scalar.bits = down ? ~offset + 1 : offset;
  }
  return scalar;
}

Operand Decoder::parse_operand() {
  Operand operand;
  if (lex_.accept('[')) {
    operand.kind = Operand::Kind::address;
    operand.parts[0] = parse_scalar();
    if (operand.parts[0].kind == Scalar::Kind::variable) {
      operand.offset = static_cast<std::int64_t>(operand.parts[0].bits);
      operand.parts[0].bits = 0;
    }
    if (lex_.accept('+')) {
      const bool down = lex_.accept('-');
      const std::uint64_t offset = lex_.expect_integer(std::numeric_limits<std::int64_t>::max(), "an offset");
      operand.offset = down ? -static_cast<std::int64_t>(offset) : static_cast<std::int64_t>(offset);
    }
    lex_.expect(']');
    return operand;
  }
  if (lex_.accept('{')) {
    operand.kind = Operand::Kind::vector;
    operand.count = 0;
    do {
      if (operand.count == operand.parts.size()) {
        lex_.fail("a vector of at most 8 elements");
      }
      operand.parts[operand.count++] = parse_scalar();
    } while (lex_.accept(','));
    lex_.expect('}');
    return operand;
  }
  operand.parts[0] = parse_scalar();
  if (lex_.accept('|')) {
    operand.pair = parse_scalar();
  }
  return operand;
}

}  // namespace kerncast::simulator
