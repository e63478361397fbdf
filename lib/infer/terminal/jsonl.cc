#include "infer/terminal/jsonl.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/strings.h"
#include "infer/terminal/generation_report.h"

namespace mythos {
namespace {

using nlohmann::json;

[[noreturn]] void fail_member(const std::string& key, const json& value, const char* allowed) {
  fail(ErrorKind::data,
       "\"" + key + "\" is " +
           escaped(value.dump(-1, ' ', false, json::error_handler_t::replace), 60) +
           "; allowed: " + allowed);
}

double number(const std::string& key, const json& value) {
  if (!value.is_number()) fail_member(key, value, "a number");
  return value.get<double>();
}

int64_t whole_number(const std::string& key, const json& value, int64_t lowest, int64_t highest,
                     const char* allowed) {
  // Beyond int64 nlohmann keeps an unsigned number.
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() &&
                      value.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()});
  if (!fits || value.get<int64_t>() < lowest || value.get<int64_t>() > highest) {
    fail_member(key, value, allowed);
  }
  return value.get<int64_t>();
}

std::vector<std::string> stops(const std::string& key, const json& value) {
  if (value.is_string()) return {value.get<std::string>()};
  const auto is_string = [](const json& item) { return item.is_string(); };
  if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_string)) {
    fail_member(key, value, "a string or a list of strings");
  }
  return value.get<std::vector<std::string>>();
}

void set_loops(const json& value, int64_t auto_loops, JsonlPrompt& to) {
  constexpr const char* kAllowed = "\"auto\" or a whole number, 1 to 1048576";
  to.exits = value == "auto";
  to.loops = to.exits ? auto_loops : whole_number("loops", value, 1, kMaxLoops, kAllowed);
}

void set_member(const std::string& key, const json& value, JsonlPrompt& to) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const std::vector<std::string> known = {"prompt",      "messages", "id",    "max_tokens",
                                          "temperature", "top_k",    "top_p", "min_p",
                                          "seed",        "loops",    "stop"};
  SamplingOptions& sampling = to.options.sampling;
  if (key == "max_tokens") {
    to.options.max_tokens = whole_number(key, value, 1, kMost, "a whole number, 1 or more");
  } else if (key == "temperature") {
    sampling.temperature = number(key, value);
  } else if (key == "top_k") {
    sampling.top_k = whole_number(key, value, 0, kMost, "a whole number, 0 or more");
  } else if (key == "top_p") {
    sampling.top_p = number(key, value);
  } else if (key == "min_p") {
    sampling.min_p = number(key, value);
  } else if (key == "seed") {
    sampling.seed =
        static_cast<uint64_t>(whole_number(key, value, 0, kMost, "a whole number, 0 or more"));
    to.options.stream = 0;
  } else if (key == "stop") {
    to.options.stop = stops(key, value);
    if (to.chat) {
      const std::vector<std::string>& ends = to.chat->stop_texts();
      to.options.stop.insert(to.options.stop.end(), ends.begin(), ends.end());
    }
  } else {
    fail(ErrorKind::data, "unknown key \"" + escaped(key, 60) + "\"." + did_you_mean(key, known) +
                              " Known: " + join(known, ", "));
  }
}

// The members "prompt" and "messages", of which a line has one.
void read_prompt(const json& object, JsonlPrompt& to) {
  const bool has_prompt = object.contains("prompt"), has_messages = object.contains("messages");
  if (!has_prompt && !has_messages) {
    fail(ErrorKind::data,
         to.chat ? "has neither a member \"messages\" nor \"prompt\"" : "has no member \"prompt\"");
  }
  if (has_prompt && has_messages) {
    fail(ErrorKind::data, "has both \"prompt\" and \"messages\": give one of them");
  }
  if (has_messages && !to.chat) {
    fail(ErrorKind::data, "\"messages\" are a conversation: give --chat");
  }
  const json& value = object[has_prompt ? "prompt" : "messages"];
  if (has_prompt) {
    if (!value.is_string()) fail_member("prompt", value, "a string");
    to.prompt = value.get<std::string>();
    to.messages = {{"user", to.prompt}};
  } else if (const std::string fault = read_messages(value, to.messages); !fault.empty()) {
    fail(ErrorKind::data, "\"messages\" " + fault);
  } else if (to.messages.empty() || to.messages.back().role == "assistant") {
    fail(ErrorKind::data, "\"messages\" must end with a message to answer, not the assistant's");
  }
  if (to.chat) to.prompt = to.chat->prompt_text(to.messages);
}

json parse(const std::string& line) {
  // Values of any depth could not be printed again.
  static constexpr int kMostDepth = 256;
  const auto shallow = [](int depth, json::parse_event_t, const json&) {
    if (depth > kMostDepth) {
      fail(ErrorKind::data, strprintf("nests deeper than %d values", kMostDepth));
    }
    return true;
  };
  try {
    json object = json::parse(line, shallow);
    if (object.is_object()) return object;
  } catch (const json::parse_error& error) {
    fail(ErrorKind::data, strprintf("not valid JSON at column %u", error.byte));
  } catch (const json::out_of_range&) {
    fail(ErrorKind::data, "has a number that is too large");
  }
  fail(ErrorKind::data, "not a JSON object");
}

// The requests of one run and what becomes of them.
class Run {
 public:
  Run(Engine& engine, JsonlPrompts& prompts, const JsonlRun& run)
      : engine_(engine), prompts_(prompts), run_(run), ordered_(run.print) {}

  JsonlResult finish() {
    while (open_ || engine_.requests() > 0) {
      take_prompts();
      engine_.step();
    }
    ordered_.flush();
    if (reading_failed_) std::rethrow_exception(reading_failed_);
    return result_;
  }

 private:
  // At most as many lines as share a step, so that texts go on beside any number of faulty ones.
  void take_prompts() {
    for (int64_t i = 0; i < engine_.batch_size() && engine_.requests() < engine_.batch_size();
         ++i) {
      auto prompt = std::make_shared<JsonlPrompt>();
      if (!take(*prompt)) return;
      if (prompt->fault) {
        fail_prompt(*prompt, *prompt->fault);
      } else {
        submit(std::move(prompt));
      }
    }
  }

  bool take(JsonlPrompt& prompt) {
    const bool wait = engine_.requests() == 0;
    if (run_.stop.stop_requested()) open_ = false;
    if (!open_ || (!wait && ordered_.waiting() >= kMostWaiting)) return false;
    try {
      const Arrival arrival = prompts_.next(prompt, wait, run_.stop);
      open_ = arrival != Arrival::ended;
      result_.prompts += arrival == Arrival::here;
      return arrival == Arrival::here;
    } catch (const Error&) {
      reading_failed_ = std::current_exception();
      open_ = false;
      return false;
    }
  }

  void submit(std::shared_ptr<JsonlPrompt> prompt) {
    if (run_.on_prompt) run_.on_prompt(*prompt);
    Request request;
    request.options = prompt->options;
    request.loops = prompt->loops;
    request.exits = prompt->exits;
    request.stop = run_.stop;
    try {
      request.ids =
          prompt->chat ? prompt->chat->prompt_ids(prompt->messages)
                       : prompt_ids(engine_.tokenizer(), prompt->prompt, prompt->options.documents);
    } catch (const Error& error) {
      return fail_prompt(*prompt, error);
    }
    request.done = [this, prompt](const Generation& generation) {
      give(*prompt, to_json(generation, engine_.decoder(), prompt->options, prompt->prompt));
    };
    request.failed = [this, prompt](const Error& error) { fail_prompt(*prompt, error); };
    engine_.submit(std::move(request));
  }

  void fail_prompt(const JsonlPrompt& prompt, const Error& error) {
    if (result_.failed++ == 0) {
      result_.first_failure = strprintf("%s:%u: ", prompts_.name(), prompt.line) + error.message();
    }
    give(prompt, error_json(error));
  }

  void give(const JsonlPrompt& prompt, json result) {
    result["checkpoint"] = run_.checkpoint;
    result["sample"] = 0;
    result["line"] = prompt.line;
    result["id"] = prompt.id;
    run_.unordered ? run_.print(json_line(result)) : ordered_.add(prompt.number, json_line(result));
  }

  // Results that may wait for an earlier one, so that memory is bounded.
  static constexpr size_t kMostWaiting = 4096;

  Engine& engine_;
  JsonlPrompts& prompts_;
  const JsonlRun& run_;
  OrderedLines ordered_;
  bool open_ = true;  // more prompts may come
  std::exception_ptr reading_failed_;
  JsonlResult result_;
};

}  // namespace

JsonlResult run_jsonl(Engine& engine, JsonlPrompts& prompts, const JsonlRun& run) {
  return Run(engine, prompts, run).finish();
}

JsonlPrompts::JsonlPrompts(const std::string& path, JsonlPrompt defaults, int64_t auto_loops,
                           size_t max_line_bytes)
    : lines_(path, max_line_bytes), defaults_(std::move(defaults)), auto_loops_(auto_loops) {}

Arrival JsonlPrompts::next(JsonlPrompt& prompt, bool wait, StopToken stop) {
  std::string line;
  do {
    const Arrival arrival = lines_.next(line, wait, stop);
    if (arrival != Arrival::here) return arrival;
  } while (!lines_.too_long() && trim(line).empty());
  prompt = defaults_;
  prompt.number = given_++;
  prompt.line = lines_.line_number();
  prompt.options.stream = prompt.number;  // each prompt has random numbers of its own
  try {
    read_line(line, prompt);
  } catch (const Error& error) {
    prompt.fault = error;
  }
  return Arrival::here;
}

void JsonlPrompts::read_line(const std::string& line, JsonlPrompt& prompt) const {
  if (lines_.too_long()) {
    fail(ErrorKind::data,
         "longer than a line may be, " + human_bytes(static_cast<double>(lines_.max_line_bytes())));
  }
  const json object = parse(line);
  if (const auto id = object.find("id"); id != object.end()) prompt.id = *id;
  read_prompt(object, prompt);
  for (const auto& [key, value] : object.items()) {
    if (key == "id" || key == "prompt" || key == "messages") continue;
    if (key == "loops") {
      set_loops(value, auto_loops_, prompt);
    } else {
      set_member(key, value, prompt);
    }
  }
  prompt.options.validate();
}

void OrderedLines::add(uint64_t number, std::string line) {
  waiting_.emplace(number, std::move(line));
  for (auto at = waiting_.find(next_); at != waiting_.end(); at = waiting_.find(next_)) {
    print_(at->second);
    waiting_.erase(at);
    ++next_;
  }
}

void OrderedLines::flush() {
  for (const auto& [number, line] : waiting_) print_(line);
  waiting_.clear();
}

}  // namespace mythos
