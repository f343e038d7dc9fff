#include "tools/warm/warm_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "cache/key.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/dispatch/source_text/source.hpp"
#include "runtime/util/leading_number.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/coverage.hpp"
#include "tools/model/model_config.hpp"
#include "tools/model/model_report.hpp"
#include "tools/model/quant_scheme.hpp"
#include "tools/model/settings.hpp"
#include "tools/model/workload.hpp"
#include "tools/warm/request_record.hpp"

namespace kerncast::tools {
namespace {

constexpr int last_bucket = row_bucket(std::numeric_limits<std::int64_t>::max());

/// The row count that stands for a bucket: its highest, or the lowest of the last bucket, which has no end.
std::int64_t rows_of(int bucket) {
  const RowRange range = row_range(bucket);
  return bucket == last_bucket ? range.lowest : range.highest;
}

struct TokenRange {
  std::int64_t low = 1;
  std::int64_t high = 0;
};

std::int64_t parse_count(const std::string& option, const std::string& whole, std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    throw UsageError(fmt::format("{} {} is neither a count nor a range such as 1:8192", option, whole));
  }
  return value;
}

TokenRange parse_tokens(const std::string& text) {
  const std::size_t colon = text.find(':');
  TokenRange range;
  range.low = parse_count("--tokens", text, std::string_view(text).substr(0, colon));
  range.high = colon == std::string::npos
                   ? range.low
                   : parse_count("--tokens", text, std::string_view(text).substr(colon + 1));
  if (range.high < range.low) {
    throw UsageError(fmt::format("--tokens {} ends before it begins", text));
  }
  return range;
}

/// The most rows of the op that one token of `model` can make: one for each of its experts or heads.
std::int64_t rows_per_token(const ModelConfig& model, const Workload& workload) {
  const std::string& op = workload.op->name;
  if (!op.starts_with("moe.") && !param_of(workload, "experts").empty()) {
    return std::max<std::int64_t>(model.local_experts(), 1);
  }
  std::int64_t most = std::max<std::int64_t>(model.top_k, 1);
  for (const ModelNorm& norm : model.norms) {
    if (param_of(workload, "hidden") == std::to_string(norm.width)) {
      most = std::max(most, norm.rows_per_token);
    }
  }
  const bool of_heads =
      op.starts_with("norm.qk_norm") || op == "quant.fp8_pack" || op == "quant.fp8_unpack" ||
      (model.head_dim > 0 && param_of(workload, "hidden") == std::to_string(model.head_dim));
  return of_heads ? std::max(most, model.heads + 2 * model.kv_heads) : most;
}

std::string key_of(Runtime& runtime, const PlannedKernel& kernel) {
  return runtime.identify(*kernel.op, kernel.spec, kernel.arch, kernel.rows, kernel.tunables).key;
}

/// Collects the kernels of a plan, each once.
class Planner {
 public:
  Planner(Runtime& runtime, const WarmRequest& request, Console& console)
      : runtime_(runtime), request_(request), console_(console) {
    check_selection(request.selection);
    for (const std::string& arch : request.archs) {
      if (const std::string defect = arch_defect(arch); !defect.empty()) {
        throw UsageError(defect);
      }
    }
    for (const std::string& text : request.tokens) {
      tokens_.push_back(parse_tokens(text));
    }
    if (!request.rows.empty() && !request.tokens.empty()) {
      throw UsageError("give --tokens or --rows, not both");
    }
    for (const std::int64_t rows : check_rows(request.rows)) {
      rows_.insert(row_bucket(rows));
    }
  }

  void add_op() {
    const OpDefinition& op = require_op(request_.op);
    add(op, specialise_settings(op, parse_settings(op, request_.settings)), buckets(1), "asked for by name");
  }

  void add_model(const ModelReading& reading) {
    const ModelConfig& whole = reading.config;
    const QuantSelection quant(request_.selection.quant, reading.schemes);
    const std::vector<Workload> whole_workloads = workloads_of(whole);
    for (const RankOfModel& rank : ranks_of(whole, request_.selection)) {
      for (const UncoveredPart& part : uncovered_parts(rank.model, rank.workloads, quant.schemes())) {
        if (request_.selection.op_globs.empty()) {
          leave_out({part.ops, rank.where, part.why, false});
        }
      }
      for (const Workload& workload : rank.workloads) {
        if (is_wanted(workload.op->name) && quant.includes(workload)) {
          add(workload, rank.model, rank.where);
        }
      }
      note_ops_without_shape(whole_workloads, rank.workloads, quant, rank.where);
    }
  }

  void add_record(const std::string& path) {
    for (const KernelRequest& record : read_records(path, console_)) {
      const OpDefinition* op = OpRegistry::instance().find(record.op);
      if (op == nullptr) {
        if (unknown_.insert(record.op).second) {
          leave_out({record.op, path, "only its host defines it", false});
        }
        continue;
      }
      if (!is_wanted(op->name)) {
        continue;
      }
      try {
        const Specialisation spec = specialise_settings(*op, parse_settings(*op, setting_texts(record)));
        const std::vector<std::string>& archs = request_.archs;
        if (archs.empty() || std::find(archs.begin(), archs.end(), record.arch) != archs.end()) {
          if (const std::string defect = arch_defect(record.arch); !defect.empty()) {
            throw UsageError(defect);
          }
          add(*op, spec, record.arch, record.sm_count, {row_bucket(record.rows)}, "recorded");
        }
      } catch (const UsageError& error) {
        leave_out({record.op, path, error.what(), true});
      }
    }
  }

  std::vector<PlannedKernel> finish() {
    check_kernels();
    std::vector<PlannedKernel> kernels;
    for (auto& [identity, kernel] : kernels_) {
      std::sort(kernel.buckets.begin(), kernel.buckets.end());
      if (shard_of(kernel) == request_.shard.index) {
        kernels.push_back(std::move(kernel));
      }
    }
    return kernels;
  }

  [[nodiscard]] std::vector<LeftOut>& left_out() { return left_out_; }

 private:
  [[nodiscard]] bool is_wanted(const std::string& op) const { return request_.selection.includes(op); }

  /// The reason why the compiler cannot compile for `arch`. Empty if it can, or if there is none to ask.
  [[nodiscard]] std::string arch_defect(const std::string& arch) {
    const compiler::NvrtcSearch& search = implementation_of(runtime_).builder.nvrtc();
    if (search.nvrtc == nullptr || search.nvrtc->supported_archs.empty()) {
      return {};
    }
    constexpr int first_with_own_instructions = 90;
    constexpr int first_with_families = 100;
    const std::vector<int>& known = search.nvrtc->supported_archs;
    const int number = leading_number(std::string_view(arch).substr(3));
    const bool found = std::find(known.begin(), known.end(), number) != known.end();
    if (found && !(arch.ends_with('a') && number < first_with_own_instructions) &&
        !(arch.ends_with('f') && number < first_with_families)) {
      return {};
    }
    return fmt::format("NVRTC {} does not compile for {}; it knows sm_{}{}", search.nvrtc->version(), arch,
                       fmt::join(known, ", sm_"),
                       found ? fmt::format(", and sm_{} has no form with this letter", number) : "");
  }

  /// Throws UsageError if nothing was selected, as a whole or by one of the patterns.
  void check_kernels() const {
    std::vector<std::string> ops;
    ops.reserve(kernels_.size());
    for (const auto& [identity, kernel] : kernels_) {
      ops.push_back(std::get<0>(identity));
    }
    if (const std::string glob = unmatched_glob(request_.selection, ops); !glob.empty()) {
      throw UsageError(
          fmt::format("--ops {} selects no kernel: nothing that was asked for needs these ops; "
                      "leave the pattern out to see what does (--plan)",
                      glob));
    }
    if (kernels_.empty() && !request_.records.empty() && request_.models.empty()) {
      throw UsageError(fmt::format("the plan is empty: {} hold{} no kernel that the options select",
                                   fmt::join(request_.records, ", "),
                                   request_.records.size() == 1 ? "s" : ""));
    }
    if (kernels_.empty()) {
      throw UsageError(
          "the plan is empty: no op serves what was asked for with these options; see kerncast warm --help");
    }
  }

  void leave_out(LeftOut item) {
    console_.warning(fmt::format("{} is left out of the plan ({}): {}", item.op, item.where, item.why));
    left_out_.push_back(std::move(item));
  }

  /// Names the ops that the whole model has a shape for and a rank of it has not.
  void note_ops_without_shape(const std::vector<Workload>& whole, const std::vector<Workload>& rank,
                              const QuantSelection& quant, const std::string& where) {
    for (const Workload& workload : whole) {
      const auto same_op = [&](const Workload& other) { return other.op == workload.op; };
      const bool told = std::any_of(left_out_.begin(), left_out_.end(), [&](const LeftOut& item) {
        return item.op == workload.op->name && item.where == where;
      });
      if (is_wanted(workload.op->name) && quant.includes(workload) && !told &&
          std::none_of(rank.begin(), rank.end(), same_op)) {
        leave_out({workload.op->name, where,
                   fmt::format("no width of this rank fits it ({})", workload.label), false});
      }
    }
  }

  /// The row buckets that the requested numbers of tokens can reach.
  [[nodiscard]] std::set<int> buckets(std::int64_t rows_of_token) const {
    if (!rows_.empty()) {
      return rows_;
    }
    std::set<int> out;
    for (const TokenRange& range : tokens_) {
      const int highest = range.high > (std::int64_t{1} << 40) / rows_of_token
                              ? last_bucket
                              : row_bucket(range.high * rows_of_token);
      for (int bucket = row_bucket(range.low); bucket <= highest; ++bucket) {
        out.insert(bucket);
      }
    }
    for (int bucket = 0; tokens_.empty() && bucket <= last_bucket; ++bucket) {
      out.insert(bucket);
    }
    return out;
  }

  void add(const Workload& workload, const ModelConfig& model, const std::string& where) {
    try {
      add(*workload.op, specialise(*workload.op, workload.params), buckets(rows_per_token(model, workload)),
          fmt::format("{}: {}", where, workload.label));
    } catch (const Error& error) {
      // A rank of a model can have a width that an op does not accept, such as 96 elements in groups of 128.
      leave_out({workload.op->name, fmt::format("{}, {}", where, workload.label), error.what(), false});
    }
  }

  void add(const OpDefinition& op, const Specialisation& spec, const std::set<int>& row_buckets,
           const std::string& why) {
    for (const std::string& arch : request_.archs) {
      for (const int sm_count : request_.sm_counts.empty() ? Runtime::sm_counts(arch) : request_.sm_counts) {
        add(op, spec, arch, sm_count, row_buckets, why);
      }
    }
  }

  void add(const OpDefinition& op, const Specialisation& spec, const std::string& arch, int sm_count,
           const std::set<int>& row_buckets, const std::string& why) {
    const std::string text = format_specialisation(op, spec);
    for (const int bucket : row_buckets) {
      for (const Tunables& tunables : runtime_.tunables(op, spec, arch, rows_of(bucket), sm_count)) {
        const std::string tunables_text = format_tunables(op, tunables);
        PlannedKernel& kernel = kernels_[std::tuple(op.name, text, arch, tunables_text)];
        if (kernel.op == nullptr) {
          kernel.op = &op;
          kernel.spec = spec;
          kernel.arch = arch;
          kernel.rows = rows_of(bucket);
          kernel.tunables = tunables;
          kernel.spec_text = text;
          kernel.tunables_text = tunables_text;
        }
        const auto note = [](auto& list, const auto& item) {
          if (std::find(list.begin(), list.end(), item) == list.end()) {
            list.push_back(item);
          }
        };
        note(kernel.buckets, bucket);
        note(kernel.why, why);
      }
    }
  }

  /// The shard of a kernel, counted from 1. It is the same on every machine, whatever compiler that has.
  [[nodiscard]] std::size_t shard_of(const PlannedKernel& kernel) const {
    cache::KeyFields fields;
    fields.add("op", kernel.op->name);
    fields.add("spec", kernel.spec_text);
    fields.add("arch", kernel.arch);
    fields.add("tunables", kernel.tunables_text);
    return fields.key().low % request_.shard.count + 1;
  }

  Runtime& runtime_;
  const WarmRequest& request_;
  Console& console_;
  std::vector<TokenRange> tokens_;
  std::set<int> rows_;
  std::set<std::string> unknown_;
  std::vector<LeftOut> left_out_;
  std::map<std::tuple<std::string, std::string, std::string, std::string>, PlannedKernel> kernels_;
};

}  // namespace

std::vector<PlannedKernel> plan_warm(Runtime& runtime, const WarmRequest& request, Console& console,
                                     std::vector<LeftOut>* left_out, std::vector<ModelReading>* models) {
  Planner planner(runtime, request, console);
  if (!request.op.empty()) {
    planner.add_op();
  }
  for (const std::string& model : request.models) {
    ModelReading reading = load_model(model);
    announce_model(reading, console);
    planner.add_model(reading);
    if (models != nullptr) {
      models->push_back(std::move(reading));
    }
  }
  for (const std::string& record : request.records) {
    planner.add_record(record);
  }
  std::vector<PlannedKernel> kernels = planner.finish();
  if (left_out != nullptr) {
    *left_out = std::move(planner.left_out());
  }
  for (PlannedKernel& kernel : kernels) {
    kernel.cached = runtime.find(*kernel.op, kernel.spec, kernel.arch, kernel.rows, kernel.tunables);
    kernel.key = kernel.cached ? kernel.cached->key : key_of(runtime, kernel);
  }
  return kernels;
}

WarmShard parse_shard(const std::string& text) {
  const std::size_t slash = text.find('/');
  WarmShard shard;
  const auto read = [&](std::string_view part, std::size_t& value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return error == std::errc() && end == part.data() + part.size();
  };
  if (slash == std::string::npos || !read(std::string_view(text).substr(0, slash), shard.index) ||
      !read(std::string_view(text).substr(slash + 1), shard.count) || shard.index < 1 ||
      shard.index > shard.count) {
    throw UsageError(
        fmt::format("--shard {} is not I/N with I from 1 to N, such as 1/4, and not auto", text));
  }
  return shard;
}

std::string rows_text(const std::vector<int>& buckets) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < buckets.size();) {
    std::size_t end = i + 1;
    while (end < buckets.size() && buckets[end] == buckets[end - 1] + 1) {
      ++end;
    }
    const int first = buckets[i];
    const int last = buckets[end - 1];
    const std::int64_t low = row_range(first).lowest;
    if (first == 0 && last == last_bucket) {
      parts.emplace_back("any");
    } else if (last == last_bucket) {
      parts.push_back(fmt::format("{}..", low));
    } else {
      parts.push_back(low == rows_of(last) ? fmt::format("{}", low)
                                           : fmt::format("{}..{}", low, rows_of(last)));
    }
    i = end;
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

}  // namespace kerncast::tools
