#include <bit>

#include "tests/simulator/conformance/warp_form.hpp"

// Branches, generic addresses, the stack, fences and hints, special registers.
namespace kerncast::conformance {

namespace {

Form plain(const std::string& opcode, const std::string& text, std::vector<std::string> inputs,
           std::vector<unsigned> outputs, std::function<Outputs(const Inputs&)> reference) {
  Form form;
  form.opcode = opcode;
  form.text = "{ " + text + " }";
  form.inputs = std::move(inputs);
  form.outputs = std::move(outputs);
  form.reference = std::move(reference);
  form.constants = false;
  form.guards = false;
  return form;
}

void add_branches(std::vector<Form>& forms) {
  const auto skipped = [](const Inputs& in) { return Outputs{in[1] != 0 ? in[0] : ~in[0]}; };
  forms.push_back(
      plain("bra", "mov.b32 $d, $a; @$b bra over; not.b32 $d, $a; over: ", {"b32", "pred"}, {4}, skipped));
  forms.push_back(
      plain("bra", "not.b32 $d, $a; @!$b bra over; mov.b32 $d, $a; over: ", {"b32", "pred"}, {4}, skipped));
  forms.push_back(plain("bra.uni", "mov.b32 $d, $a; bra.uni over; not.b32 $d, $a; over: ", {"b32"}, {4},
                        [](const Inputs& in) { return Outputs{in[0]}; }));
  // Every lane makes as many rounds as the lowest bits of its operand say, and then leaves the loop.
  forms.push_back(
      plain("bra",
            "and.b32 t, $a, 15; mov.b32 $d, 1; again: mad.lo.u32 $d, $d, 3, t; setp.ne.u32 pf, t, 0; "
            "sub.u32 t, t, 1; @pf bra again; ",
            {"b32"}, {4}, [](const Inputs& in) {
              u64 value = 1;
              for (u64 left = in[0] & 15U;; --left) {
                value = value * 3 + left;
                if (left == 0) {
                  return Outputs{value};
                }
              }
            }));
  for (const std::string opcode : {"brx.idx", "brx.idx.uni"}) {
    const bool uniform = opcode.ends_with("uni");
    forms.push_back(plain(opcode,
                          std::string(uniform ? "mov.u32 t, 1; " : "rem.u32 t, $a, 3; ") +
                              "targets: .branchtargets zero, one, two; " + opcode +
                              " t, targets; zero: mov.u32 $d, 10; bra done; one: mov.u32 $d, 11; bra done; "
                              "two: mov.u32 $d, 12; done: ",
                          {"u32"}, {4},
                          [uniform](const Inputs& in) { return Outputs{10 + (uniform ? 1 : in[0] % 3)}; }));
  }
}

struct Memory {
  const char* space;
  const char* address;  ///< instructions that leave its generic address in `at`
};

constexpr std::array<Memory, 5> memories{{{"shared", "cvta.shared.u64 at, scell;"},
                                          {"local", "cvta.local.u64 at, lcell;"},
                                          {"global", "cvta.global.u64 at, gcell;"},
                                          {"const", "mov.u64 at, table; cvta.const.u64 at, at;"},
                                          {"param", "mov.b64 at, ptable; cvta.param.u64 at, at;"}}};

void add_addresses(std::vector<Form>& forms) {
  for (const Memory& memory : memories) {
    for (const std::string asked :
         {"shared", "shared::cta", "shared::cluster", "local", "global", "const", "param", "param::entry"}) {
      // The program's constant memory lies in global memory here, so isspacep is true for both.
      const std::string space = memory.space;
      if ((space == "const" || space == "param") && asked != "shared" && asked != "local") {
        continue;
      }
      if ((asked == "const" || asked.starts_with("param")) && space == "global") {
        continue;
      }
      const bool holds = asked.starts_with(space);
      forms.push_back(plain("isspacep." + asked,
                            std::string(memory.address) + " isspacep." + asked + " $d, at;", {"b16"}, {0},
                            [holds](const Inputs&) { return Outputs{u64{holds}}; }));
    }
  }
  for (const std::string space : {"shared", "shared::cta", "shared::cluster", "local", "global"}) {
    const std::string cell = space == "local" ? "lcell" : space == "global" ? "gcell" : "scell";
    const std::string plain_space = space.starts_with("shared") ? "shared" : space;
    forms.push_back(plain("cvta." + space + ".u64",
                          "cvta." + space + ".u64 at, " + cell + "; st.u32 [at], $a; ld." + plain_space +
                              ".u32 $d, [" + cell + "];",
                          {"b32"}, {4}, [](const Inputs& in) { return Outputs{in[0]}; }));
    forms.push_back(plain("cvta.to." + space + ".u64",
                          "cvta." + space + ".u64 at, " + cell + "; cvta.to." + space +
                              ".u64 at, at; sub.u64 $d, at, " + cell + ";",
                          {"b16"}, {8}, [](const Inputs&) { return Outputs{0}; }));
  }
  for (const std::string space : {"const", "param", "param::entry"}) {
    const std::string name = space == "const" ? "table" : "ptable";
    const auto first = [](const Inputs&) { return Outputs{0x84838281}; };
    forms.push_back(plain("cvta." + space + ".u64",
                          "mov.b64 at, " + name + "; cvta." + space + ".u64 at, at; ld.u32 $d, [at];",
                          {"b16"}, {4}, first));
    forms.push_back(plain("cvta.to." + space + ".u64",
                          "mov.b64 at, " + name + "; cvta." + space + ".u64 at, at; cvta.to." + space +
                              ".u64 at, at; ld." + space + ".u32 $d, [at];",
                          {"b16"}, {4}, first));
  }
}

void add_stack(std::vector<Form>& forms) {
  const auto kept = [](const Inputs& in) { return Outputs{in[0], in[1]}; };
  forms.push_back(plain(
      "alloca.u64",
      ".reg .u64 x, y; alloca.u64 x, 16; alloca.u64 y, 16, 16; st.local.u64 [x], $a; st.local.u64 [y], $b; "
      "ld.local.u64 $d, [x]; ld.local.u64 $f, [y];",
      {"b64", "b64"}, {8, 8}, kept));
  for (const char* opcode : {"stacksave.u64", "stackrestore.u64"}) {
    // After the stack is restored, alloca gives out the same memory again.
    forms.push_back(
        plain(opcode,
              ".reg .u64 x, y, s; stacksave.u64 s; alloca.u64 x, 32; stackrestore.u64 s; alloca.u64 y, 32; "
              "st.local.u64 [x], $a; ld.local.u64 $d, [y]; sub.u64 $f, x, y; add.u64 $f, $f, $b;",
              {"b64", "b64"}, {8, 8}, kept));
  }
}

/// Instructions that change no value: what comes before and after them must stay as it is.
void add_silent(std::vector<Form>& forms) {
  const auto silent = [&](const std::string& opcode, const std::string& operands,
                          const std::string& before = "") {
    forms.push_back(plain(opcode,
                          before + "st.global.u32 [gcell], $a; " + opcode + " " + operands +
                              "; ld.global.u32 $d, [gcell]; mov.u32 $f, $a;",
                          {"b32"}, {4, 4}, [](const Inputs& in) { return Outputs{in[0], in[0]}; }));
  };
  for (const char* scope : {".cta", ".cluster", ".gpu", ".sys"}) {
    silent(std::string("fence") + scope, "");
    for (const char* order : {".sc", ".acq_rel", ".acquire", ".release"}) {
      silent(std::string("fence") + order + scope, "");
    }
  }
  silent("fence.mbarrier_init.release.cluster", "");
  for (const char* proxy :
       {".alias", ".async", ".async.global", ".async.shared::cta", ".async.shared::cluster"}) {
    silent(std::string("fence.proxy") + proxy, "");
  }
  silent("membar.proxy.alias", "");
  for (const char* order : {".acquire", ".release"}) {
    const bool acquires = order[1] == 'a';
    silent(std::string("fence") + order +
               (acquires ? ".sync_restrict::shared::cluster.cluster" : ".sync_restrict::shared::cta.cluster"),
           "");
    silent(std::string("fence.proxy.async::generic") + order +
               (acquires ? ".sync_restrict::shared::cluster.cluster" : ".sync_restrict::shared::cta.cluster"),
           "");
  }
  for (const char* scope : {".cta", ".gl", ".sys"}) {
    silent(std::string("membar") + scope, "");
  }
  for (const char* opcode :
       {"prefetch.global.L1", "prefetch.global.L2", "prefetch.global.L2::evict_last",
        "prefetch.global.L2::evict_normal", "prefetch.L1", "prefetch.L2", "prefetchu.L1"}) {
    silent(opcode, "[gcell]");
  }
  silent("prefetch.local.L1", "[lcell]");
  silent("prefetch.local.L2", "[lcell]");
  silent("cp.async.bulk.prefetch.L2.global", "[gcell], 16");
  silent("applypriority.global.L2::evict_normal", "[at], 128", "and.b64 at, gcell, -128; ");
  silent("applypriority.L2::evict_normal", "[at], 128", "and.b64 at, gcell, -128; ");
  silent("nanosleep.u32", "20");
  silent("nanosleep.u32", "t", "mov.u32 t, 5; ");
  silent("griddepcontrol.wait", "");
  silent("griddepcontrol.launch_dependents", "");
  silent("pmevent", "7");
  silent("cp.async.commit_group", "");
  silent("cp.async.wait_all", "");
  silent("cp.async.wait_group", "1");
  silent("cp.async.bulk.commit_group", "");
  silent("cp.async.bulk.wait_group", "0");
  silent("cp.async.bulk.wait_group.read", "0");
  silent("setmaxnreg.inc.sync.aligned.u32", "160");
  silent("setmaxnreg.dec.sync.aligned.u32", "40");
  const std::string policy = ".reg .b64 x; ";
  for (const char* first : {"L2::evict_last", "L2::evict_normal", "L2::evict_first", "L2::evict_unchanged"}) {
    silent(std::string("createpolicy.fractional.") + first + ".b64", "x, 1.0", policy);
    silent(std::string("createpolicy.fractional.") + first + ".L2::evict_unchanged.b64", "x, 0.5", policy);
    silent(std::string("createpolicy.range.global.") + first + ".b64", "x, [gcell], 16, 32", policy);
    silent(std::string("createpolicy.range.") + first + ".L2::evict_first.b64", "x, [gcell], 16, 32", policy);
  }
  silent("createpolicy.cvt.L2.b64", "x, 0", policy);
  // The contents are undefined afterwards, so something else is looked at.
  forms.push_back(plain("discard.global.L2",
                        "and.b64 at, gcell, -128; discard.global.L2 [at], 128; mov.u32 $d, $a;", {"b32"}, {4},
                        [](const Inputs& in) { return Outputs{in[0]}; }));
  forms.push_back(plain("discard.L2", "and.b64 at, gcell, -128; discard.L2 [at], 128; mov.u32 $d, $a;",
                        {"b32"}, {4}, [](const Inputs& in) { return Outputs{in[0]}; }));
}

}  // namespace

std::vector<Form> control_forms() {
  std::vector<Form> forms;
  add_branches(forms);
  add_addresses(forms);
  add_stack(forms);
  add_silent(forms);
  return forms;
}

std::vector<WarpForm> special_forms() {
  struct Register {
    const char* name;
    std::function<u64(u64 lane)> value;
  };
  const auto fixed = [](u64 value) { return [value](u64) { return value; }; };
  const std::vector<Register> registers{{"%laneid", [](u64 lane) { return lane; }},
                                        {"%tid.x", [](u64 lane) { return lane; }},
                                        {"%tid.y", fixed(0)},
                                        {"%tid.z", fixed(0)},
                                        {"%ntid.x", fixed(32)},
                                        {"%ntid.y", fixed(1)},
                                        {"%ntid.z", fixed(1)},
                                        {"%ctaid.y", fixed(0)},
                                        {"%ctaid.z", fixed(0)},
                                        {"%nctaid.x", fixed(96)},
                                        {"%nctaid.y", fixed(1)},
                                        {"%nctaid.z", fixed(1)},
                                        {"%warpid", fixed(0)},
                                        {"%dynamic_smem_size", fixed(0)},
                                        {"%total_smem_size", fixed(4096)},
                                        {"%lanemask_eq", [](u64 lane) { return u64{1} << lane; }},
                                        {"%lanemask_lt", [](u64 lane) { return (u64{1} << lane) - 1; }},
                                        {"%lanemask_le", [](u64 lane) { return (u64{2} << lane) - 1; }},
                                        {"%lanemask_ge", [](u64 lane) { return ~((u64{1} << lane) - 1); }},
                                        {"%lanemask_gt", [](u64 lane) { return ~((u64{2} << lane) - 1); }}};
  std::vector<WarpForm> forms;
  for (const Register& entry : registers) {
    WarpForm form;
    form.opcode = "mov.u32";
    form.outputs = {4};
    form.text = std::string("mov.u32 %0, ") + entry.name + ";";
    form.reference = [value = entry.value](const std::vector<Lanes>&, u32) {
      std::vector<Lanes> out(1);
      for (std::size_t lane = 0; lane < warp_size; ++lane) {
        out[0][lane] = value(lane) & 0xffffffffU;
      }
      return out;
    };
    forms.push_back(form);
  }
  // Lanes that leave take no part in what follows.
  for (const char* opcode : {"exit", "ret", "ret.uni"}) {
    WarpForm form;
    form.opcode = opcode;
    form.outputs = {4};
    form.text = std::string("@!guard ") + opcode + "; activemask.b32 %0;";
    form.reference = [](const std::vector<Lanes>&, u32 members) {
      std::vector<Lanes> out(1);
      out[0].fill(members);
      return out;
    };
    forms.push_back(form);
  }
  return forms;
}

}  // namespace kerncast::conformance
