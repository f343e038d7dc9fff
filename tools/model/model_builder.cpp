#include "tools/model/model_builder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "kerncast/error.hpp"
#include "tools/model/fact_expression.hpp"

namespace kerncast::tools {
namespace {

std::string text_of(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// An activation by the name that the ops use.
std::string activation_name(const std::string& name) {
  constexpr std::array<const char*, 5> tanh = {"gelu_pytorch_tanh", "gelu_new", "gelu_fast",
                                               "gelu-approximate", "gelu_python_tanh"};
  if (std::find(tanh.begin(), tanh.end(), name) != tanh.end()) {
    return "gelu_tanh";
  }
  return name == "swish" || name == "swiglu" ? "silu" : name == "geglu" ? "gelu" : name;
}

class Builder {
 public:
  Builder(const Family& family, const ConfigFields& fields, DType dtype, bool attention_quantised)
      : family_(family), fields_(fields), attention_quantised_(attention_quantised) {
    model().dtype = dtype;
  }

  BuiltModel build() {
    read_sizes();
    read_norms();
    read_heads();
    read_mlps();
    read_router();
    read_modulations();
    read_linears();
    read_not_offered();
    return std::move(built_);
  }

 private:
  ModelConfig& model() { return built_.config; }

  void not_offered(std::string step) {
    if (std::find(built_.not_offered.begin(), built_.not_offered.end(), step) == built_.not_offered.end()) {
      built_.not_offered.push_back(std::move(step));
    }
  }

  /// The fact `name` of the family's entry. It is noted once, unless it says nothing.
  FactValue fact(const char* name) {
    const auto found = family_.facts.find(name);
    FactValue value = found == family_.facts.end() ? FactValue{} : evaluate(*found, fields_, family_.name);
    if (!value.empty() && noted_.insert(name).second) {
      std::vector<std::string> texts;
      texts.reserve(value.values.size());
      for (const nlohmann::json& item : value.values) {
        texts.push_back(text_of(item));
      }
      built_.facts.push_back({name, fmt::format("{}", fmt::join(texts, ", ")), value.source});
    }
    return value;
  }

  std::int64_t whole(const FactValue& value, const std::string& what) const {
    if (value.empty()) {
      return 0;
    }
    if (value.values.size() > 1) {
      std::vector<std::string> texts;
      texts.reserve(value.values.size());
      for (const nlohmann::json& item : value.values) {
        texts.push_back(item.dump());
      }
      throw Error(ErrorCode::io_error,
                  fmt::format("{}: field {} must have one value for all layers, not {}", fields_.origin(),
                              value.keys.empty() ? what : fmt::format("{}", fmt::join(value.keys, ", ")),
                              fmt::join(texts, ", ")));
    }
    return whole_number(value.values.front(), value, what, fields_.origin());
  }
  std::int64_t whole(const char* name) { return whole(fact(name), name); }

  /// All positive values: those of all kinds of layers.
  std::vector<std::int64_t> widths(const FactValue& value, const std::string& what) const {
    std::vector<std::int64_t> out;
    for (const nlohmann::json& item : value.values) {
      if (const std::int64_t width = whole_number(item, value, what, fields_.origin()); width > 0) {
        out.push_back(width);
      }
    }
    return out;
  }
  std::vector<std::int64_t> widths(const char* name) { return widths(fact(name), name); }

  [[noreturn]] void wrong_type(const FactValue& value, const char* name, const char* wanted) const {
    const nlohmann::json& item = value.values.front();
    throw Error(ErrorCode::io_error,
                fmt::format("{}: field {} must be {}, not {} {}", fields_.origin(),
                            value.keys.empty() ? name : fmt::format("{}", fmt::join(value.keys, ", ")),
                            wanted, item.type_name(), item.dump().substr(0, 60)));
  }

  double number(const char* name, double otherwise) {
    const FactValue value = fact(name);
    if (value.empty()) {
      return otherwise;
    }
    if (!value.values.front().is_number()) {
      wrong_type(value, name, "a number");
    }
    return value.values.front().get<double>();
  }

  bool flag(const char* name, bool otherwise) {
    const FactValue value = fact(name);
    if (value.empty()) {
      return otherwise;
    }
    if (!value.values.front().is_boolean()) {
      wrong_type(value, name, "true or false");
    }
    return value.values.front().get<bool>();
  }

  std::string word(const char* name) {
    const FactValue value = fact(name);
    if (value.empty()) {
      return {};
    }
    if (!value.values.front().is_string()) {
      wrong_type(value, name, "a string");
    }
    return value.values.front().get<std::string>();
  }

  /// True if the "if" of a part in a list holds.
  bool holds(const nlohmann::json& part) const {
    if (!part.contains("if")) {
      return true;
    }
    const nlohmann::json condition = {{"if", part["if"]}, {"then", true}, {"else", false}};
    return evaluate(condition, fields_, family_.name).values.front().get<bool>();
  }

  /// The parts of a list of the entry whose condition holds.
  std::vector<nlohmann::json> parts(const char* name) const {
    std::vector<nlohmann::json> out;
    if (const auto found = family_.facts.find(name); found != family_.facts.end()) {
      std::copy_if(found->begin(), found->end(), std::back_inserter(out),
                   [&](const nlohmann::json& part) { return holds(part); });
    }
    return out;
  }

  FactValue of_part(const nlohmann::json& part, const char* name) const {
    return part.contains(name) ? evaluate(part[name], fields_, family_.name) : FactValue{};
  }

  void read_sizes() {
    ModelConfig& made = model();
    made.heads = whole("heads");
    made.hidden = whole("hidden");
    if (made.hidden <= 0) {
      throw Error(
          ErrorCode::io_error,
          fmt::format("{}: no hidden size; looked for {}, also in text_config, llm_config, language_config "
                      "and thinker_config",
                      fields_.origin(), family_.facts["hidden"].get<std::string>()));
    }
    made.kv_heads = whole("kv_heads");
    made.norm_eps = number("eps", 1e-6);
    made.diffusion = flag("diffusion", false);
    for (const std::int64_t width : widths("head_dim")) {
      made.head_dim = std::max(made.head_dim, width);
    }
    made.expert_hidden = whole("expert_hidden");
  }

  NormKind norm_kind(const std::string& name) const {
    return name == "layer"               ? NormKind::layer
           : name == "l2"                ? NormKind::l2
           : name == "gated_rms"         ? NormKind::gated_rms
           : name == "sigmoid_gated_rms" ? NormKind::sigmoid_gated_rms
                                         : NormKind::rms;
  }

  void add_norm(ModelNorm norm) {
    if (norm.kind == NormKind::layer && norm.weight_offset != 0) {
      not_offered(fmt::format("{}: layer norm of {} elements with 1 + weight", norm.place, norm.width));
      return;
    }
    if (norm.width > 0) {
      model().norms.push_back(std::move(norm));
    }
  }

  void read_norms() {
    const std::string kind = word("norm");
    if (!kind.empty() && kind != "none") {
      const std::string layout = word("norm_layout");
      ModelNorm norm;
      norm.place = layout == "alone" ? "norms of the layers, final norm"
                                     : "input_layernorm, post_attention_layernorm, final norm";
      norm.width = model().hidden;
      norm.kind = norm_kind(kind);
      norm.weight = flag("norm_weight", true);
      norm.bias = flag("norm_bias", kind == "layer");
      norm.weight_offset = number("norm_offset", 0.0);
      norm.added = norm.kind == NormKind::rms && layout != "alone";
      norm.quantised = flag("norm_quantised", norm.kind == NormKind::rms);
      add_norm(std::move(norm));
    }
    for (const nlohmann::json& part : parts("more_norms")) {
      for (const std::int64_t width : widths(of_part(part, "width"), part["place"])) {
        ModelNorm norm;
        norm.place = part["place"];
        norm.width = width;
        norm.kind = norm_kind(part.value("kind", "rms"));
        norm.weight = part.value("weight", norm.kind != NormKind::l2);
        norm.bias = part.value("bias", norm.kind == NormKind::layer);
        norm.weight_offset = part.value("offset", 0.0);
        norm.added = part.value("added", false);
        norm.quantised = part.value("quantised", false) && attention_quantised_;
        norm.f32 = part.value("f32", false);
        norm.spread = part.value("spread", false);
        const FactValue count = of_part(part, "per_token");
        norm.rows_per_token = count.empty() ? 1 : whole(count, part["place"]);
        add_norm(std::move(norm));
      }
    }
  }

  /// The elements of a head that rotary embedding turns after the norm, for each kind of layer; 0: none.
  std::vector<std::int64_t> rotary_dims(std::int64_t head_dim, const FactValue& factors) {
    if (word("qk_norm") != "head" || word("rope") == "none") {
      return {0};
    }
    if (const std::int64_t given = whole("rotary_dim"); given > 0) {
      return {given};
    }
    std::vector<std::int64_t> dims;
    for (const nlohmann::json& factor : factors.values) {
      if (!factor.is_number()) {
        wrong_type(factors, "rotary_factor", "a number");
      }
      dims.push_back(static_cast<std::int64_t>(static_cast<double>(head_dim) * factor.get<double>()) / 2 * 2);
    }
    return dims.empty() ? std::vector<std::int64_t>{head_dim / 2 * 2} : dims;
  }

  void read_heads() {
    const std::string norm = word("qk_norm");
    const ModelConfig& made = model();
    if (norm == "full" || norm == "full_spread") {
      add_full("attention q_norm", made.heads * made.head_dim, norm == "full_spread");
      add_full("attention k_norm", made.kv_heads * made.head_dim, norm == "full_spread");
    } else if (norm == "layer") {
      not_offered(fmt::format("attention q_norm, k_norm: layer norm of each head of {}", made.head_dim));
    } else if (norm == "weightless" || norm == "weightless_f32") {
      ModelNorm heads;
      heads.place = "attention q_norm, k_norm without a weight";
      heads.width = made.head_dim;
      heads.weight = false;
      heads.f32 = norm == "weightless_f32";
      heads.rows_per_token = made.heads + made.kv_heads;
      add_norm(heads);
    } else if (norm == "head" || norm == "head_after_rope") {
      for (const std::int64_t head_dim : widths("head_dim")) {
        add_heads("attention q_norm, k_norm", made.heads, made.kv_heads, head_dim, fact("rotary_factor"));
      }
      for (const nlohmann::json& part : parts("more_heads")) {
        for (const std::int64_t heads : widths(of_part(part, "heads"), "heads")) {
          add_heads(part["place"], heads, whole(of_part(part, "kv_heads"), "kv_heads"),
                    whole(of_part(part, "head_dim"), "head_dim"),
                    part.contains("rotary_factor") ? of_part(part, "rotary_factor") : fact("rotary_factor"));
        }
      }
    } else if (!norm.empty() && norm != "none") {
      not_offered(fmt::format("attention q_norm, k_norm of kind {}", norm));
    }
  }

  /// The norms of q and k heads of one kind of layer, each once.
  void add_heads(const std::string& place, std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim,
                 const FactValue& factors) {
    if (heads == 0 || kv_heads == 0 || head_dim == 0) {
      return;
    }
    std::vector<ModelHeadNorm>& norms = model().head_norms;
    for (const std::int64_t rotary_dim : rotary_dims(head_dim, factors)) {
      const bool same = std::any_of(norms.begin(), norms.end(), [&](const ModelHeadNorm& other) {
        return other.q_heads == heads && other.kv_heads == kv_heads && other.head_dim == head_dim &&
               other.rotary_dim == rotary_dim;
      });
      if (!same) {
        norms.push_back({.place = place,
                         .q_heads = heads,
                         .kv_heads = kv_heads,
                         .head_dim = head_dim,
                         .unit_offset = number("qk_offset", 0.0) == 1.0,
                         .alone = true,
                         .rotary_dim = rotary_dim,
                         .rope_interleaved = word("rope") == "interleaved"});
      }
    }
  }

  void add_full(const char* place, std::int64_t width, bool spread) {
    ModelNorm norm;
    norm.place = place;
    norm.width = width;
    norm.spread = spread;
    norm.weight_offset = number("qk_offset", 0.0);
    add_norm(norm);
  }

  void add_mlp(const std::string& place, std::int64_t width, const std::string& act, bool gated, Split split,
               std::int64_t pad, double limit) {
    constexpr std::array<const char*, 4> known = {"silu", "gelu", "gelu_tanh", "swiglu_oai"};
    if (!gated) {
      not_offered(fmt::format("{}: plain activation {} of {} elements", place, act, width));
    } else if (std::find(known.begin(), known.end(), act) == known.end()) {
      not_offered(fmt::format("{}: gated activation {} of {} elements", place,
                              act.empty() ? "without a name" : act, width));
    } else if (limit > 0 && act != "swiglu_oai" && act != "silu") {
      not_offered(
          fmt::format("{}: gated activation {} of {} elements with limits of {}", place, act, width, limit));
    } else {
      model().mlps.push_back({place, act, width, split, pad, limit});
    }
  }

  /// The multiples that engines round the width of a rank's experts up to.
  std::vector<std::int64_t> expert_pads() {
    const std::vector<std::int64_t> pads = widths("expert_pads");
    return pads.empty() ? std::vector<std::int64_t>{1} : pads;
  }

  void read_mlps() {
    ModelConfig& made = model();
    made.experts = whole("experts");
    const std::string act = activation_name(word("act"));
    const bool gated = flag("gated", true);
    const double limit = number("act_limit", 0.0);
    for (const std::int64_t width : widths("intermediate")) {
      add_mlp("dense MLP", width, act, gated, Split::tensor, 1, limit);
    }
    if (made.experts <= 1) {
      made.experts = 0;
      return;
    }
    const std::string expert_act =
        family_.facts.contains("expert_act") ? activation_name(word("expert_act")) : act;
    for (const std::int64_t width : widths("moe_intermediate")) {
      for (const std::int64_t pad : expert_pads()) {
        add_mlp(pad > 1 ? fmt::format("experts, padded to {}", pad) : "experts", width, expert_act,
                flag("expert_gated", gated), Split::expert, pad, number("expert_act_limit", limit));
      }
    }
    for (const std::int64_t width : widths("shared_intermediate")) {
      add_mlp("shared expert", width, act, gated, Split::tensor, 1, limit);
    }
  }

  void read_router() {
    ModelConfig& made = model();
    if (made.experts == 0) {
      return;
    }
    const FactValue top_k = fact("top_k");
    for (const std::int64_t count : widths(top_k, "top_k")) {
      made.top_k = made.top_k == 0 ? count : made.top_k;
      if (count != made.top_k) {
        not_offered(
            fmt::format("layers with {} experts for each token, besides those with {}", count, made.top_k));
      }
    }
    if (made.top_k < 1 || made.top_k > made.experts) {
      throw Error(
          ErrorCode::io_error,
          fmt::format("{}: a model of {} experts needs a number of experts per token from 1 to {}, got {}; "
                      "looked for {}",
                      fields_.origin(), made.experts, made.experts, made.top_k,
                      text_of(family_.facts.value("top_k", nlohmann::json("no key")))));
    }
    ModelRouter& router = made.router;
    router.groups = whole("router_groups");
    router.topk_group = whole("router_topk_group");
    if (router.groups > 1 &&
        (made.experts % router.groups != 0 || router.topk_group < 1 || router.topk_group > router.groups)) {
      throw Error(
          ErrorCode::io_error,
          fmt::format(
              "{}: {} groups of which {} are kept cannot divide {} experts into equal groups (n_group, "
              "topk_group)",
              fields_.origin(), router.groups, router.topk_group, made.experts));
    }
    router.renormalize = flag("renormalize", true);
    router.scaling = number("routed_scaling", 1.0);
    router.fused_shared = whole("fused_shared");
    router.bias = flag("router_bias", false);
    router.softcap = number("router_softcap", 0.0);
    const std::string scoring = word("scoring");
    const std::string logits = word("router_logits");
    router.logits = {logits == "f32" ? DType::f32 : made.dtype};
    if (logits == "both" && made.dtype != DType::f32) {
      router.logits.push_back(DType::f32);
    }
    if (scoring == "softmax" && router.groups > 1) {
      not_offered(fmt::format("router: softmax with top {} of {} groups", router.topk_group, router.groups));
    } else if (scoring == "softmax" && router.bias) {
      not_offered("router: softmax whose choice adds a bias after softmax");
    } else if (scoring == "sigmoid" && router.groups > 1 && !router.bias) {
      not_offered(fmt::format("router: sigmoid with top {} of {} groups and no bias", router.topk_group,
                              router.groups));
    } else if (scoring == "softmax" || scoring == "sigmoid") {
      router.scoring = scoring == "softmax" ? RouterScoring::softmax : RouterScoring::sigmoid;
    } else if (scoring == "sqrtsoftplus" && router.bias) {
      router.scoring = RouterScoring::sqrtsoftplus;
    } else {
      not_offered(fmt::format("router: scores by {}", scoring.empty() ? "an unknown function" : scoring));
    }
    const std::string shared = word("shared_add");
    made.adds_shared = shared == "add";
    if (shared == "gated") {
      not_offered("shared expert: its output is multiplied by sigmoid of a gate before it is added");
    }
  }

  void read_modulations() {
    for (const nlohmann::json& part : parts("modulations")) {
      for (const nlohmann::json& form : part["forms"]) {
        const std::string gate = part.value("gate", "");
        ModelModulation made;
        const FactValue width = of_part(part, "width");
        made.width = width.empty() ? model().hidden : whole(width, part["place"]);
        made.kind = norm_kind(part.value("norm", "layer"));
        const FactValue affine = of_part(part, "affine");
        made.weight = !affine.empty() && affine.values.front() == nlohmann::json(true);
        made.bias = made.weight && made.kind == NormKind::layer;
        made.scaled = part.value("scale", true);
        made.shifted = part.value("shift", true);
        made.modulation_dtype = part.value("dtype", "") == "f32" ? DType::f32 : model().dtype;
        made.gate = gate == "same"   ? form.get<std::string>()
                    : gate == "form" ? form.get<std::string>()
                                     : gate;
        made.form = gate == "form" ? part.value("form", "none") : form.get<std::string>();
        made.place = fmt::format("{}{}", part["place"].get<std::string>(), occasion(form));
        model().modulations.push_back(std::move(made));
      }
    }
  }

  static const char* occasion(const std::string& form) {
    return form == "shared"    ? " of one image"
           : form == "grouped" ? " of a batch"
           : form == "token"   ? " with a time step for each token"
                               : "";
  }

  void add_linear(std::string place, std::int64_t width, Split split, std::int64_t pad = 1) {
    const auto same = [&](const ModelLinear& other) {
      return other.width == width && other.split == split && other.pad == pad;
    };
    const auto& list = model().linears;
    if (width > 0 && std::none_of(list.begin(), list.end(), same)) {
      model().linears.push_back({std::move(place), width, split, pad});
    }
  }

  void read_linears() {
    const ModelConfig& made = model();
    add_linear("attention and MLP input", made.hidden, Split::none);
    if (made.expert_hidden > 0 && made.expert_hidden != made.hidden) {
      add_linear("experts' input", made.expert_hidden, Split::none);
    }
    if (attention_quantised_) {
      for (const nlohmann::json& part : parts("more_linears")) {
        for (const std::int64_t width : widths(of_part(part, "width"), part["place"])) {
          add_linear(part["place"], width,
                     part.value("split", "none") == "tensor" ? Split::tensor : Split::none);
        }
      }
      for (const std::int64_t width : widths("o_width")) {
        add_linear("o_proj input", width, Split::tensor);
      }
    }
    for (const std::int64_t width : widths("intermediate")) {
      add_linear("dense down_proj input", width, Split::tensor);
    }
    if (made.experts > 0) {
      for (const std::int64_t width : widths("moe_intermediate")) {
        for (const std::int64_t pad : expert_pads()) {
          add_linear("experts' down_proj input", width, Split::expert, pad);
        }
      }
      for (const std::int64_t width : widths("shared_intermediate")) {
        add_linear("shared expert's down_proj input", width, Split::tensor);
      }
    }
  }

  void read_not_offered() {
    for (const nlohmann::json& part : parts("not_offered")) {
      not_offered(part["step"].get<std::string>());
    }
  }

  const Family& family_;
  const ConfigFields& fields_;
  bool attention_quantised_;
  BuiltModel built_;
  std::set<std::string> noted_;
};

}  // namespace

BuiltModel build_model(const Family& family, const ConfigFields& fields, DType dtype,
                       bool attention_quantised) {
  return Builder(family, fields, dtype, attention_quantised).build();
}

}  // namespace kerncast::tools
