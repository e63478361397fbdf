#include "tasks/task_file.h"

#include <gtest/gtest.h>

#include "../scratch.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

class TaskFile : public testing::Test {
 protected:
  std::string error(const std::string& content) {
    write_file_atomic(path_, content);
    return error_of(ErrorKind::data, [&] { read_task_file(path_); });
  }

  Scratch scratch_;
  fs::path path_ = scratch_ / "tasks.jsonl";
};

TEST_F(TaskFile, ReadsWhatWasWritten) {
  const TaskRow plain{"2:abca", "b", 2}, quoted{"a \"b\" \\ c", "\n", 0};
  write_file_atomic(path_, task_line(plain) + "\n  \n" + task_line(quoted));
  std::vector<int64_t> lines;
  EXPECT_EQ(read_task_file(path_, &lines), (std::vector<TaskRow>{plain, quoted}));
  EXPECT_EQ(lines, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(task_line(plain), "{\"prompt\":\"2:abca\",\"completion\":\"b\",\"difficulty\":2}\n");
}

TEST_F(TaskFile, NamesLineAndFaultOfBadRows) {
  const std::string good = task_line({"p", "c", 1});
  EXPECT_NE(error(good + "{\"prompt\": \"x\"}\n").find("tasks.jsonl:2: no field \"completion\""),
            std::string::npos);
  EXPECT_NE(error("{\"prompt\": 3, \"completion\": \"x\"}").find("\"prompt\" is of type number"),
            std::string::npos);
  EXPECT_NE(error("{\"prompt\": \"\", \"completion\": \"\"}").find(":1: \"completion\" is empty"),
            std::string::npos);
  EXPECT_NE(error(good + "\nnonsense").find(":3: not a JSON object"), std::string::npos);
  EXPECT_NE(error("{\"prompt\": \"\", \"completion\": \"x\", \"difficulty\": 1.5}")
                .find("\"difficulty\" is 1.5"),
            std::string::npos);
  EXPECT_NE(error("\n\n").find("no rows"), std::string::npos);
}

TEST_F(TaskFile, TheTokenizerHasATokenForEachCharacter) {
  const fs::path path = scratch_ / "tok.json";
  write_file_atomic(path, character_tokenizer());
  const auto tokenizer = load_tokenizer(path.string());
  EXPECT_EQ(tokenizer->vocab_size(), 97);
  ASSERT_TRUE(tokenizer->eos_id());
  EXPECT_EQ(tokenizer->piece(*tokenizer->eos_id()), "</s>");
  std::string all = "\n";
  for (char c = ' '; c <= '~'; ++c) all += c;
  const std::vector<uint32_t> ids = tokenizer->encode(all);
  EXPECT_EQ(ids.size(), all.size());
  EXPECT_EQ(tokenizer->decode(ids), all);
}

}  // namespace
}  // namespace mythos
