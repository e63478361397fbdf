#pragma once
#include <functional>

#include "base/stop.h"
#include "data/shards/shards.h"

namespace mythos {

// A function that takes the ids of one document.
using DocumentUse = std::function<void(std::span<const uint32_t>)>;
// A function that takes the ids of one document and its mask as ShardWriter::add() does.
using MaskedDocumentUse =
    std::function<void(std::span<const uint32_t> ids, std::span<const uint32_t> mask)>;

// Loads the tokenizer that the directory carries under the name in its manifest.
std::unique_ptr<Tokenizer> load_tokenizer_of(const ShardDirectory& shards);

// Calls `use` for documents first … end-1 of a split, in order, with their ids without the BOS and
// EOS that the manifest promises. Fails (data), naming the document, if one lacks them. Holds one
// document in memory. Throws Stopped between two documents.
void for_each_document(const ShardDirectory& shards, const Tokenizer& tokenizer,
                       ShardDirectory::Split split, uint64_t first, uint64_t end, StopToken stop,
                       const DocumentUse& use);
// Gives the mask too, of which BOS and EOS are a part; it is empty if the directory is not masked.
void for_each_masked_document(const ShardDirectory& shards, const Tokenizer& tokenizer,
                              ShardDirectory::Split split, uint64_t first, uint64_t end,
                              StopToken stop, const MaskedDocumentUse& use);

// The bytes of text that ids stand for, by `byte_lengths` of the tokenizer.
uint64_t text_bytes_of(std::span<const uint32_t> ids, const std::vector<int32_t>& byte_lengths);

}  // namespace mythos
