#include "data/sample/data_list.h"

#include <gtest/gtest.h>

#include "scratch.h"

namespace mythos {
namespace {

TEST(DataList, AWeightIsANumberBehindTheLastColon) {
  const auto expect = [](const std::string& text, const std::string& directory,
                         std::optional<double> weight) {
    const DataEntry entry = parse_data_entry(text);
    EXPECT_EQ(entry.directory, directory);
    EXPECT_EQ(entry.weight, weight);
  };
  expect("a", "a", std::nullopt);
  expect("a:0.7", "a", 0.7);
  expect("a:2", "a", 2);
  expect("a:b", "a:b", std::nullopt);
  expect("a:", "a:", std::nullopt);
  expect("host:data/a:b", "host:data/a:b", std::nullopt);
  expect("a:b:1e-3", "a:b", 1e-3);
  expect(":3", ":3", std::nullopt);
}

TEST(DataList, ADirectoryOfTheWholeNameIsMeant) {
  const Scratch scratch;
  fs::create_directories(scratch / "run:2024");
  const std::string name = (scratch / "run:2024").string();
  EXPECT_EQ(parse_data_entry(name).directory, name);
  EXPECT_FALSE(parse_data_entry(name).weight);
  EXPECT_EQ(parse_data_entry(name + ":3").directory, name);
  EXPECT_EQ(parse_data_entry(name + ":3").weight, 3);
}

TEST(DataList, RefusesWeightsThatAreNone) {
  for (const char* text : {"a:0", "a:-1", "a:nan", "a:inf"}) {
    const std::string message = error_of(ErrorKind::usage, [&] { parse_data_entry(text); });
    EXPECT_TRUE(contains(message, std::string("--data ") + text)) << message;
  }
  EXPECT_EQ(parse_data_list({"a:1", "b:2"}).size(), 2u);
  EXPECT_EQ(parse_data_list({"a", "b"}).size(), 2u);
  for (const auto& list : {std::vector<std::string>{"a:1", "b"}, {"b", "a:1"}}) {
    const std::string message = error_of(ErrorKind::usage, [&] { parse_data_list(list); });
    EXPECT_TRUE(contains(message, "--data b: it has no weight")) << message;
  }
}

}  // namespace
}  // namespace mythos
