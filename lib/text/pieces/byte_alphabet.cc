#include "text/pieces/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace mythos {
namespace {

constexpr char32_t kFirstOther = 0x100;

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct Tables {
  std::array<char32_t, 256> letter = {};
  std::array<int, 0x144> byte = {};
};

constexpr Tables make_tables() {
  Tables tables;
  tables.byte.fill(-1);
  char32_t other = kFirstOther;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t letter = stands_for_itself(byte) ? static_cast<char32_t>(byte) : other++;
    tables.letter[static_cast<size_t>(byte)] = letter;
    tables.byte[letter] = byte;
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::string to_byte_letters(std::string_view bytes) {
  std::string letters;
  for (const char c : bytes) {
    const char32_t letter = kTables.letter[static_cast<unsigned char>(c)];
    if (letter < 0x80) {
      letters += static_cast<char>(letter);
    } else {
      letters += static_cast<char>(0xC0 | letter >> 6);
      letters += static_cast<char>(0x80 | (letter & 0x3F));
    }
  }
  return letters;
}

std::optional<std::string> from_byte_letters(std::string_view letters) {
  std::string bytes;
  while (!letters.empty()) {
    const int length = utf8_sequence(letters);
    if (length <= 0) return std::nullopt;
    const char32_t letter = utf8_code_point(letters, length);
    if (letter >= kTables.byte.size() || kTables.byte[letter] < 0) return std::nullopt;
    bytes += static_cast<char>(kTables.byte[letter]);
    letters.remove_prefix(static_cast<size_t>(length));
  }
  return bytes;
}

}  // namespace mythos
