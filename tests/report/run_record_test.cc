#include "report/run_record.h"

#include <nlohmann/json.hpp>

#include "../scratch.h"

namespace mythos {
namespace {

using Json = nlohmann::ordered_json;

TEST(RunRecord, KeepsTheSessionsOfARunThatGoesOn) {
  const Scratch scratch;
  record_session(scratch.path(), true, "[model]\ndim = 8\n", {{"first_step", 0}});
  record_session(scratch.path(), false, "[model]\ndim = 8\n", {{"first_step", 50}});
  const Json record = Json::parse(read_file(scratch / "run.json"));
  EXPECT_EQ(record["schema"], "mythos.run/1");
  EXPECT_EQ(record["configuration"], "[model]\ndim = 8\n");
  ASSERT_EQ(record["sessions"].size(), 2u);
  EXPECT_EQ(record["sessions"][0]["first_step"], 0);
  EXPECT_EQ(record["sessions"][1]["first_step"], 50);
  EXPECT_EQ(record["sessions"][1]["command"], command_line());
  EXPECT_NE(command_line().find("report_test"), std::string::npos);
  record_session(scratch.path(), true, "", Json::object());
  EXPECT_EQ(Json::parse(read_file(scratch / "run.json"))["sessions"].size(), 1u);
}

TEST(RunRecord, BeginsADamagedFileAnew) {
  const Scratch scratch;
  write_file_atomic(scratch / "run.json", "{\"sess");
  record_session(scratch.path(), false, "", Json::object());
  EXPECT_EQ(Json::parse(read_file(scratch / "run.json"))["sessions"].size(), 1u);
}

}  // namespace
}  // namespace mythos
