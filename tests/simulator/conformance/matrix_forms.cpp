#include <fmt/format.h>

#include "tests/simulator/conformance/integer_reference.hpp"
#include "tests/simulator/conformance/warp_form.hpp"

// mma, ldmatrix, stmatrix and movmatrix.
namespace kerncast::conformance {

namespace {

/// The element type of a matrix. Integers have no exponent.
struct Element {
  std::string name;
  unsigned bytes;
  Format format;
  bool is_integer = false;
  bool is_signed = false;
  const char* small;  ///< a domain whose sums of products are exact in every order
  const char* full;   ///< one whose single products are exact
};

const Element element_f16{"f16", 2, f16_format, false, false, "small_f16", "f16x2"};
const Element element_bf16{"bf16", 2, bf16_format, false, false, "small_bf16", "middle_bf16"};
const Element element_tf32{"tf32", 4, tf32_format, false, false, "small_tf32", "middle_tf32"};
const Element element_e4m3{"e4m3", 1, e4m3_format, false, false, "small_e4m3", "b32"};
const Element element_e5m2{"e5m2", 1, e5m2_format, false, false, "small_e5m2", "b32"};
const Element element_s8{"s8", 1, e4m3_format, true, true, "bytes", "bytes"};
const Element element_u8{"u8", 1, e4m3_format, true, false, "bytes", "bytes"};

constexpr std::size_t columns = 8;

/// Row or column, and place along k, of an element of lane `lane`: the fragments of the ISA.
struct Place {
  std::size_t line;
  std::size_t k;
};

Place place_of(std::size_t lane, std::size_t reg, std::size_t element, std::size_t per_register,
               std::size_t blocks) {
  return {lane / 4 + reg % blocks * 8, reg / blocks * 4 * per_register + lane % 4 * per_register + element};
}

u64 element_bits(u64 reg, std::size_t element, unsigned bytes) {
  return bytes == 4 ? reg : reg >> (8 * bytes * element) & ((u64{1} << (8 * bytes)) - 1);
}

struct Product {
  Element a;
  Element b;
  std::string result;  ///< f32, f16 or s32
  std::size_t m;
  std::size_t k;
  bool clamps = false;
  bool single = false;  ///< whether only the first row of B is not zero

  [[nodiscard]] std::size_t a_registers() const { return m * k * a.bytes / 128; }
  [[nodiscard]] std::size_t b_registers() const { return columns * k * b.bytes / 128; }
  [[nodiscard]] std::size_t accumulators() const { return m * columns * (result == "f16" ? 2 : 4) / 128; }
};

using Matrix = std::vector<std::vector<u64>>;

Matrix gathered(const std::vector<Lanes>& in, std::size_t first, std::size_t registers, unsigned bytes,
                std::size_t lines, std::size_t k, bool single) {
  Matrix matrix(lines, std::vector<u64>(k));
  const std::size_t per_register = 4 / bytes;
  for (std::size_t r = 0; r < registers; ++r) {
    for (std::size_t lane = 0; lane < warp_size; ++lane) {
      for (std::size_t e = 0; e < per_register; ++e) {
        const Place place = place_of(lane, r, e, per_register, lines / 8);
        matrix[place.line][place.k] =
            single && place.k != 0 ? 0 : element_bits(in[first + r][lane], e, bytes);
      }
    }
  }
  return matrix;
}

Number decoded(const Element& type, u64 bits) {
  // tf32 lies in the upper bits of a register; the lower ones do not count.
  return decode(type.format, type.bytes == 4 ? bits >> 13 : bits);
}

s128 integer_of(const Element& type, u64 bits) {
  return (type.is_signed ? s8_integer : u8_integer).value(bits);
}

u64 multiplied(const Product& p, const std::vector<u64>& a, const std::vector<u64>& b, u64 c) {
  if (p.a.is_integer) {
    s128 sum = s32_integer.value(c);
    for (std::size_t k = 0; k < p.k; ++k) {
      sum += integer_of(p.a, a[k]) * integer_of(p.b, b[k]);
    }
    return p.clamps ? s32_integer.clamped(sum) & 0xffffffffU : static_cast<u64>(sum) & 0xffffffffU;
  }
  const Format& format = p.result == "f16" ? f16_format : f32_format;
  Number total = decode(format, c);
  for (std::size_t k = 0; k < p.k; ++k) {
    total = sum(total, product(decoded(p.a, a[k]), decoded(p.b, b[k])), Mode::rn);
  }
  return encode(format, total, Mode::rn);
}

std::vector<Lanes> multiply(const Product& p, const std::vector<Lanes>& in) {
  const Matrix a = gathered(in, 0, p.a_registers(), p.a.bytes, p.m, p.k, false);
  const Matrix b = gathered(in, p.a_registers(), p.b_registers(), p.b.bytes, columns, p.k, p.single);
  const std::size_t first = p.a_registers() + p.b_registers();
  const bool halves = p.result == "f16";
  std::vector<Lanes> out(p.accumulators());
  for (std::size_t r = 0; r < p.accumulators(); ++r) {
    for (std::size_t lane = 0; lane < warp_size; ++lane) {
      u64 packed = 0;
      for (std::size_t e = 0; e < (halves ? 2U : 1U); ++e) {
        const std::size_t row = lane / 4 + (halves ? r : r / 2) * 8;
        const std::size_t column = lane % 4 * 2 + (halves ? e : r % 2);
        const u64 c = p.single ? 0 : element_bits(in[first + r][lane], e, halves ? 2 : 4);
        packed |= multiplied(p, a[row], b[column], c) << (16 * e);
      }
      out[r][lane] = packed;
    }
  }
  return out;
}

std::string registers(const std::string& prefix, std::size_t first, std::size_t count) {
  std::string text = "{";
  for (std::size_t i = 0; i < count; ++i) {
    text += fmt::format("{}{}{}", i == 0 ? "" : ", ", prefix, first + i);
  }
  return text + "}";
}

void add_product(std::vector<WarpForm>& forms, const Product& p, const std::string& kind = "") {
  WarpForm form;
  form.opcode = fmt::format("mma.sync.aligned.m{}n8k{}.row.col{}{}.{}.{}.{}.{}", p.m, p.k,
                            p.clamps ? ".satfinite" : "", kind, p.result, p.a.name, p.b.name, p.result);
  form.whole = true;
  for (std::size_t i = 0; i < p.a_registers(); ++i) {
    form.inputs.emplace_back(p.single ? p.a.full : p.a.small);
  }
  for (std::size_t i = 0; i < p.b_registers(); ++i) {
    form.inputs.emplace_back(p.single ? p.b.full : p.b.small);
  }
  const std::size_t b = p.a_registers();
  const std::size_t c = b + p.b_registers();
  if (p.single) {
    // Only k = 0 is kept of B: the lowest element of every fourth lane's first register.
    form.text = fmt::format(
        "and.b32 t, lane, 3; setp.eq.u32 guard, t, 0; and.b32 t, $%b, {:#x}; selp.b32 $%b, t, 0, guard; ",
        (u64{1} << (8 * p.b.bytes)) - 1);
    for (std::size_t at = form.text.find("%b"); at != std::string::npos; at = form.text.find("%b")) {
      form.text.replace(at, 2, std::to_string(b));
    }
    for (std::size_t i = b + 1; i < c; ++i) {
      form.text += fmt::format("mov.b32 ${}, 0; ", i);
    }
    form.text += "setp.eq.u32 guard, lane, lane; ";
  } else {
    for (std::size_t i = 0; i < p.accumulators(); ++i) {
      form.inputs.emplace_back(p.a.is_integer ? "s32" : p.result == "f16" ? "small_f16" : "small_f32");
    }
  }
  form.outputs.assign(p.accumulators(), 4);
  // Accumulators of f32 are registers of that type and no other.
  form.text += fmt::format("{{ .reg .{} x<4>, y<4>; ", p.result == "f32" ? "f32" : "b32");
  for (std::size_t i = 0; i < p.accumulators(); ++i) {
    form.text += p.single ? fmt::format("mov.b32 x{}, 0; ", i) : fmt::format("mov.b32 x{}, ${}; ", i, c + i);
  }
  form.text += form.opcode + " " + registers("y", 0, p.accumulators()) + ", " +
               registers("$", 0, p.a_registers()) + ", " + registers("$", b, p.b_registers()) + ", " +
               registers("x", 0, p.accumulators()) + "; ";
  for (std::size_t i = 0; i < p.accumulators(); ++i) {
    form.text += fmt::format("mov.b32 %{0}, y{0}; ", i);
  }
  form.text += '}';
  form.reference = [p](const std::vector<Lanes>& in, u32) { return multiply(p, in); };
  forms.push_back(form);
}

/// Sums of small values, and single products of values of the whole range where those are exact.
void add_products(std::vector<WarpForm>& forms, Product p, const std::string& kind = "") {
  add_product(forms, p, kind);
  if (p.result == "f32") {
    p.single = true;
    add_product(forms, p, kind);
  }
}

/// The place of the row of lane `lane`; the rows are not in the order of the lanes.
std::size_t slot_of(std::size_t lane) {
  return (lane * 5 + 3) % warp_size;
}

constexpr const char* row_address = "mad.lo.u32 u, lane, 5, 3; and.b32 u, u, 31; mad.lo.u32 u, u, 16, base; ";

u64 half_of(const std::vector<Lanes>& rows, std::size_t slot, std::size_t column) {
  return rows[column / 2][slot] >> (16 * (column % 2)) & 0xffffU;
}

void add_loads(std::vector<WarpForm>& forms) {
  for (const unsigned count : {1U, 2U, 4U}) {
    for (const bool transposes : {false, true}) {
      for (const std::string space : {".shared", ".shared::cta", ""}) {
        WarpForm form;
        form.opcode =
            fmt::format("ldmatrix.sync.aligned.m8n8.x{}{}{}.b16", count, transposes ? ".trans" : "", space);
        form.whole = true;
        form.inputs.assign(4, "b32");
        form.outputs.assign(count, 4);
        form.text =
            "mad.lo.u32 t, lane, 16, base; st.shared.v4.b32 [t], {$0, $1, $2, $3}; bar.warp.sync -1; ";
        form.text += row_address;
        form.text += space.empty() ? "cvt.u64.u32 at, u; cvta.shared.u64 at, at; " : "";
        form.text += form.opcode + " " + registers("%", 0, count) + (space.empty() ? ", [at];" : ", [u];");
        form.reference = [=](const std::vector<Lanes>& in, u32) {
          std::vector<Lanes> out(count);
          for (std::size_t j = 0; j < count; ++j) {
            for (std::size_t lane = 0; lane < warp_size; ++lane) {
              u64 packed = 0;
              for (std::size_t e = 0; e < 2; ++e) {
                const std::size_t major = lane / 4;
                const std::size_t minor = lane % 4 * 2 + e;
                packed |=
                    half_of(in, slot_of(8 * j + (transposes ? minor : major)), transposes ? major : minor)
                    << (16 * e);
              }
              out[j][lane] = packed;
            }
          }
          return out;
        };
        forms.push_back(form);
      }
    }
  }
}

void add_stores(std::vector<WarpForm>& forms) {
  for (const unsigned count : {1U, 2U, 4U}) {
    for (const bool transposes : {false, true}) {
      for (const std::string space : {".shared", ".shared::cta", ""}) {
        WarpForm form;
        form.opcode =
            fmt::format("stmatrix.sync.aligned.m8n8.x{}{}{}.b16", count, transposes ? ".trans" : "", space);
        form.whole = true;
        form.inputs.assign(count, "b32");
        form.outputs.assign(4, 4);
        form.text =
            "mad.lo.u32 t, lane, 16, base; st.shared.v4.b32 [t], {lane, lane, lane, lane}; bar.warp.sync "
            "-1; ";
        form.text += row_address;
        form.text += space.empty() ? "cvt.u64.u32 at, u; cvta.shared.u64 at, at; " : "";
        form.text += form.opcode + (space.empty() ? " [at], " : " [u], ") + registers("$", 0, count) +
                     "; bar.warp.sync -1; ld.shared.v4.b32 {%0, %1, %2, %3}, [t];";
        form.reference = [=](const std::vector<Lanes>& in, u32) {
          std::vector<Lanes> out(4);
          for (std::size_t word = 0; word < 4; ++word) {
            for (std::size_t lane = 0; lane < warp_size; ++lane) {
              out[word][lane] = lane;
            }
          }
          for (std::size_t j = 0; j < count; ++j) {
            for (std::size_t row = 0; row < 8; ++row) {
              const std::size_t slot = slot_of(8 * j + row);
              for (std::size_t word = 0; word < 4; ++word) {
                u64 packed = 0;
                for (std::size_t e = 0; e < 2; ++e) {
                  const std::size_t column = 2 * word + e;
                  const std::size_t major = transposes ? column : row;
                  const std::size_t minor = transposes ? row : column;
                  packed |= (in[j][major * 4 + minor / 2] >> (16 * (minor % 2)) & 0xffffU) << (16 * e);
                }
                out[word][slot] = packed;
              }
            }
          }
          return out;
        };
        forms.push_back(form);
      }
    }
  }
}

}  // namespace

std::vector<WarpForm> mma_forms() {
  std::vector<WarpForm> forms;
  for (const std::size_t k : {std::size_t{8}, std::size_t{16}}) {
    add_products(forms, {element_f16, element_f16, "f32", 16, k});
    add_products(forms, {element_f16, element_f16, "f16", 16, k});
    add_products(forms, {element_bf16, element_bf16, "f32", 16, k});
    add_products(forms, {element_tf32, element_tf32, "f32", 16, k / 2});
  }
  for (const Element& a : {element_e4m3, element_e5m2}) {
    for (const Element& b : {element_e4m3, element_e5m2}) {
      for (const std::string result : {"f32", "f16"}) {
        add_products(forms, {a, b, result, 16, 16});
        add_products(forms, {a, b, result, 16, 32});
        add_products(forms, {a, b, result, 16, 32}, ".kind::f8f6f4");
      }
    }
  }
  for (const Element& a : {element_s8, element_u8}) {
    for (const Element& b : {element_s8, element_u8}) {
      for (const bool clamps : {false, true}) {
        add_products(forms, {a, b, "s32", 8, 16, clamps});
        add_products(forms, {a, b, "s32", 16, 16, clamps});
        add_products(forms, {a, b, "s32", 16, 32, clamps});
      }
    }
  }
  return forms;
}

std::vector<WarpForm> matrix_move_forms() {
  std::vector<WarpForm> forms;
  add_loads(forms);
  add_stores(forms);
  WarpForm form;
  form.opcode = "movmatrix.sync.aligned.m8n8.trans.b16";
  form.whole = true;
  form.inputs = {"b32"};
  form.outputs = {4};
  form.text = form.opcode + " %0, $0;";
  form.reference = [](const std::vector<Lanes>& in, u32) {
    std::vector<Lanes> out(1);
    for (std::size_t lane = 0; lane < warp_size; ++lane) {
      for (std::size_t e = 0; e < 2; ++e) {
        const std::size_t row = lane % 4 * 2 + e;
        const std::size_t column = lane / 4;
        out[0][lane] |= (in[0][row * 4 + column / 2] >> (16 * (column % 2)) & 0xffffU) << (16 * e);
      }
    }
    return out;
  };
  forms.push_back(form);
  return forms;
}

}  // namespace kerncast::conformance
