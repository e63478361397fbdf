#include "checkpoint/checkpoint.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file_lock.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "checkpoint/manifest.h"
#include "checkpoint/published.h"
#include "checkpoint/shared_checkpoint.h"
#include "dist/single_rank.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

constexpr std::string_view kStepPrefix = "step-";
constexpr const char *kLatest = "latest", *kBest = "best";  // links in a run

std::string step_name(int64_t step) {
  return strprintf("step-%06d", step);
}

std::optional<int64_t> step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  const std::string digits = name.substr(kStepPrefix.size());
  if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return parse_int(digits);
}

struct Run {
  std::vector<std::pair<int64_t, fs::path>> steps;  // newest first
  std::vector<fs::path> leftovers;                  // of saves that did not end, or still run
};

bool is_link_leftover(const std::string& name) {
  return name.starts_with(std::string(".") + kLatest + ".") ||
         name.starts_with(std::string(".") + kBest + ".");
}

Run scan(const fs::path& directory) {
  Run run;
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(directory, status)) {
    const std::string name = entry.path().filename().string();
    if (is_unfinished(name) && (name.starts_with(".step-") || is_link_leftover(name))) {
      run.leftovers.push_back(entry.path());
    } else if (const auto step = step_of(name); step && entry.is_directory(status)) {
      run.steps.emplace_back(*step, entry.path());
    }
  }
  std::sort(run.steps.rbegin(), run.steps.rend());
  std::sort(run.leftovers.begin(), run.leftovers.end());
  return run;
}

// Whether the process that was writing `leftover` (".NAME.PID.unfinished") has ended. This process
// is not saving now, so a leftover with its number comes from an earlier process.
bool is_abandoned(const fs::path& leftover) {
  const auto pid = parse_int(leftover.stem().extension().string().substr(1));
  if (!pid || *pid == getpid()) return true;
  return kill(static_cast<pid_t>(*pid), 0) != 0 && errno == ESRCH;
}

// The reason why a step directory is not whole; nothing if it is.
std::optional<std::string> broken_reason(const fs::path& step_directory) {
  try {
    return incomplete_reason(step_directory, read_manifest(step_directory));
  } catch (const Error& error) {
    return error.what();
  }
}

// Whether the trainer called a whole checkpoint healthy.
bool is_healthy(const fs::path& step_directory) {
  try {
    const auto state = nlohmann::json::parse(read_file(step_directory / "state.json"), nullptr,
                                             /*allow_exceptions=*/false);
    return state.is_object() && state.value("healthy", true);
  } catch (const Error&) {
    return false;
  }
}

void write_content(const fs::path& directory, int64_t step, const CheckpointContent& content) {
  Manifest manifest;
  manifest.step = step;
  write_head(directory, content, manifest);
  write_tensors(directory, "", content, manifest);
  write_manifest(directory, manifest);
}

// A hidden name in the run for unfinished work; scan() takes it for a leftover.
fs::path hidden_name(const fs::path& run, const std::string& name) {
  return run / strprintf(".%s.%d.unfinished", name, getpid());
}

// Makes the symbolic link RUN/link lead to the step directory `name`, in one step.
void point_link(const fs::path& run, const std::string& link, const std::string& name) {
  const fs::path fresh = hidden_name(run, link);
  unlink(fresh.c_str());
  if (symlink(name.c_str(), fresh.c_str()) != 0 ||
      rename(fresh.c_str(), (run / link).c_str()) != 0) {
    const int code = errno;
    unlink(fresh.c_str());
    fail(ErrorKind::resources,
         strprintf("cannot move %s/%s to %s: %s", run, link, name, strerror(code)));
  }
  sync_directory(run);
}

// Removes a checkpoint. It is renamed first, so that a removal that is cut short leaves nothing
// that looks like a checkpoint.
void remove_checkpoint(const fs::path& directory) {
  const std::string name = directory.filename().string() + ".removed";
  const fs::path hidden = hidden_name(directory.parent_path(), name);
  std::error_code status;
  fs::rename(directory, hidden, status);
  if (!status) fs::remove_all(hidden, status);
  if (status) log_warning("cannot remove " + directory.string() + ": " + status.message());
}

[[noreturn]] void fail_save(const fs::path& run, int64_t step, const Error& error) {
  fail(error.kind(), error.message(),
       "The checkpoint of step " + std::to_string(step) + " was not saved; older ones in " +
           run.string() + " are as they were.");
}

void warn_of_leftovers(const Run& run) {
  for (const fs::path& leftover : run.leftovers) {
    if (is_link_leftover(leftover.filename().string()) || !is_abandoned(leftover)) continue;
    log_warning("passed over an unfinished save " + leftover.string() +
                ": it was interrupted, and the next save removes it");
  }
}

[[noreturn]] void fail_none(const fs::path& path) {
  std::error_code status;
  if (!fs::exists(path, status)) {
    fail(ErrorKind::data, path.string() + ": no such run or checkpoint directory.");
  }
  if (!fs::is_directory(path, status)) {
    fail(ErrorKind::data, path.string() +
                              ": not a directory; name a run or one of its step-NNNNNN "
                              "directories.");
  }
  std::vector<std::string> there;
  for (const auto& entry : fs::directory_iterator(path, status)) {
    there.push_back(escaped(entry.path().filename().string()));
  }
  std::sort(there.begin(), there.end());
  if (there.size() > 10) {
    there.resize(10);
    there.emplace_back("…");
  }
  fail(ErrorKind::data,
       path.string() + ": no whole checkpoint (a directory step-NNNNNN with a " +
           kCheckpointManifestName + ").",
       "It holds: " + (there.empty() ? "nothing" : join(there, ", ")));
}

// The advice for damage to the file that `fault` names.
std::string repair_hint(const std::string& fault) {
  const bool edited = fault.find("config.toml: bytes") != fault.npos;
  return std::string("Restore the file from a copy") +
         (edited ? "; a checkpoint's configuration is changed with --set, not in its file" : "");
}

std::string earlier_hint(const fs::path& step_directory, const std::string& fault) {
  const auto step = step_of(step_directory);
  const fs::path parent = step_directory.parent_path();
  for (const auto& [other, path] : scan(parent.empty() ? "." : parent).steps) {
    if (step && other < *step && !broken_reason(path)) {
      return repair_hint(fault) + ", or use the checkpoint before it: " + path.string();
    }
  }
  return repair_hint(fault);
}

void warn_of(const NonFinite& nonfinite, const fs::path& directory) {
  if (!nonfinite.none()) log_warning(directory.string() + ": " + nonfinite.text());
}

std::vector<std::pair<std::string, StoredTensor>> as_list(const StoredTensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

}  // namespace

NamedTensors named_tensors(const Parameters& parameters) {
  NamedTensors tensors;
  for (const Parameters::Item& item : parameters.items()) {
    tensors.emplace_back(item.name, parameters.merged(item.name).detach());
  }
  return tensors;
}

fs::path save_checkpoint(const fs::path& run, int64_t step, const CheckpointContent& content) {
  const std::string name = step_name(step);
  try {
    AtomicDirectory directory(run / name);
    write_content(directory.path(), step, content);
    directory.commit();
  } catch (const Error& error) {
    fail_save(run, step, error);
  }
  point_link(run, kLatest, name);
  return run / name;
}

fs::path save_checkpoint(const fs::path& run, int64_t step, const CheckpointContent& content,
                         Ranks& ranks) {
  if (ranks.size() == 1) return save_checkpoint(run, step, content);
  const std::string name = step_name(step);
  try {
    write_together(run / name, step, content, ranks, [&] { point_link(run, kLatest, name); });
  } catch (const Error& error) {
    fail_save(run, step, error);
  }
  return run / name;
}

void mark_best_checkpoint(const fs::path& run, int64_t step) {
  point_link(run, kBest, step_name(step));
}

std::vector<fs::path> healthy_checkpoints(const fs::path& run) {
  std::vector<fs::path> healthy;
  for (const auto& [step, path] : scan(run).steps) {
    if (!broken_reason(path) && is_healthy(path)) healthy.push_back(path);
  }
  return healthy;
}

void prune_checkpoints(const fs::path& run, int64_t keep_last, int64_t keep_every) {
  const Run found = scan(run);
  for (const fs::path& leftover : found.leftovers) {
    std::error_code status;
    if (is_abandoned(leftover)) fs::remove_all(leftover, status);
  }
  std::error_code status;
  const fs::path best = fs::read_symlink(run / kBest, status);
  int64_t whole = 0;
  bool healthy_kept = false;
  for (const auto& [step, path] : found.steps) {
    const bool newest_healthy = !healthy_kept && !broken_reason(path) && is_healthy(path);
    healthy_kept = healthy_kept || newest_healthy;
    if (keep_last <= 0 || whole < keep_last) {
      if (!broken_reason(path)) ++whole;
      continue;
    }
    if (newest_healthy || path.filename() == best) continue;
    if (keep_every > 0 && step % keep_every == 0) continue;
    FileLock lock;
    if (lock.exclusive(path / kCheckpointManifestName) != FileLock::Outcome::held)
      remove_checkpoint(path);
  }
}

void remove_checkpoints(const fs::path& run) {
  for (const auto& [step, path] : scan(run).steps) remove_checkpoint(path);
  std::error_code status;
  for (const char* link : {kLatest, kBest}) {
    if (fs::is_symlink(run / link, status)) fs::remove(run / link, status);
  }
}

namespace {

// The directory that a user's path stands for; a link such as RUN/latest is followed once.
fs::path target_of(const fs::path& path) {
  std::error_code status;
  if (fs::is_symlink(path, status)) return path.parent_path() / fs::read_symlink(path, status);
  return path.has_filename() ? path : path.parent_path();
}

bool is_step_directory(const fs::path& path) {
  std::error_code status;
  return fs::is_directory(path, status) &&
         (step_of(path) || fs::exists(path / kCheckpointManifestName, status));
}

}  // namespace

std::vector<fs::path> checkpoint_directories(const fs::path& path) {
  const fs::path target = target_of(path);
  if (is_step_directory(target)) return {target};
  std::error_code status;
  if (!fs::is_directory(target, status)) return {};
  std::vector<fs::path> out;
  for (const auto& [step, directory] : scan(target).steps) out.insert(out.begin(), directory);
  return out;
}

std::vector<std::string> verify_checkpoint(const fs::path& step_directory) {
  const std::unique_ptr<Ranks> alone = single_rank();
  try {
    const Manifest manifest = read_manifest(step_directory);
    const auto faults = check_files(step_directory, manifest, {}, *alone);
    // The bytes are those that were saved, so values that are not finite are no fault.
    if (faults.empty()) {
      const StoredTensors weights = read_whole_tensors(step_directory, manifest.model);
      warn_of(find_nonfinite(as_list(weights), *alone), step_directory);
    }
    return faults;
  } catch (const Error& error) {
    return {error.what()};
  }
}

namespace {

// Leaves the experts of one of the ranks that divide them.
void keep_own_experts(Model& model, const ExpertDivision& division) {
  if (division.ranks == 1) return;
  const ExpertShare share = expert_share(model.config, division);
  for (const TensorDeclaration& tensor : declared_tensors(model.config)) {
    if (is_of_experts(tensor)) model.parameters.keep_part(tensor.name, share.begin, share.count);
  }
}

// Puts the averages of weights in their places; what is not trained has none.
void take_averages(const fs::path& directory, const Manifest& manifest, StoredTensors& weights) {
  const std::string prefix = kAveragePrefix;
  size_t found = 0;
  for (const auto& [name, average] : read_whole_tensors(directory, manifest.optimizer)) {
    if (!name.starts_with(prefix)) continue;
    const auto weight = weights.find(name.substr(prefix.size()));
    if (weight == weights.end()) {
      fail(ErrorKind::data, directory.string() + ": the average '" + escaped(name) +
                                "' is of no tensor of the model.");
    }
    weight->second = average;
    ++found;
  }
  if (found > 0) return;
  fail(ErrorKind::data, directory.string() + ": it holds no averages of the weights.",
       "Leave out --ema, or train with --set train.ema_decay=0.999, which keeps them");
}

// Reads a checkpoint whose bytes have been compared with the manifest.
LoadedCheckpoint read_checkpoint(const fs::path& directory, const Manifest& manifest,
                                 at::Device device, LoadFor purpose, const ExpertDivision& experts,
                                 Ranks& ranks) {
  LoadedCheckpoint out;
  out.path = directory;
  out.config = load_config_file(directory / "config.toml");
  if (!manifest.tokenizer.empty()) {
    out.tokenizer = load_carried_tokenizer(directory / manifest.tokenizer);
  }
  out.state = nlohmann::json::parse(read_file(directory / "state.json"));
  if (const auto documents = out.state.find("documents"); documents != out.state.end()) {
    out.documents = document_ends_from_json(*documents, (directory / "state.json").string());
  }
  for (const ManifestFile& file : manifest.files) {
    if (is_model_file(file.name)) out.model_files[file.name] = read_file(directory / file.name);
  }
  StoredTensors weights = read_whole_tensors(directory, manifest.model);
  if (purpose == LoadFor::averages) take_averages(directory, manifest, weights);
  if (purpose == LoadFor::training || purpose == LoadFor::resuming || experts.ranks > 1) {
    auto all = as_list(weights);
    if (purpose == LoadFor::resuming) {
      out.optimizer = read_tensors(directory, manifest.optimizer);
      for (const auto& [name, tensor] : out.optimizer) {
        all.emplace_back(name, [of = tensor] { return of; });
      }
    }
    out.nonfinite = find_nonfinite(all, ranks);
    out.model = std::make_unique<Model>(
        out.config.model,
        Parameters(out.config.model, device, std::move(weights), directory.string()));
    keep_own_experts(*out.model, experts);
  } else {
    const TensorMap whole = made(weights);
    out.nonfinite = find_nonfinite(whole);
    out.model = std::make_unique<Model>(out.config.model, device);
    out.model->parameters.adopt(whole, directory.string());
  }
  warn_of(out.nonfinite, directory);
  return out;
}

// A checkpoint that was tried: it is locked, so that no process prunes it, and every byte has been
// compared.
struct Tried {
  bool gone = false;  // whether it was pruned before it could be locked
  std::string fault;  // empty if it is whole
  Manifest manifest;
  FileLock lock;
};

Tried try_checkpoint(const fs::path& directory, LoadFor purpose, Ranks& ranks) {
  constexpr const char* kGone = "gone";
  Tried tried;
  try {
    // A process that has locked it alone is removing the checkpoint.
    tried.gone = tried.lock.shared(directory / kCheckpointManifestName) == FileLock::Outcome::held;
  } catch (const Error&) {
    // On a file system that cannot lock, the checkpoint is read without a lock.
  }
  std::error_code status;
  tried.gone = tried.gone || !fs::exists(directory, status);
  try {
    if (!tried.gone) tried.manifest = read_manifest(directory);
  } catch (const Error& error) {
    tried.fault = error.message();
  }
  tried.fault = agree_on_fault(directory, tried.gone ? kGone : tried.fault, ranks);
  tried.gone = tried.fault == kGone;
  if (!tried.fault.empty()) return tried;
  const auto faults = check_files(directory, tried.manifest,
                                  purpose == LoadFor::resuming || purpose == LoadFor::averages
                                      ? std::vector<std::string>()
                                      : tried.manifest.optimizer,
                                  ranks);
  if (faults.empty()) return tried;
  tried.fault = faults[0];
  if (faults.size() > 1) tried.fault += strprintf(" (and %u more)", faults.size() - 1);
  return tried;
}

LoadedCheckpoint load_step(const fs::path& directory, at::Device device, LoadFor purpose,
                           const ExpertDivision& experts, Ranks& ranks) {
  const Tried tried = try_checkpoint(directory, purpose, ranks);
  if (tried.gone) fail_none(directory);
  if (!tried.fault.empty()) {
    fail(ErrorKind::data, tried.fault + ".", earlier_hint(directory, tried.fault));
  }
  return read_checkpoint(directory, tried.manifest, device, purpose, experts, ranks);
}

}  // namespace

LoadedCheckpoint load_checkpoint(const fs::path& path, at::Device device, LoadFor purpose,
                                 const ExpertDivision& experts, Ranks* together) {
  const std::unique_ptr<Ranks> alone = single_rank();
  Ranks& ranks = together ? *together : *alone;
  const fs::path target = target_of(path);
  if (is_step_directory(target)) return load_step(target, device, purpose, experts, ranks);
  if (const auto published = published_config(target)) {
    // No family of published models has experts.
    if (experts.ranks > 1) {
      expert_share(config_from_hf(*published, target.string()).model, experts);
    }
    return load_published(target, *published, device, purpose);
  }
  std::string newest_fault;
  std::vector<fs::path> damaged;
  for (bool again = true; again;) {
    again = false;
    const Run run = scan(target);
    if (damaged.empty()) warn_of_leftovers(run);
    for (const auto& [step, directory] : run.steps) {
      if (std::ranges::find(damaged, directory) != damaged.end()) continue;
      const Tried tried = try_checkpoint(directory, purpose, ranks);
      again = tried.gone;  // the run goes on and has newer checkpoints by now
      if (again) break;
      if (tried.fault.empty()) {
        return read_checkpoint(directory, tried.manifest, device, purpose, experts, ranks);
      }
      log_warning("passed over a checkpoint: " + tried.fault);
      if (damaged.empty()) newest_fault = tried.fault;
      damaged.push_back(directory);
    }
  }
  if (damaged.empty()) fail_none(path);
  fail(ErrorKind::data,
       damaged.size() == 1
           ? path.string() + ": its only checkpoint is damaged: " + newest_fault
           : strprintf("%s: all %u checkpoints are damaged, the newest: ", path, damaged.size()) +
                 newest_fault,
       repair_hint(newest_fault));
}

}  // namespace mythos
