#include "tests/simulator/conformance/form.hpp"

#include <fmt/format.h>

#include <map>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>

#include "tests/simulator/conformance/form_target.hpp"

namespace kerncast::conformance {

namespace {

/// Threads of a block, and the bytes of memory each has to itself in every space.
constexpr std::uint32_t block = 256;
constexpr std::uint32_t cell = 64;

/// The contents of constant memory and of the last kernel parameter: 0x81, 0x82, ...
constexpr const char* table =
    ".const .align 8 .b8 table[16] = {129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, "
    "143, 144};";

constexpr u64 sentinel = 0xa5c3'5a3c'96e1'691eULL;

u64 cut(u64 value, unsigned bytes) {
  return bytes == 0 ? value & 1U : bytes == 8 ? value : value & ((u64{1} << (8 * bytes)) - 1);
}

/// The parts of a kernel around one instruction.
struct Variant {
  enum class Guard : u8 { none, positive, negative };
  std::size_t form = 0;
  Guard guard = Guard::none;
  bool aliased = false;   ///< the destination is the first source
  bool constant = false;  ///< the last operand is a constant
  u64 value = 0;
};

std::string register_of(const char* letter, unsigned bytes) {
  return bytes == 0 ? std::string("p") + letter : letter + std::to_string(bytes);
}

constexpr std::array<const char*, 5> sources{"a", "b", "c", "e", "g"};
constexpr std::array<const char*, 2> result_names{"d", "f"};

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::string operands_of(const Form& form) {
  if (!form.operands.empty()) {
    return form.operands;
  }
  std::string text;
  for (std::size_t i = 0; i < form.outputs.size(); ++i) {
    text += fmt::format("{}${}", i == 0 ? "" : "|", result_names[i]);
  }
  for (std::size_t i = 0; i < form.inputs.size(); ++i) {
    text += fmt::format(", ${}", sources[i]);
  }
  return text;
}

bool can_alias(const Form& form) {
  return !form.inputs.empty() && !form.outputs.empty() && form.outputs[0] != 0 &&
         domain(form.inputs[0]).bytes == form.outputs[0];
}

std::string instruction_text(const Form& form, const Variant& variant) {
  std::string text = form.text.empty() ? form.opcode + " " + operands_of(form) : form.text;
  const char* guard = variant.guard == Variant::Guard::none       ? ""
                      : variant.guard == Variant::Guard::positive ? "@guard "
                                                                  : "@!guard ";
  // A block is a statement of its own; an empty one may not follow it.
  text = form.before + guard + text + (text.starts_with('{') ? "" : ";") + form.after + "\n";
  replace_all(text, "$G", guard);
  for (std::size_t i = 0; i < form.inputs.size(); ++i) {
    const Domain& values = domain(form.inputs[i]);
    std::string name = register_of(sources[i], values.bytes);
    if (variant.constant && i + 1 == form.inputs.size()) {
      name = values.constant(variant.value);
    } else if (variant.aliased && i == 0) {
      name = register_of("d", values.bytes);
    }
    replace_all(text, std::string("$") + sources[i], name);
  }
  for (std::size_t i = 0; i < form.outputs.size(); ++i) {
    replace_all(text, std::string("$") + result_names[i], register_of(result_names[i], form.outputs[i]));
  }
  return text;
}

std::string prepare_text(const Form& form, const Variant& variant) {
  std::string text;
  if (variant.aliased) {
    const unsigned bytes = form.outputs[0];
    text += fmt::format("mov.b{} {}, {};\n", 8 * bytes, register_of("d", bytes), register_of("a", bytes));
  }
  for (std::size_t i = variant.aliased ? 1 : 0; i < form.outputs.size(); ++i) {
    const unsigned bytes = form.outputs[i];
    text += bytes == 0 ? fmt::format("setp.ne.u32 p{0}, 0, 0;\n", result_names[i])
                       : fmt::format("mov.b{} {}, {:#x};\n", 8 * bytes, register_of(result_names[i], bytes),
                                     cut(sentinel, bytes));
  }
  return text;
}

std::string store_text(const Form& form, std::size_t slot, const char* count) {
  std::string text;
  for (std::size_t i = 0; i < form.outputs.size(); ++i) {
    const unsigned bytes = form.outputs[i];
    if (bytes == 0) {
      text += fmt::format("selp.u32 flag, 1, 0, p{};\n", result_names[i]);
    }
    text +=
        fmt::format("st.global.b{} [out], {};\nmad.lo.u64 out, {}, 8, out;\n", bytes == 0 ? 32 : 8 * bytes,
                    bytes == 0 ? "flag" : register_of(result_names[i], bytes), count);
    (void)slot;
  }
  return text;
}

std::string declarations(int sm) {
  std::string text = fmt::format(
      ".version 8.8\n.target sm_{}\n.address_size 64\n{}\n.visible .entry k(.param .u64 pin, .param .u64 "
      "pout, "
      ".param .u64 pn, .param .u64 pcells, .param .align 8 .b8 ptable[16])\n{{\n"
      ".reg .pred guard, outside, taken; .reg .b32 i, t, flag; .reg .u64 in, out, n, stride, at, gcell, "
      "scell, lcell;\n"
      ".shared .align 32 .b8 pool[{}]; .local .align 32 .b8 own[64];\n",
      sm >= 100 ? fmt::format("{}a", sm) : fmt::format("{}", sm), table, block * cell);
  for (const char* letter : {"a", "b", "c", "e", "g", "d", "f"}) {
    text += fmt::format(".reg .b16 {0}2; .reg .b32 {0}4; .reg .b64 {0}8; .reg .pred p{0};\n", letter);
  }
  return text;
}

std::string module_text(const std::vector<Form>& forms, std::span<const Variant> variants, int sm) {
  std::string text = declarations(sm) +
                     "mov.u32 i, %tid.x; mov.u32 t, %ctaid.x; mad.lo.u32 i, t, 256, i;\n"
                     "ld.param.u64 in, [pin]; ld.param.u64 out, [pout]; ld.param.u64 n, [pn];\n"
                     "cvt.u32.u64 t, n; setp.ge.u32 outside, i, t; @outside exit;\n"
                     "ld.param.u64 gcell, [pcells]; mad.wide.u32 gcell, i, 64, gcell; mov.u64 lcell, own;\n"
                     "mov.u32 t, %tid.x; mov.u64 scell, pool; mad.wide.u32 scell, t, 64, scell;\n"
                     "mad.wide.u32 in, i, 8, in; mad.wide.u32 out, i, 8, out; shl.b64 stride, n, 3;\n"
                     // Lanes are chosen without a pattern: both masks are partial in every warp.
                     "mul.lo.u32 t, i, 0x9e3779b1; shr.u32 t, t, 29; setp.lt.u32 guard, t, 4;\n";
  const Form& first = forms[variants[0].form];
  for (std::size_t i = 0; i < first.inputs.size(); ++i) {
    const unsigned bytes = domain(first.inputs[i]).bytes;
    text += bytes == 0 ? fmt::format("ld.global.u32 t, [in]; setp.ne.u32 p{}, t, 0;\n", sources[i])
                       : fmt::format("ld.global.b{} {}, [in];\n", 8 * bytes, register_of(sources[i], bytes));
    text += "add.u64 in, in, stride;\n";
  }
  std::size_t slot = 0;
  for (const Variant& variant : variants) {
    const Form& form = forms[variant.form];
    text += prepare_text(form, variant) + instruction_text(form, variant) + store_text(form, slot++, "n");
  }
  return text + "ret;\n}\n";
}

/// Operand values, one vector per input.
struct Vectors {
  std::vector<std::vector<u64>> values;
  std::size_t count = 0;
};

Vectors vectors_for(const std::vector<std::string>& inputs) {
  Vectors vectors;
  std::vector<std::size_t> limits;
  std::size_t total = 1;
  for (const std::string& name : inputs) {
    const Domain& values = domain(name);
    std::size_t limit = values.edges.size();
    if (inputs.size() >= 3) {
      limit = std::min(limit, inputs.size() == 3 ? values.main_edges : (values.main_edges + 1) / 2);
    }
    limits.push_back(limit);
    total *= limit;
  }
  const std::size_t random = total > 20000 ? 0 : 400;
  vectors.count = total + random;
  std::mt19937_64 generator(20240611);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    vectors.values.emplace_back();
    std::size_t inner = 1;
    for (std::size_t j = i + 1; j < inputs.size(); ++j) {
      inner *= limits[j];
    }
    for (std::size_t v = 0; v < total; ++v) {
      vectors.values[i].push_back(domain(inputs[i]).edges[v / inner % limits[i]]);
    }
    for (std::size_t v = 0; v < random; ++v) {
      vectors.values[i].push_back(domain(inputs[i]).random(generator()));
    }
  }
  return vectors;
}

bool guarded_in(Variant::Guard guard, std::size_t i) {
  const bool chosen = (static_cast<u32>(i) * 0x9e3779b1U) >> 29U < 4;
  return guard == Variant::Guard::none || chosen == (guard == Variant::Guard::positive);
}

bool is_nan_of(Nan rule, u64 value) {
  switch (rule) {
    case Nan::any_f64:
      return f64_format.is_nan(value);
    case Nan::any_f32:
      return f32_format.is_nan(value);
    case Nan::any_f16:
      return f16_format.is_nan(value);
    case Nan::any_bf16:
      return bf16_format.is_nan(value);
    default:
      return false;
  }
}

bool same(const Form& form, std::size_t output, u64 expected, u64 got) {
  if (expected == got || form.nan == Nan::exact) {
    return expected == got;
  }
  // Halves are compared one by one.
  const unsigned element = form.nan == Nan::any_f64 ? 8 : form.nan == Nan::any_f32 ? 4 : 2;
  for (unsigned at = 0; at < form.outputs[output]; at += element) {
    const u64 x = cut(expected >> (8 * at), element);
    const u64 y = cut(got >> (8 * at), element);
    if (x != y && !(is_nan_of(form.nan, x) && is_nan_of(form.nan, y))) {
      return false;
    }
  }
  return true;
}

std::string describe(const Form& form, const Variant& variant, const Inputs& in, const Outputs& expected,
                     const Outputs& got) {
  std::string text = prepare_text(form, variant) + instruction_text(form, variant);
  replace_all(text, "\n", " ");
  for (std::size_t i = 0; i < form.inputs.size(); ++i) {
    text += fmt::format(" {}={:#x}", sources[i], in[i]);
  }
  for (std::size_t i = 0; i < form.outputs.size(); ++i) {
    text += form.accepts ? fmt::format(" gives {:#x}", got[i])
                         : fmt::format(" gives {:#x} for {:#x}", got[i], expected[i]);
  }
  return text;
}

/// Compares the results of one variant. The first difference of a form is reported, the others are counted.
void check_variant(const Form& form, const Variant& variant, const Vectors& vectors, const u64* stored,
                   Tally& tally) {
  std::size_t wrong = 0;
  std::string first;
  for (std::size_t v = 0; v < vectors.count; ++v) {
    Inputs in{};
    for (std::size_t i = 0; i < form.inputs.size(); ++i) {
      in[i] = vectors.values[i][v];
    }
    if (variant.constant) {
      in[form.inputs.size() - 1] = variant.value;
    }
    Outputs got{};
    for (std::size_t i = 0; i < form.outputs.size(); ++i) {
      got[i] = stored[i * vectors.count + v];
    }
    Outputs expected{};
    bool right = true;
    if (!guarded_in(variant.guard, v)) {
      for (std::size_t i = 0; i < form.outputs.size(); ++i) {
        expected[i] = variant.aliased && i == 0 ? in[0]
                      : form.outputs[i] == 0    ? 0
                                                : cut(sentinel, form.outputs[i]);
        right = right && got[i] == expected[i];
      }
    } else if (form.accepts) {
      right = form.accepts(in, got);
    } else {
      expected = form.reference(in);
      for (std::size_t i = 0; i < form.outputs.size(); ++i) {
        expected[i] = cut(expected[i], form.outputs[i]);
        right = right && same(form, i, expected[i], got[i]);
      }
    }
    if (!right && wrong++ == 0) {
      first = describe(form, variant, in, expected, got);
    }
  }
  tally.vectors += vectors.count;
  if (wrong != 0) {
    tally.failures.push_back(fmt::format("{} of {} wrong: {}", wrong, vectors.count, first));
  }
}

std::vector<Variant> variants_of(const Form& form, std::size_t index, std::size_t vectors) {
  std::vector<Variant> variants{{index, Variant::Guard::none, false, false, 0}};
  if (form.guards) {
    variants.push_back({index, Variant::Guard::positive, false, false, 0});
    variants.push_back({index, Variant::Guard::negative, can_alias(form), false, 0});
  }
  if (form.constants && form.inputs.size() > 1 && domain(form.inputs.back()).constant && vectors < 20000) {
    const Domain& values = domain(form.inputs.back());
    const std::size_t step = values.edges.size() / 3;
    for (std::size_t i = 0; i < 3; ++i) {
      variants.push_back(
          {index, Variant::Guard::none, false, true, values.edges[(i * step + index) % values.edges.size()]});
    }
  }
  return variants;
}

void run_variants(const std::vector<Form>& forms, std::span<const Variant> variants, const Vectors& vectors,
                  int sm, Tally& tally) {
  std::size_t results = 0;
  for (const Variant& variant : variants) {
    results += forms[variant.form].outputs.size();
  }
  std::vector<u64> stored;
  try {
    std::vector<u64> in;
    for (const std::vector<u64>& values : vectors.values) {
      in.insert(in.end(), values.begin(), values.end());
    }
    std::array<u8, 16> parameter{};
    std::iota(parameter.begin(), parameter.end(), u8{0x81});
    const auto blocks = static_cast<unsigned>((vectors.count + block - 1) / block);
    stored = words<u64>(
        run_kernel(module_text(forms, variants, sm), sm, blocks, block,
                   {buffer_argument(in), buffer_argument(std::vector<u64>(results * vectors.count)),
                    value_argument(u64{vectors.count}),
                    buffer_argument(std::vector<u8>(vectors.count * cell)), value_argument(parameter)},
                   1));
  } catch (const std::exception& error) {
    // One form that the device lacks or fails on must not hide those beside it.
    if (runs_on_driver() && variants.size() > 1) {
      const std::size_t half = variants.size() / 2;
      run_variants(forms, variants.first(half), vectors, sm, tally);
      run_variants(forms, variants.subspan(half), vectors, sm, tally);
      return;
    }
    const bool refused = runs_on_driver() && dynamic_cast<const Refused*>(&error) != nullptr;
    (refused ? tally.refused : tally.failures)
        .push_back(
            fmt::format("{}: {}", instruction_text(forms[variants[0].form], variants[0]), error.what()));
    return;
  }
  std::size_t at = 0;
  for (const Variant& variant : variants) {
    check_variant(forms[variant.form], variant, vectors, stored.data() + at * vectors.count, tally);
    at += forms[variant.form].outputs.size();
  }
}

}  // namespace

std::string bare_text(const Form& form, int sm) {
  return declarations(sm) + instruction_text(form, Variant{}) + "}\n";
}

Tally run_forms(const std::vector<Form>& forms, int meant_for) {
  const int sm = target_sm(meant_for);
  Tally tally;
  tally.forms = forms.size();
  std::map<std::vector<std::string>, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < forms.size(); ++i) {
    groups[forms[i].inputs].push_back(i);
  }
  for (const auto& [inputs, members] : groups) {
    const Vectors vectors = vectors_for(inputs);
    // Few large kernels, but not more results than stay in the caches.
    const std::size_t most = std::max<std::size_t>(6, (std::size_t{1} << 19) / vectors.count);
    std::vector<Variant> variants;
    for (const std::size_t index : members) {
      for (const Variant& variant : variants_of(forms[index], index, vectors.count)) {
        variants.push_back(variant);
      }
      if (variants.size() >= most) {
        run_variants(forms, variants, vectors, sm, tally);
        variants.clear();
      }
    }
    if (!variants.empty()) {
      run_variants(forms, variants, vectors, sm, tally);
    }
  }
  return tally;
}

}  // namespace kerncast::conformance
