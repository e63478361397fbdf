#include "report/run_record.h"

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/host.h"
#include "base/strings.h"
#include "base/version.h"

namespace mythos {
namespace {

constexpr const char* kSchema = "mythos.run/1";

std::string shell_word(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_@%+=:,./-") == std::string::npos;
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  std::array<char, 40> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S%z", &parts);
  return text.data();
}

}  // namespace

std::string command_line() {
  std::vector<std::string> words = split(read_file("/proc/self/cmdline"), '\0');
  if (!words.empty() && words.back().empty()) words.pop_back();
  for (std::string& word : words) word = shell_word(word);
  return join(words, " ");
}

void record_session(const fs::path& run, bool fresh, const std::string& configuration,
                    nlohmann::ordered_json session) {
  const fs::path path = run / "run.json";
  nlohmann::ordered_json sessions = nlohmann::ordered_json::array();
  if (!fresh && fs::exists(path)) {
    const auto old = nlohmann::ordered_json::parse(read_file(path), nullptr, false);
    if (old.is_object() && old.contains("sessions") && old["sessions"].is_array()) {
      sessions = old["sessions"];
    }
  }
  nlohmann::ordered_json added = {{"started", time_now()},
                                  {"command", command_line()},
                                  {"directory", fs::current_path().string()},
                                  {"host", host_name()},
                                  {"version", version_text("mythos-train")}};
  added.update(session);
  sessions.push_back(std::move(added));
  const nlohmann::ordered_json record = {
      {"schema", kSchema}, {"sessions", sessions}, {"configuration", configuration}};
  write_file_atomic(
      path, record.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace mythos
