#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"

namespace mythos {

// A TensorBoard event file: scalars by step. The format is TensorFlow's: records of a length, its
// masked CRC-32C, a protocol buffer `Event` and its CRC (tensorflow/core/lib/io/record_writer.h,
// tensorflow/core/util/event.proto).
class EventFile {
 public:
  // Begins a file of its own in the directory, which is made; what other files there tell of steps
  // from `first_step` on counts no more, as the run goes on from there.
  EventFile(const fs::path& directory, int64_t first_step);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  // Appends the numbers of a step. Fails (resources) if they cannot be written.
  void append(int64_t step, const std::vector<std::pair<std::string, double>>& numbers);

 private:
  void write_event(int64_t step, const std::string& content);

  fs::path path_;
  std::FILE* file_ = nullptr;
};

// CRC-32C (Castagnoli) of the bytes.
uint32_t crc32c(std::string_view bytes);

}  // namespace mythos
