#include "runtime/simulator/ptx/names.hpp"

#include <algorithm>

#include "runtime/simulator/ptx/types.hpp"

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
      {"%clusterid.x", Special::clusterid_x},
      {"%clusterid.y", Special::clusterid_y},
      {"%clusterid.z", Special::clusterid_z},
      {"%nclusterid.x", Special::nclusterid_x},
      {"%nclusterid.y", Special::nclusterid_y},
      {"%nclusterid.z", Special::nclusterid_z},
      {"%cluster_ctaid.x", Special::cluster_ctaid_x},
      {"%cluster_ctaid.y", Special::cluster_ctaid_y},
      {"%cluster_ctaid.z", Special::cluster_ctaid_z},
      {"%cluster_nctaid.x", Special::cluster_nctaid_x},
      {"%cluster_nctaid.y", Special::cluster_nctaid_y},
      {"%cluster_nctaid.z", Special::cluster_nctaid_z},
      {"%cluster_ctarank", Special::cluster_ctarank},
      {"%cluster_nctarank", Special::cluster_nctarank},
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

/// Reads the number of a register such as %r12 from the digits after its name. False if they are no number
/// below `count`, as the assembler writes it.
bool read_index(std::string_view digits, std::uint32_t count, std::uint32_t& index) {
  if (digits.empty() || digits.size() > 7 || (digits.size() > 1 && digits.front() == '0') ||
      !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return false;
  }
  index = 0;
  for (const char c : digits) {
    index = index * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return index < count;
}

}  // namespace

unsigned register_bytes(Type type) {
  const unsigned bytes = bytes_of(type);
  return type == Type::pred ? 0 : bytes == 1 ? 2 : bytes;
}

void Names::begin_function() {
  locals_.clear();
  local_storage_.clear();
  registers_.clear();
}

void Names::forget_since(Mark mark) {
  registers_.resize(mark.registers);
  locals_.resize(mark.variables);
}

void Names::declare_registers(std::string_view name, std::uint32_t count, Type type, std::uint32_t first) {
  registers_.push_back({name, first, count, static_cast<std::uint8_t>(register_bytes(type)), type});
}

void Names::declare_variable(std::string_view name, const Variable& variable, bool in_function) {
  if (in_function) {
    local_storage_.push_back(std::make_unique<Variable>(variable));
    locals_.emplace_back(name, local_storage_.back().get());
  } else {
    globals_.insert_or_assign(name, variable);
  }
}

const Variable* Names::find_variable(std::string_view name) const {
  for (std::size_t i = locals_.size(); i-- > 0;) {
    if (locals_[i].first == name) {
      return locals_[i].second;
    }
  }
  const auto found = globals_.find(name);
  return found == globals_.end() ? nullptr : &found->second;
}

bool Names::resolve_register(Scalar& scalar) const {
  for (std::size_t i = registers_.size(); i-- > 0;) {
    const Registers& declared = registers_[i];
    if (!scalar.text.starts_with(declared.name)) {
      continue;
    }
    const std::string_view digits = scalar.text.substr(declared.name.size());
    std::uint32_t index = 0;
    if (declared.count == 0 ? !digits.empty() : !read_index(digits, declared.count, index)) {
      continue;
    }
    scalar.kind = Scalar::Kind::reg;
    scalar.bytes = declared.bytes;
    scalar.type = declared.type;
    scalar.reg = declared.first + (declared.bytes == 16 ? 2 * index : index);
    return true;
  }
  return false;
}

void Names::resolve(Scalar& scalar) const {
  if (resolve_register(scalar)) {
    return;
  }
  const std::string_view word = scalar.text;
  if (word == "_") {
    scalar.kind = Scalar::Kind::sink;
  } else if (word == "WARP_SZ") {
    scalar.kind = Scalar::Kind::number;
    scalar.bits = lane_count;
  } else if (const auto special = specials().find(word); word.front() == '%' && special != specials().end()) {
    scalar.kind = Scalar::Kind::special;
    scalar.special = special->second;
    scalar.bytes = word == "%clock64" || word == "%globaltimer" || word == "%gridid" ? 8 : 4;
  } else if (const Variable* variable = find_variable(word); variable != nullptr) {
    scalar.kind = Scalar::Kind::variable;
    scalar.variable = variable;
  }
}

}  // namespace kerncast::simulator
