#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/key.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"
#include "cache/posix/warn_once.hpp"
#include "tools/tune/trials/trial.hpp"

namespace kerncast::tools {

/// The directory of the kernels of candidates, a cache of its own, for the cache directory `root`.
[[nodiscard]] std::string candidate_kernels(const std::string& root);

/// The trials of one search, and what the search is about.
struct StoredSearch {
  cache::KeyFieldList fields;  ///< empty if the file does not say
  std::vector<Trial> trials;   ///< in the order in which they were made
};

/// The value of `label` in `fields`; empty if they do not have it.
[[nodiscard]] std::string field_of(const cache::KeyFieldList& fields, std::string_view label);

/// Every trial that was ever made in a cache directory, so that a tuner that was killed goes on from its last
/// trial, and one that gets another candidate tries that one only:
///
///     ROOT/trials/KEY.jsonl     one file for each search; KEY is the hash of what the search is about
///
///     {"sum":"0123456789abcdef","search":{"version":1, label: value, ...}}      at the beginning
///     {"sum":"0123456789abcdef","trial":{...}}                                  one line for each trial
///
/// The sum covers the line after it. Lines are appended under a lock, in one write, and synced. The rest of a
/// line that was cut off is removed by the next writer; other lines that are damaged are left out with one
/// warning. A file of a newer build is left alone. Nothing throws because of the state of the disk: a trial
/// that cannot be written is tried again with the next and in finish(), which says what is lost. Files that
/// `trust` refuses are neither read nor written. Not thread-safe; several processes may use a directory.
class TrialStore {
 public:
  /// `root` is the cache directory; if it is empty, nothing is kept. `warn` receives each kind of warning
  /// once.
  TrialStore(std::string root, cache::WarningSink warn, cache::Trust trust = cache::Trust::mine);

  /// The sound trials of the search that `fields` are about.
  [[nodiscard]] std::vector<Trial> load(const cache::KeyFieldList& fields);
  void append(const cache::KeyFieldList& fields, std::span<const Trial> trials);
  /// Tries once more to write what could not be written. Returns how many trials are lost and why, in words;
  /// empty if all are kept.
  [[nodiscard]] std::string finish();

  /// All searches of the directory, by name of their files.
  [[nodiscard]] std::vector<StoredSearch> list();

  /// Removes the searches of which `unwanted` is true, or only counts them if `dry_run`. Files of a newer
  /// build and damaged ones stay. A file that cannot be removed gives a warning and does not count.
  [[nodiscard]] std::size_t remove(const std::function<bool(const cache::KeyFieldList& fields)>& unwanted,
                                   bool dry_run);

 private:
  struct Pending {
    cache::KeyFieldList fields;
    std::string lines;
    std::size_t trials = 0;
  };
  [[nodiscard]] StoredSearch read(const cache::Folder& folder, const std::string& name);
  [[nodiscard]] std::string write(const std::string& name, Pending& pending);
  /// The folder of the trials. It is invalid if there is none, or, with a warning, if it cannot be read.
  [[nodiscard]] cache::Folder open();
  /// The names of the files of searches in `folder`, in order.
  [[nodiscard]] static std::vector<std::string> files_of(const cache::Folder& folder);

  std::string root_;
  cache::Trust trust_;
  cache::WarnOnce warnings_;
  std::map<std::string, Pending> pending_;  ///< by name of file
  std::string defect_;                      ///< why the last write failed
};

}  // namespace kerncast::tools
