#include "data/build/build_shards.h"

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output_path.h"
#include "base/pipeline.h"
#include "base/progress.h"
#include "base/strings.h"
#include "base/version.h"
#include "data/build/build_state.h"
#include "data/build/marked_text.h"
#include "data/build/work_folder.h"
#include "data/shards/manifest.h"
#include "data/shards/parting.h"
#include "data/shards/shard_set_writer.h"
#include "data/shards/source_counts.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;
using Split = ShardDirectory::Split;

constexpr size_t kBatchBytes = 1 << 18, kBatchDocuments = 1 << 13;

struct Document {
  std::string text;
  size_t input = 0, text_bytes = 0, ids_end = 0;
  bool placed = false;  // whether hash and split are known before encode()
  uint64_t hash = 0;
  Split split = Split::train;
  uint64_t empty_behind = 0;  // number of documents without text that followed this one
  size_t last_input = 0;      // the input of the last of those, or of the document itself
  bool is_rest = false;       // whether it was cut off the document before it
  std::vector<TextPart> parts = {};
  size_t mask_end = 0;

  bool kept_whole() const { return !parts.empty(); }
  Document cut(size_t place) {
    std::string whole = std::exchange(text, {});  // copied once: it may be most of the memory
    Document rest = *this;
    rest.text = whole.substr(place);
    rest.text_bytes = rest.text.size();
    rest.empty_behind = 0;
    rest.is_rest = true;
    whole.resize(place);
    text = std::move(whole);
    text_bytes = place;
    return rest;
  }
};

struct DocumentBatch {
  std::vector<Document> documents;
  std::vector<uint32_t> ids;   // the ids of all documents, one after the other
  std::vector<uint32_t> mask;  // the masks of those that have parts, with BOS and EOS
  Tail tail;                   // set in the last batch
  uint64_t text_bytes = 0;
  uint64_t stored_bytes = 0;  // the reader's stored_bytes() after the batch
};

// The hash of a series of texts, from the hash of the series before and that of the next text.
uint64_t chained(uint64_t before, uint64_t next) {
  const std::array<uint64_t, 2> pair = {before, next};
  return checksum64(std::as_bytes(std::span(pair)));
}

std::string shown(const DataCounts& counts) {
  return with_commas(counts.documents) + " documents, " + with_commas(counts.tokens) + " tokens";
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
        part_encoder_(tokenizer, specials(), options.writer.bos, options.writer.eos),
        pool_(static_cast<size_t>(options.jobs)) {
    std::error_code status;
    if (!fs::exists(WorkFolder::path_for(directory_), status)) check_target();
  }
  BuildSummary run();

 private:
  // Steps before the work.
  ShardManifest base_manifest() const;
  void describe_run();
  void check_target() const;
  bool reads_files_only() const;
  void begin();
  bool restore();
  void go_on(bool changed);
  bool skip_documents(bool compare);

  // Steps of the work, on the reading, the tokenizing and the writing thread.
  void work();
  bool read(DocumentBatch& batch);
  void part(Document document, std::vector<Document>& out);
  void encode(DocumentBatch& batch) const;
  void write(const DocumentBatch& batch);
  void write_document(const Document& document, std::span<const uint32_t> ids,
                      std::span<const uint32_t> mask);
  bool is_save_due() const;
  void save(bool between_inputs = false);
  void tell_stopped() const;
  DataCounts so_far() const {
    return sum(writer_->totals(Split::train), writer_->totals(Split::val));
  }
  DataCounts added() const { return difference(so_far(), sum(base_.train, base_.val)); }

  // Steps after the work.
  void check_documents();
  BuildSummary commit();
  void add_to_directory(const ShardManifest& manifest) const;
  BuildSummary summary(const ShardManifest& manifest) const;

  Specials specials() const { return options_.parse_special ? Specials::parse : Specials::as_text; }
  fs::path shards_path() const { return folder_->path() / "shards"; }

  DocumentReader& reader_;
  const Tokenizer& tokenizer_;
  const fs::path directory_;
  const BuildOptions& options_;
  const ShardManifest base_;  // what the documents are added to
  const PartEncoder part_encoder_;
  std::optional<WorkFolder> folder_;
  WorkerPool pool_;
  std::unique_ptr<ShardSetWriter> writer_;
  std::unique_ptr<SourceCounts> sources_;
  std::unique_ptr<Progress> progress_;

  BuildState state_;                          // `now` is kept up to date, except its writer's state
  std::optional<Parting<Document>> parting_;  // used by the reading thread alone
  DataCounts resumed_;
  uint64_t text_bytes_here_ = 0, saved_files_ = 0;
  Clock::time_point last_save_ = Clock::now();
};

ShardManifest Build::base_manifest() const {
  ShardManifest empty = empty_manifest(tokenizer_, options_.writer);
  if (!options_.append) return empty;
  ShardManifest base = read_shard_manifest(directory_);
  if (base.tokenizer_fingerprint != empty.tokenizer_fingerprint) {
    fail(
        ErrorKind::data,
        strprintf("%s was made with another tokenizer: fingerprint %s, not %s.", directory_,
                  base.tokenizer_fingerprint, empty.tokenizer_fingerprint),
        strprintf("Use the one that it carries: --tokenizer %s", directory_ / base.tokenizer_file));
  }
  if (base.dtype != empty.dtype || base.vocab_size != empty.vocab_size) {
    fail(ErrorKind::data,
         strprintf("%s/manifest.json: dtype %s and vocabulary %d are not this "
                   "tokenizer's %s and %d",
                   directory_, base.dtype, base.vocab_size, empty.dtype, empty.vocab_size));
  }
  if (base.bos != options_.writer.bos || base.eos != options_.writer.eos) {
    fail(ErrorKind::usage,
         strprintf("the documents of %s are %s BOS and %s EOS. Add documents "
                   "like them: %s --bos, %s --no-eos.",
                   directory_, base.bos ? "with" : "without", base.eos ? "with" : "without",
                   base.bos ? "with" : "without", base.eos ? "without" : "with"));
  }
  if (options_.writer.masked && !base.masked) {
    fail(ErrorKind::usage,
         directory_.string() +
             " has no masks, so all of its tokens count; documents of which only a part counts "
             "cannot be added.",
         "Make a directory of them, and join both with 'mythos shards merge'.");
  }
  if (base.sources.empty()) add_sources(base.sources, base);
  return base;
}

void Build::describe_run() {
  const std::vector<std::string> lines = split(reader_.identity(), '\n');
  state_.inputs = ordered_json::array();
  for (size_t i = 1; i < lines.size(); ++i)
    if (!lines[i].empty()) state_.inputs.push_back(escaped(lines[i], lines[i].size()));
  const ShardWriterOptions& writer = options_.writer;
  state_.run = {{"the options of the input", escaped(lines.front(), lines.front().size())},
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
  // The work folder lies beside the directory, so that its parent must take it.
  check_output(directory_, OutputKind::directory);
  if (options_.append)
    check_output(directory_, OutputKind::contents);
  else
    check_shard_target(directory_, options_.replace);
}

BuildSummary Build::run() try {
  folder_.emplace(directory_);
  describe_run();
  FoundWork found = find_work(*folder_, directory_, state_, options_.replace, reads_files_only());
  if (found.in_place) {
    state_ = *found.state;
    return summary(read_shard_manifest(directory_));
  }
  check_target();
  if (found.state) {
    state_.now = found.state->now;
    state_.earlier = found.state->earlier;
    state_.complete = found.state->complete;
  }
  if (!found.state || !restore())
    begin();
  else
    go_on(found.changed);
  try {
    if (!state_.complete) work();
    return commit();
  } catch (const std::exception& error) {
    if (folder_->kept()) {
      const auto* known = dynamic_cast<const Error*>(&error);
      const bool input = known && known->kind() == ErrorKind::data;
      log_info("What was done until the last save is kept in " + folder_->path().string() +
               ": the same command goes on with it, " +
               (input ? "with --skip-damaged or when that input is repaired or taken away, " : "") +
               "--force starts anew.");
    }
    throw;
  }
} catch (const Stopped&) {
  tell_stopped();
  throw;
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
  state_.now = {};
  state_.earlier.reset();
  state_.complete = false;
}

bool Build::restore() {
  const ordered_json earlier = state_.earlier ? state_.earlier->writer : ordered_json();
  try {
    writer_ = std::make_unique<ShardSetWriter>(shards_path(), tokenizer_, options_.writer,
                                               state_.now.writer, earlier, &pool_);
  } catch (const Error& error) {
    drop_damaged(*folder_, error, options_.replace);
    return false;
  }
  resumed_ = added();
  return true;
}

// Moves the reader past the documents that are done.
void Build::go_on(bool changed) {
  log_info("going on with the unfinished run: " + shown(resumed_) + " are done");
  if (state_.complete) return;
  bool skipped = skip_documents(changed || !reads_files_only());
  if (!skipped && changed && state_.earlier) {
    state_.now = *state_.earlier;
    if (!restore()) begin();
    log_info("what was read of the last input has changed: going back to " + shown(resumed_));
    reader_.restart();
    skipped = skip_documents(false);
  }
  if (!skipped) {
    fail(ErrorKind::data,
         "the input does not begin with the " + with_commas(state_.now.read_documents) +
             " documents that the unfinished run in " + folder_->path().string() + " has read.",
         "Give the same input again, or start anew with --force.");
  }
}

// False where the input does not begin with what was read before.
bool Build::skip_documents(bool compare) {
  const uint64_t wanted = state_.now.read_documents;
  uint64_t hash = state_.now.text_hash;
  bool all = true;
  if (!compare) {
    all = reader_.skip(wanted);
  } else {
    hash = 0;
    std::string text;
    for (uint64_t i = 0; i < wanted && all; ++i) {
      all = reader_.next(text);
      const uint64_t own = parting_hash(text);
      hash = chained(hash, text.empty() ? own : marked_hash(own, reader_.parts()));
    }
  }
  return all && hash == state_.now.text_hash;
}

void Build::work() {
  progress_ = std::make_unique<Progress>(
      "tokenize", static_cast<int64_t>(reader_.total_stored_bytes()), "bytes");
  progress_->begin_at(static_cast<int64_t>(reader_.stored_bytes()));
  sources_ = std::make_unique<SourceCounts>(writer_->sources(), reader_.inputs());
  const SplitInfo train = writer_->totals(Split::train), val = writer_->totals(Split::val);
  // Documents that are added to a directory are parted by their hash alone.
  const bool all_given = options_.append;
  parting_.emplace(
      options_.val_fraction,
      Parting<Document>::Given{all_given || train.documents > 0, all_given || val.documents > 0,
                               train.text_bytes + val.text_bytes});
  Pipeline<DocumentBatch> pipeline;
  pipeline.produce = [this](DocumentBatch& batch) { return read(batch); };
  pipeline.work = [this](DocumentBatch& batch) { encode(batch); };
  pipeline.consume = [this](const DocumentBatch& batch) {
    write(batch);
    options_.stop.throw_if_stopped();
    return true;
  };
  pipeline.weight = [](const DocumentBatch& batch) { return batch.text_bytes; };
  pipeline.max_weight = (2 * pool_.threads() + 2) * kBatchBytes;
  try {
    run_pipeline(pipeline, pool_);
  } catch (const Stopped&) {
    save();
    throw;
  }
  check_documents();
}

bool Build::read(DocumentBatch& batch) {
  while (batch.text_bytes < kBatchBytes && batch.documents.size() < kBatchDocuments) {
    Document document;
    const bool more = reader_.next(document.text);
    if (more && !document.text.empty()) document.parts = reader_.parts();
    const size_t before = batch.documents.size();
    if (more)
      part(std::move(document), batch.documents);
    else
      batch.tail = parting_->finish(batch.documents);
    for (size_t i = before; i < batch.documents.size(); ++i)
      batch.text_bytes += batch.documents[i].text_bytes;
    if (!more) break;
  }
  batch.stored_bytes = reader_.stored_bytes();
  return !batch.documents.empty();
}

// Appends the document to `out` at once if its hash alone decides its split, else hands it to
// parting_.
void Build::part(Document document, std::vector<Document>& out) {
  document.input = document.last_input = reader_.input();
  if (document.text.empty() && parting_->last()) {
    ++parting_->last()->empty_behind;
    parting_->last()->last_input = document.input;
    return;
  }
  document.text_bytes = document.text.size();
  if (parting_->decided() || document.text.empty()) {
    out.push_back(std::move(document));
    return;
  }
  document.hash = parting_hash(document.text);
  document.split = split_of_hash(document.hash, options_.val_fraction);
  document.placed = true;
  parting_->add(std::move(document), out);
}

void Build::encode(DocumentBatch& batch) const {
  for (Document& document : batch.documents) {
    if (!document.placed) {
      document.hash = parting_hash(document.text);
      document.split = split_of_hash(document.hash, options_.val_fraction);
    }
    document.hash = marked_hash(document.hash, document.parts);
    if (document.parts.empty())
      tokenizer_.encode(document.text, batch.ids, specials());
    else
      part_encoder_.encode(document.text, document.parts, batch.ids, batch.mask);
    document.ids_end = batch.ids.size();
    document.mask_end = batch.mask.size();
    document.text = {};
  }
}

void Build::write(const DocumentBatch& batch) {
  size_t begin = 0, mask_begin = 0;
  for (const Document& document : batch.documents) {
    // If inputs are small and many, the work is saved between two of them.
    const bool is_next_input = document.input >= state_.now.read_inputs;
    if (is_next_input && state_.now.read_documents > 0 && is_save_due()) save(true);
    write_document(document, std::span(batch.ids).subspan(begin, document.ids_end - begin),
                   std::span(batch.mask).subspan(mask_begin, document.mask_end - mask_begin));
    begin = document.ids_end;
    mask_begin = document.mask_end;
  }
  log_tail(batch.tail);
  text_bytes_here_ += batch.text_bytes;
  progress_->update(static_cast<int64_t>(batch.stored_bytes),
                    human_count(static_cast<double>(added().tokens)) + " tokens");
  if (is_save_due() || writer_->finished_files() != saved_files_) save();
}

void Build::write_document(const Document& document, std::span<const uint32_t> ids,
                           std::span<const uint32_t> mask) {
  const auto count = [&](uint64_t hash) {
    ++state_.now.read_documents;
    state_.now.text_hash = chained(state_.now.text_hash, hash);
  };
  if (!document.is_rest) count(document.hash);
  state_.now.read_inputs = document.last_input + 1;
  state_.now.empty_documents += document.empty_behind + (document.text_bytes == 0);
  for (uint64_t i = 0; i < document.empty_behind; ++i) count(parting_hash(""));
  if (document.text_bytes == 0) return;
  const uint64_t tokens = writer_->add(document.split, ids, document.text_bytes, mask);
  if (tokens > 0) sources_->add(document.input, tokens, document.text_bytes);
}

bool Build::is_save_due() const {
  return seconds_since(last_save_) >= options_.save_seconds;
}

void Build::save(bool between_inputs) {
  state_.now.writer = writer_->save();
  if (between_inputs) state_.earlier = state_.now;
  write_build_state(*folder_, state_);
  if (between_inputs || !state_.earlier) writer_->drop_old();
  saved_files_ = writer_->finished_files();
  last_save_ = Clock::now();
  folder_->keep(state_.now.read_documents > 0);
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
  if (added().documents > 0) return;
  folder_->keep(false);
  fail(ErrorKind::data, "the input holds no text: no document was found, and nothing was written");
}

BuildSummary Build::commit() {
  const ShardManifest manifest = writer_->finish();
  state_.complete = true;
  state_.earlier.reset();
  // If nothing was saved until here, the whole work is short: repeating it costs less than a save,
  // should the process be killed now.
  if (options_.append || folder_->kept())
    save();
  else
    writer_->drop_old();
  if (options_.append) {
    add_to_directory(manifest);
  } else {
    write_file_atomic(shards_path() / kShardManifestName, format_manifest(manifest));
    // The target may have appeared during the work.
    check_target();
    move_directory(shards_path(), directory_);
  }
  folder_->keep(false);
  return summary(manifest);
}

// Moves the new files into the directory and then replaces its manifest. Until that is replaced,
// the directory is whole without the new files.
void Build::add_to_directory(const ShardManifest& manifest) const {
  if (checksum(format_manifest(base_manifest())) !=
      state_.run.at(kDirectoryKey).get<std::string>()) {
    fail(ErrorKind::data, directory_.string() + " was changed while documents were added to it.",
         "Run the command again with --force to add them to what it is now.");
  }
  std::vector<std::string> names;
  for (const SplitInfo* split : {&manifest.train, &manifest.val}) {
    for (const ShardFileInfo& file : split->files) {
      names.push_back(file.name);
      if (manifest.masked) names.push_back(file.mask.name);
    }
  }
  for (const std::string& name : names) {
    const fs::path from = shards_path() / name, to = directory_ / name;
    std::error_code status;
    if (!fs::exists(from, status)) continue;
    fs::rename(from, to, status);
    if (status) {
      fail(ErrorKind::resources,
           "cannot move " + from.string() + " to " + to.string() + ": " + status.message());
    }
  }
  // Deletes manifests that killed runs were writing. No other run is writing one, as folder_ is
  // locked.
  std::vector<fs::path> leftovers;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_))
    if (is_unfinished_manifest(entry.path())) leftovers.push_back(entry.path());
  for (const fs::path& path : leftovers) fs::remove(path);
  sync_directory(directory_);
  write_file_atomic(directory_ / kShardManifestName, format_manifest(manifest));
}

BuildSummary Build::summary(const ShardManifest& manifest) const {
  BuildSummary summary;
  summary.manifest = manifest;
  summary.empty_documents = state_.now.empty_documents;
  summary.resumed = resumed_;
  summary.added = difference(sum(manifest.train, manifest.val), sum(base_.train, base_.val));
  summary.text_bytes_here = text_bytes_here_;
  return summary;
}

}  // namespace

BuildSummary build_shards(DocumentReader& reader, const Tokenizer& tokenizer,
                          const fs::path& directory, const BuildOptions& options) {
  try {
    return Build(reader, tokenizer, directory, options).run();
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::resources, message_of(error));
  }
}

}  // namespace mythos
