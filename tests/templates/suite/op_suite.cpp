#include "tests/templates/suite/op_suite.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <deque>
#include <string>

namespace kerncast::test {
namespace {

class Check : public Catch::ITestInvoker {
 public:
  Check(std::string_view op, const Behaviour& behaviour) : op_(op), behaviour_(behaviour) {}
  void invoke() const override { behaviour_.check(OpRegistry::instance().require(op_)); }

 private:
  std::string_view op_;
  const Behaviour& behaviour_;
};

std::string_view name_of(Extent extent) {
  switch (extent) {
    case Extent::definition:
      return "definition";
    case Extent::small:
      return "small";
    case Extent::wide:
      break;
  }
  return "wide";
}

/// Makes a test case of each behaviour of each op.
class Registration {
 public:
  Registration() {
    for (const std::string_view op : op_folders()) {
      add(op, definition_behaviours());
      add(op, launch_behaviours());
    }
  }

 private:
  void add(std::string_view op, std::span<const Behaviour> behaviours) {
    const std::string_view family = op.substr(0, op.find('.'));
    for (const Behaviour& behaviour : behaviours) {
      const std::string title = fmt::format("{} {}", op, behaviour.title);
      const std::string tags = fmt::format("[{}][{}][{}]", op, family, name_of(behaviour.extent));
      cases_.emplace_back(new Check(op, behaviour), CATCH_INTERNAL_LINEINFO, Catch::StringRef(),
                          Catch::NameAndTags{title, tags});
    }
  }

  std::deque<Catch::AutoReg> cases_;
};

const Registration registration;

}  // namespace
}  // namespace kerncast::test
