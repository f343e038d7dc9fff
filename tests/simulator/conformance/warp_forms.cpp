#include <bit>

#include "tests/simulator/conformance/integer_reference.hpp"
#include "tests/simulator/conformance/warp_form.hpp"

// shfl, vote, match, redux, elect, activemask, and barriers of one warp.
namespace kerncast::conformance {

namespace {

bool member(u32 members, std::size_t lane) {
  return (members >> lane & 1U) != 0;
}

Lanes everywhere(u64 value) {
  Lanes lanes;
  lanes.fill(value);
  return lanes;
}

/// The lane that `lane` reads from, and whether it lies in the segment.
struct Source {
  int lane;
  bool valid;
};

Source source_of(int mode, int lane, u64 b, u64 c) {
  const auto offset = static_cast<int>(b & 31U);
  const auto clamp = static_cast<int>(c & 31U);
  const auto segment = static_cast<int>(c >> 8 & 31U);
  const int most = (lane & segment) | (clamp & ~segment);
  const int least = lane & segment;
  const int from = mode == 0   ? lane - offset
                   : mode == 1 ? lane + offset
                   : mode == 2 ? lane ^ offset
                               : least | (offset & ~segment);
  const bool valid = mode == 0 ? from >= most : from <= most;
  return {valid ? from : lane, valid};
}

void add_shuffles(std::vector<WarpForm>& forms) {
  static constexpr std::array<const char*, 4> modes{"up", "down", "bfly", "idx"};
  for (int mode = 0; mode < 4; ++mode) {
    const std::string opcode = std::string("shfl.sync.") + modes[static_cast<std::size_t>(mode)] + ".b32";
    // Only lanes of the mask may be read, so a member's result is checked only if its source is a member too.
    const auto reference = [mode](bool constant, u64 b, u64 c) {
      return [=](const std::vector<Lanes>& in, u32) {
        std::vector<Lanes> out(2);
        for (std::size_t lane = 0; lane < warp_size; ++lane) {
          const Source from =
              source_of(mode, static_cast<int>(lane), constant ? b : in[1][lane], constant ? c : in[2][lane]);
          out[0][lane] = in[0][static_cast<std::size_t>(from.lane)];
          out[1][lane] = u64{from.valid};
        }
        return out;
      };
    };
    WarpForm form;
    form.opcode = opcode;
    form.whole = true;
    form.inputs = {"b32", "position", "segment"};
    form.outputs = {4, 0};
    form.text = opcode + " %0|%1, $0, $1, $2, -1;";
    form.reference = reference(false, 0, 0);
    forms.push_back(form);
    for (const u64 b : {u64{0}, u64{1}, u64{7}, u64{16}, u64{31}}) {
      for (const u64 c :
           {u64{0}, u64{31}, u64{0x1f00}, u64{0x181f}, u64{0x101f}, u64{0x1c1f}, u64{0x1c00}, u64{0x0f07}}) {
        form.inputs = {"b32"};
        form.text = opcode + " %0|%1, $0, " + std::to_string(b) + ", " + std::to_string(c) + ", -1;";
        form.reference = reference(true, b, c);
        forms.push_back(form);
      }
    }
    // Parts of a warp: each member reads itself.
    if (mode >= 2) {
      form.whole = false;
      form.inputs = {"b32"};
      form.text =
          mode == 2 ? "$G" + opcode + " %0|%1, $0, 0, 31, $m;" : "$G" + opcode + " %0|%1, $0, lane, 31, $m;";
      form.reference = [](const std::vector<Lanes>& in, u32) {
        return std::vector<Lanes>{in[0], everywhere(1)};
      };
      forms.push_back(form);
      form.outputs = {4};
      form.text =
          mode == 2 ? "$G" + opcode + " %0, $0, 0, 31, $m;" : "$G" + opcode + " %0, $0, lane, 31, $m;";
      form.reference = [](const std::vector<Lanes>& in, u32) { return std::vector<Lanes>{in[0]}; };
      forms.push_back(form);
    }
    if (mode == 3) {
      // Everybody reads the first member.
      form.text = "brev.b32 t, $m; clz.b32 t, t; brev.b32 u, $m; bfind.shiftamt.u32 t, u; $G" + opcode +
                  " %0, $0, t, 31, $m;";
      form.reference = [](const std::vector<Lanes>& in, u32 members) {
        return std::vector<Lanes>{everywhere(in[0][static_cast<std::size_t>(std::countr_zero(members))])};
      };
      forms.push_back(form);
    }
  }
}

void add_votes(std::vector<WarpForm>& forms) {
  for (const std::string mode : {"all", "any", "uni", "ballot"}) {
    for (const bool inverted : {false, true}) {
      WarpForm form;
      const bool ballot = mode == "ballot";
      form.opcode = "vote.sync." + mode + (ballot ? ".b32" : ".pred");
      form.inputs = {"pred"};
      form.outputs = {ballot ? 4U : 0U};
      form.text = "$G" + form.opcode + " %0, " + (inverted ? "!" : "") + "$0, $m;";
      form.reference = [=](const std::vector<Lanes>& in, u32 members) {
        u32 holds = 0;
        for (std::size_t lane = 0; lane < warp_size; ++lane) {
          holds |= u32{member(members, lane) && (in[0][lane] != 0) != inverted} << lane;
        }
        return std::vector<Lanes>{everywhere(ballot          ? holds
                                             : mode == "all" ? u64{holds == members}
                                             : mode == "any" ? u64{holds != 0}
                                                             : u64{holds == 0 || holds == members})};
      };
      forms.push_back(form);
    }
  }
}

void add_matches(std::vector<WarpForm>& forms) {
  for (const std::string type : {"b32", "b64"}) {
    for (const bool all : {false, true}) {
      WarpForm form;
      form.opcode = std::string("match.") + (all ? "all" : "any") + ".sync." + type;
      form.inputs = {type};
      form.outputs = all ? std::vector<unsigned>{4, 0} : std::vector<unsigned>{4};
      form.text = "$G" + form.opcode + (all ? " %0|%1, $0, $m;" : " %0, $0, $m;");
      form.reference = [all](const std::vector<Lanes>& in, u32 members) {
        std::vector<Lanes> out(2);
        for (std::size_t lane = 0; lane < warp_size; ++lane) {
          u64 same = 0;
          for (std::size_t other = 0; other < warp_size; ++other) {
            same |= u64{member(members, other) && in[0][other] == in[0][lane]} << other;
          }
          out[0][lane] = !all || same == members ? same : 0;
          out[1][lane] = u64{same == members};
        }
        return out;
      };
      forms.push_back(form);
    }
  }
}

using Fold = std::function<u64(u64, u64)>;

void add_reduction(std::vector<WarpForm>& forms, const std::string& opcode, const std::string& type,
                   const Fold& fold, u64 mask = 0xffffffffU) {
  WarpForm form;
  form.opcode = opcode + "." + type;
  form.inputs = {type};
  form.outputs = {4};
  form.text = "$G" + form.opcode + " %0, $0, $m;";
  form.reference = [=](const std::vector<Lanes>& in, u32 members) {
    bool first = true;
    u64 result = 0;
    for (std::size_t lane = 0; lane < warp_size; ++lane) {
      if (member(members, lane)) {
        result = first ? in[0][lane] & mask : fold(result, in[0][lane] & mask) & 0xffffffffU;
        first = false;
      }
    }
    // One NaN alone is given in its canonical form too.
    return std::vector<Lanes>{
        everywhere(type == "f32" && f32_format.is_nan(result) ? f32_format.nan() : result)};
  };
  forms.push_back(form);
}

u64 float_choice(u64 a, u64 b, bool greatest, bool nan_wins) {
  const bool a_nan = f32_format.is_nan(a);
  const bool b_nan = f32_format.is_nan(b);
  if (a_nan || b_nan) {
    return (a_nan && b_nan) || nan_wins ? f32_format.nan() : a_nan ? b : a;
  }
  const int order = compare(decode(f32_format, a), decode(f32_format, b));
  const bool a_first = order != 0 ? order < 0 : (a >> 31) != 0;
  return a_first != greatest ? a : b;
}

void add_reductions(std::vector<WarpForm>& forms) {
  for (const Integer& type : {u32_integer, s32_integer}) {
    add_reduction(forms, "redux.sync.add", type.name, [](u64 a, u64 b) { return a + b; });
    add_reduction(forms, "redux.sync.min", type.name,
                  [type](u64 a, u64 b) { return type.value(a) < type.value(b) ? a : b; });
    add_reduction(forms, "redux.sync.max", type.name,
                  [type](u64 a, u64 b) { return type.value(a) > type.value(b) ? a : b; });
  }
  add_reduction(forms, "redux.sync.and", "b32", [](u64 a, u64 b) { return a & b; });
  add_reduction(forms, "redux.sync.or", "b32", [](u64 a, u64 b) { return a | b; });
  add_reduction(forms, "redux.sync.xor", "b32", [](u64 a, u64 b) { return a ^ b; });
  for (const bool greatest : {false, true}) {
    for (const bool absolute : {false, true}) {
      for (const bool nan : {false, true}) {
        add_reduction(
            forms,
            std::string("redux.sync.") + (greatest ? "max" : "min") + (absolute ? ".abs" : "") +
                (nan ? ".NaN" : ""),
            "f32", [=](u64 a, u64 b) { return float_choice(a, b, greatest, nan); },
            absolute ? 0x7fffffffU : 0xffffffffU);
      }
    }
  }
}

void add_masks(std::vector<WarpForm>& forms) {
  WarpForm active;
  active.opcode = "activemask.b32";
  active.outputs = {4};
  active.text = "$Gactivemask.b32 %0;";
  active.reference = [](const std::vector<Lanes>&, u32 members) {
    return std::vector<Lanes>{everywhere(members)};
  };
  forms.push_back(active);
  WarpForm elect;
  elect.opcode = "elect.sync";
  elect.outputs = {4, 0};
  elect.text = "$Gelect.sync %0|%1, $m;";
  elect.reference = [](const std::vector<Lanes>&, u32 members) {
    const auto leader = static_cast<std::size_t>(std::countr_zero(members));
    std::vector<Lanes> out{everywhere(leader), everywhere(0)};
    out[1][leader] = 1;
    return out;
  };
  forms.push_back(elect);
  // The others read after the barrier what a member wrote before it.
  WarpForm sync;
  sync.opcode = "bar.warp.sync";
  sync.inputs = {"b32"};
  sync.outputs = {4};
  sync.text =
      "mad.lo.u32 t, lane, 4, base; $Gst.shared.b32 [t], $0; $Gbar.warp.sync $m; brev.b32 u, $m; "
      "bfind.shiftamt.u32 u, u; mad.lo.u32 u, u, 4, base; $Gld.shared.b32 %0, [u];";
  sync.reference = [](const std::vector<Lanes>& in, u32 members) {
    return std::vector<Lanes>{everywhere(in[0][static_cast<std::size_t>(std::countr_zero(members))])};
  };
  forms.push_back(sync);
}

}  // namespace

std::vector<WarpForm> warp_forms() {
  std::vector<WarpForm> forms;
  add_shuffles(forms);
  add_votes(forms);
  add_matches(forms);
  add_reductions(forms);
  add_masks(forms);
  return forms;
}

std::vector<WarpForm> barrier_forms() {
  std::vector<WarpForm> forms;
  for (const std::string name : {"bar", "barrier", "barrier.cta", "bar.cta"}) {
    for (const std::string aligned : {"", ".aligned"}) {
      if (!aligned.empty() && !name.starts_with("barrier")) {
        continue;
      }
      for (const std::string operands : {"1", "1, 32", "u", "u, t"}) {
        const std::string set = "mov.u32 u, 1; mov.u32 t, 32; ";
        for (const bool arrives : {false, true}) {
          if (arrives && operands.find(',') == std::string::npos) {
            continue;
          }
          // A warp alone cannot wait for what it arrived at, so arriving leaves the barrier to the next use.
          WarpForm form;
          form.opcode = name + (arrives ? ".arrive" : ".sync") + aligned;
          form.whole = true;
          form.inputs = {"b32"};
          form.outputs = {4};
          form.text = set + "mad.lo.u32 at_word, lane, 4, base; st.shared.b32 [at_word], $0; " + form.opcode +
                      " " + operands +
                      "; xor.b32 u, lane, 31; mad.lo.u32 u, u, 4, base; ld.shared.b32 %0, [u];";
          form.text = ".reg .u32 at_word; " + form.text;
          form.reference = [](const std::vector<Lanes>& in, u32) {
            std::vector<Lanes> out(1);
            for (std::size_t lane = 0; lane < warp_size; ++lane) {
              out[0][lane] = in[0][lane ^ 31U];
            }
            return out;
          };
          forms.push_back(form);
        }
        for (const std::string what : {".popc", ".and", ".or"}) {
          for (const bool inverted : {false, true}) {
            const bool counts = what == ".popc";
            WarpForm form;
            form.opcode = name + ".red" + what + aligned + (counts ? ".u32" : ".pred");
            form.whole = true;
            form.inputs = {"pred"};
            form.outputs = {counts ? 4U : 0U};
            form.text = set + form.opcode + " %0, " + operands + ", " + (inverted ? "!" : "") + "$0;";
            form.reference = [=](const std::vector<Lanes>& in, u32) {
              u64 count = 0;
              for (const u64 value : in[0]) {
                count += u64{(value != 0) != inverted};
              }
              return std::vector<Lanes>{everywhere(counts           ? count
                                                   : what == ".and" ? u64{count == warp_size}
                                                                    : u64{count != 0})};
            };
            forms.push_back(form);
          }
        }
      }
    }
  }
  return forms;
}

}  // namespace kerncast::conformance
