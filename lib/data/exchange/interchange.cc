#include "data/exchange/interchange.h"

#include "base/error.h"
#include "base/output_path.h"
#include "data/exchange/llmc.h"
#include "data/exchange/megatron.h"
#include "data/shards/manifest.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;

struct MegatronInput {
  Split split;
  MegatronFile file;
};

void for_each_input(const std::vector<MegatronInput>& inputs, uint64_t vocab_size, StopToken stop,
                    const std::function<void(Split, std::span<const uint32_t>)>& use) {
  std::vector<uint32_t> ids;
  for (const MegatronInput& input : inputs) {
    for (uint64_t document = 0; document < input.file.documents(); ++document) {
      stop.throw_if_stopped();
      input.file.read(document, vocab_size, ids);
      use(input.split, ids);
    }
  }
}

ShardManifest import_megatron(const fs::path& out, const Tokenizer& tokenizer,
                              const ImportOptions& options) {
  std::vector<MegatronInput> inputs;
  for (const fs::path& path : options.train) inputs.push_back({Split::train, MegatronFile(path)});
  for (const fs::path& path : options.val) inputs.push_back({Split::val, MegatronFile(path)});
  const auto vocab_size = static_cast<uint64_t>(tokenizer.vocab_size());
  // A first pass finds out whether all documents have BOS and EOS, and meets wrong ids before
  // anything is written.
  ShardWriterOptions writer_options;
  bool bos = tokenizer.bos_id().has_value(), eos = tokenizer.eos_id().has_value();
  for_each_input(inputs, vocab_size, options.stop, [&](Split, std::span<const uint32_t> ids) {
    bos = bos && !ids.empty() && ids.front() == tokenizer.bos_id();
    eos = eos && ids.size() > bos && ids.back() == tokenizer.eos_id();
  });
  writer_options.bos = bos;
  writer_options.eos = eos;
  const std::vector<int32_t> byte_lengths = tokenizer.byte_lengths();
  ShardWriter writer(out, tokenizer, writer_options, options.replace);
  for_each_input(inputs, vocab_size, options.stop, [&](Split split, std::span<const uint32_t> ids) {
    const auto inner = ids.subspan(bos, ids.size() - bos - eos);
    writer.add(split, inner, text_bytes_of(inner, byte_lengths));
  });
  return writer.commit();
}

ShardManifest import_llmc(const fs::path& out, const Tokenizer& tokenizer,
                          const ImportOptions& options) {
  ShardWriterOptions writer_options;
  writer_options.bos = options.bos;
  writer_options.eos = options.eos;
  const std::vector<int32_t> byte_lengths = tokenizer.byte_lengths();
  ShardWriter writer(out, tokenizer, writer_options, options.replace);
  for (const Split split : {Split::train, Split::val}) {
    read_llmc(split == Split::train ? options.train : options.val, tokenizer, options.boundary,
              options.stop, [&](std::span<const uint32_t> ids) {
                writer.add(split, ids, text_bytes_of(ids, byte_lengths));
              });
  }
  return writer.commit();
}

}  // namespace

ExportSummary export_shards(const ShardDirectory& shards, const Tokenizer& tokenizer,
                            const fs::path& out, const ExportOptions& options) {
  check_output(out, OutputKind::directory);
  std::error_code status;
  if (fs::exists(out, status)) {
    fail(ErrorKind::usage, out.string() + " already exists. Name another output.");
  }
  ExportSummary summary;
  summary.left_out_masks = shards.masked();
  AtomicDirectory directory(out);
  for (const Split split : {Split::train, Split::val}) {
    if (options.format == TokenFormat::llmc) {
      write_llmc(shards, tokenizer, split, directory.path(), options, summary);
    } else {
      write_megatron(shards, split, directory.path(), options, summary);
    }
  }
  directory.commit();
  return summary;
}

ShardManifest import_shards(const fs::path& out, const Tokenizer& tokenizer,
                            const ImportOptions& options) {
  check_shard_target(out, options.replace);
  return options.format == TokenFormat::llmc ? import_llmc(out, tokenizer, options)
                                             : import_megatron(out, tokenizer, options);
}

}  // namespace mythos
