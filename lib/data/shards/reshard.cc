#include "data/shards/reshard.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "data/shards/manifest.h"
#include "data/shards/parting.h"
#include "data/shards/source_counts.h"
#include "data/shards/stored_documents.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;
constexpr Split kSplits[] = {Split::train, Split::val};

ShardWriterOptions writer_options(const ShardManifest& manifest) {
  ShardWriterOptions options;
  options.bos = manifest.bos;
  options.eos = manifest.eos;
  options.masked = manifest.masked;
  return options;
}

void require_same_kind(const ShardDirectory& first, const ShardDirectory& other) {
  const ShardManifest &a = first.manifest(), &b = other.manifest();
  if (a.tokenizer_fingerprint != b.tokenizer_fingerprint) {
    fail(ErrorKind::data,
         strprintf("%s was made with tokenizer %s, but %s with tokenizer %s.", first.path(),
                   a.tokenizer_fingerprint, other.path(), b.tokenizer_fingerprint),
         "Only shards of one tokenizer can be merged.");
  }
  if (a.bos != b.bos || a.eos != b.eos) {
    const auto with = [](bool yes) { return yes ? "with" : "without"; };
    fail(ErrorKind::data,
         strprintf("%s has documents %s BOS and %s EOS, but %s %s BOS and %s EOS.", first.path(),
                   with(a.bos), with(a.eos), other.path(), with(b.bos), with(b.eos)),
         "Make one of them anew: mythos tokenize has --bos and --no-eos.");
  }
}

// The first document of part k of n, for k = 0 … n: the first that begins at or after k/n of the
// tokens, but so that each part gets a document if there are enough.
std::vector<uint64_t> part_begins(const ShardDirectory& shards, Split split, uint64_t parts) {
  const uint64_t documents = shards.documents(split), tokens = shards.tokens(split);
  std::vector<uint64_t> begins = {0};
  for (uint64_t k = 1; k < parts; ++k) {
    const auto token = static_cast<uint64_t>(static_cast<__uint128_t>(tokens) * k / parts);
    uint64_t document = shards.document_of(split, token);
    if (shards.document_begin(split, document) < token) ++document;
    if (documents >= parts) {
      document = std::clamp(document, begins.back() + 1, documents - (parts - k));
    }
    begins.push_back(document);
  }
  begins.push_back(documents);
  return begins;
}

struct StoredDocument {
  std::string text;
  std::vector<uint32_t> ids, mask;
  const std::vector<int32_t>* byte_lengths;
  Split split = Split::train;

  // A masked document is a question with its answer, of which a part would teach something else.
  bool kept_whole() const { return !mask.empty(); }
  // Cuts at the first token that begins at the offset or after it.
  StoredDocument cut(size_t place) {
    size_t count = 0;
    for (size_t bytes = 0; bytes < place && count + 1 < ids.size(); ++count)
      bytes += static_cast<size_t>((*byte_lengths)[ids[count]]);
    const auto at = ids.begin() + static_cast<std::ptrdiff_t>(count);
    StoredDocument rest = {text.substr(place), {at, ids.end()}, {}, byte_lengths, split};
    ids.erase(at, ids.end());
    text.resize(place);
    return rest;
  }
};

}  // namespace

ShardManifest merge_shards(const std::vector<ShardDirectory>& inputs, const Tokenizer& tokenizer,
                           const fs::path& out, bool replace, StopToken stop) {
  for (const ShardDirectory& input : inputs) require_same_kind(inputs.front(), input);
  ShardWriterOptions options = writer_options(inputs.front().manifest());
  options.masked =
      std::any_of(inputs.begin(), inputs.end(), [](const auto& input) { return input.masked(); });
  ShardWriter writer(out, tokenizer, options, replace);
  for (const ShardDirectory& input : inputs) {
    for (const Split split : kSplits) {
      // The manifest has the exact sum of text bytes; it does not matter with which document a byte
      // is counted.
      uint64_t text_bytes =
          (split == Split::train ? input.manifest().train : input.manifest().val).text_bytes;
      for_each_masked_document(
          input, tokenizer, split, 0, input.documents(split), stop,
          [&](auto ids, auto mask) { writer.add(split, ids, std::exchange(text_bytes, 0), mask); });
    }
  }
  std::vector<SourceInfo> sources;
  if (std::any_of(inputs.begin(), inputs.end(),
                  [](const auto& input) { return !input.manifest().sources.empty(); })) {
    for (const ShardDirectory& input : inputs) add_sources(sources, input.manifest());
  }
  writer.set_sources(std::move(sources));
  return writer.commit();
}

fs::path part_name(const fs::path& prefix, size_t part) {
  return prefix.string() + strprintf("-%05u", part);
}

std::vector<ShardManifest> split_into_parts(const ShardDirectory& shards,
                                            const Tokenizer& tokenizer, const fs::path& prefix,
                                            uint32_t parts, bool replace, StopToken stop) {
  const uint64_t most = std::max(shards.documents(Split::train), shards.documents(Split::val));
  if (parts > most) {
    fail(ErrorKind::usage,
         strprintf("%s: %u parts asked for, but neither split has more than %u documents",
                   shards.path(), parts, most));
  }
  for (uint32_t part = 0; part < parts; ++part)
    check_shard_target(part_name(prefix, part), replace);
  const std::vector<int32_t> byte_lengths = tokenizer.byte_lengths();
  const auto train = part_begins(shards, Split::train, parts);
  const auto val = part_begins(shards, Split::val, parts);
  std::vector<std::unique_ptr<ShardWriter>> writers;
  for (uint32_t part = 0; part < parts; ++part) {
    writers.push_back(std::make_unique<ShardWriter>(part_name(prefix, part), tokenizer,
                                                    writer_options(shards.manifest()), replace));
    for (const Split split : kSplits) {
      const auto& begins = split == Split::train ? train : val;
      for_each_masked_document(
          shards, tokenizer, split, begins[part], begins[part + 1], stop, [&](auto ids, auto mask) {
            writers.back()->add(split, ids, text_bytes_of(ids, byte_lengths), mask);
          });
    }
    writers.back()->finish();
  }
  std::vector<ShardManifest> manifests;
  for (const auto& writer : writers) manifests.push_back(writer->commit());
  return manifests;
}

ShardManifest split_again(const ShardDirectory& shards, const Tokenizer& tokenizer,
                          const fs::path& out, double val_fraction, bool replace, StopToken stop) {
  const std::vector<int32_t> byte_lengths = tokenizer.byte_lengths();
  ShardWriter writer(out, tokenizer, writer_options(shards.manifest()), replace);
  Parting<StoredDocument> parting(val_fraction, {});
  std::vector<StoredDocument> parted;
  const auto write = [&] {
    for (const StoredDocument& document : parted)
      writer.add(document.split, document.ids, text_bytes_of(document.ids, byte_lengths),
                 document.mask);
    parted.clear();
  };
  for (const Split old : kSplits) {
    const auto add = [&](auto ids, auto mask) {
      StoredDocument document = {tokenizer.decode(ids),
                                 {ids.begin(), ids.end()},
                                 {mask.begin(), mask.end()},
                                 &byte_lengths};
      document.split = split_of_hash(parting_hash(document.text), val_fraction);
      if (parting.decided())
        parted.push_back(std::move(document));
      else
        parting.add(std::move(document), parted);
      write();
    };
    for_each_masked_document(shards, tokenizer, old, 0, shards.documents(old), stop, add);
  }
  log_tail(parting.finish(parted));
  write();
  writer.set_sources(shards.manifest().sources);
  return writer.commit();
}

}  // namespace mythos
