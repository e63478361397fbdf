#pragma once
#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "config/key_options.h"
#include "device/compute_options.h"
#include "infer/engine/engine.h"
#include "rank_options.h"
#include "text/chat/chat.h"

namespace mythos {

// The command line of 'mythos generate'.
struct GenerateCommand {
  std::string checkpoint, prompt_file, stdin_mark, jsonl;
  std::optional<std::string> prompt;
  bool chat = false, thinking = false, no_thinking = false;
  std::optional<std::string> system, chat_template;
  LoadFor load_for = LoadFor::decoding;
  bool as_json = false, echo = false, unordered = false;
  int64_t num_samples = 1, batch_size = 16;
  ComputeOptions compute;
  RankOptions ranks;
  DecodeOptions decode;
  std::string loops;  // as typed
  std::optional<int64_t> max_loops, draft_tokens;
  // What the decoder does, and the loops of a text that does not say otherwise (see Request).
  struct Depth : Decoder::Options {
    int64_t loops = 0;
    bool exits = false;
  } session;
  GenerateOptions generate;

  void declare(CLI::App& app);
  // Checks what can be checked without the model. `on_terminal`: standard input is one. Fails
  // (usage) naming the options and what is allowed.
  void validate(bool on_terminal);
  // What depends on the checkpoint: how it is decoded, the exit rule with its threshold, the loops.
  void complete(const Config& config);

  // The chat that the options ask for, in the format of the checkpoint's folder unless they name
  // another.
  Chat make_chat(const LoadedCheckpoint& loaded) const;

  bool is_batch() const { return !jsonl.empty(); }
  bool is_conversation() const { return conversation_; }
  bool auto_loops() const { return loops == "auto"; }

 private:
  void declare_model(CLI::App& app);
  void declare_depth(CLI::App& app);
  void declare_prompt(CLI::App& app);
  void declare_chat(CLI::App& app);
  void declare_output(CLI::App& app);
  // Some text of this run may ask for auto.
  bool may_be_auto() const { return auto_loops() || is_batch() || conversation_; }
  void validate_batch() const;
  void validate_ranks() const;
  void validate_chat() const;
  void validate_depth();

  bool conversation_ = false;
};

}  // namespace mythos
