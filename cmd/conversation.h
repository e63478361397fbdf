#pragma once
#include <string_view>

#include "config/loop_distribution.h"
#include "infer/engine/engine.h"
#include "infer/terminal/repl.h"

namespace mythos {

// Prints a part of a text at once.
void print_text(std::string_view text);

// Warns where texts get more loops than the model was trained for.
void warn_of_depth(DepthWarning& depth, int64_t loops, bool exits);

// The conversation of 'mythos generate' on this process's terminal, until the user ends it. Ctrl-C
// ends the text that is being generated. Returns the exit status.
int converse(Engine& engine, const Repl::Settings& settings, DepthWarning& depth);

}  // namespace mythos
