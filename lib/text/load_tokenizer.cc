#include "text/load_tokenizer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/pointer_file.h"
#include "base/strings.h"
#include "text/carried_name.h"
#include "text/hf/gpt2_files.h"
#include "text/hf/hf_special_files.h"
#include "text/hf/hf_tokenizer.h"
#include "text/sentencepiece/sentencepiece.h"
#include "text/tiktoken/tekken.h"
#include "text/tiktoken/tiktoken.h"

namespace mythos {
namespace {

// A tokenizer's file, and what its name or the user says beyond its content.
struct NamedFile {
  fs::path path;
  std::string encoding = {};
  std::optional<CarriedName> carried = {};
  bool has_encoding = false;  // the user has named an encoding
};

NamedFile named_file(const fs::path& path) {
  NamedFile file{.path = path, .carried = parse_carried_name(path.filename().string())};
  if (file.carried) file.encoding = file.carried->encoding;
  return file;
}

std::vector<std::string> file_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(folder, status)) {
    if (!entry.is_directory(status)) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The file of the tokenizer in a folder.
fs::path tokenizer_in(const fs::path& folder) {
  const std::vector<std::string> names = file_names(folder);
  for (const char* usual : {"tokenizer.json", "tokenizer.model", "tekken.json"}) {
    if (std::binary_search(names.begin(), names.end(), usual)) return folder / usual;
  }
  if (is_gpt2_vocab(folder / "vocab.json")) return folder / "vocab.json";
  for (const std::string& name : names) {
    if (parse_carried_name(name)) return folder / name;
  }
  std::vector<std::string> ranks;
  std::copy_if(names.begin(), names.end(), std::back_inserter(ranks),
               [](const std::string& name) { return name.ends_with(".tiktoken"); });
  if (ranks.size() == 1) return folder / ranks[0];
  if (ranks.size() > 1) {
    fail(ErrorKind::usage,
         folder.string() + ": holds several rank files, " + escaped(join(ranks, ", ")) + ".",
         "Name one of them.");
  }
  fail(ErrorKind::data, folder.string() +
                            ": holds no tokenizer (expected tokenizer.json, tokenizer.model, "
                            "tekken.json, vocab.json with merges.txt, or a *.tiktoken file there)");
}

// Takes "FILE:ENCODING" apart, unless a file of that whole name exists.
NamedFile resolve(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return named_file(tokenizer_in(path));
  const std::string text = path.string();
  const size_t colon = text.rfind(':');
  if (colon == text.npos || fs::exists(path, ignored) ||
      !fs::exists(text.substr(0, colon), ignored)) {
    return named_file(path);
  }
  NamedFile file{
      .path = text.substr(0, colon), .encoding = text.substr(colon + 1), .has_encoding = true};
  if (fs::is_directory(file.path, ignored)) file.path = tokenizer_in(file.path);
  return file;
}

std::unique_ptr<Tokenizer> parse(const NamedFile& file) {
  const std::string source = file.path.string();
  std::string content = read_file(file.path);
  refuse_pointer(file.path, content);
  if (is_gpt2_vocab(file.path)) content = gpt2_tokenizer_json(file.path, content);
  const bool has_ranks = looks_like_tiktoken(content);
  if (file.has_encoding && !has_ranks) {
    fail(ErrorKind::usage, source + ": not a tiktoken rank file, so it takes no encoding ('" +
                               escaped(file.encoding, 40) + "')");
  }
  if (content.empty()) fail(ErrorKind::data, source + ": the tokenizer file is empty");
  if (has_ranks) return parse_tiktoken(std::move(content), source, file.encoding);
  if (looks_like_tekken(content)) return parse_tekken(std::move(content), source);
  if (looks_like_json(content)) return parse_hf_tokenizer(std::move(content), source);
  if (looks_like_sentencepiece(content)) return parse_sentencepiece(std::move(content), source);
  fail(ErrorKind::data,
       source +
           ": not a tokenizer (expected a SentencePiece model, a tiktoken rank file, a Hugging "
           "Face tokenizer.json or a tekken.json).",
       "Make one with 'mythos vocab'.");
}

std::optional<uint32_t> find_name(const Tokenizer& tokenizer, const std::string& name) {
  for (const SpecialToken& token : tokenizer.special_tokens()) {
    if (token.name == name) return token.id;
  }
  for (uint32_t id = 0; id < static_cast<uint64_t>(tokenizer.vocab_size()); ++id) {
    if (tokenizer.piece(id) == name) return id;
  }
  return std::nullopt;
}

// The token that the user names by `text`, an id or a name.
std::optional<uint32_t> chosen(const Tokenizer& tokenizer, const std::string& text,
                               const char* option) {
  if (text.empty()) return std::nullopt;
  if (const auto id = parse_int(text); id && *id >= 0 && *id <= UINT32_MAX) {
    return static_cast<uint32_t>(*id);
  }
  if (const auto id = find_name(tokenizer, text)) return id;
  std::vector<std::string> names;
  for (const SpecialToken& token : tokenizer.special_tokens()) names.push_back(token.name);
  fail(ErrorKind::usage, strprintf("%s: the vocabulary has no token '%s'.%s", option,
                                   escaped(text, 40), did_you_mean(text, names)));
}

// Takes BOS or EOS as a file beside the tokenizer declares it, and returns whether it did. Warns if
// the tokenizer has no such special token.
bool apply(Tokenizer& tokenizer, const std::optional<HfSpecialName>& special, bool is_eos) {
  if (!special) return false;
  const auto id = special->id ? special->id : find_name(tokenizer, special->name);
  std::string reason = "the tokenizer has no such token";
  try {
    if (id) {
      tokenizer.choose_boundaries(is_eos ? std::nullopt : id, is_eos ? id : std::nullopt);
      return true;
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    reason = error.message();
  }
  log_warning(strprintf("%s: %s is left aside: %s", special->source, special->shown, reason));
  return false;
}

// Takes BOS and EOS, those that are asked for, from files beside the tokenizer. Returns whether it
// took EOS.
bool apply_special_files(Tokenizer& tokenizer, const fs::path& file, bool bos, bool eos) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const HfSpecialNames names = read_hf_special_files(folder);
  if (bos) apply(tokenizer, names.bos, false);
  return eos && apply(tokenizer, names.eos, true);
}

void warn_of_assumption(const Tokenizer& tokenizer, bool eos_chosen) {
  if (tokenizer.assumption().empty()) return;
  std::string text = tokenizer.assumption();
  if (const auto eos = tokenizer.eos_id(); eos && !eos_chosen) {
    text += strprintf("; EOS is assumed to be %s, id %u (--eos-token names another)",
                      tokenizer.piece(*eos), *eos);
  }
  log_warning(text);
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const TokenizerChoice& choice) {
  const NamedFile file = resolve(choice.path);
  auto tokenizer = parse(file);
  const CarriedName carried = file.carried.value_or(CarriedName());
  const auto bos = chosen(*tokenizer, choice.bos, "--bos-token"),
             eos = chosen(*tokenizer, choice.eos, "--eos-token");
  const bool has_usual_name = file.carried || tokenizer->file_name() == "tokenizer.json";
  const bool name_tells = carried.bos || carried.eos;
  tokenizer->choose_boundaries(bos ? bos : carried.bos, eos ? eos : carried.eos);
  bool eos_told = eos || carried.eos;
  if (has_usual_name && !name_tells) {
    eos_told |= apply_special_files(*tokenizer, file.path, !bos, !eos);
  }
  warn_of_assumption(*tokenizer, eos_told);
  return tokenizer;
}

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& path) {
  return load_tokenizer(TokenizerChoice{path.string(), "", ""});
}

std::unique_ptr<Tokenizer> load_carried_tokenizer(const fs::path& path) {
  std::error_code ignored;
  const NamedFile file = named_file(fs::is_directory(path, ignored) ? tokenizer_in(path) : path);
  auto tokenizer = parse(file);
  if (file.carried) tokenizer->choose_boundaries(file.carried->bos, file.carried->eos);
  return tokenizer;
}

}  // namespace mythos
