#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/templates/catalogue/catalogue.hpp"
#include "tools/profile/described_device.hpp"

/// The options that the benchmarks over the catalogue share.
namespace kerncast::bench {

/// The part of the catalogue that a benchmark is to cover.
struct CatalogueOptions {
  std::vector<const devices::DeviceDescription*> devices;
  std::vector<std::int64_t> rows;
  std::vector<std::string> ops;  ///< beginnings of names; empty: all ops

  [[nodiscard]] bool wants(const OpDefinition& op) const {
    return ops.empty() || std::any_of(ops.begin(), ops.end(),
                                      [&](const std::string& name) { return op.name.starts_with(name); });
  }
};

/// Adds --device to `app`, which replaces the devices that `devices` holds before.
inline void add_device_option(CLI::App& app, std::vector<const devices::DeviceDescription*>& devices) {
  app.add_option_function<std::vector<std::string>>(
         "--device",
         [&devices](const std::vector<std::string>& names) {
           devices.clear();
           for (const std::string& name : names) {
             devices.push_back(&tools::require_device_description(name));
           }
         },
         "described device, such as h100")
      ->allow_extra_args(false);
}

/// Adds --device, --rows and the names of ops to `app`.
/// The devices and rows that `options` holds before are the defaults.
inline void add_catalogue_options(CLI::App& app, CatalogueOptions& options) {
  add_device_option(app, options.devices);
  app.add_option("--rows", options.rows, "row count; may be repeated")
      ->allow_extra_args(false)
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  app.add_option("OP", options.ops, "ops to cover, by the beginnings of their names; default: all");
}

}  // namespace kerncast::bench
