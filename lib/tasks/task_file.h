#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "tasks/task.h"

namespace mythos {

// A row as a line of JSON: {"prompt": "…", "completion": "…", "difficulty": n}.
std::string task_line(const TaskRow& row);

// The rows of a file of such lines, in their order; blank lines are left out, and a row without a
// difficulty has 0. Line numbers of the file go to `lines`, if it is given. Fails (data), naming
// file and line, on a line that is no such object, on an empty completion, and on a file without
// rows.
std::vector<TaskRow> read_task_file(const fs::path& path, std::vector<int64_t>* lines = nullptr);

// A tokenizer.json (byte-level BPE without merges) with a token for each printable character of
// ASCII, one for the end of a line, and </s>: 97 in all, the vocabulary of the tasks.
std::string character_tokenizer();

}  // namespace mythos
