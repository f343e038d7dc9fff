#include "tests/tools/commands/command_process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>
#include <stdexcept>

nlohmann::json Outcome::events(const std::string& name) const {
  nlohmann::json found = nlohmann::json::array();
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json event = nlohmann::json::parse(line);
    if (event.at("event") == name) {
      found.push_back(std::move(event));
    }
  }
  return found;
}

int Outcome::count_in_err(const std::string& text) const {
  int count = 0;
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);) {
    count += line.find(text) != std::string::npos ? 1 : 0;
  }
  return count;
}

Outcome CommandPlace::run(const std::vector<std::string>& arguments,
                          const std::vector<std::pair<std::string, std::string>>& environment) const {
  return wait(start(arguments, environment));
}

pid_t CommandPlace::start(const std::vector<std::string>& arguments,
                          const std::vector<std::pair<std::string, std::string>>& environment) const {
  std::vector<std::pair<std::string, std::string>> settings = {
      {"KERNCAST_DRIVER", "sim"}, {"KERNCAST_CACHE_DIR", directory.file("cache")}};
  for (const auto& [name, value] : environment) {
    std::erase_if(settings, [&](const auto& setting) { return setting.first == name; });
    settings.emplace_back(name, value);
  }
  const auto overridden = [&](const std::string& variable) {
    const std::string name = variable.substr(0, variable.find('='));
    for (const auto& setting : settings) {
      if (setting.first == name) {
        return true;
      }
    }
    return name.starts_with("KERNCAST_") && name != "KERNCAST_NVRTC";
  };
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!overridden(*variable)) {
      variables.emplace_back(*variable);
    }
  }
  for (const auto& [name, value] : settings) {
    variables.push_back(name + "=" + value);
  }
  std::vector<std::string> words = {KERNCAST_COMMAND};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) {
      list.push_back(text.data());
    }
    list.push_back(nullptr);
    return list;
  };

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, directory.path().c_str());
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, ".stdout", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, ".stderr", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child = 0;
  const int failed = posix_spawn(&child, KERNCAST_COMMAND, &actions, nullptr, pointers(words).data(),
                                 pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    throw std::runtime_error("cannot run " KERNCAST_COMMAND);
  }
  return child;
}

Outcome CommandPlace::wait(pid_t child) const {
  int status = 0;
  if (waitpid(child, &status, 0) != child) {
    throw std::runtime_error("cannot wait for " KERNCAST_COMMAND);
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), directory.read(".stdout"),
          directory.read(".stderr")};
}

bool has_nvrtc() {
  static const bool found = [] {
    const bool there = CommandPlace().run({"doctor", "--json"}).json().at("nvrtc").at("found").get<bool>();
    if (!there) {
      std::fputs("no NVRTC on this machine: nothing that compiles was tested\n", stderr);
    }
    return there;
  }();
  return found;
}

std::string tiny_dense_model() {
  return R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256,
    "intermediate_size": 512, "num_attention_heads": 4, "rms_norm_eps": 1e-6, "torch_dtype": "bfloat16"})";
}

std::string tiny_model() {
  return R"({"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "hidden_size": 256,
    "intermediate_size": 512, "moe_intermediate_size": 128, "n_routed_experts": 16, "num_experts_per_tok": 4,
    "n_group": 4, "topk_group": 2, "n_shared_experts": 1, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
    "first_k_dense_replace": 1, "num_attention_heads": 4, "rms_norm_eps": 1e-6, "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})";
}
