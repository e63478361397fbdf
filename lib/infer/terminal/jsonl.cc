#include "infer/terminal/jsonl.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/strings.h"
#include "infer/engine/session.h"

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

void set_loops(const json& value, int64_t auto_loops, BatchRequest& to) {
  constexpr const char* kAllowed = "\"auto\" or a whole number, 1 to 1048576";
  to.exits = value == "auto";
  to.loops = to.exits ? auto_loops : whole_number("loops", value, 1, kMaxLoops, kAllowed);
}

void set_member(const std::string& key, const json& value, BatchRequest& to) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const std::vector<std::string> known = {"prompt", "id",    "max_tokens", "temperature", "top_k",
                                          "top_p",  "min_p", "seed",       "loops",       "stop"};
  SamplingOptions& sampling = to.options.sampling;
  if (key == "prompt") {
    if (!value.is_string()) fail_member(key, value, "a string");
    to.prompt = value.get<std::string>();
  } else if (key == "max_tokens") {
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
  } else {
    fail(ErrorKind::data, "unknown key \"" + escaped(key, 60) + "\"." + did_you_mean(key, known) +
                              " Known: " + join(known, ", "));
  }
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

}  // namespace

JsonlPrompts::JsonlPrompts(const std::string& path, BatchRequest defaults, int64_t auto_loops,
                           size_t max_line_bytes)
    : lines_(path, max_line_bytes), defaults_(std::move(defaults)), auto_loops_(auto_loops) {}

Arrival JsonlPrompts::next(BatchRequest& request, bool wait,
                           const std::function<bool()>& cancelled) {
  std::string line;
  do {
    const Arrival arrival = lines_.next(line, wait, cancelled);
    if (arrival != Arrival::here) return arrival;
  } while (!lines_.too_long() && trim(line).empty());
  request = defaults_;
  request.number = given_;
  request.options.stream = given_;  // each prompt has random numbers of its own
  Label label{lines_.line_number(), {}};
  try {
    read_line(line, request, label);
  } catch (const Error& error) {
    request.fault = error;
  }
  labels_.emplace(given_++, std::move(label));
  return Arrival::here;
}

void JsonlPrompts::read_line(const std::string& line, BatchRequest& request, Label& label) const {
  if (lines_.too_long()) {
    fail(ErrorKind::data,
         "longer than a line may be, " + human_bytes(static_cast<double>(lines_.max_line_bytes())));
  }
  const json object = parse(line);
  if (const auto id = object.find("id"); id != object.end()) label.id = *id;
  if (!object.contains("prompt")) fail(ErrorKind::data, "has no member \"prompt\"");
  for (const auto& [key, value] : object.items()) {
    if (key == "id") continue;
    if (key == "loops") {
      set_loops(value, auto_loops_, request);
    } else {
      set_member(key, value, request);
    }
  }
  request.options.validate();
}

JsonlPrompts::Label JsonlPrompts::take_label(uint64_t number) {
  return std::move(labels_.extract(number).mapped());
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
