#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

/// A decoder block from its attention's output to the input of the next block, in double precision on the
/// host: attn are the rows that attention gives,
///   residual += attn * transpose(project);          h = rms_norm(residual) * first_norm
///   act = silu(h * transpose(gates)) * (h * transpose(ups))
///   residual += act * transpose(down);              y = rms_norm(residual) * second_norm
namespace example {

/// A row-major matrix of bf16.
struct Matrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<std::uint16_t> bits;

  [[nodiscard]] double at(std::size_t row, std::size_t column) const {
    return double{std::bit_cast<float>(std::uint32_t{bits[row * columns + column]} << 16U)};
  }
  [[nodiscard]] std::vector<double> values() const {
    std::vector<double> made;
    made.reserve(bits.size());
    for (const std::uint16_t element : bits) {
      made.push_back(double{std::bit_cast<float>(std::uint32_t{element} << 16U)});
    }
    return made;
  }
};

/// Numbers that look drawn at random from `middle` - `reach` to `middle` + `reach`.
inline Matrix random_matrix(std::size_t rows, std::size_t columns, std::uint32_t seed, double reach,
                            double middle = 0) {
  Matrix made{.rows = rows, .columns = columns, .bits = std::vector<std::uint16_t>(rows * columns)};
  seed *= 2654435761U;
  for (std::uint16_t& element : made.bits) {
    seed = seed * 1664525U + 1013904223U;
    const double drawn = static_cast<double>(seed >> 8U) / (1U << 23U) - 1;
    const auto number = static_cast<float>(middle + reach * drawn);
    element = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(number) >> 16U);
  }
  return made;
}

/// The rows from `begin` to before `end`.
inline Matrix rows_of(const Matrix& whole, std::size_t begin, std::size_t end) {
  const auto place = [&](std::size_t row) {
    return whole.bits.begin() + static_cast<std::ptrdiff_t>(row * whole.columns);
  };
  return {.rows = end - begin, .columns = whole.columns, .bits = {place(begin), place(end)}};
}

/// The columns from `begin` to before `end`.
inline Matrix columns_of(const Matrix& whole, std::size_t begin, std::size_t end) {
  Matrix made{.rows = whole.rows, .columns = end - begin, .bits = {}};
  made.bits.reserve(made.rows * made.columns);
  for (std::size_t row = 0; row < whole.rows; ++row) {
    const auto first = whole.bits.begin() + static_cast<std::ptrdiff_t>(row * whole.columns);
    made.bits.insert(made.bits.end(), first + static_cast<std::ptrdiff_t>(begin),
                     first + static_cast<std::ptrdiff_t>(end));
  }
  return made;
}

/// The weights of the whole block. All ranks make the same ones, and each takes its part to its device.
struct Block {
  Matrix project;      ///< [hidden, attention]
  Matrix first_norm;   ///< [1, hidden]
  Matrix gates;        ///< [width, hidden]
  Matrix ups;          ///< [width, hidden]
  Matrix down;         ///< [hidden, width]
  Matrix second_norm;  ///< [1, hidden]
};

/// Results of the block, row-major.
struct BlockResult {
  std::vector<double> y;
  std::vector<double> residual;
};

/// a * transpose(b), with rows of a as long as those of b.
inline std::vector<double> product(const std::vector<double>& a, const Matrix& b) {
  const std::size_t rows = a.size() / b.columns;
  std::vector<double> made(rows * b.rows);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < b.rows; ++column) {
      double sum = 0;
      for (std::size_t k = 0; k < b.columns; ++k) {
        sum += a[row * b.columns + k] * b.at(column, k);
      }
      made[row * b.rows + column] = sum;
    }
  }
  return made;
}

/// Adds x to the residual stream and gives the norm of the sum, of each row.
inline std::vector<double> add_rms_norm(std::vector<double>& residual, const std::vector<double>& x,
                                        const Matrix& weight, double eps) {
  std::vector<double> made(x.size());
  for (std::size_t begin = 0; begin < x.size(); begin += weight.columns) {
    double squares = 0;
    for (std::size_t i = 0; i < weight.columns; ++i) {
      residual[begin + i] += x[begin + i];
      squares += residual[begin + i] * residual[begin + i];
    }
    const double scale = 1 / std::sqrt(squares / static_cast<double>(weight.columns) + eps);
    for (std::size_t i = 0; i < weight.columns; ++i) {
      made[begin + i] = residual[begin + i] * scale * weight.at(0, i);
    }
  }
  return made;
}

inline BlockResult compute(const Block& block, const Matrix& attention, const Matrix& residual, double eps) {
  BlockResult made{.y = {}, .residual = residual.values()};
  const std::vector<double> h =
      add_rms_norm(made.residual, product(attention.values(), block.project), block.first_norm, eps);
  std::vector<double> act = product(h, block.gates);
  const std::vector<double> ups = product(h, block.ups);
  for (std::size_t i = 0; i < act.size(); ++i) {
    act[i] = act[i] / (1 + std::exp(-act[i])) * ups[i];
  }
  made.y = add_rms_norm(made.residual, product(act, block.down), block.second_norm, eps);
  return made;
}

/// Distances of a result from the right one, in units of the right one's root mean square.
struct Distance {
  double largest = 0;
  double typical = 0;  ///< the root mean square of all
};

/// Not a number counts as infinitely far.
inline Distance distance(const Matrix& result, const std::vector<double>& right) {
  double squares = 0;
  double errors = 0;
  double largest = 0;
  const std::vector<double> values = result.values();
  for (std::size_t i = 0; i < right.size(); ++i) {
    const double error = std::isnan(values[i]) ? HUGE_VAL : std::abs(values[i] - right[i]);
    squares += right[i] * right[i];
    errors += error * error;
    largest = std::max(largest, error);
  }
  return {.largest = largest / std::sqrt(squares / static_cast<double>(right.size())),
          .typical = std::sqrt(errors / squares)};
}

}  // namespace example
