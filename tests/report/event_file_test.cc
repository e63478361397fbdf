#include "report/event_file.h"

#include <bit>

#include "../scratch.h"
#include "report/prometheus.h"

namespace mythos {
namespace {

// A reader of the format, written for the test: the fields of protocol buffers by number.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;      // of varints and fixed numbers
  std::string_view bytes;  // of strings and messages
};

uint64_t take_fixed(std::string_view& in, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(in[i])) << 8 * i;
  }
  in.remove_prefix(size);
  return value;
}

uint64_t take_varint(std::string_view& in) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

std::vector<Field> fields(std::string_view in) {
  std::vector<Field> found;
  while (!in.empty()) {
    const uint64_t key = take_varint(in);
    Field field{key >> 3, 0, {}};
    if ((key & 7) == 0) field.value = take_varint(in);
    if ((key & 7) == 1) field.value = take_fixed(in, 8);
    if ((key & 7) == 5) field.value = take_fixed(in, 4);
    if ((key & 7) == 2) {
      const uint64_t size = take_varint(in);
      field.bytes = in.substr(0, size);
      in.remove_prefix(size);
    }
    found.push_back(field);
  }
  return found;
}

const Field& field(const std::vector<Field>& all, uint64_t number) {
  for (const Field& one : all) {
    if (one.number == number) return one;
  }
  throw std::runtime_error("no field " + std::to_string(number));
}

uint32_t masked(uint32_t crc) {
  return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

// The events of a file, whose sums are checked.
std::vector<std::string> events(const std::string& file) {
  std::vector<std::string> found;
  for (std::string_view in = file; !in.empty();) {
    const std::string_view head = in.substr(0, 8);
    const uint64_t size = take_fixed(in, 8);
    EXPECT_EQ(take_fixed(in, 4), masked(crc32c(head)));
    found.emplace_back(in.substr(0, size));
    in.remove_prefix(size);
    EXPECT_EQ(take_fixed(in, 4), masked(crc32c(found.back())));
  }
  return found;
}

TEST(EventFile, HoldsTheVersionTheRestartAndTheNumbersOfSteps) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);  // the check value of CRC-32C (RFC 3720)
  const Scratch scratch;
  {
    EventFile file(scratch / "tensorboard", 40);
    file.append(50, {{"loss", 2.5}, {"objectives/next_token", -1}});
    file.append(300, {});
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(scratch / "tensorboard")) {
    files.push_back(entry.path());
  }
  ASSERT_EQ(files.size(), 1u);
  EXPECT_TRUE(files[0].filename().string().starts_with("events.out.tfevents."));
  const std::string content = read_file(files[0]);
  const auto found = events(content);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(field(fields(found[0]), 3).bytes, "brain.Event:2");
  EXPECT_EQ(field(fields(found[1]), 2).value, 40u);
  EXPECT_EQ(field(fields(field(fields(found[1]), 7).bytes), 1).value, 1u);
  const auto step = fields(found[2]);
  EXPECT_EQ(field(step, 2).value, 50u);
  EXPECT_GT(std::bit_cast<double>(field(step, 1).value), 1.7e9);
  const auto values = fields(field(step, 5).bytes);
  ASSERT_EQ(values.size(), 2u);
  EXPECT_EQ(field(fields(values[0].bytes), 1).bytes, "loss");
  EXPECT_EQ(std::bit_cast<float>(static_cast<uint32_t>(field(fields(values[0].bytes), 2).value)),
            2.5f);
  EXPECT_EQ(field(fields(values[1].bytes), 1).bytes, "objectives/next_token");
  EXPECT_EQ(field(fields(found[3]), 2).value, 300u);
}

TEST(EventFile, SaysWhatItCannotOpen) {
  const Scratch scratch;
  write_file_atomic(scratch / "tensorboard", "a file");
  EXPECT_ANY_THROW(EventFile(scratch / "tensorboard", 0));
}

TEST(Prometheus, WritesOneGaugeForEachNumber) {
  EXPECT_EQ(prometheus_text("a\"b\\c", 7, {{"loss", 2.25}, {"depth/1", 3}}),
            "# TYPE mythos_step gauge\nmythos_step{run=\"a\\\"b\\\\c\"} 7\n"
            "# TYPE mythos_loss gauge\nmythos_loss{run=\"a\\\"b\\\\c\"} 2.25\n"
            "# TYPE mythos_depth_1 gauge\nmythos_depth_1{run=\"a\\\"b\\\\c\"} 3\n");
}

}  // namespace
}  // namespace mythos
