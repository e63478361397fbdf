#include "tasks/task_file.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

using nlohmann::json;

std::string text_field(const json& row, const char* field, const std::string& where) {
  const auto found = row.find(field);
  if (found == row.end()) {
    fail(ErrorKind::data, where + ": no field \"" + field + "\"",
         R"(Expected {"prompt": "...", "completion": "...", "difficulty": N})");
  }
  if (!found->is_string()) {
    fail(ErrorKind::data,
         where + ": \"" + field + "\" is of type " + found->type_name() + ", expected a string");
  }
  return found->get<std::string>();
}

TaskRow parse_row(std::string_view line, const std::string& where) {
  const json row = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) {
    fail(ErrorKind::data, where + ": not a JSON object: " + escaped(line, 60));
  }
  TaskRow out;
  out.prompt = text_field(row, "prompt", where);
  out.completion = text_field(row, "completion", where);
  if (out.completion.empty()) fail(ErrorKind::data, where + ": \"completion\" is empty");
  if (const auto found = row.find("difficulty"); found != row.end()) {
    if (!found->is_number_integer()) {
      fail(ErrorKind::data, where + ": \"difficulty\" is " + escaped(found->dump(), 60) +
                                ", expected a whole number");
    }
    out.difficulty = found->get<int64_t>();
  }
  return out;
}

}  // namespace

std::string task_line(const TaskRow& row) {
  const nlohmann::ordered_json out = {
      {"prompt", row.prompt}, {"completion", row.completion}, {"difficulty", row.difficulty}};
  return out.dump() + "\n";
}

std::vector<TaskRow> read_task_file(const fs::path& path, std::vector<int64_t>* lines) {
  const std::string content = read_file(path);
  std::vector<TaskRow> rows;
  int64_t number = 0;
  for (size_t begin = 0; begin < content.size(); ++number) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const std::string_view line = trim(std::string_view(content).substr(begin, end - begin));
    begin = end + 1;
    if (line.empty()) continue;
    rows.push_back(parse_row(line, path.string() + ":" + std::to_string(number + 1)));
    if (lines) lines->push_back(number + 1);
  }
  if (rows.empty()) fail(ErrorKind::data, path.string() + ": no rows of tasks");
  return rows;
}

std::string character_tokenizer() {
  // Byte-level BPE writes a space as U+0120 and the end of a line as U+010A.
  nlohmann::ordered_json vocabulary = {{"</s>", 0}, {"\u010a", 1}, {"\u0120", 2}};
  for (char c = '!'; c <= '~'; ++c) vocabulary[std::string(1, c)] = vocabulary.size();
  const nlohmann::ordered_json byte_level = {{"type", "ByteLevel"},
                                             {"add_prefix_space", false},
                                             {"trim_offsets", false},
                                             {"use_regex", false}};
  const nlohmann::ordered_json out = {
      {"version", "1.0"},
      {"added_tokens",
       {{{"id", 0},
         {"content", "</s>"},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false},
         {"normalized", false},
         {"special", true}}}},
      {"pre_tokenizer", byte_level},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::ordered_json::array()}}}};
  return out.dump(1) + "\n";
}

}  // namespace mythos
