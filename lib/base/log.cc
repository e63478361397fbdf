#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"
#include "base/log_file.h"
#include "base/progress.h"
#include "base/strings.h"

namespace mythos {
namespace {

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(
        use_color() ? spdlog::color_mode::always : spdlog::color_mode::never);
    auto made = std::make_shared<spdlog::logger>("mythos", std::move(sink));
    made->set_pattern("%^%v%$");
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

constexpr size_t kMaxBytes = 1 << 14;  // a longer message is cut: it floods a terminal

std::shared_ptr<spdlog::logger> file_logger;  // null without a log file

void write(spdlog::level::level_enum level, std::string_view prefix, std::string_view message) {
  log_file_line(std::string(prefix).append(message));
  if (!logger().should_log(level)) return;
  Progress::clear_line();
  logger().log(level, "{}{}", prefix, escaped(message, kMaxBytes));
}

LogLevel current = LogLevel::info;

}  // namespace

void set_log_level(LogLevel level) {
  constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info,
                                                  spdlog::level::warn, spdlog::level::err,
                                                  spdlog::level::off};
  current = level;
  logger().set_level(levels[static_cast<int>(level)]);
}

LogLevel log_level() {
  return current;
}

// Lines of level info keep the terminal's own colour; those of other levels are coloured whole.
void log_debug(std::string_view message) {
  write(spdlog::level::debug, "debug: ", message);
}
void log_info(std::string_view message) {
  log_file_line(message);
  if (!logger().should_log(spdlog::level::info)) return;
  Progress::clear_line();
  logger().set_pattern("%v");
  logger().info("{}", escaped(message, kMaxBytes));
  logger().set_pattern("%^%v%$");
}
void log_warning(std::string_view message) {
  write(spdlog::level::warn, "warning: ", message);
}
void log_error(std::string_view message) {
  write(spdlog::level::err, "", message);
}

void log_to_file(const fs::path& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    file_logger = std::make_shared<spdlog::logger>("file", std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    fail(ErrorKind::resources, error.what());
  }
  file_logger->set_pattern("%Y-%m-%dT%H:%M:%S%z %v");
  file_logger->flush_on(spdlog::level::trace);
}
void end_log_file() {
  file_logger = nullptr;
}
void log_file_line(std::string_view line) {
  if (file_logger) file_logger->info("{}", escaped(line, kMaxBytes));
}

bool stderr_is_terminal() {
  return isatty(STDERR_FILENO) == 1;
}
bool use_color() {
  const char* no_color = std::getenv("NO_COLOR");
  return stderr_is_terminal() && !(no_color && *no_color);
}

}  // namespace mythos
