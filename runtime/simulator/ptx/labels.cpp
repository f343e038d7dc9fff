#include "runtime/simulator/ptx/labels.hpp"

#include <fmt/format.h>

#include <unordered_map>

#include "runtime/simulator/machine/machine.hpp"

namespace kerncast::simulator {

void Labels::begin_function() {
  labels_.clear();
  references_.clear();
  blocks_.clear();
  next_block_ = 0;
  open_block();
}

void Labels::open_block() {
  blocks_.push_back(next_block_++);
}

void Labels::define(std::string_view name, std::uint32_t op) {
  labels_.push_back({name, Kind::code, op, 0, blocks_.back()});
}

void Labels::define_prototype(std::string_view name) {
  labels_.push_back({name, Kind::prototype, 0, 0, blocks_.back()});
}

void Labels::define_table(std::string_view name, std::uint32_t first, std::uint32_t size) {
  labels_.push_back({name, Kind::table, first, size, blocks_.back()});
}

void Labels::refer(std::string_view name, std::uint32_t op, int line) {
  references_.push_back({name, op, false, blocks_.back(), line});
}

void Labels::refer_from_table(std::string_view name, std::uint32_t entry, int line) {
  references_.push_back({name, entry, true, blocks_.back(), line});
}

void Labels::fill_in(const Reference& reference, const Label& label, FunctionBody& body) {
  if (reference.is_entry) {
    body.table_targets[reference.at] = label.at;
    return;
  }
  Op& op = body.ops[reference.at];
  if (op.code == Code::brx) {
    if (label.kind != Kind::table) {
      throw DecodeError(
          fmt::format("PTX line {}: '{}' is not a .branchtargets table", reference.line, reference.label),
          reference.line);
    }
    op.imm = label.at;
    op.d2 = label.size;
  } else if (label.kind != Kind::code) {
    throw DecodeError(fmt::format("PTX line {}: '{}' is not a code label", reference.line, reference.label),
                      reference.line);
  } else {
    op.imm = label.at;
  }
}

void Labels::close_block(FunctionBody& body) {
  const std::size_t block = blocks_.back();
  blocks_.pop_back();
  std::size_t first = references_.size();
  while (first > 0 && references_[first - 1].block >= block) {
    --first;
  }
  std::unordered_map<std::string_view, const Label*> names;
  if (first < references_.size()) {
    for (const Label& label : labels_) {
      if (label.block == block) {
        names.emplace(label.name, &label);
      }
    }
  }
  std::size_t kept = first;
  for (std::size_t i = first; i < references_.size(); ++i) {
    Reference& reference = references_[i];
    const auto found = names.find(reference.label);
    if (found != names.end()) {
      fill_in(reference, *found->second, body);
    } else if (blocks_.empty()) {
      throw DecodeError(fmt::format("PTX line {}: label '{}' is not defined in this function", reference.line,
                                    reference.label),
                        reference.line);
    } else {
      reference.block = blocks_.back();
      references_[kept++] = reference;
    }
  }
  references_.resize(kept);
  // Inner blocks have closed before, so the labels of this one come last; nothing can name them any more.
  while (!labels_.empty() && labels_.back().block == block) {
    labels_.pop_back();
  }
}

}  // namespace kerncast::simulator
