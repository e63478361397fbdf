#pragma once
#include <string_view>
#include <vector>

#include "base/files.h"

namespace mythos {

// A member of a zip archive that lies in it as it is.
struct ZipMember {
  std::string_view name;        // in the file's mapping
  uint64_t begin = 0, end = 0;  // bytes of its data in the file
};

// The members that the central directory of a zip archive lists, zip64 or not (APPNOTE 6.3.10).
// Checksums are not compared. Fails (data), naming path and byte, when the directory is missing or
// damaged, a member reaches outside the file, is compressed or encrypted, or has another's name.
std::vector<ZipMember> read_zip(const MappedFile& file);

}  // namespace mythos
