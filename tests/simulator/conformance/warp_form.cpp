#include "tests/simulator/conformance/warp_form.hpp"

#include <fmt/format.h>

#include <random>
#include <stdexcept>

#include "tests/simulator/conformance/form_target.hpp"

namespace kerncast::conformance {

namespace {

constexpr std::size_t warps = 96;
constexpr std::uint64_t untouched = 0x5a5a5a5a5a5a5a5aULL;

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::string input_name(std::size_t index, unsigned bytes) {
  return bytes == 0 ? fmt::format("pi{}", index) : fmt::format("i{}", index);
}
std::string output_name(std::size_t index, unsigned bytes) {
  return bytes == 0 ? fmt::format("po{}", index) : fmt::format("o{}", index);
}

std::string declarations(const WarpForm& form, int sm) {
  std::string text = fmt::format(
      ".version 8.8\n.target sm_{}a\n.address_size 64\n.visible .entry k(.param .u64 pin, .param .u64 pout, "
      ".param .u64 pmask)\n{{\n.shared .align 16 .b8 pool[4096];\n"
      ".reg .pred guard; .reg .u32 lane, warp, t, u, m, base; .reg .u64 in, out, at;\n",
      sm);
  for (std::size_t i = 0; i < form.inputs.size(); ++i) {
    const unsigned bytes = domain(form.inputs[i]).bytes;
    text += fmt::format(".reg .{} {};\n", bytes == 0 ? "pred" : fmt::format("b{}", 8 * bytes),
                        input_name(i, bytes));
  }
  for (std::size_t i = 0; i < form.outputs.size(); ++i) {
    const unsigned bytes = form.outputs[i];
    text += fmt::format(".reg .{} {};\n", bytes == 0 ? "pred" : fmt::format("b{}", 8 * bytes),
                        output_name(i, bytes));
  }
  return text;
}

std::string body_text(const WarpForm& form) {
  std::string body = form.text;
  for (std::size_t i = form.inputs.size(); i-- > 0;) {
    replace_all(body, fmt::format("${}", i), input_name(i, domain(form.inputs[i]).bytes));
  }
  for (std::size_t i = form.outputs.size(); i-- > 0;) {
    replace_all(body, fmt::format("%{}", i), output_name(i, form.outputs[i]));
  }
  replace_all(body, "$m", "m");
  replace_all(body, "$G", "@guard ");
  return body;
}

std::string module_text(const WarpForm& form, int sm) {
  std::string text = declarations(form, sm) +
                     fmt::format(
                         "mov.u32 base, pool; mov.u32 lane, %laneid; mov.u32 warp, %ctaid.x;\n"
                         "ld.param.u64 at, [pmask]; mad.wide.u32 at, warp, 4, at; ld.global.u32 m, [at];\n"
                         "shl.b32 t, 1, lane; and.b32 t, t, m; setp.ne.u32 guard, t, 0;\n"
                         "mad.lo.u32 t, warp, 32, lane; ld.param.u64 in, [pin]; mad.wide.u32 in, t, {}, in;\n"
                         "ld.param.u64 out, [pout]; mad.wide.u32 out, t, {}, out;\n",
                         8 * form.inputs.size(), 8 * form.outputs.size());
  for (std::size_t i = 0; i < form.inputs.size(); ++i) {
    const unsigned bytes = domain(form.inputs[i]).bytes;
    const std::string name = input_name(i, bytes);
    text += bytes == 0 ? fmt::format("ld.global.u32 t, [in+{}]; setp.ne.u32 {}, t, 0;\n", 8 * i, name)
                       : fmt::format("ld.global.b{} {}, [in+{}];\n", 8 * bytes, name, 8 * i);
  }
  std::string stores;
  for (std::size_t i = 0; i < form.outputs.size(); ++i) {
    const unsigned bytes = form.outputs[i];
    const std::string name = output_name(i, bytes);
    text += bytes == 0 ? fmt::format("setp.ne.u32 {0}, 0, 0;\n", name)
                       : fmt::format("mov.b{0} {1}, 0;\n", 8 * bytes, name);
    stores += bytes == 0
                  ? fmt::format("selp.u32 t, 1, 0, {}; @guard st.global.u32 [out+{}], t;\n", name, 8 * i)
                  : fmt::format("@guard st.global.b{} [out+{}], {};\n", 8 * bytes, 8 * i, name);
  }
  return text + body_text(form) + "\n" + stores + "ret;\n}\n";
}

/// Members of each warp: all, one, and several.
std::vector<u32> members_of(const WarpForm& form, std::mt19937_64& random) {
  std::vector<u32> members(warps, 0xffffffffU);
  if (form.whole) {
    return members;
  }
  for (std::size_t warp = 0; warp < warps; ++warp) {
    switch (warp % 4) {
      case 1:
        members[warp] = u32{1} << (random() % 32);
        break;
      case 2:
        members[warp] = static_cast<u32>(random()) | u32{1} << (warp % 32);
        break;
      case 3:
        members[warp] = static_cast<u32>(random() & random()) | u32{1} << (warp % 32);
        break;
      default:
        break;
    }
  }
  return members;
}

u64 value_for(const Domain& values, std::size_t warp, std::mt19937_64& random) {
  const u64 bits = random();
  // Warps of one value for all lanes, of two, of edges and of anything.
  switch (warp / 4 % 4) {
    case 0:
      return values.edges[warp % values.edges.size()];
    case 1:
      return values.edges[(warp + bits % 2) % values.edges.size()];
    case 2:
      return values.edges[bits % values.edges.size()];
    default:
      return values.random(bits);
  }
}

void run_form(const WarpForm& form, int sm, Tally& tally) {
  std::mt19937_64 random(7717);
  const std::size_t inputs = form.inputs.size();
  const std::size_t outputs = form.outputs.size();
  std::vector<u64> in(warps * warp_size * std::max<std::size_t>(inputs, 1));
  for (std::size_t warp = 0; warp < warps; ++warp) {
    for (std::size_t i = 0; i < inputs; ++i) {
      for (std::size_t lane = 0; lane < warp_size; ++lane) {
        in[(warp * warp_size + lane) * inputs + i] = value_for(domain(form.inputs[i]), warp, random);
      }
    }
  }
  const std::vector<u32> members = members_of(form, random);
  std::vector<u64> got;
  try {
    const std::vector<u64> out(warps * warp_size * outputs, untouched);
    got = words<u64>(run_kernel(module_text(form, sm), sm, warps, warp_size,
                                {buffer_argument(in), buffer_argument(out), buffer_argument(members)}, 1));
  } catch (const Refused& error) {
    (runs_on_driver() ? tally.refused : tally.failures)
        .push_back(fmt::format("{}: {}", form.opcode, error.what()));
    return;
  } catch (const std::exception& error) {
    tally.failures.push_back(fmt::format("{}: {}", form.opcode, error.what()));
    return;
  }
  for (std::size_t warp = 0; warp < warps; ++warp) {
    std::vector<Lanes> given(inputs);
    for (std::size_t i = 0; i < inputs; ++i) {
      for (std::size_t lane = 0; lane < warp_size; ++lane) {
        given[i][lane] = in[(warp * warp_size + lane) * inputs + i];
      }
    }
    const std::vector<Lanes> expected = form.reference(given, members[warp]);
    for (std::size_t lane = 0; lane < warp_size; ++lane) {
      if ((members[warp] >> lane & 1U) == 0) {
        continue;
      }
      ++tally.vectors;
      for (std::size_t i = 0; i < outputs; ++i) {
        const unsigned bytes = form.outputs[i];
        const u64 mask = bytes == 0 ? 0xffffffffU : bytes == 8 ? ~u64{0} : (u64{1} << (8 * bytes)) - 1;
        const u64 value = got[(warp * warp_size + lane) * outputs + i] & mask;
        if (value != expected[i][lane]) {
          std::string text = fmt::format("{} (members {:#x}) lane {} result {}: {:#x} for {:#x}, from",
                                         form.opcode, members[warp], lane, i, value, expected[i][lane]);
          for (std::size_t k = 0; k < inputs; ++k) {
            text += fmt::format(" {:#x}", given[k][lane]);
          }
          tally.failures.push_back(text);
          return;
        }
      }
    }
  }
}

}  // namespace

std::string bare_text(const WarpForm& form, int sm) {
  return declarations(form, sm) + body_text(form) + "\n}\n";
}

Tally run_warp_forms(const std::vector<WarpForm>& forms, int meant_for) {
  const int sm = target_sm(meant_for);
  Tally tally;
  tally.forms = forms.size();
  for (const WarpForm& form : forms) {
    run_form(form, sm, tally);
  }
  return tally;
}

}  // namespace kerncast::conformance
