#include "base/zip_archive.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

// Sizes without the variable parts, and the signatures that records begin with.
constexpr uint64_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22, kLocatorBytes = 20,
                   kEnd64Bytes = 56;
constexpr uint32_t kLocal = 0x04034b50, kEntry = 0x02014b50, kEnd = 0x06054b50,
                   kLocator = 0x07064b50, kEnd64 = 0x06064b50;
constexpr uint64_t kIn64 = 0xffffffff;  // the number stands in the zip64 field
constexpr uint16_t kEncrypted = 1, kZip64Field = 1;

class ZipReader {
 public:
  explicit ZipReader(const MappedFile& file) : file_(file), bytes_(file.text()) {}

  std::vector<ZipMember> read() {
    find_directory();
    std::vector<ZipMember> members;
    std::set<std::string_view> names;
    uint64_t at = directory_begin_;
    while (at < directory_end_) {
      members.push_back(read_entry(at));
      if (!names.insert(members.back().name).second) {
        bad(at, "member " + quoted(members.back().name) + " is in the archive twice");
      }
    }
    return members;
  }

 private:
  [[noreturn]] void bad(uint64_t at, const std::string& what) const {
    fail(ErrorKind::data, strprintf("%s: byte %u: ", file_.path(), at) + what + ".");
  }
  static std::string quoted(std::string_view name) {
    return "'" + escaped(std::string(name)) + "'";
  }
  bool has(uint64_t at, uint64_t size) const {
    return at <= bytes_.size() && size <= bytes_.size() - at;
  }
  template <class T>
  T number(uint64_t at) const {
    T value{};
    if (!has(at, sizeof value)) bad(at, "the zip archive ends within a record: truncated?");
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }

  void find_directory() {
    constexpr uint64_t kMostComment = 0xffff;
    const uint64_t size = bytes_.size();
    const uint64_t first = size - std::min(size, kEndBytes + kMostComment);
    uint64_t end = size < kEndBytes ? size : size - kEndBytes + 1;
    do {
      if (end == 0 || end <= first || size < kEndBytes) {
        bad(size, "no central directory at the end of the zip archive: truncated?");
      }
      --end;
    } while (number<uint32_t>(end) != kEnd);
    uint64_t bytes = number<uint32_t>(end + 12), begin = number<uint32_t>(end + 16);
    if (end >= kLocatorBytes && number<uint32_t>(end - kLocatorBytes) == kLocator) {
      const auto end64 = number<uint64_t>(end - kLocatorBytes + 8);
      if (!has(end64, kEnd64Bytes) || number<uint32_t>(end64) != kEnd64) {
        bad(end - kLocatorBytes, "the zip64 record is not where its locator has it");
      }
      bytes = number<uint64_t>(end64 + 40);
      begin = number<uint64_t>(end64 + 48);
    }
    if (begin > end || bytes > end - begin) {
      bad(end, strprintf("the central directory, %u bytes from byte %u on, does not lie before its "
                         "end record",
                         bytes, begin));
    }
    directory_begin_ = begin;
    directory_end_ = begin + bytes;
  }

  // Replaces what the zip64 field of an entry holds instead.
  void take_wide(uint64_t entry, uint64_t at, uint64_t end, uint64_t& size, uint64_t& stored,
                 uint64_t& local) const {
    while (at + 4 <= end) {
      const auto id = number<uint16_t>(at);
      const uint64_t next = at + 4 + number<uint16_t>(at + 2);
      at += 4;
      if (id == kZip64Field) {
        for (uint64_t* value : {&size, &stored, &local}) {
          if (*value != kIn64) continue;
          if (at + 8 > std::min(next, end)) bad(entry, "a zip64 field is too short");
          *value = number<uint64_t>(at);
          at += 8;
        }
      }
      at = next;
    }
  }

  // Reads the entry at `at` and moves on behind it.
  ZipMember read_entry(uint64_t& at) const {
    const uint64_t entry = at;
    if (directory_end_ - entry < kEntryBytes || number<uint32_t>(entry) != kEntry) {
      bad(entry, "not an entry of the central directory");
    }
    const auto flags = number<uint16_t>(entry + 8), method = number<uint16_t>(entry + 10);
    uint64_t stored = number<uint32_t>(entry + 20), size = number<uint32_t>(entry + 24);
    const uint64_t name_bytes = number<uint16_t>(entry + 28);
    const uint64_t extra_bytes = number<uint16_t>(entry + 30);
    uint64_t local = number<uint32_t>(entry + 42);
    const uint64_t extra = entry + kEntryBytes + name_bytes;
    at = extra + extra_bytes + number<uint16_t>(entry + 32);
    if (at > directory_end_) bad(entry, "the entry reaches past the central directory");
    ZipMember member;
    member.name = bytes_.substr(entry + kEntryBytes, name_bytes);
    take_wide(entry, extra, extra + extra_bytes, size, stored, local);
    if (flags & kEncrypted) bad(entry, "member " + quoted(member.name) + " is encrypted");
    if (method != 0 || size != stored) {
      bad(entry, "member " + quoted(member.name) + strprintf(" is compressed (method %u)", method));
    }
    if (!has(local, kLocalBytes) || number<uint32_t>(local) != kLocal) {
      bad(entry, "member " + quoted(member.name) +
                     strprintf(" is not at byte %u, where the central directory has it", local));
    }
    member.begin =
        local + kLocalBytes + number<uint16_t>(local + 26) + number<uint16_t>(local + 28);
    if (!has(member.begin, size)) {
      bad(local, "member " + quoted(member.name) +
                     strprintf(" of %u bytes reaches past the end of the file: truncated?", size));
    }
    member.end = member.begin + size;
    return member;
  }

  const MappedFile& file_;
  const std::string_view bytes_;
  uint64_t directory_begin_ = 0, directory_end_ = 0;
};

}  // namespace

std::vector<ZipMember> read_zip(const MappedFile& file) {
  return ZipReader(file).read();
}

}  // namespace mythos
