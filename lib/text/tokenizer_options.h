#pragma once
#include "base/cli.h"
#include "text/load_tokenizer.h"

namespace mythos {

// Adds --tokenizer, --bos-token and --eos-token, which fill `choice`, and returns --tokenizer.
CLI::Option* add_tokenizer_options(CLI::App& app, TokenizerChoice& choice);

}  // namespace mythos
