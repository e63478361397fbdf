#include "data/read/foreign_format.h"

#include <algorithm>

#include "base/pointer_file.h"
#include "base/strings.h"
#include "data/shards/shard_format.h"

namespace mythos {
namespace {

using namespace std::string_view_literals;

struct Signature {
  size_t offset;
  std::string_view bytes;
  const char *what, *advice;
};

constexpr const char* kUnpack = "Unpack it first and name the files that were in it";
constexpr const char* kIconv = "Convert it: iconv -f %s -t UTF-8 FILE > NEW";
constexpr const char* kToText = "Extract its text first";
constexpr const char* kToRows = "Convert it to Parquet, CSV or JSON lines first";
constexpr const char* kZip =
    "a zip archive (what .docx, .xlsx, .epub, .npz and PyTorch's files are too)";
constexpr const char* kPicture = "a picture, a sound or a film";
constexpr const char* kNoText = "It holds no text";

// Signatures at a file's beginning. A longer one stands before a shorter one with which it begins.
constexpr Signature kSignatures[] = {
    {0, "PK\3\4"sv, kZip, kUnpack},
    {0, "PK\5\6"sv, kZip, kUnpack},
    {0, "7z\xBC\xAF\x27\x1C"sv, "a 7z archive", kUnpack},
    {0, "Rar!\x1A\7"sv, "a rar archive", kUnpack},
    {0, "!<arch>\n"sv, "an ar archive (.deb, .a)", kUnpack},
    {4, "\x31\x41\x59\x26\x53\x59"sv, "compressed by bzip2", "Pipe it in: bzip2 -dc FILE | ... -"},
    {0, "\4\x22\x4D\x18"sv, "compressed by lz4", "Pipe it in: lz4 -dc FILE | ... -"},
    {0, "\2\x21\x4C\x18"sv, "compressed by lz4", "Pipe it in: lz4 -dc FILE | ... -"},
    {0, "\x89LZO\0"sv, "compressed by lzop", "Pipe it in: lzop -dc FILE | ... -"},
    {0, "LZIP\1"sv, "compressed by lzip", "Pipe it in: lzip -dc FILE | ... -"},
    {0, "\x1F\x9D"sv, "compressed by compress", "Pipe it in: gzip -dc FILE | ... -"},
    {0, "\xFF\6\0\0sNaPpY"sv, "compressed by snappy", "Decompress it first"},
    {0, "\xFF\xFE\0\0"sv, "text in UTF-32", kIconv},
    {0, "\0\0\xFE\xFF"sv, "text in UTF-32", kIconv},
    {0, "\xFF\xFE"sv, "text in UTF-16", kIconv},
    {0, "\xFE\xFF"sv, "text in UTF-16", kIconv},
    {0, "%PDF-"sv, "a PDF document", "Extract its text first: pdftotext FILE -"},
    {0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, "a document of Microsoft Office", kToText},
    {0, "{\\rtf"sv, "an RTF document", kToText},
    {0, "\x89PNG\r\n\x1A\n"sv, kPicture, kNoText},
    {0, "\xFF\xD8\xFF"sv, kPicture, kNoText},
    {0, "GIF87a"sv, kPicture, kNoText},
    {0, "GIF89a"sv, kPicture, kNoText},
    {0, "II*\0"sv, kPicture, kNoText},
    {0, "MM\0*"sv, kPicture, kNoText},
    {8, "WEBPVP8"sv, kPicture, kNoText},
    {8, "WAVEfmt "sv, kPicture, kNoText},
    {0,
     "\0\0\0\x14"
     "ftyp"sv,
     kPicture, kNoText},
    {0,
     "\0\0\0\x18"
     "ftyp"sv,
     kPicture, kNoText},
    {0,
     "\0\0\0\x1C"
     "ftyp"sv,
     kPicture, kNoText},
    {0,
     "\0\0\0\x20"
     "ftyp"sv,
     kPicture, kNoText},
    {0, "OggS\0"sv, kPicture, kNoText},
    {0, "fLaC\0"sv, kPicture, kNoText},
    {0, "ID3\3"sv, kPicture, kNoText},
    {0, "ID3\4"sv, kPicture, kNoText},
    {0, "\x1A\x45\xDF\xA3"sv, kPicture, kNoText},
    {0, "SQLite format 3\0"sv, "an SQLite database", kToRows},
    {0, "ARROW1\0\0"sv, "an Arrow or Feather file", kToRows},
    {0, "\xFF\xFF\xFF\xFF"sv, "an Arrow stream (as save_to_disk of datasets writes)", kToRows},
    {0, "Obj\1"sv, "an Avro file", kToRows},
    {0, "\x89HDF\r\n\x1A\n"sv, "an HDF5 file", kToRows},
    {0, "\x93NUMPY"sv, "a NumPy array", kNoText},
    {0, "\x80\2"sv, "a Python pickle", kToRows},
    {0, "\x80\3"sv, "a Python pickle", kToRows},
    {0, "\x80\4"sv, "a Python pickle", kToRows},
    {0, "\x80\5"sv, "a Python pickle", kToRows},
    {0, "GGUF\2\0\0\0"sv, "a GGUF model", kNoText},
    {0, "GGUF\3\0\0\0"sv, "a GGUF model", kNoText},
    {0, "\x7F\x45LF"sv, "a program or library", kNoText},
    {0, shard_format::kHeaderMagic, "a file of token shards",
     "mythos shards cat DIR prints their text"},
};

// Endings of names, for compressions that have no signature.
constexpr Signature kNames[] = {
    {0, ".bz2", "compressed by bzip2", "Pipe it in: bzip2 -dc FILE | ... -"},
    {0, ".lzma", "compressed by lzma", "Pipe it in: xz -dc FILE | ... -"},
    {0, ".br", "compressed by brotli", "Pipe it in: brotli -dc FILE | ... -"},
};

// Whether a header of tar, of any age, begins here: its checksum is the sum of its bytes with
// spaces in the place of the checksum.
bool is_tar(std::string_view start) {
  constexpr size_t kHeader = 512, kField = 148, kFieldBytes = 8;
  if (start.size() < kHeader || start[0] == '\0') return false;
  uint64_t sum = ' ' * kFieldBytes, stored = 0;
  for (size_t i = 0; i < kHeader; ++i) {
    if (i < kField || i >= kField + kFieldBytes) sum += static_cast<unsigned char>(start[i]);
  }
  for (const char c : start.substr(kField, kFieldBytes)) {
    if (c >= '0' && c <= '7') stored = stored * 8 + static_cast<uint64_t>(c - '0');
  }
  return sum == stored;
}

// Whether a safetensors file begins here: a length below 2^32 in 8 bytes, then JSON.
bool is_safetensors(std::string_view start) {
  return start.size() > 10 && start.substr(4, 6) == "\0\0\0\0{\""sv;
}

// Whether every second byte is zero, and no other.
bool is_utf16_without_mark(std::string_view start) {
  const std::string_view some = start.substr(0, 64);
  if (some.size() < 16) return false;
  for (const size_t zero : {size_t{0}, size_t{1}}) {
    bool all = true;
    for (size_t i = 0; i < some.size() && all; ++i) all = (some[i] == '\0') == (i % 2 == zero);
    if (all) return true;
  }
  return false;
}

ForeignFormat described(const Signature& signature) {
  if (signature.advice != kIconv) return {signature.what, signature.advice};
  const std::string_view what = signature.what;
  return {signature.what, strprintf(kIconv, what.substr(what.rfind(' ') + 1))};
}

}  // namespace

std::optional<ForeignFormat> foreign_format(std::string_view start, std::string_view path) {
  if (const auto pointer = pointer_file(start)) {
    return ForeignFormat{pointer->what, pointer->advice};
  }
  for (const Signature& signature : kSignatures) {
    const std::string_view rest = start.substr(std::min(signature.offset, start.size()));
    if (rest.starts_with(signature.bytes)) return described(signature);
  }
  if (is_tar(start)) return ForeignFormat{"a tar archive", kUnpack};
  if (is_safetensors(start)) return ForeignFormat{"a safetensors file", kNoText};
  if (is_utf16_without_mark(start)) {
    return ForeignFormat{"text in UTF-16", strprintf(kIconv, start[0] ? "UTF-16LE" : "UTF-16BE")};
  }
  const std::string name = lower_ascii(path);
  for (const Signature& known : kNames) {
    if (name.ends_with(known.bytes)) return described(known);
  }
  return std::nullopt;
}

bool begins_as_html(std::string_view start) {
  const std::string text = lower_ascii(trim(start.substr(0, kForeignBytes)));
  return text.starts_with("<!doctype html") || text.starts_with("<html");
}

}  // namespace mythos
