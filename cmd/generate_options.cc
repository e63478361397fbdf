#include "generate_options.h"

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint_options.h"
#include "config/field_value.h"
#include "text/chat/chat_template.h"

namespace mythos {
namespace {

const CLI::Range kLoops(int64_t{1}, kMaxLoops);

}  // namespace

void GenerateCommand::declare(CLI::App& app) {
  declare_model(app);
  declare_depth(app);
  declare_prompt(app);
  declare_chat(app);
  declare_output(app);
}

void GenerateCommand::declare_model(CLI::App& app) {
  add_checkpoint_options(app, checkpoint, load_for);
  compute.declare(app);
  ranks.declare(app, "Divide the model's experts");
  ranks.declare_expert_ranks(app);
  decode.declare(app);
}

void GenerateCommand::declare_depth(CLI::App& app) {
  app.add_option("--loops", loops,
                 "Loops of the recurrent core per token, more than trained allowed, or auto: as "
                 "many as the token needs; default: model.max_loop_iters")
      ->type_name("N|auto");
  app.add_option("--max-loops", max_loops,
                 "Most loops of a token with auto; default: model.max_loop_iters")
      ->type_name("N")
      ->check(kLoops);
  app.add_option("--draft-loops", generate.speculation.draft_loops,
                 "Draft tokens at this many loops and verify them at --loops")
      ->type_name("N")
      ->check(kLoops);
  app.add_option("--draft-tokens", draft_tokens, "Tokens to draft before each check; default: 4")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, Decoder::kMaxRows - 1));
}

void GenerateCommand::declare_prompt(CLI::App& app) {
  app.add_option("--prompt", prompt, "Text to continue; \"\" starts from nothing")
      ->type_name("TEXT");
  app.add_option("--prompt-file", prompt_file, "File with the text to continue")->type_name("FILE");
  app.add_option("--jsonl", jsonl,
                 "Prompts are JSON objects, one a line, in a file or on standard input ('-' or "
                 "nothing); prints one result a line (mythos.generate/1)")
      ->type_name("FILE")
      ->expected(0, 1)
      ->default_str("-");
  app.add_option("--batch-size", batch_size, "Prompts of --jsonl computed together; default: 16")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, Decoder::kMaxRows));
  app.add_flag("--unordered", unordered, "Print results of --jsonl as they are done");
  app.add_option("stdin", stdin_mark, "'-': the text to continue is on standard input")
      ->type_name("-");
}

void GenerateCommand::declare_chat(CLI::App& app) {
  app.add_flag("--chat", chat,
               "Prompts are a user's messages in a conversation, which the model answers; --jsonl "
               "takes \"messages\"");
  app.add_option("--system", system,
                 "With --chat: the system message that conversations begin with")
      ->type_name("TEXT");
  app.add_option("--chat-template", chat_template,
                 "With --chat: " + known_chat_names() +
                     ", or a file that describes the format; default: the model's own")
      ->type_name("FORMAT|FILE");
  CLI::Option* think = app.add_flag(
      "--thinking", thinking,
      "With --chat: answers begin with <think>; default: as the model's template says");
  app.add_flag("--no-thinking", no_thinking, "With --chat: they do not")->excludes(think);
}

void GenerateCommand::declare_output(CLI::App& app) {
  SamplingOptions& sampling = generate.sampling;
  app.add_option("--stop", generate.stop, "End before this string; may be repeated")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  app.add_option("--max-tokens", generate.max_tokens, "Most tokens to generate; default: 256")
      ->type_name("N");
  app.add_option("--temperature", sampling.temperature,
                 "0 takes the most likely token; default: 0.8")
      ->type_name("X");
  app.add_option("--top-k", sampling.top_k, "Draw from the K most likely tokens")->type_name("K");
  app.add_option("--top-p", sampling.top_p,
                 "Draw from the fewest tokens whose probabilities reach X")
      ->type_name("X");
  app.add_option("--min-p", sampling.min_p,
                 "Draw from tokens at least X times as likely as the likeliest")
      ->type_name("X");
  app.add_option("--seed", sampling.seed, "Seed of the random numbers; default: 1")->type_name("N");
  app.add_option("--num-samples", num_samples, "Texts to generate from the prompt; default: 1")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  app.add_flag("--echo", echo, "Print the prompt before the text");
  app.add_flag("--json", as_json, "Print one JSON object per sample and line (mythos.generate/1)");
}

void GenerateCommand::validate(bool on_terminal) {
  generate.validate();
  generate.confidence = as_json || is_batch();
  if (!stdin_mark.empty() && stdin_mark != "-") {
    fail(ErrorKind::usage, "unexpected argument '" + stdin_mark +
                               "': a prompt is given with --prompt, --prompt-file or '-'");
  }
  const int sources = prompt.has_value() + !prompt_file.empty() + !stdin_mark.empty() + is_batch();
  if (sources > 1) {
    fail(ErrorKind::usage, "give one of --prompt, --prompt-file, --jsonl and '-'");
  }
  conversation_ = sources == 0 && on_terminal;
  if (conversation_ && (as_json || num_samples > 1 || echo)) {
    fail(ErrorKind::usage,
         "--json, --num-samples and --echo need a prompt: give --prompt, --prompt-file or a pipe");
  }
  validate_batch();
  validate_ranks();
  validate_chat();
  validate_depth();
}

void GenerateCommand::validate_batch() const {
  if (!is_batch()) {
    if (unordered) fail(ErrorKind::usage, "--unordered is about the results of --jsonl");
    return;
  }
  if (num_samples > 1 || echo) {
    fail(ErrorKind::usage,
         "--jsonl goes with neither --num-samples nor --echo: give the prompt "
         "on several lines with different seeds; each result has its prompt");
  }
  if (generate.speculation.draft_loops > 0) {
    fail(ErrorKind::usage,
         "--draft-loops does not go with --jsonl, whose prompts fill each step; "
         "leave out one");
  }
}

void GenerateCommand::validate_ranks() const {
  if (ranks.nproc > 1 && ranks.expert_ranks == 1) {
    fail(ErrorKind::usage, "--nproc: processes generate together where they divide experts",
         strprintf("Give --expert-ranks %d, or leave out --nproc", ranks.nproc));
  }
  ranks.require_expert_ranks();
  if (ranks.expert_ranks > 1 && conversation_) {
    fail(ErrorKind::usage,
         "--expert-ranks: a conversation is held by one process; give --prompt, --prompt-file, "
         "--jsonl or a pipe");
  }
}

void GenerateCommand::validate_chat() const {
  if (!chat && (system || chat_template || thinking || no_thinking)) {
    fail(ErrorKind::usage,
         "--system, --chat-template, --thinking and --no-thinking are about --chat");
  }
  if (chat_template) read_chat_format(*chat_template);
}

Chat GenerateCommand::make_chat(const LoadedCheckpoint& loaded) const {
  const Tokenizer& tokenizer = *loaded.tokenizer;
  ChatFormat format =
      chat_template ? read_chat_format(*chat_template) : chat_format_of(loaded.path, tokenizer);
  if (system) format.system = *system;
  if (thinking) format.answer = "<think>\n";
  if (no_thinking) format.answer.clear();
  // What a published model's tokenizer puts before documents is not put before conversations.
  const bool as_trained = loaded.was_trained() && loaded.documents;
  const bool bos = as_trained ? loaded.documents->bos != Share::none : format.bos;
  return Chat(tokenizer, std::move(format), bos);
}

void GenerateCommand::validate_depth() {
  if (!loops.empty() && !auto_loops()) {
    const auto number = parse_int(loops);
    if (!number || *number < 1 || *number > kMaxLoops) {
      fail(ErrorKind::usage, "--loops is '" + loops + "'; allowed: auto or a whole number, 1 to " +
                                 std::to_string(kMaxLoops));
    }
    session.loops = *number;
  }
  // Mistakes are told before the checkpoint is read.
  const ExitRule exit = decode.resolve({}).exit;
  const bool exit_given = decode.given("exit");
  if (exit_given && exit == ExitRule::none) {
    find_name("--exit", std::string("none"), "", std::span(EnumNames<ExitRule>::names).subspan(1));
  }
  const bool quantile_given = decode.given("exit_quantile");
  if (!may_be_auto() &&
      (exit_given || decode.given("exit_threshold") || quantile_given || max_loops)) {
    fail(ErrorKind::usage,
         "--exit, --exit-threshold, --exit-quantile and --max-loops are about --loops auto");
  }
  if (exit_given && exit != ExitRule::gate && quantile_given) {
    fail(ErrorKind::usage, "--exit-quantile belongs to --exit gate");
  }
  SpeculationOptions& speculation = generate.speculation;
  if (draft_tokens) {
    if (speculation.draft_loops == 0) {
      fail(ErrorKind::usage, "--draft-tokens needs --draft-loops, the depth to draft at");
    }
    speculation.draft_tokens = *draft_tokens;
  }
  if (speculation.draft_loops > 0 && auto_loops()) {
    fail(ErrorKind::usage,
         "--draft-loops does not go with --loops auto: drafts are verified at a "
         "fixed depth");
  }
}

void GenerateCommand::complete(const Config& config) {
  static_cast<DecodeConfig&>(session) = decode.resolve(config.decode);
  if (!may_be_auto()) {
    session.exit = ExitRule::none;
  } else if (session.exit == ExitRule::none) {
    session.exit = config.model.halting == Halting::none ? ExitRule::latent : ExitRule::halting;
  }
  session.validate();
  if (decode.given("exit_quantile") && may_be_auto() && session.exit != ExitRule::gate) {
    fail(ErrorKind::usage, "--exit-quantile belongs to --exit gate");
  }
  if (session.has_threshold()) session.exit_threshold = session.threshold();
  session.exits = auto_loops();
  if (!max_loops) max_loops = config.model.max_loop_iters;
  if (auto_loops()) session.loops = *max_loops;
  if (session.loops == 0) session.loops = config.model.max_loop_iters;
  if (session.latent_steps > 0 && config.model.latent_token < 0) {
    log_warning(
        "--latent-steps: the model was trained without latent thoughts (model.latent_token is -1), "
        "so its text will rather get worse");
  }
}

}  // namespace mythos
