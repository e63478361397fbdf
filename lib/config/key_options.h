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
// object must stay in its place until the command line is parsed.
class KeyOptions {
 public:
  // Adds the option of one key ("train.steps"), by another name where `option` is given. A value
  // that the key does not take ends the parsing: Error(usage) that names the option.
  void declare(CLI::App& app, std::string_view key, const std::string& option = "");

  bool given(std::string_view key) const;
  // In the form of --set, "train.steps=5", in the order of the command line.
  const std::vector<std::string>& assignments() const { return assignments_; }

 private:
  std::vector<std::string> assignments_;
};

// The options of a verb that decodes with a checkpoint: those of [decode] and --config.
class DecodeOptions {
 public:
  // Adds --config and the options of these keys of [decode], all of them where none is named. A
  // verb names the keys that it follows.
  void declare(CLI::App& app, const std::vector<std::string_view>& keys = {});

  // Some option says how to decode, be it through --config; --dtype alone does not.
  bool any_given() const;
  bool given(std::string_view key) const { return keys_.given("decode." + std::string(key)); }
  // What the options say over the [decode] of --config, or without that over the checkpoint's.
  // Fails (usage) when the file is not valid or the options contradict each other.
  DecodeConfig resolve(const DecodeConfig& of_checkpoint) const;

 private:
  KeyOptions keys_;
  std::string config_file_;
};

}  // namespace mythos
