#include "runtime/simulator/ptx/syntax/parser.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulator/machine/machine.hpp"

using namespace kerncast::simulator;

namespace {

constexpr std::string_view header = ".version 8.6\n.target sm_90a, debug\n.address_size 64\n";

/// The statements of a function's body, of which only the kinds are kept.
std::vector<Statement::Kind> kinds_of(const std::string& body) {
  const std::string text = std::string(header) + ".func f() {" + body + "}";
  Parser parser(text);
  parser.parse_header();
  Directive directive;
  REQUIRE(parser.next_directive(directive));
  REQUIRE(directive.function.has_body);
  std::vector<Statement::Kind> kinds;
  for (Statement statement; parser.next_statement(statement);) {
    kinds.push_back(statement.kind);
  }
  CHECK_FALSE(parser.next_directive(directive));
  return kinds;
}

/// The only statement of a body.
void parse_one(const std::string& text, Statement& statement) {
  Parser parser(text);
  parser.parse_header();
  Directive directive;
  REQUIRE(parser.next_directive(directive));
  REQUIRE(parser.next_statement(statement));
}

}  // namespace

TEST_CASE("the header says target and version") {
  Parser parser(header);
  const ModuleHeader parsed = parser.parse_header();
  CHECK(parsed.target.sm == 90);
  CHECK(parsed.target.suffix == 'a');
  CHECK(parsed.target.version == 86);
  CHECK(parsed.target_line == 2);
  CHECK_THROWS_AS(Parser(".target sm_90").parse_header(), DecodeError);
}

TEST_CASE("declarations give types, sizes and initial values without looking names up") {
  const std::string text = std::string(header) +
                           ".global .align 16 .b32 a[2][3] = {{1, -2}, 3}, b = 4;\n"
                           ".const .u64 p[] = {generic(a)+8, nowhere};\n";
  Parser parser(text);
  parser.parse_header();
  Directive directive;
  REQUIRE(parser.next_directive(directive));
  REQUIRE(directive.variables.size() == 2);
  const VariableDeclaration& a = directive.variables[0];
  CHECK(a.space == Space::global);
  CHECK(a.type.align == 16);
  CHECK(a.size == 24);
  REQUIRE(a.values.size() == 3);
  CHECK(a.values[1].minus);
  CHECK(directive.variables[1].name == "b");
  REQUIRE(parser.next_directive(directive));
  const VariableDeclaration& p = directive.variables.at(0);
  CHECK(p.open);
  REQUIRE(p.values.size() == 2);
  CHECK(p.values[0].generic);
  CHECK(p.values[0].bits == 8);
  CHECK(p.values[1].name == "nowhere");
}

TEST_CASE("a body is a sequence of statements") {
  using Kind = Statement::Kind;
  CHECK(kinds_of(".reg .b32 r<4>; ; .loc 1 2 3\n L: { mov.u32 r0, 1; } @!p bra L; .shared .b8 s[4];\n"
                 "T: .branchtargets L, L; P: .callprototype _ (.param .b32 _); call (r), f, (a), P;") ==
        std::vector<Kind>{Kind::registers, Kind::label, Kind::block_begin, Kind::instruction, Kind::block_end,
                          Kind::instruction, Kind::variables, Kind::branch_targets, Kind::prototype,
                          Kind::call});
  CHECK_THROWS_AS(kinds_of("mov.u32 r0, 1"), DecodeError);
}

TEST_CASE("operands are taken apart and left unresolved") {
  const std::string text =
      std::string(header) + ".func f() { @!p op.x.y {a, 2, _}, [b+-4], c|d, e-8, !q, -1.5; }";
  Statement statement;
  parse_one(text, statement);
  const Instruction& parsed = statement.instruction;
  CHECK(parsed.guarded);
  CHECK(parsed.guard_negated);
  CHECK(parsed.guard_name == "p");
  CHECK(parsed.mods.base() == "op");
  REQUIRE(parsed.count == 6);
  CHECK(parsed.operands[0].kind == Operand::Kind::vector);
  CHECK(parsed.operands[0].count == 3);
  CHECK(parsed.operands[0].parts[1].bits == 2);
  CHECK(parsed.operands[1].kind == Operand::Kind::address);
  CHECK(parsed.operands[1].offset == -4);
  CHECK(parsed.operands[2].pair.text == "d");
  CHECK(parsed.operands[3].one().has_offset);
  CHECK(parsed.operands[3].one().bits == ~std::uint64_t{7});
  CHECK(parsed.operands[4].one().negated);
  CHECK(parsed.operands[5].one().float_bytes == 8);
  for (const std::size_t i : {2U, 3U, 4U}) {
    CHECK(parsed.operands[i].one().kind == Scalar::Kind::name);
  }
}
