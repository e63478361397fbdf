#pragma once
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/hf/hf_json.h"
#include "text/pieces/piece_model.h"

namespace mythos {

using HfIds = std::unordered_map<std::string_view, uint32_t>;  // the keys are views into the JSON

struct HfModel {
  std::unique_ptr<PieceModel> model;
  HfIds ids;  // ids of the vocabulary's tokens by name
  // Sorted; tokens of a byte-level model that are not written in its letters.
  std::vector<uint32_t> verbatim_ids;
  std::string suffix = {};  // marks tokens at the end of a piece
};

// Reads a tokenizer.json's member "model": BPE, Unigram or WordPiece. With `byte_level` its tokens
// are bytes written in letters (byte_alphabet.h). Text never gives the tokens named by `special` in
// a Unigram or WordPiece model. Fails (data) on what is not supported.
HfModel read_hf_model(const HfJson& model, bool byte_level, const std::set<std::string>& special);

}  // namespace mythos
