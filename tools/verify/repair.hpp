#pragma once

#include <memory>
#include <vector>

#include "cache/directory/store.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "tools/verify/entry_verifier.hpp"
#include "tools/verify/place_report.hpp"
#include "tools/verify/source.hpp"

namespace kerncast::tools {

/// Places that sound copies are taken from, in order.
using Suppliers = std::vector<Source*>;

/// Repairs the own directory: the entries that `report` finds unsound go to quarantine, and come back from
/// the first of `suppliers` that has a sound copy; the tuned records are restored from their last good copy,
/// and the index is rebuilt. `report` receives what was done, and which defects are left.
void repair_directory(cache::Store& store, cache::TuningStore& tuning, const EntryVerifier& verifier,
                      const Suppliers& suppliers, PlaceReport& report);

/// Replaces what `report` finds unsound on `server` by sound copies of `suppliers`, and reads each back. What
/// nobody has a sound copy of is removed, if it is of no use to any machine. The log of the directory of
/// `store` tells both.
void repair_server(ServerSource& server, const cache::Store& store, const EntryVerifier& verifier,
                   const Suppliers& suppliers, PlaceReport& report);

}  // namespace kerncast::tools
