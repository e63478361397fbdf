#include "data/shards/print_tokens.h"

#include <algorithm>

#include "base/strings.h"
#include "data/read/id_lines.h"
#include "data/shards/stored_documents.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

constexpr uint64_t kTokensAtOnce = 1 << 16;

// Prints tokens as text or ids, block by block; remembers how the document so far ends.
class Printer {
 public:
  Printer(bool ids, const Tokenizer& tokenizer, std::FILE* out)
      : ids_(ids), tokenizer_(tokenizer), out_(out) {}
  void print(std::span<const uint32_t> tokens) {
    text_.clear();
    for (const uint32_t id : tokens) {
      if (ids_) {
        if (at_line_begin_)
          at_line_begin_ = false;
        else
          text_ += ' ';
        text_ += std::to_string(id);
      } else {
        text_ += tokenizer_.token_bytes(id);
      }
    }
    if (!ids_ && !text_.empty()) at_line_begin_ = text_.back() == '\n';
    write_out(text_, out_);
  }
  void end_line() {
    if (!at_line_begin_) write_out("\n", out_);
    at_line_begin_ = true;
  }

 private:
  bool ids_, at_line_begin_ = true;
  const Tokenizer& tokenizer_;
  std::FILE* out_;
  std::string text_;
};

void print_range(const ShardDirectory& shards, ShardDirectory::Split split, uint64_t first,
                 uint64_t end, bool mask, Printer& printer) {
  std::vector<uint32_t> tokens;
  for (uint64_t at = first; at < end; at += tokens.size()) {
    tokens.resize(std::min(end - at, kTokensAtOnce));
    if (mask)
      shards.read_mask(split, at, tokens);
    else
      shards.read(split, at, tokens);
    printer.print(tokens);
  }
}

}  // namespace

void print_tokens(const ShardDirectory& shards, const Tokenizer& tokenizer,
                  ShardDirectory::Split split, uint64_t first, uint64_t end,
                  const PrintOptions& options, std::FILE* out) {
  Printer printer(options.ids, tokenizer, out);
  uint64_t document = first < end ? shards.document_of(split, first) : 0;
  for (uint64_t at = first; at < end; ++document) {
    const uint64_t stop = std::min(end, shards.document_begin(split, document + 1));
    print_range(shards, split, at, stop, options.mask, printer);
    at = stop;
    if (options.ids) printer.end_line();
    if (!options.ids && at < end) write_out(options.separator, out);
  }
}

void print_documents(const ShardDirectory& shards, const Tokenizer& tokenizer,
                     ShardDirectory::Split split, uint64_t documents, bool ids, std::FILE* out) {
  Printer printer(ids, tokenizer, out);
  for (uint64_t i = 0; i < std::min(documents, shards.documents(split)); ++i) {
    const uint64_t begin = shards.document_begin(split, i);
    const uint64_t end = shards.document_begin(split, i + 1);
    if (!ids) {
      write_out(strprintf("== %s document %u: %s tokens\n", split_name(split), i,
                          with_commas(end - begin)),
                out);
    }
    print_range(shards, split, begin, end, false, printer);
    printer.end_line();
  }
}

}  // namespace mythos
