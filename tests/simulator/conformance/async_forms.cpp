#include <fmt/format.h>

#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/integer_reference.hpp"

// cp.async with its zero fill, bulk copies, and the states of an mbarrier.
namespace kerncast::conformance {

namespace {

constexpr const char* fill =
    "st.global.b64 [gcell], $a; st.global.b64 [gcell+8], $b; st.shared.b64 [scell], -1; st.shared.b64 "
    "[scell+8], -1; ";
constexpr const char* read_back = " $Gld.shared.b64 $d, [scell]; $Gld.shared.b64 $f, [scell+8];";

/// The first `bytes` of 16 come from the source up to `real`, then zeros; the rest keeps its ones.
Outputs copied(const Inputs& in, u64 bytes, u64 real) {
  Outputs result{};
  for (unsigned i = 0; i < 16; ++i) {
    const u64 byte = i >= bytes ? 0xff : i < real ? in[i / 8] >> (8 * (i % 8)) & 0xffU : 0;
    result[i / 8] |= byte << (8 * (i % 8));
  }
  return result;
}

void add_async_copies(std::vector<Form>& forms) {
  for (const char* modifiers :
       {".ca.shared.global", ".ca.shared::cta.global", ".ca.shared.global.L2::128B",
        ".ca.shared.global.L2::64B", ".ca.shared.global.L2::256B", ".cg.shared.global",
        ".cg.shared.global.L2::128B", ".cg.shared::cta.global.L2::64B", ".cg.shared.global.L2::cache_hint"}) {
    const std::string name = modifiers;
    const bool hinted = name.ends_with("cache_hint");
    for (const u64 bytes : {4U, 8U, 16U}) {
      if (bytes != 16 && name[2] == 'g') {
        continue;
      }
      for (const int size : {0, 1, 2}) {
        Form form;
        form.opcode = "cp.async" + name;
        form.inputs = {"b64", "b64"};
        form.outputs = {8, 8};
        form.constants = false;
        form.before = std::string(fill) + (hinted ? "createpolicy.fractional.L2::evict_first.b64 g8; " : "");
        form.operands =
            fmt::format("[scell], [gcell], {}{}{}", bytes, size == 0 ? "" : ", $c", hinted ? ", g8" : "");
        form.after = std::string(bytes == 16 ? " cp.async.commit_group; cp.async.wait_group 0;"
                                             : " cp.async.wait_all;") +
                     read_back;
        if (size == 1) {
          form.inputs.emplace_back("size" + std::to_string(bytes));
        } else if (size == 2) {
          form.inputs.emplace_back("pred");
        }
        form.reference = [=](const Inputs& in) {
          return copied(in, bytes, size == 0 ? bytes : size == 1 ? in[2] : in[2] != 0 ? 0 : bytes);
        };
        forms.push_back(form);
      }
    }
  }
}

void add_bulk_copies(std::vector<Form>& forms) {
  const std::string barrier =
      "{ .reg .b64 state; .reg .pred done; mbarrier.init.shared.b64 [scell+16], 1; "
      "mbarrier.arrive.expect_tx.shared.b64 state, [scell+16], 16; ";
  const std::string wait =
      "mbarrier.test_wait.shared.b64 done, [scell+16], state; selp.b64 state, 0, -1, done; ";
  for (const char* shared : {"shared::cluster", "shared::cta"}) {
    Form form;
    form.opcode = std::string("cp.async.bulk.") + shared + ".global.mbarrier::complete_tx::bytes";
    form.inputs = {"b64", "b64"};
    form.outputs = {8, 8};
    form.constants = false;
    form.guards = false;
    form.text = barrier + fill + form.opcode + " [scell], [gcell], 16, [scell+16]; " + wait +
                "ld.shared.b64 $d, [scell]; ld.shared.b64 $f, [scell+8]; or.b64 $d, $d, state; }";
    form.reference = [](const Inputs& in) { return Outputs{in[0], in[1]}; };
    forms.push_back(form);
    if (form.opcode.find("::cta") == std::string::npos) {
      form.opcode = "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes";
      form.text = barrier + "st.shared.b64 [scell+32], $a; st.shared.b64 [scell+40], $b; " + form.opcode +
                  " [scell], [scell+32], 16, [scell+16]; " + wait +
                  "ld.shared.b64 $d, [scell]; ld.shared.b64 $f, [scell+8]; or.b64 $d, $d, state; }";
      forms.push_back(form);
    }
  }
  Form form;
  form.opcode = "cp.async.bulk.global.shared::cta.bulk_group";
  form.inputs = {"b64", "b64"};
  form.outputs = {8, 8};
  form.constants = false;
  form.guards = false;
  form.text = "{ st.shared.b64 [scell], $a; st.shared.b64 [scell+8], $b; " + form.opcode +
              " [gcell], [scell], 16; cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0; "
              "cp.async.bulk.wait_group 0; ld.global.b64 $d, [gcell]; ld.global.b64 $f, [gcell+8]; }";
  form.reference = [](const Inputs& in) { return Outputs{in[0], in[1]}; };
  forms.push_back(form);
}

/// `steps` on a barrier of the thread's own at [scell]; d and f are what they leave there.
void add_states(std::vector<Form>& forms, const std::string& opcode, const std::string& steps, u64 d, u64 f) {
  Form form;
  form.opcode = opcode;
  form.inputs = {"b16"};
  form.outputs = {4, 4};
  form.guards = false;
  form.text = "{ .reg .b64 s, u; .reg .pred p, q, r; " + steps + " }";
  form.reference = [=](const Inputs&) { return Outputs{d, f}; };
  forms.push_back(form);
}

std::string seen(const char* from, const char* to) {
  return fmt::format("selp.u32 {}, 1, 0, {}; ", to, from);
}

void add_barrier_states(std::vector<Form>& forms) {
  for (const std::string space : {".shared", ".shared::cta", ""}) {
    const std::string cell = space.empty() ? "[at]" : "[scell]";
    const std::string start = space.empty() ? "cvta.shared.u64 at, scell; " : "";
    const auto name = [&](const std::string& what) { return "mbarrier." + what + space + ".b64"; };
    const auto init = [&](unsigned count) {
      return start + name("init") + " " + cell + ", " + std::to_string(count) + "; ";
    };
    const std::string both_seen = seen("p", "$d") + seen("q", "$f");
    // Two arrivals complete a phase of two, one does not.
    const std::string arrive = name("arrive") + " s, " + cell + "; ";
    const auto test = [&](const std::string& what, const char* to, const char* which) {
      return name(what) + " " + to + ", " + cell + ", " + which + "; ";
    };
    for (const std::string what : {"test_wait", "try_wait"}) {
      add_states(forms, name(what),
                 init(2) + arrive + test(what, "p", "s") + arrive + test(what, "q", "s") + both_seen, 0, 1);
      add_states(
          forms, name(what + ".parity"),
          init(1) + test(what + ".parity", "p", "0") + arrive + test(what + ".parity", "q", "0") + both_seen,
          0, 1);
      // The phase before the first counts as done: parity 1. After two phases the parity is 0 again.
      add_states(forms, name(what + ".parity"),
                 init(1) + test(what + ".parity", "p", "1") + arrive + arrive +
                     test(what + ".parity", "q", "0") + both_seen,
                 1, 0);
      for (const char* order : {".acquire.cta", ".relaxed.cta", ".acquire.cluster"}) {
        const std::string ordered = "mbarrier." + what + order + space + ".b64";
        add_states(forms, ordered,
                   init(1) + arrive + ordered + " p, " + cell + ", s; setp.ne.u32 q, 0, 0; " + both_seen, 1,
                   0);
      }
    }
    add_states(forms, "mbarrier.try_wait" + space + ".b64",
               init(1) + arrive + "mbarrier.try_wait" + space + ".b64 p, " + cell +
                   ", s, 1000; setp.ne.u32 q, 0, 0; " + both_seen,
               1, 0);
    add_states(forms, name("arrive"),
               init(3) + name("arrive") + " s, " + cell + ", 2; " + test("test_wait", "p", "s") +
                   name("arrive") + " _, " + cell + "; " + test("test_wait", "q", "s") + both_seen,
               0, 1);
    for (const char* order : {".release.cta", ".relaxed.cta", ".release.cluster"}) {
      const std::string ordered = std::string("mbarrier.arrive") + order + space + ".b64";
      add_states(forms, ordered,
                 init(1) + ordered + " s, " + cell + "; " + test("test_wait", "p", "s") +
                     "setp.ne.u32 q, 0, 0; " + both_seen,
                 1, 0);
    }
    // Dropping lowers the count of the phases to come: two, then one.
    const std::string drop = name("arrive_drop") + " u, " + cell + "; ";
    add_states(forms, name("arrive_drop"),
               init(2) + drop + test("test_wait", "p", "u") + arrive + arrive + test("test_wait", "q", "s") +
                   both_seen,
               0, 1);
    add_states(forms, name("arrive_drop"),
               init(3) + name("arrive_drop") + " u, " + cell + ", 2; " + arrive +
                   test("test_wait", "p", "u") + arrive + test("test_wait", "q", "s") + both_seen,
               1, 1);
    // noComplete never ends a phase.
    add_states(forms, name("arrive.noComplete"),
               init(2) + name("arrive.noComplete") + " u, " + cell + ", 1; " + test("test_wait", "p", "u") +
                   arrive + test("test_wait", "q", "u") + both_seen,
               0, 1);
    add_states(forms, name("arrive_drop.noComplete"),
               init(3) + name("arrive_drop.noComplete") + " u, " + cell + ", 2; " + arrive +
                   test("test_wait", "p", "u") + arrive + test("test_wait", "q", "s") + both_seen,
               1, 1);
    // Bytes still expected hold the phase open.
    const std::string complete = name("complete_tx") + " " + cell + ", 16; ";
    add_states(forms, name("expect_tx"),
               init(1) + name("expect_tx") + " " + cell + ", 16; " + arrive + test("test_wait", "p", "s") +
                   complete + test("test_wait", "q", "s") + both_seen,
               0, 1);
    add_states(forms, name("complete_tx"),
               init(1) + name("expect_tx") + " " + cell + ", 32; " + arrive + complete +
                   test("test_wait", "p", "s") + complete + test("test_wait", "q", "s") + both_seen,
               0, 1);
    add_states(forms, name("arrive.expect_tx"),
               init(1) + name("arrive.expect_tx") + " s, " + cell + ", 16; " + test("test_wait", "p", "s") +
                   complete + test("test_wait", "q", "s") + both_seen,
               0, 1);
    add_states(forms, name("arrive_drop.expect_tx"),
               init(2) + name("arrive_drop.expect_tx") + " u, " + cell + ", 16; " + arrive +
                   test("test_wait", "p", "u") + complete + arrive + test("test_wait", "q", "s") + both_seen,
               0, 1);
    add_states(forms, "mbarrier.pending_count.b64",
               init(5) + arrive + "mbarrier.pending_count.b64 $d, s; " + arrive +
                   "mbarrier.pending_count.b64 $f, s; ",
               5, 4);
    // A barrier that was given up can be set up anew.
    add_states(forms, name("inval"),
               init(2) + arrive + name("inval") + " " + cell + "; " + init(1) + arrive +
                   test("test_wait", "p", "s") + "setp.ne.u32 q, 0, 0; " + both_seen,
               1, 0);
    add_states(
        forms, name("init"),
        init(1) + arrive + test("test_wait", "p", "s") + test("test_wait.parity", "q", "1") + both_seen, 1,
        0);
    // Copies arrive by themselves: without .noinc the count first rises for it.
    const std::string noted = "cp.async.mbarrier.arrive" + space + ".b64";
    add_states(forms, noted,
               init(1) + noted + " " + cell + "; cp.async.wait_all; " + name("test_wait.parity") + " p, " +
                   cell + ", 0; " + arrive + test("test_wait", "q", "s") + both_seen,
               0, 1);
    const std::string counted = "cp.async.mbarrier.arrive.noinc" + space + ".b64";
    add_states(forms, counted,
               init(2) + counted + " " + cell + "; cp.async.wait_all; " + name("test_wait.parity") + " p, " +
                   cell + ", 0; " + arrive + test("test_wait", "q", "s") + both_seen,
               0, 1);
  }
}

}  // namespace

std::vector<Form> async_forms() {
  std::vector<Form> forms;
  add_async_copies(forms);
  add_bulk_copies(forms);
  add_barrier_states(forms);
  return forms;
}

}  // namespace kerncast::conformance
