#include "report/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "base/host.h"
#include "base/strings.h"

namespace mythos {
namespace {

// Fields of the messages Event, Summary, Summary.Value and SessionLog, as event.proto and
// summary.proto number them.
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
constexpr int kSummaryValue = 1, kTag = 1, kSimpleValue = 2;
constexpr int kStatus = 1, kStarted = 1;

// The wire types of protocol buffers.
enum class Wire { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
void put_key(std::string& out, int field, Wire wire) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire));
}
template <class T>
void put_little_endian(std::string& out, T bits) {
  for (size_t i = 0; i < sizeof bits; ++i) out += static_cast<char>(bits >> 8 * i);
}
void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_key(out, field, Wire::bytes);
  put_varint(out, bytes.size());
  out += bytes;
}

uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return std::rotr(crc, 15) + 0xa282ead8U;
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t i = 0; i < made.size(); ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
      made[i] = crc;
    }
    return made;
  }();
  uint32_t crc = ~0U;
  for (const char c : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

EventFile::EventFile(const fs::path& directory, int64_t first_step) {
  fs::create_directories(directory);
  path_ =
      directory / strprintf("events.out.tfevents.%d.%s.%d", static_cast<int64_t>(wall_seconds()),
                            host_name(), static_cast<int64_t>(getpid()));
  file_ = std::fopen(path_.c_str(), "we");
  if (!file_) {
    fail(ErrorKind::resources, "cannot open " + path_.string() + ": " + std::strerror(errno));
  }
  std::string version;
  put_bytes(version, kFileVersion, "brain.Event:2");
  write_event(0, version);
  std::string started, session;
  put_key(started, kStatus, Wire::varint);
  put_varint(started, kStarted);
  put_bytes(session, kSessionLog, started);
  write_event(first_step, session);
}

EventFile::~EventFile() {
  std::fclose(file_);
}

void EventFile::append(int64_t step, const std::vector<std::pair<std::string, double>>& numbers) {
  std::string summary, content;
  for (const auto& [name, number] : numbers) {
    std::string value;
    put_bytes(value, kTag, name);
    put_key(value, kSimpleValue, Wire::fixed32);
    put_little_endian(value, std::bit_cast<uint32_t>(static_cast<float>(number)));
    put_bytes(summary, kSummaryValue, value);
  }
  put_bytes(content, kSummary, summary);
  write_event(step, content);
}

void EventFile::write_event(int64_t step, const std::string& content) {
  std::string event, record;
  put_key(event, kWallTime, Wire::fixed64);
  put_little_endian(event, std::bit_cast<uint64_t>(wall_seconds()));
  put_key(event, kStep, Wire::varint);
  put_varint(event, static_cast<uint64_t>(step));
  event += content;
  put_little_endian(record, static_cast<uint64_t>(event.size()));
  put_little_endian(record, masked_crc(record));
  record += event;
  put_little_endian(record, masked_crc(event));
  if (std::fwrite(record.data(), 1, record.size(), file_) != record.size() ||
      std::fflush(file_) != 0) {
    fail(ErrorKind::resources, "cannot write " + path_.string() + ": " + std::strerror(errno));
  }
}

}  // namespace mythos
