#include "data/read/id_lines.h"

#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {

void write_out(std::string_view bytes, std::FILE* out) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), out) != bytes.size()) {
    fail(ErrorKind::resources,
         strprintf("cannot write to standard output: %s", std::strerror(errno)));
  }
}

void write_id_lines(DocumentReader& reader, const Tokenizer& tokenizer, Specials specials,
                    std::FILE* out) {
  std::string text, line;
  std::vector<uint32_t> ids;
  while (reader.next(text)) {
    ids.clear();
    tokenizer.encode(text, ids, specials);
    line.clear();
    for (const uint32_t id : ids) {
      char digits[12];
      if (!line.empty()) line += ' ';
      line.append(digits, std::to_chars(digits, digits + sizeof digits, id).ptr);
    }
    line += '\n';
    write_out(line, out);
  }
}

void decode_id_lines(DocumentReader& lines, const std::string& name, const Tokenizer& tokenizer,
                     std::FILE* out) {
  constexpr std::string_view kSpace = " \t\r";
  std::string line;
  std::vector<uint32_t> ids;
  for (unsigned long long number = 1; lines.next(line); ++number) {
    ids.clear();
    std::string_view rest = line;
    for (size_t at; (at = rest.find_first_not_of(kSpace)) != std::string_view::npos;) {
      rest.remove_prefix(at);
      const std::string_view word = rest.substr(0, rest.find_first_of(kSpace));
      rest.remove_prefix(word.size());
      const auto id = parse_int(word);
      if (!id || *id < 0 || *id >= tokenizer.vocab_size()) {
        fail(ErrorKind::data, strprintf("%s:%u: '%s' is not a token id from 0 to %d", name, number,
                                        escaped(word, 40), tokenizer.vocab_size() - 1));
      }
      ids.push_back(static_cast<uint32_t>(*id));
    }
    write_out(tokenizer.decode(ids), out);
  }
}

}  // namespace mythos
