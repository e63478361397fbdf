#include "data/shards/stored_documents.h"

#include "base/error.h"
#include "base/strings.h"
#include "text/load_tokenizer.h"

namespace mythos {

std::unique_ptr<Tokenizer> load_tokenizer_of(const ShardDirectory& shards) {
  return load_carried_tokenizer(shards.path() / shards.manifest().tokenizer_file);
}

void for_each_document(const ShardDirectory& shards, const Tokenizer& tokenizer,
                       ShardDirectory::Split split, uint64_t first, uint64_t end, StopToken stop,
                       const DocumentUse& use) {
  for_each_masked_document(shards, tokenizer, split, first, end, stop,
                           [&](auto ids, auto) { use(ids); });
}

void for_each_masked_document(const ShardDirectory& shards, const Tokenizer& tokenizer,
                              ShardDirectory::Split split, uint64_t first, uint64_t end,
                              StopToken stop, const MaskedDocumentUse& use) {
  const bool bos = shards.manifest().bos, eos = shards.manifest().eos;
  std::vector<uint32_t> ids, mask;
  uint64_t begin = shards.document_begin(split, first);
  for (uint64_t document = first; document < end; ++document) {
    stop.throw_if_stopped();
    const uint64_t next = shards.document_begin(split, document + 1);
    ids.resize(next - begin);
    shards.read(split, begin, ids);
    if (shards.masked()) {
      mask.resize(ids.size());
      shards.read_mask(split, begin, mask);
    }
    const bool whole = ids.size() >= size_t{bos} + size_t{eos} &&
                       (!bos || ids.front() == tokenizer.bos_id()) &&
                       (!eos || ids.back() == tokenizer.eos_id());
    if (!whole) {
      fail(ErrorKind::data,
           strprintf("%s: %s document %u lacks the BOS or EOS token that the manifest promises",
                     shards.path(), split_name(split), document));
    }
    use(std::span<const uint32_t>(ids).subspan(bos, ids.size() - bos - eos), mask);
    begin = next;
  }
}

uint64_t text_bytes_of(std::span<const uint32_t> ids, const std::vector<int32_t>& byte_lengths) {
  uint64_t bytes = 0;
  for (const uint32_t id : ids) bytes += static_cast<uint64_t>(byte_lengths[id]);
  return bytes;
}

}  // namespace mythos
