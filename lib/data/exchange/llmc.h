#pragma once
#include <span>

#include "base/files.h"
#include "data/exchange/interchange.h"
#include "data/shards/stored_documents.h"

// llm.c's token files (its dev/data/data_common.py): 256 int32, of which the first are magic,
// version and the number of tokens and the rest 0, then the tokens. Magic 20240520 with version 1
// has u16 tokens, magic 20240801 with version 7 u32. Little-endian.
namespace mythos {

// The token that marks documents. Fails (usage) if it is to be the tokenizer's EOS and there is
// none, or if it is not in the vocabulary.
uint32_t boundary_token(const LlmcBoundary& boundary, const Tokenizer& tokenizer);

// Writes one split into files NAME_000000.bin … of a folder and adds them to the summary.
void write_llmc(const ShardDirectory& shards, const Tokenizer& tokenizer,
                ShardDirectory::Split split, const fs::path& folder, const ExportOptions& options,
                ExportSummary& summary);

// Reads the documents of a series of files, without the boundary token. A document may go on from
// file to file. Tokens before the first boundary (with `at_end`: after the last one) are a
// document.
void read_llmc(const std::vector<fs::path>& files, const Tokenizer& tokenizer,
               const LlmcBoundary& boundary, StopToken stop, const DocumentUse& use);

}  // namespace mythos
