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

using HfIds = std::unordered_map<std::string_view, uint32_t>;  // keys stand in the JSON

struct HfModel {
  std::unique_ptr<PieceModel> model;
  HfIds ids;                           // of the vocabulary's tokens, by their names
  std::vector<uint32_t> verbatim_ids;  // sorted; byte-level tokens that are not in its letters
  std::string suffix = {};             // that tokens at the end of a piece are written with
};

// A tokenizer.json's member "model": BPE, Unigram or WordPiece. `byte_level`: its tokens are bytes
// in letters (byte_alphabet.h). `special` tokens are none of the text of the last two. Fails (data)
// on what is not supported.
HfModel read_hf_model(const HfJson& model, bool byte_level, const std::set<std::string>& special);

}  // namespace mythos
