#include "data/build/build_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/strings.h"
#include "data/read/input_options.h"
#include "data/shards/manifest.h"
#include "data/shards/shard_report.h"

namespace mythos {
namespace {

void warn_of_masks(const std::string& directory, const ShardManifest& manifest) {
  if (!manifest.masked) return;
  log_info(directory + ": " + counted_summary(manifest));
  for (const SplitInfo* split : {&manifest.train, &manifest.val}) {
    if (split->tokens == 0 || split->counted > 0) continue;
    log_warning(strprintf(
        "%s: every target of the %s split is masked: none of its %s tokens counts", directory,
        split == &manifest.train ? "train" : "val", with_commas(split->tokens)));
  }
}

void warn_of_empty_validation(const BuildOptions& options, const ShardManifest& manifest) {
  if (manifest.val.documents > 0 || options.val_fraction == 0) return;
  if (options.append) {
    log_warning(
        strprintf("none of the %s documents is for validation, and added ones go by their hash "
                  "alone: 'mythos shards split --val-fraction' parts them anew.",
                  with_commas(manifest.train.documents)));
  } else {
    log_warning(
        "the text is too short to be parted, so there is no validation split; --val-fraction 0 "
        "asks for none.");
  }
}

nlohmann::ordered_json counts_json(const DataCounts& counts) {
  return {{"documents", counts.documents},
          {"tokens", counts.tokens},
          {"text_bytes", counts.text_bytes}};
}

uint64_t token_count(const ShardManifest& manifest) {
  return manifest.train.tokens + manifest.val.tokens;
}

uint64_t byte_count(const ShardManifest& manifest) {
  return manifest.train.text_bytes + manifest.val.text_bytes;
}

double text_bytes_per_token(const ShardManifest& manifest) {
  return static_cast<double>(byte_count(manifest)) / static_cast<double>(token_count(manifest));
}

}  // namespace

void log_build(const BuildReport& report) {
  const BuildSummary& summary = report.summary;
  const ShardManifest& manifest = summary.manifest;
  report_left_out(report.input);
  warn_of_empty_validation(report.options, manifest);
  if (report.options.append) {
    log_info(strprintf("added %s tokens in %s documents", with_commas(summary.added.tokens),
                       with_commas(summary.added.documents)));
  }
  const double speed =
      static_cast<double>(summary.text_bytes_here) / std::max(report.seconds, 1e-3);
  log_info(strprintf("%s: %s; %s %s BOS and %s EOS; %.2f bytes per token, %s, %s/s",
                     report.directory, splits_summary(manifest), manifest.dtype,
                     manifest.bos ? "with" : "without", manifest.eos ? "with" : "without",
                     text_bytes_per_token(manifest), human_duration(report.seconds),
                     human_bytes(speed)));
  warn_of_masks(report.directory, manifest);
}

nlohmann::ordered_json to_json(const BuildReport& report) {
  const ShardManifest& manifest = report.summary.manifest;
  nlohmann::ordered_json out = {{"schema", "mythos.tokenize/1"}, {"directory", report.directory}};
  out.update(manifest_json(manifest));
  out["documents"] = manifest.train.documents + manifest.val.documents;
  out["tokens"] = token_count(manifest);
  out["text_bytes"] = byte_count(manifest);
  out["bytes_per_token"] = text_bytes_per_token(manifest);
  out["empty_documents"] = report.summary.empty_documents;
  out.update(left_out_json(report.input));
  out["added"] = counts_json(report.summary.added);
  out["resumed"] = counts_json(report.summary.resumed);
  out["jobs"] = report.options.jobs;
  out["seconds"] = report.seconds;
  return out;
}

}  // namespace mythos
