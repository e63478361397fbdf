#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/error.h"
#include "infer/engine/decoder.h"
#include "infer/engine/generation.h"

namespace mythos {

// What a generation did, for people: tokens, speeds, loops and why it stopped.
std::string describe(const Generation& generation, const Decoder& decoder);

// "mythos.generate/1" without what the caller knows (checkpoint): man/mythos-generate.1 describes
// the keys.
nlohmann::json to_json(const Generation& generation, const Decoder& decoder,
                       const GenerateOptions& options, const std::string& prompt);

// The object that a request gets instead of a text: "schema" and "error" with "message" and
// "advice" (null where there is none).
nlohmann::json error_json(const Error& error);

}  // namespace mythos
