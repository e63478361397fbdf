#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "config/field.h"

namespace mythos {

// How many of a model's training documents have a token.
enum class Share { none, some, all };
template <>
struct EnumNames<Share> {
  static constexpr std::array<std::string_view, 3> names = {"none", "some", "all"};
};

// Whether documents begin with the tokenizer's BOS and end with its EOS. If training never showed a
// token, the model has not learned what follows it.
struct DocumentEnds {
  Share bos = Share::none, eos = Share::none;

  bool operator==(const DocumentEnds&) const = default;
};

// The ends of documents of two kinds together.
DocumentEnds both(const DocumentEnds& a, const DocumentEnds& b);

// Whether documents that all have the same ends differ from what training showed.
bool differs(const DocumentEnds& documents, const DocumentEnds& trained);

// Describes the ends: "with BOS, without EOS"; "some with BOS, ...".
std::string describe(const DocumentEnds& documents);

// The ends as {"bos": "none" | "some" | "all", "eos": likewise}. Reading fails (data), naming
// `origin`, on anything else.
nlohmann::json to_json(const DocumentEnds& documents);
DocumentEnds document_ends_from_json(const nlohmann::json& json, const std::string& origin);

}  // namespace mythos
