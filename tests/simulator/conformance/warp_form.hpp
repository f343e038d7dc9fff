#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "tests/simulator/conformance/form.hpp"

namespace kerncast::conformance {

inline constexpr std::size_t warp_size = 32;
/// One register of every lane.
using Lanes = std::array<u64, warp_size>;

/// One form of an instruction whose lanes work together.
struct WarpForm {
  std::string opcode;
  /// The instructions, with $0 $1 ... the inputs, %0 %1 ... the results and $m the members' mask. $G is the
  /// guard that holds for the members only. Shared memory of 4096 bytes starts at the address in
  /// `base`, lane numbers are in `lane`, and t, u and at are free.
  std::string text;
  std::vector<std::string> inputs;  ///< domains
  std::vector<unsigned> outputs;    ///< register bytes, 0 for a predicate
  bool whole = false;               ///< whether all lanes must take part
  /// Results of the members; those of other lanes are not looked at.
  std::function<std::vector<Lanes>(const std::vector<Lanes>& in, u32 members)> reference;
};

/// Runs every form on warps of edge and random values, with all lanes, with one and with some of them.
Tally run_warp_forms(const std::vector<WarpForm>& forms, int sm);

/// A kernel that holds the form and nothing else: to be decoded, not run.
std::string bare_text(const WarpForm& form, int sm);

std::vector<WarpForm> warp_forms();
std::vector<WarpForm> barrier_forms();
std::vector<WarpForm> mma_forms();
std::vector<WarpForm> matrix_move_forms();
std::vector<WarpForm> special_forms();

}  // namespace kerncast::conformance
