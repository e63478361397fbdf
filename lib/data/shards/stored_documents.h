#pragma once
#include <functional>

#include "data/shards/shards.h"

namespace mythos {

// Takes the ids of one document.
using DocumentUse = std::function<void(std::span<const uint32_t>)>;

// Thrown between two documents once a stop signal has come (base/signals.h); what is unfinished is
// removed on the way out.
struct Stopped {};
void throw_if_stopped();

// The tokenizer that the directory carries, under the name that its manifest tells.
std::unique_ptr<Tokenizer> load_tokenizer_of(const ShardDirectory& shards);

// Calls `use` for documents first … end-1 of a split, in order, with their ids without the BOS and
// EOS that the manifest promises. Fails (data), naming the document, where one lacks them. Holds
// one document in memory. Throws Stopped.
void for_each_document(const ShardDirectory& shards, const Tokenizer& tokenizer,
                       ShardDirectory::Split split, uint64_t first, uint64_t end,
                       const DocumentUse& use);

// Bytes of text that ids stand for, by `byte_lengths` of the tokenizer.
uint64_t text_bytes_of(std::span<const uint32_t> ids, const std::vector<int32_t>& byte_lengths);

}  // namespace mythos
