#pragma once
#include <string_view>

// Messages for people, on stderr, one line each: characters that would end the line or command a
// terminal are escaped (strings.h). Results go to stdout instead (print.h).
// This header includes neither spdlog nor fmt, as LibTorch bundles another version of fmt.
namespace mythos {

enum class LogLevel { debug, info, warning, error, off };

// Messages below `level` are not printed. run_command calls it once, from --quiet, --verbose or
// MYTHOS_LOG.
void set_log_level(LogLevel level);
LogLevel log_level();

void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warning(std::string_view message);
void log_error(std::string_view message);

bool stderr_is_terminal();
// Whether to colour stderr: it is a terminal, and NO_COLOR is not set.
bool use_color();

}  // namespace mythos
