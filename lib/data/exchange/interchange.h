#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/stop.h"
#include "data/shards/shards.h"

// Exchanges token files with other programs: llm.c's .bin, and Megatron's .bin with .idx.
namespace mythos {

enum class TokenFormat { llmc, megatron };

// The token that marks where documents begin or end in llm.c's files, which have no index.
struct LlmcBoundary {
  std::optional<uint32_t> token;  // the tokenizer's EOS if not given
  // Whether the token ends documents; llm.c itself begins them with it.
  bool at_end = false;
};

struct ExportOptions {
  TokenFormat format = TokenFormat::llmc;
  // The type of tokens: "u16" or "u32" for llm.c, "u16" or "i32" for Megatron; if empty, the size
  // of the vocabulary decides.
  std::string dtype;
  LlmcBoundary boundary;
  // Only for llm.c: a file ends with the document that reaches this number of tokens, or before a
  // document that would go beyond most_tokens. At most 2^31 - 1.
  uint64_t tokens_per_file = 100'000'000;
  // The most tokens of a file of llm.c or a sequence of Megatron, as both formats count in 32 bits
  // with a sign. A longer document goes on in the next file or sequence. Tests lower it.
  uint64_t most_tokens = INT32_MAX;
  StopToken stop;
};

struct ExportSummary {
  std::vector<std::string> files;  // names in the directory
  uint64_t tokens = 0;
  // Llm.c: documents with the boundary token inside, read back as several.
  uint64_t ambiguous_documents = 0;
  bool left_out_masks = false;  // the shards have masks, which neither format can hold
};

// Writes a new directory `out`, whole or not at all: train_000000.bin … and val_000000.bin …
// (llm.c), or train.bin, train.idx, val.bin and val.idx. Fails (usage) when it exists or a token
// does not fit the dtype. Throws Stopped.
ExportSummary export_shards(const ShardDirectory& shards, const Tokenizer& tokenizer,
                            const fs::path& out, const ExportOptions& options);

struct ImportOptions {
  TokenFormat format = TokenFormat::llmc;
  std::vector<fs::path> train, val;  // Megatron's may end in .bin, .idx or neither
  LlmcBoundary boundary;
  // Only for llm.c: which tokens documents get. Megatron's documents have BOS or EOS if all of them
  // do.
  bool bos = false, eos = true;
  bool replace = false;
  StopToken stop;
};

// Writes a shard directory from token files. Fails (data), naming file and byte, on damage and on
// an id outside the vocabulary. Throws Stopped.
ShardManifest import_shards(const fs::path& out, const Tokenizer& tokenizer,
                            const ImportOptions& options);

}  // namespace mythos
