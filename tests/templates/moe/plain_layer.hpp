#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

/// A mixture of experts in double precision, row by row as its formula has it.
namespace kerncast::test {

/// The function of gates and ups between the products.
enum class PlainActivation { silu, gelu, swiglu_oai };

/// The sizes of a layer, and all numbers that go into it, as the device's memory holds them.
struct PlainLayer {
  std::size_t tokens = 0;
  std::size_t hidden = 0;
  std::size_t width = 0;
  std::size_t top_k = 0;
  std::vector<double> x;        ///< [tokens, hidden]
  std::vector<double> w13;      ///< [experts, 2 * width, hidden]
  std::vector<double> w2;       ///< [experts, hidden, width]
  std::vector<int> experts;     ///< [tokens, top_k]: the matrix of each slot, or -1 for none
  std::vector<double> weights;  ///< [tokens, top_k]
  std::vector<double> addend;   ///< [tokens, hidden], or empty
  std::vector<double> bias13;   ///< [experts, 2 * width], or empty
  std::vector<double> bias2;    ///< [experts, hidden], or empty
  PlainActivation activation = PlainActivation::silu;
  double limit = 0;      ///< of gates from above and of ups from both sides; 0: none
  double alpha = 1.702;  ///< of swiglu_oai
  double factor = 1;
};

/// The shares by which numbers of a layer may move: each number between the products by a share of itself and
/// of the largest of its row, and each product by a share of itself.
struct PlainRounding {
  double between = 0;
  double of_largest = 0;
  double after = 0;
};

/// y, and beside each element how far it may move.
struct PlainRows {
  std::vector<double> y;
  std::vector<double> reach;
};

[[nodiscard]] PlainRows plain_layer(const PlainLayer& layer, const PlainRounding& rounding);

/// The choice of a router for the logits of one token.
struct PlainChoice {
  std::vector<int> experts;
  std::vector<double> weights;
};

/// softmax over the logits plus the bias, or sigmoid; the `top_k` largest, which are divided by their sum. A
/// sigmoid's bias counts for the choice alone, and the experts are those of the `kept` of `groups` groups
/// whose two largest sums are largest.
[[nodiscard]] PlainChoice plain_softmax(const std::vector<double>& logits, const std::vector<double>& bias,
                                        std::size_t top_k);
[[nodiscard]] PlainChoice plain_sigmoid(const std::vector<double>& logits, const std::vector<double>& bias,
                                        std::size_t top_k, std::size_t groups, std::size_t kept);

}  // namespace kerncast::test
