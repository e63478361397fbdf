#pragma once
#include <string>
#include <vector>

#include "base/rng.h"
#include "data/shards/shards.h"
#include "text/load_tokenizer.h"
#include "text/vocab/train_vocab.h"

namespace mythos {

// Sentences of a small grammar: something that a small model learns in a few steps.
inline std::vector<std::string> small_documents(size_t count, uint64_t seed = 1) {
  const std::vector<std::string> who = {"the cat", "a dog", "my friend", "the old king"};
  const std::vector<std::string> does = {"sees", "likes", "follows", "forgets"};
  std::vector<std::string> documents;
  Rng rng(seed);
  for (size_t i = 0; i < count; ++i) {
    std::string text;
    for (int sentence = 0; sentence < 6; ++sentence) {
      text += who[rng.below(who.size())] + " " + does[rng.below(does.size())] + " " +
              who[rng.below(who.size())] + ". ";
    }
    documents.push_back(text);
  }
  return documents;
}

// A SentencePiece vocabulary and shards of `documents` documents, a quarter for validation.
// `salt` makes another vocabulary.
inline void write_small_shards(const fs::path& directory, size_t documents,
                               const std::string& salt = "") {
  const std::vector<std::string> texts = small_documents(documents);
  std::vector<std::string> sentences = texts;
  sentences.push_back(salt.empty() ? texts[0] : salt);
  VocabOptions vocab;
  vocab.vocab_size = 300;
  const fs::path model = directory.string() + ".model";
  write_file_atomic(model, train_vocab(sentences, vocab));
  const auto tokenizer = load_tokenizer(model);
  ShardWriter writer(directory, *tokenizer, {});
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto split = i % 4 == 3 ? ShardDirectory::Split::val : ShardDirectory::Split::train;
    writer.add(split, tokenizer->encode(texts[i]), texts[i].size());
  }
  writer.commit();
}

}  // namespace mythos
