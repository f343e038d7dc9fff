#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "tests/simulator/conformance/exact_float.hpp"

namespace kerncast::conformance {

/// The values an operand takes: edges first, the few that matter most in front.
struct Domain {
  unsigned bytes = 4;  ///< of the register; 0 for a predicate
  std::vector<u64> edges;
  std::size_t main_edges = 0;      ///< how many of the edges join a product of three or more operands
  std::function<u64(u64)> random;  ///< from 64 random bits
  /// The text of a value as a constant; empty where PTX allows none.
  std::function<std::string(u64)> constant;
};

/// s16, u32, f64, bf16x2, pred, ... or a name of its own such as `shift`.
const Domain& domain(const std::string& name);

using Inputs = std::array<u64, 5>;
using Outputs = std::array<u64, 2>;

/// Results that count as equal if the reference is a NaN whose bits the ISA leaves open.
enum class Nan : u8 { exact, any_f64, any_f32, any_f16, any_bf16 };

/// One form of an instruction: its text, its operands and the results that it must give.
struct Form {
  std::string opcode;
  /// Operands after the opcode, $d and $f results, $a $b $c $e $g inputs; empty for results then inputs in
  /// order. The 64-bit registers gcell, scell and lcell hold the addresses of 64 bytes of global, shared and
  /// local memory that are the thread's own; t and at are free.
  std::string operands;
  std::vector<std::string> inputs;  ///< domains
  std::vector<unsigned> outputs;    ///< register bytes, 0 for a predicate
  std::function<Outputs(const Inputs&)> reference;
  Nan nan = Nan::exact;
  /// Instead of the reference where results are not determined: whether `got` is right.
  std::function<bool(const Inputs&, const Outputs& got)> accepts;
  /// Instructions in front of and behind it, such as those that set and read the carry; $G is the guard.
  std::string before;
  std::string after;
  bool constants = true;  ///< whether the last input may also be a constant
  bool guards = true;     ///< whether one guard fits it
  std::string text;       ///< the whole instruction, instead of opcode and operands
};

/// Counts of a run of forms.
struct Tally {
  std::size_t forms = 0;
  std::size_t vectors = 0;
  std::vector<std::string> failures;
  std::vector<std::string> refused;  ///< forms a driver's device does not have
};

/// Runs every form on all combinations of its operands' edge values and on random ones: with registers, with
/// a constant as its last operand, and under a guard and its negation with the destination equal to a source.
Tally run_forms(const std::vector<Form>& forms, int sm);

/// A kernel that holds the form once and nothing else: to be decoded, not run.
std::string bare_text(const Form& form, int sm);

std::vector<Form> integer_forms();
std::vector<Form> multiply_forms();
std::vector<Form> bit_forms();
std::vector<Form> compare_forms();
std::vector<Form> float_forms();
std::vector<Form> half_forms();
std::vector<Form> mixed_forms();
std::vector<Form> convert_forms();
std::vector<Form> narrow_convert_forms();
std::vector<Form> approximate_forms();
std::vector<Form> atomic_forms();
std::vector<Form> atomic_vector_forms();
std::vector<Form> load_forms();
std::vector<Form> store_forms();
std::vector<Form> async_forms();
std::vector<Form> control_forms();

}  // namespace kerncast::conformance
