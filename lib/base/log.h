#pragma once
#include <string_view>

// Messages for people, on stderr, one line each: what would end the line or command a terminal is
// escaped (strings.h). Results go to stdout and never through here.
// This header includes neither spdlog nor fmt: LibTorch bundles another fmt (see strings.h).
namespace mythos {

enum class LogLevel { debug, info, warning, error, off };

// Called once by run_command: from --quiet, --verbose or MYTHOS_LOG.
void set_log_level(LogLevel level);
LogLevel log_level();

void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warning(std::string_view message);
void log_error(std::string_view message);

// Whether to colour stderr: a terminal, and NO_COLOR not set.
bool stderr_is_terminal();
bool use_color();

}  // namespace mythos
