#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "runtime/dispatch/tunables/launch_defect.hpp"
#include "tests/templates/suite/derived_cases.hpp"
#include "tests/templates/suite/op_suite.hpp"
#include "tests/templates/suite/typed_calls.hpp"

namespace kerncast::test {
namespace {

constexpr std::int64_t few_rows = 5;

/// Makes `test` launch with these tunables.
void launch_with(OpCase& test, const OpDefinition& op, const Tunables& tunables) {
  test.launch = [&op, tunables, copy = test](Runtime& on, const Views& views) {
    on.prepare(op, op.bind(bindings_of(copy, views)), tunables).launch(nullptr);
  };
}

/// The tunables of a call of few rows.
Tunables ordinary_tunables(const OpDefinition& op, const OpCase& test) {
  const Call call = bind_case(op, test);
  return op.default_tunables(call.spec, runtime().traits(0), few_rows);
}

/// The first `rows` of `tensor`'s rows, or all of it.
std::vector<std::byte> first_rows(const HostTensor& tensor, std::int64_t rows) {
  HostTensor part = tensor;
  part.shape.front() = std::min(part.shape.front(), rows);
  return elements_of(part);
}

/// The results have the same bits.
void check_same_bits(const OpDefinition& op, const OpCase& test, const Outcome& one, const Outcome& other) {
  for (const std::string& name : results_of(op, test)) {
    INFO(name);
    CHECK(elements_of(*one.input.tensor(name)) == elements_of(*other.input.tensor(name)));
  }
}

OpCase ordinary_case(const OpDefinition& op, std::int64_t rows = few_rows) {
  return derived_case(op, ordinary_settings(op), rows);
}

/// Widths whose rows many threads, few threads and few bytes at a time add up in turns.
constexpr std::array<std::int32_t, 3> long_widths = {4096 + 8, 9216 + 4, 20480};

/// The ordinary case, one with results in f32, whose bits show more, long rows of both, and other roundings.
std::vector<OpCase> cases_of_many_orders(const OpDefinition& op, std::int64_t rows) {
  std::vector<Settings> settings{ordinary_settings(op)};
  if (find_param(op, "y_dtype") >= 0) {
    settings.push_back(with_setting(settings.front(), "y_dtype", "f32"));
  }
  if (find_param(op, "hidden") >= 0) {
    for (std::size_t i = settings.size(); i-- > 0;) {
      for (const std::int32_t width : long_widths) {
        settings.push_back(with_setting(settings[i], "hidden", std::to_string(width)));
      }
    }
  }
  for (Settings& each : rounding_variants_of(op)) {
    settings.push_back(std::move(each));
  }
  std::vector<OpCase> cases;
  for (const Settings& each : settings) {
    if (std::optional<OpCase> test = try_derived_case(op, each, rows)) {
      cases.push_back(std::move(*test));
    }
  }
  return cases;
}

void check_repeats(const OpDefinition& op) {
  for (const std::int64_t rows : {few_rows, std::int64_t{150}}) {
    OpCase test = ordinary_case(op, rows);
    launch_with(test, op, ordinary_tunables(op, test));
    check_same_bits(op, test, require_good(test), require_good(test));
  }
}

void check_routes(const OpDefinition& op) {
  OpCase test = ordinary_case(op);
  const Outcome named = require_good(test);
  const auto check_route = [&](const std::function<void(Runtime&, const Views&)>& launch) {
    test.launch = launch;
    check_same_bits(op, test, named, require_good(test));
  };
  check_route(
      [&](Runtime& on, const Views& views) { on.dispatch(op, op.bind(bindings_of(test, views)), nullptr); });
  check_route([&](Runtime& on, const Views& views) {
    on.prepare(op, op.bind(bindings_of(test, views))).launch(nullptr);
  });
  const auto typed = std::find_if(typed_ops().begin(), typed_ops().end(),
                                  [&](const TypedOp& candidate) { return candidate.op == op.name; });
  REQUIRE(typed != typed_ops().end());
  CHECK(typed->bind(test, untouched_views(test)).spec == named.input.spec);
  check_route([&](Runtime& on, const Views& views) { typed->launch(on, test, views); });
  check_route([&](Runtime& on, const Views& views) { typed->prepare(on, test, views).launch(nullptr); });
}

/// Calls one after another, of which each may begin before the last has ended, leave what calls leave that
/// wait for each other: no kernel reads or writes before it has waited for the one ahead of it.
void check_chain(const OpDefinition& op) {
  for (const std::int64_t rows : {few_rows, std::int64_t{150}}) {
    OpCase test = ordinary_case(op, rows);
    const auto outcome_of = [&](bool waits) {
      test.launch = [&op, waits, copy = test](Runtime& on, const Views& views) {
        const Call call = op.bind(bindings_of(copy, views));
        for (int i = 0; i < 3; ++i) {
          on.dispatch(op, call, nullptr);
          if (waits) {
            synchronize();
          }
        }
      };
      Outcome outcome = run_case(test);
      CHECK(outcome.stray.empty());
      return outcome;
    };
    const Outcome apart = outcome_of(true);
    check_same_bits(op, test, apart, outcome_of(false));
  }
}

void check_few_rows(const OpDefinition& op) {
  require_good(ordinary_case(op, 1));
  const OpCase none = ordinary_case(op, 0);
  const Outcome outcome = require_good(none);
  for (const std::string& name : results_of(op, none)) {
    INFO(name);
    const HostTensor& tensor = *outcome.input.tensor(name);
    const std::vector<std::byte> elements = elements_of(tensor);
    const auto size = static_cast<std::size_t>(size_of(tensor.dtype));
    for (std::size_t i = 0; i < elements.size(); i += size) {
      // An output whose size does not depend on rows is written.
      CHECK_FALSE(std::all_of(elements.begin() + static_cast<std::ptrdiff_t>(i),
                              elements.begin() + static_cast<std::ptrdiff_t>(i + size),
                              [](std::byte b) { return b == std::byte{0xcd}; }));
    }
  }
}

/// Launches the op with `settings` but `name` set to one of `widths` after another. Returns how many it
/// takes.
int check_widths(const OpDefinition& op, const Settings& settings, const std::string& name,
                 std::initializer_list<std::int32_t> widths) {
  int taken = 0;
  for (const std::int32_t width : widths) {
    if (const auto test =
            try_derived_case(op, with_setting(settings, name, std::to_string(width)), few_rows)) {
      INFO(name << "=" << width);
      require_good(*test);
      ++taken;
    }
  }
  return taken;
}

void check_odd_widths(const OpDefinition& op) {
  const Settings ordinary = ordinary_settings(op);
  int taken = 0;
  for (const auto& [name, value] : ordinary) {
    const ParamSpec& param = op.params.at(static_cast<std::size_t>(find_param(op, name)));
    if (param.kind != ParamKind::integer || !param.allowed.empty()) {
      continue;
    }
    const std::int32_t unit = param.multiple_of;
    taken +=
        check_widths(op, ordinary, name, {unit, 3 * unit, 31 * unit, 33 * unit, 255 * unit, 1001 * unit});
  }
  // Some widths must be a multiple of another parameter, such as a group of 128.
  for (std::size_t i = 0; taken == 0 && i < ordinary.size(); ++i) {
    taken = check_widths(op, ordinary, ordinary[i].first, {3 * 128, 33 * 128});
  }
  CHECK(taken > 0);
}

/// True if the op says of the tensor called `name` that it need not be contiguous.
bool may_be_strided(const OpDefinition& op, const std::string& name) {
  return std::any_of(op.tensors.begin(), op.tensors.end(), [&](const TensorSpec& spec) {
    return spec.name == name && spec.doc.find("may be strided") != std::string::npos;
  });
}

/// Launches `test` with `beyond` elements between the rows of one tensor after another, if the tensor may
/// have such rows.
void check_row_stride(const OpDefinition& op, const OpCase& test, const Outcome& packed,
                      std::int64_t beyond) {
  const std::vector<std::string> of_rows = tensors_of_rows(op, test.params);
  CHECK_FALSE(of_rows.empty());
  for (const std::string& name : of_rows) {
    const TensorCase& tensor = tensor_in(test, name);
    if (tensor.shape.size() < 2) {
      continue;
    }
    std::int64_t row = 1;
    for (std::size_t i = 1; i < tensor.shape.size(); ++i) {
      row *= tensor.shape[i];
    }
    INFO("rows of " << name << " are " << row + beyond << " elements apart");
    const OpCase strided = with_row_stride(test, name, row + beyond);
    if (may_be_strided(op, name) || binds(op, strided)) {
      check_same_bits(op, test, packed, require_good(strided));
    }
  }
}

void check_strides(const OpDefinition& op) {
  const OpCase test = ordinary_case(op);
  const Outcome packed = require_good(test);
  check_row_stride(op, test, packed, 16);
  check_row_stride(op, test, packed, 1);
}

void check_far_rows(const OpDefinition& op) {
  const OpCase test = ordinary_case(op, 3);
  check_row_stride(op, test, require_good(test), huge_stride);
}

void check_offsets(const OpDefinition& op, const OpCase& test) {
  const Outcome aligned = require_good(test);
  for (const TensorCase& tensor : test.tensors) {
    if (!tensor.alias.empty() || is_scratch(tensor.name)) {
      continue;
    }
    for (const std::int64_t offset : {1, 2, 4}) {
      INFO(tensor.name << " lies " << offset << " elements past an aligned address");
      check_same_bits(op, test, aligned, require_good(with_offset(test, tensor.name, offset)));
    }
  }
}

void check_offsets(const OpDefinition& op) {
  for (const OpCase& test : cases_of_many_orders(op, 2)) {
    INFO(format_specialisation(op, bind_case(op, test).spec));
    check_offsets(op, test);
  }
}

/// A bit of an element of `type` whose flip no rounding excuses.
unsigned telling_bit(DType type) {
  switch (type) {
    case DType::f64:
    case DType::f32:
      return 8;
    case DType::f16:
    case DType::bf16:
      return 4;
    case DType::i32:
    case DType::i64:
      return 0;
    default:
      return 6;
  }
}

/// True if the elements of a result are sums of many products in f32, whose rounding errors cancellation can
/// make many units of the last place of f32.
bool sums_products(const OpDefinition& op) {
  return op.name == "moe.grouped_gemm";
}

/// The reference rejects every result in which a bit of an element that the op wrote is flipped. Four units
/// in the last place of a float are too far from most values, but within the error that cancellation allows
/// others. Where three units are allowed, as for the scales of a norm, eight are too far from every value.
void check_rejection(const OpDefinition& op, const OpCase& test) {
  const Outcome outcome = require_good(test);
  for (const std::string& name : results_of(op, test)) {
    const HostTensor& tensor = *outcome.input.tensor(name);
    const auto size = static_cast<std::size_t>(size_of(tensor.dtype));
    std::int64_t elements = 1;
    for (const std::int64_t extent : tensor.shape) {
      elements *= extent;
    }
    const bool is_long_sum = sums_products(op) && tensor.dtype == DType::f32;
    const unsigned telling = is_long_sum ? 14 : telling_bit(tensor.dtype);
    int flipped = 0;
    int fine_rejections = 0;
    int coarser_rejections = 0;
    for (std::int64_t i = 0; i < elements; i += std::max<std::int64_t>(1, elements / 13)) {
      const std::size_t at = byte_offset(tensor, i);
      const auto first = tensor.bytes.begin() + static_cast<std::ptrdiff_t>(at);
      const auto all = [&](std::byte value) {
        return std::all_of(first, first + static_cast<std::ptrdiff_t>(size),
                           [&](std::byte byte) { return byte == value; });
      };
      const bool is_float = telling_bit(tensor.dtype) > 2 && size > 1;
      // The op left the element alone, or a zero has no last place to speak of.
      if (all(std::byte{0xcd}) || (is_float && all(std::byte{0}))) {
        continue;
      }
      const auto verdict_after = [&](unsigned bit) {
        return verdict_after_flip(op.name, outcome, name, at + bit / 8, bit % 8);
      };
      INFO("element " << i << " of " << name);
      CHECK_FALSE(verdict_after(telling).ok);
      CHECK_FALSE(verdict_after(static_cast<unsigned>(8 * size - 2)).ok);
      fine_rejections += !is_float || !verdict_after(2).ok ? 1 : 0;
      coarser_rejections += !is_float || !verdict_after(3).ok ? 1 : 0;
      ++flipped;
    }
    INFO(name << ": " << fine_rejections << " and " << coarser_rejections << " of " << flipped);
    CHECK(flipped > 0);
    CHECK((is_long_sum || 2 * fine_rejections > flipped || coarser_rejections == flipped));
  }
}

void check_reference(const OpDefinition& op) {
  check_rejection(op, ordinary_case(op));
}

void check_variants(const OpDefinition& op) {
  for (const Settings& settings : variants_of(op)) {
    const OpCase test = derived_case(op, settings, few_rows);
    INFO(format_specialisation(op, bind_case(op, test).spec));
    check_rejection(op, test);
  }
}

void check_row_counts(const OpDefinition& op) {
  const OpCase most = ordinary_case(op, 600);
  const Tunables tunables = ordinary_tunables(op, most);
  const bool row_wise = is_row_wise(op, most.params);
  std::vector<OpCase> cases;
  for (const std::int64_t rows : {1, 2, 3, 4, 7, 17, 31, 33, 64, 65, 127, 129, 600}) {
    cases.push_back(ordinary_case(op, rows));
    launch_with(cases.back(), op, tunables);
  }
  // The defaults of other row counts are other kernels.
  for (const std::int64_t rows : {1, 40, 600}) {
    cases.push_back(ordinary_case(op, rows));
  }
  const Outcome whole = require_good(cases.back());
  for (const OpCase& test : cases) {
    const Outcome outcome = require_good(test);
    for (const std::string& name : row_wise ? results_of(op, test) : std::vector<std::string>{}) {
      const HostTensor& part = *outcome.input.tensor(name);
      INFO(name << " of " << part.shape.front() << " rows");
      CHECK(elements_of(part) == first_rows(*whole.input.tensor(name), part.shape.front()));
    }
  }
}

/// The values of a tunable that every case is launched with: all if they are few, else the ends.
std::vector<std::int32_t> edges_of(const TunableSpec& tunable) {
  constexpr std::size_t few = 8;
  const std::vector<std::int32_t> values = tunable_values(tunable);
  return values.size() <= few ? values : std::vector<std::int32_t>{values.front(), values.back()};
}

/// `count` of `all`, drawn by a seed that differs between specialisations, so that cases try different ones.
std::vector<Tunables> drawn_from(const std::vector<Tunables>& all, const std::string& seed,
                                 std::size_t count) {
  std::seed_seq words(seed.begin(), seed.end());
  std::mt19937 random(words);
  std::vector<Tunables> drawn;
  while (drawn.size() < std::min(count, all.size())) {
    drawn.push_back(all[random() % all.size()]);
  }
  return drawn;
}

/// The ends of each tunable, and a sample of all combinations.
std::vector<Tunables> swept_tunables(const OpDefinition& op, const OpCase& test, const Tunables& ordinary) {
  constexpr std::size_t usual = 12;
  const Call call = bind_case(op, test);
  const DeviceTraits device = runtime().traits(0);
  std::vector<Tunables> swept;
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    for (const std::int32_t value : edges_of(op.tunables[i])) {
      Tunables edge = ordinary;
      edge.values[i] = value;
      if (launch_defect(op, call.spec, edge, device, runtime().arch(0), call.rows).empty()) {
        swept.push_back(edge);
      }
    }
  }
  const std::vector<Tunables> drawn =
      drawn_from(all_tunables(op, call.spec, device, call.rows), format_specialisation(op, call.spec),
                 std::max(usual, swept.size() + 6) - swept.size());
  swept.insert(swept.end(), drawn.begin(), drawn.end());
  return swept;
}

std::string text_of(const OpDefinition& op, const Tunables& tunables) {
  std::string text;
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    text += op.tunables[i].name + "=" + std::to_string(tunables.values[i]) + " ";
  }
  return text;
}

void check_tunables(const OpDefinition& op, const OpCase& test) {
  const Tunables ordinary = ordinary_tunables(op, test);
  OpCase tuned = test;
  launch_with(tuned, op, ordinary);
  const Outcome expected = require_good(tuned);
  for (const Tunables& tunables : swept_tunables(op, test, ordinary)) {
    INFO(text_of(op, tunables));
    launch_with(tuned, op, tunables);
    check_same_bits(op, test, expected, require_good(tuned));
  }
}

void check_tunables(const OpDefinition& op) {
  for (const OpCase& test : cases_of_many_orders(op, 3)) {
    INFO(format_specialisation(op, bind_case(op, test).spec));
    check_tunables(op, test);
  }
}

/// The definition whose grids are being narrowed, and how wide those of its stages may be.
struct Narrowing {
  const OpDefinition* op = nullptr;
  std::array<std::uint32_t, OpDefinition::max_stages> widths{};  ///< 0: the stage never spills
} narrowing;

template <std::size_t Stage>
LaunchGeometry narrow(const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                      std::int64_t rows) noexcept {
  const auto geometry = Stage == 0 ? narrowing.op->geometry : narrowing.op->later_stages[Stage - 1].geometry;
  LaunchGeometry made = geometry(spec, tunables, device, rows);
  const std::uint32_t width = narrowing.widths[Stage];
  if (width > 0 && made.grid[0] > width) {
    made.grid[1] = (made.grid[0] + width - 1) / width;
    made.grid[0] = width;
  }
  return made;
}

/// The narrowest grid that an op can be given: at least 3 blocks wide, and a multiple of what the op's own
/// widest grid is a multiple of. 0 if the grid never spills into y.
std::uint32_t narrow_width(const LaunchGeometry& widest) {
  constexpr std::uint32_t limit = 0x7fffffff;
  if (widest.grid[1] == 1) {
    return 0;
  }
  std::uint32_t unit = limit - widest.grid[0] + 1;
  while (widest.grid[0] % unit != 0) {
    ++unit;
  }
  return (2 / unit + 1) * unit;
}

void check_spill(const OpDefinition& op) {
  constexpr std::int64_t many = std::int64_t{1} << 42;
  constexpr std::array stages = {narrow<0>, narrow<1>, narrow<2>};
  static std::deque<OpDefinition> kept;
  OpDefinition copy = op;
  copy.name = "test.narrow_" + op.name;
  copy.geometry = stages[0];
  for (std::size_t i = 0; i < copy.later_stages.size(); ++i) {
    copy.later_stages[i].geometry = stages[i + 1];
  }
  const OpDefinition& narrowed = kept.emplace_back(std::move(copy));

  bool can_spill = false;
  for (std::int64_t rows = 70;; rows *= 3) {
    OpCase test = ordinary_case(op, rows);
    const Call call = bind_case(op, test);
    const DeviceTraits device = runtime().traits(0);
    const Tunables tunables = ordinary_tunables(op, test);
    narrowing.op = &op;
    bool spills = false;
    for (std::size_t i = 0; i <= op.later_stages.size(); ++i) {
      const auto geometry = i == 0 ? op.geometry : op.later_stages[i - 1].geometry;
      narrowing.widths[i] = narrow_width(geometry(call.spec, tunables, device, many));
      can_spill = can_spill || narrowing.widths[i] > 0;
      spills = spills || stages[i](call.spec, tunables, device, rows).grid[1] > 1;
    }
    // Some grids have a bound and take turns.
    if (!can_spill) {
      return;
    }
    if (spills) {
      test.launch = [&](Runtime& on, const Views& views) {
        on.prepare(narrowed, op.bind(bindings_of(test, views)), tunables).launch(nullptr);
      };
      require_good(test);
      return;
    }
    REQUIRE(rows < 10000);
  }
}

constexpr std::array behaviours = {
    Behaviour{"gives the same bits on every run", Extent::small, check_repeats},
    Behaviour{"gives the same bits by name, by type, dispatched and prepared", Extent::small, check_routes},
    Behaviour{"takes no rows, and then writes what has a size without them, and one row", Extent::small,
              check_few_rows},
    Behaviour{"has a reference that rejects a flipped bit in every result", Extent::small, check_reference},
    Behaviour{"leaves the same after calls in a row and calls apart", Extent::small, check_chain},
    Behaviour{"takes strided rows", Extent::wide, check_strides},
    Behaviour{"gives the same bits for unaligned views", Extent::wide, check_offsets},
    Behaviour{"takes odd widths", Extent::wide, check_odd_widths},
    Behaviour{"gives good results under every setting", Extent::wide, check_variants},
    Behaviour{"gives a row the same bits in a call of any number of rows", Extent::wide, check_row_counts},
    Behaviour{"gives the same bits with all tunables", Extent::wide,
              [](const OpDefinition& op) { check_tunables(op); }},
    Behaviour{"takes rows more than 2^31 elements apart", Extent::small, check_far_rows},
    Behaviour{"takes a grid that spills into y", Extent::small, check_spill},
};

}  // namespace

std::span<const Behaviour> launch_behaviours() {
  return behaviours;
}

}  // namespace kerncast::test
