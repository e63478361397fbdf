#include "data/build_shards.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "base/pipeline.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/strings.h"
#include "base/version.h"
#include "data/build_state.h"
#include "data/manifest.h"
#include "data/shard_set_writer.h"
#include "data/source_counts.h"
#include "data/work_folder.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;
using Split = ShardDirectory::Split;

constexpr size_t kBatchBytes = 1 << 18, kBatchDocuments = 1 << 13;

struct Document {
  std::string text;
  size_t input = 0, text_bytes = 0, ids_end = 0;
  uint64_t hash = 0;
};

struct Batch {
  std::vector<Document> documents;
  std::vector<uint32_t> ids;  // of all documents
  uint64_t text_bytes = 0;
  uint64_t stored_bytes = 0;  // the reader's place behind the batch
};

Split split_of_hash(uint64_t hash, double val_fraction) {
  return static_cast<double>(hash >> 11) * 0x1.0p-53 < val_fraction ? Split::val : Split::train;
}

uint64_t hash_of(std::string_view text) {
  return checksum64(std::as_bytes(std::span(text)));
}

// The hash of a series from the hash before and that of the next text.
uint64_t chained(uint64_t before, uint64_t next) {
  const std::array<uint64_t, 2> pair = {before, next};
  return checksum64(std::as_bytes(std::span(pair)));
}

std::string shown(const DataCounts& counts) {
  return with_commas(static_cast<int64_t>(counts.documents)) + " documents, " +
         with_commas(static_cast<int64_t>(counts.tokens)) + " tokens";
}

DataCounts sum(const SplitInfo& train, const SplitInfo& val) {
  return {train.documents + val.documents, train.tokens + val.tokens,
          train.text_bytes + val.text_bytes};
}

DataCounts difference(const DataCounts& a, const DataCounts& b) {
  return {a.documents - b.documents, a.tokens - b.tokens, a.text_bytes - b.text_bytes};
}

class Build {
 public:
  Build(DocumentReader& reader, const Tokenizer& tokenizer, fs::path directory,
        const BuildOptions& options)
      : reader_(reader),
        tokenizer_(tokenizer),
        directory_(std::move(directory)),
        options_(options),
        base_(base_manifest()),
        run_(describe_run()),
        pool_(static_cast<size_t>(options.jobs)) {
    if (!fs::exists(WorkFolder::path_for(directory_))) check_target();
  }
  std::optional<BuildSummary> run();

 private:
  using Clock = std::chrono::steady_clock;

  // Before the work.
  ShardManifest base_manifest() const;
  ordered_json describe_run() const;
  void check_target() const;
  bool reads_files_only() const;
  void begin();
  bool restore(const BuildState& state);
  bool skip_documents();

  // The work, on the reading, the tokenizing and the writing thread.
  bool work();
  bool read(Batch& batch);
  void encode(Batch& batch) const;
  bool write(const Batch& batch);
  void write_document(const Document& document, std::span<const uint32_t> ids);
  void add(Split split, const Document& document, std::span<const uint32_t> ids);
  void save();
  void tell_stopped() const;
  DataCounts so_far() const {
    return sum(writer_->totals(Split::train), writer_->totals(Split::val));
  }
  DataCounts added() const { return difference(so_far(), sum(base_.train, base_.val)); }

  // After it.
  void check_documents();
  BuildSummary commit();
  void add_to_directory(const ShardManifest& manifest) const;
  BuildSummary summary(const ShardManifest& manifest) const;

  fs::path shards_path() const { return folder_->path() / "shards"; }

  DocumentReader& reader_;
  const Tokenizer& tokenizer_;
  const fs::path directory_;
  const BuildOptions& options_;
  const ShardManifest base_;  // what the documents are added to
  const ordered_json run_;
  std::optional<WorkFolder> folder_;
  WorkerPool pool_;
  std::unique_ptr<ShardSetWriter> writer_;
  std::unique_ptr<SourceCounts> sources_;
  std::unique_ptr<Progress> progress_;

  BuildState state_;  // read_documents, empty_documents and text_hash are kept up to date
  // The first document of a fresh directory, until there is a second: alone, it is for training.
  std::optional<std::pair<Document, std::vector<uint32_t>>> first_;
  DataCounts resumed_;
  uint64_t text_bytes_here_ = 0, saved_files_ = 0;
  Clock::time_point last_save_ = Clock::now();
};

ShardManifest Build::base_manifest() const {
  ShardManifest empty = empty_manifest(tokenizer_, options_.writer);
  if (!options_.append) return empty;
  ShardManifest base = read_shard_manifest(directory_);
  if (base.tokenizer_fingerprint != empty.tokenizer_fingerprint) {
    fail(ErrorKind::data, strprintf("%s was made with another tokenizer: fingerprint %s, not %s.\n"
                                    "Use the one that it carries: --tokenizer %s",
                                    directory_.c_str(), base.tokenizer_fingerprint.c_str(),
                                    empty.tokenizer_fingerprint.c_str(),
                                    (directory_ / base.tokenizer_file).c_str()));
  }
  if (base.dtype != empty.dtype || base.vocab_size != empty.vocab_size) {
    fail(ErrorKind::data,
         strprintf("%s/manifest.json: dtype %s and vocabulary %lld are not this "
                   "tokenizer's %s and %lld",
                   directory_.c_str(), base.dtype.c_str(), static_cast<long long>(base.vocab_size),
                   empty.dtype.c_str(), static_cast<long long>(empty.vocab_size)));
  }
  if (base.bos != options_.writer.bos || base.eos != options_.writer.eos) {
    fail(ErrorKind::usage,
         strprintf("the documents of %s are %s BOS and %s EOS. Add documents "
                   "like them: %s --bos, %s --no-eos.",
                   directory_.c_str(), base.bos ? "with" : "without", base.eos ? "with" : "without",
                   base.bos ? "with" : "without", base.eos ? "without" : "with"));
  }
  if (base.sources.empty()) add_sources(base.sources, base);
  return base;
}

ordered_json Build::describe_run() const {
  ordered_json inputs = ordered_json::array();
  for (const std::string& line : split(reader_.identity(), '\n'))
    inputs.push_back(escaped(line, line.size()));
  const ShardWriterOptions& writer = options_.writer;
  return {{"the inputs (name, size, time of change) or their options", std::move(inputs)},
          {"the tokenizer's fingerprint", tokenizer_.fingerprint()},
          {"--val-fraction", options_.val_fraction},
          {"--parse-special", options_.parse_special},
          {"--bos", writer.bos},
          {"--no-eos", !writer.eos},
          {"tokens per file", writer.tokens_per_file},
          {"tokens per frame", writer.tokens_per_frame},
          {"the zstd level", writer.zstd_level},
          {"the program's version", version()},
          {"--append", options_.append},
          {kDirectoryKey, options_.append ? checksum(format_manifest(base_)) : "none"}};
}

void Build::check_target() const {
  if (!options_.append) check_shard_target(directory_, options_.replace);
}

std::optional<BuildSummary> Build::run() {
  folder_.emplace(directory_);
  const FoundWork found =
      find_work(*folder_, directory_, run_, options_.replace, reads_files_only());
  if (found.in_place) {
    state_ = *found.state;
    return summary(read_shard_manifest(directory_));
  }
  check_target();
  if (!found.state || !restore(*found.state)) begin();
  if (!skip_documents()) return std::nullopt;
  try {
    if (!state_.complete && !work()) return std::nullopt;
    return commit();
  } catch (...) {
    if (folder_->kept()) {
      log_info("What was done until the last save is kept in " + folder_->path().string() +
               ": the same command goes on with it, --force starts anew.");
    }
    throw;
  }
}

bool Build::reads_files_only() const {
  return std::all_of(reader_.inputs().begin(), reader_.inputs().end(), [](const auto& input) {
    std::error_code status;
    return fs::is_regular_file(input, status);
  });
}

void Build::begin() {
  fs::create_directories(shards_path());
  writer_ =
      std::make_unique<ShardSetWriter>(shards_path(), tokenizer_, options_.writer, base_, &pool_);
  if (!options_.append)
    write_file_atomic(shards_path() / base_.tokenizer_file, tokenizer_.file_content());
  state_.run = run_;
}

bool Build::restore(const BuildState& state) {
  try {
    writer_ =
        std::make_unique<ShardSetWriter>(shards_path(), tokenizer_, options_.writer, state.writer);
  } catch (const Error& error) {
    drop_damaged(*folder_, error, options_.replace);
    return false;
  }
  state_ = state;
  resumed_ = added();
  log_info("going on with the unfinished run: " + shown(resumed_) + " are done");
  return true;
}

// Brings the reader behind what was done. False on a stop signal.
bool Build::skip_documents() {
  if (state_.complete || state_.read_documents == 0) return true;
  const uint64_t wanted = state_.read_documents;
  uint64_t hash = state_.text_hash;
  bool all = true;
  if (reads_files_only()) {
    all = reader_.skip(wanted);
  } else {
    hash = 0;
    std::string text;
    for (uint64_t i = 0; i < wanted && all; ++i) {
      all = reader_.next(text) && !stop_signal();
      hash = chained(hash, hash_of(text));
    }
  }
  if (stop_signal()) {
    tell_stopped();
    return false;
  }
  if (!all || hash != state_.text_hash) {
    fail(ErrorKind::data, "the input does not begin with the " +
                              with_commas(static_cast<int64_t>(wanted)) +
                              " documents that the unfinished run in " + folder_->path().string() +
                              " has read.\nGive the same input again, or start anew with --force.");
  }
  return true;
}

bool Build::work() {
  progress_ = std::make_unique<Progress>(
      "tokenize", static_cast<int64_t>(reader_.total_stored_bytes()), "bytes");
  progress_->begin_at(static_cast<int64_t>(reader_.stored_bytes()));
  sources_ = std::make_unique<SourceCounts>(writer_->sources(), reader_.inputs());
  Pipeline<Batch> pipeline;
  pipeline.produce = [this](Batch& batch) { return read(batch); };
  pipeline.work = [this](Batch& batch) { encode(batch); };
  pipeline.consume = [this](const Batch& batch) { return write(batch); };
  pipeline.weight = [](const Batch& batch) { return batch.text_bytes; };
  pipeline.max_weight = (2 * pool_.threads() + 2) * kBatchBytes;
  run_pipeline(pipeline, pool_);
  if (stop_signal()) {
    if (!first_) save();
    tell_stopped();
    return false;
  }
  if (first_) add(Split::train, first_->first, first_->second);
  check_documents();
  return true;
}

bool Build::read(Batch& batch) {
  while (batch.text_bytes < kBatchBytes && batch.documents.size() < kBatchDocuments) {
    Document document;
    // After a stop signal the last document may be cut off.
    if (!reader_.next(document.text) || stop_signal()) break;
    document.input = reader_.input();
    document.text_bytes = document.text.size();
    batch.text_bytes += document.text_bytes;
    batch.documents.push_back(std::move(document));
  }
  batch.stored_bytes = reader_.stored_bytes();
  return !batch.documents.empty();
}

void Build::encode(Batch& batch) const {
  const Specials specials = options_.parse_special ? Specials::parse : Specials::as_text;
  for (Document& document : batch.documents) {
    document.hash = hash_of(document.text);
    tokenizer_.encode(document.text, batch.ids, specials);
    document.ids_end = batch.ids.size();
    document.text = {};
  }
}

bool Build::write(const Batch& batch) {
  size_t begin = 0;
  for (const Document& document : batch.documents) {
    write_document(document, std::span(batch.ids).subspan(begin, document.ids_end - begin));
    begin = document.ids_end;
  }
  text_bytes_here_ += batch.text_bytes;
  progress_->update(static_cast<int64_t>(batch.stored_bytes),
                    human_count(static_cast<double>(added().tokens)) + " tokens");
  const bool due =
      Clock::now() - last_save_ >= std::chrono::duration<double>(options_.save_seconds);
  if (!first_ && (due || writer_->finished_files() != saved_files_)) save();
  return !stop_signal();
}

void Build::write_document(const Document& document, std::span<const uint32_t> ids) {
  ++state_.read_documents;
  state_.text_hash = chained(state_.text_hash, document.hash);
  if (document.text_bytes == 0) {
    ++state_.empty_documents;
    return;
  }
  if (!options_.append && state_.read_documents - state_.empty_documents == 1) {
    first_.emplace(document, std::vector(ids.begin(), ids.end()));
    return;
  }
  if (first_) {
    add(split_of_hash(first_->first.hash, options_.val_fraction), first_->first, first_->second);
    first_.reset();
  }
  add(split_of_hash(document.hash, options_.val_fraction), document, ids);
}

void Build::add(Split split, const Document& document, std::span<const uint32_t> ids) {
  const uint64_t tokens = writer_->add(split, ids, document.text_bytes);
  if (tokens > 0) sources_->add(document.input, tokens, document.text_bytes);
}

void Build::save() {
  state_.writer = writer_->save();
  write_build_state(*folder_, state_);
  writer_->drop_old();
  saved_files_ = writer_->finished_files();
  last_save_ = Clock::now();
  folder_->keep(state_.read_documents > 0);
}

void Build::tell_stopped() const {
  if (!folder_->kept()) {
    log_warning("stopped; nothing was written");
    return;
  }
  log_warning("stopped; " + shown(added()) + " are kept in " + folder_->path().string() +
              ": run the same command again to go on");
}

void Build::check_documents() {
  const uint64_t documents = added().documents;
  if (documents == 0) {
    folder_->keep(false);
    fail(ErrorKind::data,
         "the input holds no text: no document was found, and nothing was written");
  }
  if (writer_->totals(Split::train).documents == 0) {
    folder_->keep(false);
    fail(ErrorKind::data,
         strprintf("all %llu documents fell into the validation split, none is left to train on.\n"
                   "Lower --val-fraction, or give more documents.",
                   static_cast<unsigned long long>(documents)));
  }
}

BuildSummary Build::commit() {
  const ShardManifest manifest = writer_->finish();
  state_.complete = true;
  // Where nothing was saved, a kill in the next moment loses less than that would cost.
  if (options_.append || folder_->kept())
    save();
  else
    writer_->drop_old();
  if (options_.append) {
    add_to_directory(manifest);
  } else {
    write_file_atomic(shards_path() / kManifestName, format_manifest(manifest));
    // The target may have appeared since.
    check_target();
    move_directory(shards_path(),
                   directory_.has_filename() ? directory_ : directory_.parent_path());
  }
  folder_->keep(false);
  return summary(manifest);
}

// Until the manifest is replaced, the new files are strangers in a directory that is whole.
void Build::add_to_directory(const ShardManifest& manifest) const {
  if (checksum(format_manifest(base_manifest())) != run_.at(kDirectoryKey)) {
    fail(ErrorKind::data, directory_.string() +
                              " was changed while documents were added to it.\n"
                              "Run the command again with --force to add them to what it is now.");
  }
  for (const SplitInfo* split : {&manifest.train, &manifest.val}) {
    for (const ShardFileInfo& file : split->files) {
      const fs::path from = shards_path() / file.name, to = directory_ / file.name;
      std::error_code status;
      if (!fs::exists(from, status)) continue;
      fs::rename(from, to, status);
      if (status) {
        fail(ErrorKind::resources,
             "cannot move " + from.string() + " to " + to.string() + ": " + status.message());
      }
    }
  }
  // A manifest that a killed run was writing. No other run is at work here: folder_ is locked.
  std::vector<fs::path> leftovers;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_))
    if (is_unfinished_manifest(entry.path())) leftovers.push_back(entry.path());
  for (const fs::path& path : leftovers) fs::remove(path);
  sync_directory(directory_);
  write_file_atomic(directory_ / kManifestName, format_manifest(manifest));
}

BuildSummary Build::summary(const ShardManifest& manifest) const {
  BuildSummary summary;
  summary.manifest = manifest;
  summary.empty_documents = state_.empty_documents;
  summary.resumed = resumed_;
  summary.added = difference(sum(manifest.train, manifest.val), sum(base_.train, base_.val));
  summary.text_bytes_here = text_bytes_here_;
  return summary;
}

}  // namespace

Split split_of(std::string_view text, double val_fraction) {
  return split_of_hash(hash_of(text), val_fraction);
}

std::optional<BuildSummary> build_shards(DocumentReader& reader, const Tokenizer& tokenizer,
                                         const fs::path& directory, const BuildOptions& options) {
  try {
    return Build(reader, tokenizer, directory, options).run();
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::resources, error.what());
  }
}

}  // namespace mythos
