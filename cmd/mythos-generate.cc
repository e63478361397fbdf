#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "config/loop_distribution.h"
#include "conversation.h"
#include "generate_options.h"
#include "infer/engine/engine.h"
#include "infer/terminal/generation_report.h"
#include "infer/terminal/jsonl.h"
#include "text/chat/chat_template.h"

using namespace mythos;

namespace {

std::string choose_prompt(const GenerateCommand& options) {
  if (options.prompt) return *options.prompt;
  const bool piped = options.prompt_file.empty() || options.prompt_file == "-";
  std::string text = piped ? std::string(std::istreambuf_iterator<char>(std::cin), {})
                           : read_file(options.prompt_file);
  // The line feed that editors and echo put at the end is not part of the prompt.
  if (text.ends_with('\n')) text.pop_back();
  if (text.empty()) {
    fail(ErrorKind::data,
         (piped ? "standard input" : options.prompt_file) +
             ": empty input, so there is no prompt to continue.",
         "For a text from nothing give --prompt \"\"");
  }
  return text;
}

void complete(Engine& engine, const GenerateCommand& options, const std::string& text,
              const Chat* chat, const fs::path& path, StopToken stop) {
  Request request;
  const std::vector<ChatMessage> messages = {{"user", text}};
  const std::string prompt = chat ? chat->prompt_text(messages) : text;
  request.ids = chat ? chat->prompt_ids(messages)
                     : prompt_ids(engine.tokenizer(), text, options.generate.documents);
  request.options = options.generate;
  request.loops = options.session.loops;
  request.exits = options.session.exits;
  request.stop = stop;
  check_prompt(engine.decoder().config(), request.ids);  // before anything is printed
  if (!options.as_json) request.text = print_text;
  for (int64_t i = 0; i < options.num_samples && !request.stop.stop_requested(); ++i) {
    request.options.stream = static_cast<uint64_t>(i);
    if (!options.as_json && options.num_samples > 1) {
      print_text(strprintf("--- sample %d of %d ---\n", i + 1, options.num_samples));
    }
    if (!options.as_json && options.echo) print_text(prompt);
    if (!options.as_json && chat && !options.echo) print_text(chat->format().answer);
    const Generation generation = engine.complete(request);
    if (generation.stopped_in_prompt()) break;
    if (options.as_json) {
      nlohmann::json json = to_json(generation, engine.decoder(), request.options, prompt);
      json["checkpoint"] = path.string();
      print_text(json_line(json));
      continue;
    }
    if (!generation.text.ends_with('\n')) print_text("\n");
    log_info(describe(generation, engine.decoder()));
  }
}

JsonlResult complete_lines(Engine& engine, const GenerateCommand& options, const Chat* chat,
                           const fs::path& path, DepthWarning& depth, StopToken stop) {
  JsonlPrompt defaults;
  defaults.options = options.generate;
  defaults.chat = chat;
  defaults.loops = options.session.loops;
  defaults.exits = options.session.exits;
  JsonlPrompts prompts(options.jsonl, defaults, *options.max_loops);
  JsonlRun run;
  run.unordered = options.unordered;
  run.checkpoint = path.string();
  run.stop = stop;
  run.on_prompt = [&](const JsonlPrompt& prompt) {
    warn_of_depth(depth, prompt.loops, prompt.exits);
  };
  run.print = print_text;
  const auto start = Clock::now();
  JsonlResult result = run_jsonl(engine, prompts, run);
  log_info(describe(engine.counts(), seconds_since(start)));
  return result;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// How the texts of a run ended.
struct Ending {
  int status = 0;  // of a conversation
  int signal = 0;  // that stopped them
  JsonlResult lines;
};

// On each of the ranks that divide experts; null: there is one process.
Ending generate(GenerateCommand& options, Ranks* ranks) {
  const bool prompted = !options.is_conversation() && !options.is_batch();
  const bool leads = !ranks || ranks->rank() == 0;
  const std::string prompt = prompted && leads ? choose_prompt(options) : "";
  const at::Device device = options.compute.select();
  LoadedCheckpoint loaded =
      load_checkpoint(options.checkpoint, device, options.load_for, options.ranks.division(ranks));
  if (!loaded.tokenizer) {
    fail(ErrorKind::data,
         loaded.path.string() + ": carries no tokenizer, so text cannot be read or written.",
         "Import the model again with 'mythos import --tokenizer TOK'");
  }
  options.complete(loaded.config);
  options.generate.documents = loaded.documents;
  options.generate.stop_ids = generation_stop_ids(loaded.path, *loaded.tokenizer);
  std::optional<Chat> chat;
  if (options.chat) {
    chat = options.make_chat(loaded);
    append(options.generate.stop_ids, chat->stop_ids());
    append(options.generate.stop, chat->stop_texts());
  }
  DepthWarning depth(loaded.config.train, loaded.config.model, loaded.was_trained());
  const auto experts = options.ranks.divide(loaded, ranks);
  options.session.experts = experts.get();
  Decoder decoder(std::move(*loaded.model), options.session);
  Engine engine(decoder, *loaded.tokenizer, options.is_batch() ? options.batch_size : 1);
  if (!options.is_batch()) warn_of_depth(depth, options.session.loops, options.session.exits);
  Ending ending;
  if (options.is_conversation()) {
    ending.status = converse(engine,
                             {options.generate, options.session.loops, options.session.exits,
                              *options.max_loops, std::move(chat)},
                             depth);
    return ending;
  }
  StopSignals signals({SIGINT});  // on the other ranks, which rank 0 ends, they stop nothing
  signals.watch();
  const Chat* const format = chat ? &*chat : nullptr;
  const auto work = [&] {
    if (prompted) return complete(engine, options, prompt, format, loaded.path, signals.token());
    ending.lines = complete_lines(engine, options, format, loaded.path, depth, signals.token());
  };
  run_with(experts.get(), decoder.weights(), work);
  if (leads) ending.signal = signals.signal();
  return ending;
}

int run(GenerateCommand& options) {
  Ranks* ranks = nullptr;
  if (options.ranks.expert_ranks > 1) {
    ranks = options.ranks.join(rank_place(), options.compute.device);
  }
  Ending ending;
  run_together([&] { ending = generate(options, ranks); });
  if (ending.signal != 0) exit_by_signal(ending.signal);
  if (const JsonlResult& lines = ending.lines; lines.failed > 0) {
    fail(ErrorKind::data, strprintf("%s of %s prompts got an error instead of a text; the first: ",
                                    with_commas(lines.failed), with_commas(lines.prompts)) +
                              lines.first_failure);
  }
  return ending.status;
}

}  // namespace

int main(int argc, char** argv) {
  GenerateCommand options;
  const int status = run_command(
      argc, argv,
      {"mythos-generate", "Continue texts with a trained model, at any number of loops.",
       R"(mythos generate --checkpoint runs/nano --prompt "Once upon a time"
          mythos generate --checkpoint runs/nano --prompt-file p.txt --loops auto --temperature 0
          echo "The sea" | mythos generate --checkpoint runs/nano --num-samples 3 --json
          mythos generate --checkpoint runs/nano --jsonl prompts.jsonl > texts.jsonl
          mythos generate --checkpoint ouro --loops auto --exit gate --exit-quantile 0.9
          mythos generate --checkpoint runs/moe --prompt "Once" --nproc 4 --expert-ranks 4
          mythos generate --checkpoint runs/nano
          mythos generate --checkpoint Ouro-1.4B-Thinking --chat --system "Be brief.")",
       [&](CLI::App& app) { options.declare(app); },
       [&] {
         options.validate(isatty(STDIN_FILENO) != 0);
         if (options.ranks.expert_ranks == 1) return run(options);
         return options.ranks.start(argv, [&] { return run(options); });
       },
       "A smaller --prefill-chunk, fewer --max-tokens, --cache-type int8 or --weights int8 needs "
       "less."});
  return end_of_ranks(status);
}
