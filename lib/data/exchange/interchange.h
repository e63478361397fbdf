#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/shards/shards.h"

// Token files of other programs: llm.c's .bin and Megatron's .bin with .idx.
namespace mythos {

enum class TokenFormat { llmc, megatron };

// llm.c has no index: a token of the vocabulary tells where documents begin or end.
struct LlmcBoundary {
  std::optional<uint32_t> token;  // the tokenizer's EOS when not given
  bool at_end = false;            // llm.c itself puts it at the beginning
};

struct ExportOptions {
  TokenFormat format = TokenFormat::llmc;
  // "u16" or "u32" for llm.c, "u16" or "i32" for Megatron; empty: by the size of the vocabulary.
  std::string dtype;
  LlmcBoundary boundary;
  // llm.c only: a file ends with the document that reaches it, or before one that would go beyond
  // the most. At most 2^31 - 1.
  uint64_t tokens_per_file = 100'000'000;
  // Both formats count in 32 bits with a sign: no file of llm.c and no sequence of Megatron is
  // longer. A longer document goes on in the next one. Tests lower it.
  uint64_t most_tokens = INT32_MAX;
};

struct ExportSummary {
  std::vector<std::string> files;  // names in the directory
  uint64_t tokens = 0;
  uint64_t ambiguous_documents = 0;  // llm.c: with the boundary token inside, read back as several
};

// Writes a new directory `out`, whole or not at all: train_000000.bin … and val_000000.bin …
// (llm.c), or train.bin, train.idx, val.bin and val.idx. Fails (usage) when it exists or a token
// does not fit the dtype. Throws Stopped (stored_documents.h).
ExportSummary export_shards(const ShardDirectory& shards, const Tokenizer& tokenizer,
                            const fs::path& out, const ExportOptions& options);

struct ImportOptions {
  TokenFormat format = TokenFormat::llmc;
  std::vector<fs::path> train, val;  // Megatron: with or without .bin or .idx
  LlmcBoundary boundary;
  // llm.c only; Megatron's documents have BOS or EOS where all of them do.
  bool bos = false, eos = true;
  bool replace = false;
};

// Writes a shard directory from such files. Fails (data), naming file and byte, on damage and on an
// id outside the vocabulary. Throws Stopped.
ShardManifest import_shards(const fs::path& out, const Tokenizer& tokenizer,
                            const ImportOptions& options);

}  // namespace mythos
