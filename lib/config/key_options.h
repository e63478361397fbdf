#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace CLI {
class App;
}

namespace mythos {

// Options of a command line that stand for keys of the configuration, such as --cache-type for
// decode.cache_type. Their help, value names and checks come from the keys' visit() lines. The
// object must not move until the command line is parsed.
class KeyOptions {
 public:
  // Adds the option of a key ("train.steps"), under the name `option` if it is given. A value that
  // the key does not take ends the parsing with an Error(usage) that names the option.
  void declare(CLI::App& app, std::string_view key, const std::string& option = "");

  bool given(std::string_view key) const;
  // The values that were given, in the form of --set, "train.steps=5", in the order of the command
  // line.
  const std::vector<std::string>& assignments() const { return assignments_; }

 private:
  std::vector<std::string> assignments_;
};

// The options of a verb that decodes with a checkpoint: those of [decode] and --config.
class DecodeOptions {
 public:
  // Adds --config and the options of these keys of [decode], or of all if none is named. A verb
  // names the keys that it follows.
  void declare(CLI::App& app, const std::vector<std::string_view>& keys = {});

  // Whether an option, or --config, says how to decode; --dtype alone does not.
  bool any_given() const;
  bool given(std::string_view key) const { return keys_.given("decode." + std::string(key)); }
  // The options laid over the [decode] of --config or, without --config, over the checkpoint's.
  // Fails (usage) if the file is not valid or the options contradict each other.
  DecodeConfig resolve(const DecodeConfig& of_checkpoint) const;

 private:
  KeyOptions keys_;
  std::string config_file_;
};

}  // namespace mythos
