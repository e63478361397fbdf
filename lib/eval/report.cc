#include "eval/report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace mythos {
namespace {

nlohmann::ordered_json row_json(const Likelihood& row) {
  nlohmann::ordered_json json;
  if (row.loops > 0) json["loops"] = row.loops;
  json["nats"] = row.nats;
  json["loss"] = row.loss();
  json["perplexity"] = row.perplexity();
  json["bits_per_byte"] = row.bits_per_byte();
  json["seconds"] = row.seconds;
  json["tokens_per_second"] = row.tokens_per_second();
  if (!row.loops_run.empty()) {
    json["mean_loops"] = row.mean_loops();
    json["loops_run"] = row.loops_run;
    json["flops_saved"] = row.flops_saved;
  }
  if (row.cache_bytes_per_token > 0) json["cache_bytes_per_token"] = row.cache_bytes_per_token;
  return json;
}

nlohmann::ordered_json loops_json(const EvalReport& report) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (size_t i = 0; i < report.loops.size(); ++i) {
    json.push_back(row_json(report.loops[i]));
    if (report.sliding.empty()) continue;
    nlohmann::ordered_json sliding = row_json(report.sliding[i]);
    sliding.erase("loops");
    json.back()["sliding"] = std::move(sliding);
  }
  return json;
}

std::string untrained_label(const EvalReport& report) {
  return "untrained, " + std::to_string(report.untrained->loops) + " loops";
}

std::string row_text(const std::string& label, const Likelihood& row, const std::string& mark) {
  const double perplexity = row.perplexity();
  const std::string in_column =
      perplexity < 1e8 ? strprintf("%.3f", perplexity) : strprintf("%.3e", perplexity);
  std::string text = strprintf("%-18s %8.4f %12s %10.4f %10s", label, row.loss(), in_column,
                               row.bits_per_byte(), human_count(row.tokens_per_second()));
  if (!mark.empty()) text += "  " + mark;
  return text + "\n";
}

// The share of tokens for each number of loops that they ran: "2: 73.1% 3: 26.9%".
std::string loops_text(const std::vector<int64_t>& loops_run) {
  double tokens = 0;
  for (const int64_t count : loops_run) tokens += static_cast<double>(count);
  std::vector<std::string> shares;
  for (size_t i = 0; i < loops_run.size(); ++i) {
    if (loops_run[i] == 0) continue;
    shares.push_back(
        strprintf("%u: %.1f%%", i + 1, 100 * static_cast<double>(loops_run[i]) / tokens));
  }
  return join(shares, "  ");
}

// The table of how many loops tokens ran under halting.
std::string halting_table(const EvalReport& report) {
  std::string text;
  const auto add = [&](const std::string& label, const Likelihood& row) {
    if (row.loops_run.empty()) return;
    text += strprintf("%-18s %8.3f %11.1f%%  %s\n", label, row.mean_loops(), 100 * row.flops_saved,
                      loops_text(row.loops_run));
  };
  for (size_t i = 0; i < report.loops.size(); ++i) {
    const std::string label = std::to_string(report.loops[i].loops);
    add(label, report.loops[i]);
    if (!report.sliding.empty()) {
      add(label + ", stride " + std::to_string(report.stride), report.sliding[i]);
    }
  }
  if (report.untrained) add(untrained_label(report), *report.untrained);
  if (text.empty()) return text;
  return strprintf("\n%-18s %8s %12s  %s\n", "loops", "mean run", "FLOPs saved",
                   "tokens by loops run") +
         text;
}

template <class E>
std::string name_of(E value) {
  return std::string(enum_name(value));
}

std::string cache_type(const EvalReport& report) {
  const CacheType type = report.decode->cache.type;
  return type == CacheType::automatic ? report.compute_type : name_of(type);
}

std::string sharing_text(const CacheOptions& cache) {
  if (cache.sharing == CacheSharing::low_rank) return "low-rank by " + shown(cache.basis);
  if (cache.sharing != CacheSharing::modulo) return name_of(cache.sharing);
  return strprintf("modulo %d", cache.modulo);
}

nlohmann::ordered_json decode_json(const EvalReport& report) {
  const DecodeConfig& decode = *report.decode;
  nlohmann::ordered_json json;
  json["weights"] = name_of(decode.weights);
  json["weight_bytes"] = report.weight_bytes;
  json["cache_type"] = cache_type(report);
  json["cache_sharing"] = name_of(decode.cache.sharing);
  if (decode.cache.sharing == CacheSharing::modulo) json["cache_modulo"] = decode.cache.modulo;
  if (decode.cache.sharing == CacheSharing::low_rank) json["cache_basis"] = decode.cache.basis;
  json["exit"] = name_of(decode.exit);
  if (decode.has_threshold()) json["exit_threshold"] = decode.exit_threshold;
  if (decode.exit == ExitRule::gate) json["exit_quantile"] = decode.exit_quantile;
  if (decode.warm_start) json["warm_start"] = true;
  if (decode.state_seed != 0) json["state_seed"] = decode.state_seed;
  if (decode.state_scale != 1) json["state_scale"] = decode.state_scale;
  return json;
}

// Describes what decoding keeps in memory, and when its loops end early.
std::string decode_text(const EvalReport& report) {
  if (!report.decode) return "";
  const DecodeConfig& decode = *report.decode;
  std::vector<std::string> sizes;
  for (const Likelihood& row : report.loops) {
    sizes.push_back(strprintf(
        "%s at %d", human_bytes(static_cast<double>(row.cache_bytes_per_token)), row.loops));
  }
  std::string text =
      strprintf("\nweights  %s, %s\ncache    %s, %s; a token at so many loops: %s\n",
                name_of(decode.weights), human_bytes(static_cast<double>(report.weight_bytes)),
                cache_type(report), sharing_text(decode.cache), join(sizes, ", "));
  if (decode.exit == ExitRule::none) return text;
  text += "exit     " + name_of(decode.exit);
  if (decode.exit == ExitRule::argmax_stability) {
    text += strprintf(" from %g on", decode.exit_threshold);
  } else if (decode.has_threshold()) {
    text += strprintf(" below %g", decode.exit_threshold);
  }
  if (decode.exit == ExitRule::gate) text += strprintf(" at %g", decode.exit_quantile);
  return text + "\n";
}

}  // namespace

std::optional<size_t> EvalReport::best() const {
  std::optional<size_t> best;
  for (size_t i = 0; i < loops.size(); ++i) {
    if (!std::isfinite(loops[i].nats)) continue;
    if (!best || loops[i].nats < loops[*best].nats ||
        (loops[i].nats == loops[*best].nats && loops[i].loops < loops[*best].loops)) {
      best = i;
    }
  }
  return best;
}

std::string EvalReport::nonfinite_rows() const {
  std::vector<std::string> counts, rows;
  for (const Likelihood& row : loops) {
    if (!std::isfinite(row.nats)) counts.push_back(std::to_string(row.loops));
  }
  if (!counts.empty()) {
    rows.push_back(join(counts, ", ") + (counts.back() == "1" ? " loop" : " loops"));
  }
  if (untrained && !std::isfinite(untrained->nats)) rows.emplace_back("of the untrained model");
  return join(rows, " and ");
}

nlohmann::ordered_json to_json(const EvalReport& report) {
  const Likelihood& any = report.loops.at(0);
  const auto best = report.best();
  nlohmann::ordered_json json;
  json["schema"] = "mythos.eval/1";
  json["checkpoint"] = report.checkpoint;
  json["step"] = report.step;
  json["data"] = report.data;
  json["split"] = report.split;
  json["tokens"] = any.tokens;
  json["bytes"] = any.bytes;
  json["seq_len"] = report.seq_len;
  json["packing"] = enum_name(report.packing);
  if (report.stride > 0) json["stride"] = report.stride;
  json["device"] = report.device;
  json["compute_type"] = report.compute_type;
  if (report.decode) json["decode"] = decode_json(report);
  json["loops"] = loops_json(report);
  json["best_loops"] = nullptr;
  if (best) json["best_loops"] = report.loops[*best].loops;
  if (report.unigram) json["unigram"] = row_json(*report.unigram);
  if (report.untrained) json["untrained"] = row_json(*report.untrained);
  return json;
}

std::string eval_heading(const EvalReport& report) {
  const Likelihood& any = report.loops.at(0);
  std::string windows = strprintf("windows of %d", report.seq_len);
  if (report.packing == Packing::best_fit) windows += " with documents apart";
  if (report.stride > 0) {
    windows += strprintf(", then one every %d tokens", report.stride);
  }
  return strprintf("%s on the %s split of %s: %s tokens, %s bytes, %s", report.checkpoint,
                   report.split, report.data, with_commas(any.tokens), with_commas(any.bytes),
                   windows);
}

std::string eval_table(const EvalReport& report) {
  std::string text = strprintf("%-18s %8s %12s %10s %10s\n", "loops", "loss", "perplexity",
                               "bits/byte", "tokens/s");
  for (size_t i = 0; i < report.loops.size(); ++i) {
    const bool marked = report.loops.size() > 1 && i == report.best();
    const std::string label = std::to_string(report.loops[i].loops);
    text += row_text(label, report.loops[i], marked ? "best" : "");
    if (report.sliding.empty()) continue;
    text += row_text(label + ", stride " + std::to_string(report.stride), report.sliding[i], "");
  }
  if (report.untrained) {
    text += row_text(untrained_label(report), *report.untrained, "");
  }
  if (report.unigram) text += row_text("unigram", *report.unigram, "");
  return text + halting_table(report) + decode_text(report);
}

}  // namespace mythos
