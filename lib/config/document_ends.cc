#include "config/document_ends.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

Share both(Share a, Share b) {
  return a == b ? a : Share::some;
}

// Documents of which some have a token show both what follows it and what comes without it.
bool differs(Share share, Share trained) {
  return trained != Share::some && share != trained;
}

std::string describe(Share share, const char* token) {
  constexpr const char* kWords[] = {"without ", "some with ", "with "};
  return std::string(kWords[static_cast<size_t>(share)]) + token;
}

Share share_from_json(const nlohmann::json& json, const char* key, const std::string& origin) {
  const auto& names = EnumNames<Share>::names;
  const auto member = json.is_object() ? json.find(key) : json.end();
  if (member != json.end() && member->is_string()) {
    const auto name = std::ranges::find(names, member->get_ref<const std::string&>());
    if (name != names.end()) return static_cast<Share>(name - names.begin());
  }
  fail(ErrorKind::data,
       origin + ": documents." + key + " is " +
           (member == json.end() ? "missing" : "none of \"none\", \"some\" and \"all\"") + ".");
}

}  // namespace

DocumentEnds both(const DocumentEnds& a, const DocumentEnds& b) {
  return {both(a.bos, b.bos), both(a.eos, b.eos)};
}

bool differs(const DocumentEnds& documents, const DocumentEnds& trained) {
  return differs(documents.bos, trained.bos) || differs(documents.eos, trained.eos);
}

std::string describe(const DocumentEnds& documents) {
  return describe(documents.bos, "BOS") + ", " + describe(documents.eos, "EOS");
}

nlohmann::json to_json(const DocumentEnds& documents) {
  return {{"bos", enum_name(documents.bos)}, {"eos", enum_name(documents.eos)}};
}

DocumentEnds document_ends_from_json(const nlohmann::json& json, const std::string& origin) {
  return {share_from_json(json, "bos", origin), share_from_json(json, "eos", origin)};
}

}  // namespace mythos
