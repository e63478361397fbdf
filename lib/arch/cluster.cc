#include "arch/cluster.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "arch/expert_share.h"
#include "arch/plan.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/whole.h"

namespace mythos {
namespace {

constexpr double kGB = 1e9, kTera = 1e12;
// What the driver, the CUDA context, libraries and fragments take of a GPU's memory.
constexpr double kUsable = 0.92;
// What a server draws beside its GPUs, and a data centre beside its servers, as factors.
constexpr double kServer = 1.25, kCooling = 1.2;
constexpr double kDay = 86400;

LayoutPlan plan_layout(Config config, Layout layout, const ClusterOptions& options,
                       const Gpu& gpu) {
  TrainConfig& train = config.train;
  train.layout = layout;
  const int64_t loops = options.loops ? options.loops : config.model.max_loop_iters;
  const int64_t seq_len = options.seq_len ? options.seq_len : train.seq_len;
  LayoutPlan p;
  p.layout = layout;
  p.sequences = train.batch_size * train.grad_accum / options.gpus;
  p.micro_batch = std::min(train.batch_size, p.sequences);
  StepShape shape = rank_step_shape(config, options.gpus, loops, /*bytes_per_number=*/2);
  shape.seq_len = seq_len;
  p.memory = rank_memory(config, options.gpus, shape);
  p.total = p.memory.total();
  p.fits = static_cast<double>(p.total) <= kUsable * gpu.memory_bytes;
  const int64_t passes = (p.sequences + p.micro_batch - 1) / p.micro_batch;
  p.volume = step_volume(config, options.gpus, passes);
  p.volume.all_to_all = exchange_bytes(config, options.gpus, loops, passes, p.sequences * seq_len,
                                       shape.bytes_per_number);
  const double tokens = static_cast<double>(p.sequences * seq_len);
  p.compute_seconds =
      tokens * training_flops(config, loops, seq_len) / (options.efficiency * gpu.flops);
  const double speed = options.gpus > options.gpus_per_node
                           ? std::min(options.network_bytes_per_second, gpu.link_bytes_per_second)
                           : gpu.link_bytes_per_second;
  const StepVolume& v = p.volume;
  p.network_seconds = static_cast<double>(v.sum + v.reduce_scatter + v.all_gather +
                                          v.agreement_sum + v.agreement_all_gather) /
                      speed;
  const bool one_node = train.expert_ranks <= options.gpus_per_node;
  p.network_seconds +=
      static_cast<double>(v.all_to_all) / (one_node ? gpu.link_bytes_per_second : speed);
  // Sums of gradients run beside the backward pass, two thirds of the computation. The gather
  // behind an update runs alone; those of a fully sharded pass run beside the block before.
  const bool gathers = layout == Layout::fully_sharded;
  const double beside =
      static_cast<double>(v.sum + v.reduce_scatter + (gathers ? v.all_gather : 0)) / speed;
  const double hidden = std::min(beside, p.compute_seconds * (gathers ? 1 : 2.0 / 3));
  p.step_seconds = p.compute_seconds + p.network_seconds - hidden;
  p.tokens_per_day = tokens * static_cast<double>(options.gpus) / p.step_seconds * kDay;
  p.kwh_per_day = static_cast<double>(options.gpus) * gpu.watts * kServer * kCooling * kDay / 3.6e6;
  return p;
}

std::string size_text(int64_t bytes) {
  return human_bytes(static_cast<double>(bytes));
}

// The largest part of what does not fit.
std::string reason(const LayoutPlan& p) {
  const RankMemory& m = p.memory;
  const std::pair<int64_t, const char*> parts[] = {{m.state.weights, "weights"},
                                                   {m.state.gradients, "gradients"},
                                                   {m.state.optimizer, "optimizer"},
                                                   {m.pass_weights, "gathered weights"},
                                                   {m.copies, "bf16 copies"},
                                                   {m.activations, "activations"},
                                                   {m.messages, "gradients that are sent"},
                                                   {m.update, "Muon's update"}};
  return std::ranges::max_element(parts)->second;
}

std::string percent(double share) {
  return strprintf("%.0f%%", 100 * share);
}

}  // namespace

const std::vector<Gpu>& gpus() {
  static const std::vector<Gpu> known = {
      {"a100-80g", 80 * kGB, 312 * kTera, 300 * kGB, 400},
      {"h100-80g", 80 * kGB, 989 * kTera, 450 * kGB, 700},
      {"h200-141g", 141 * kGB, 989 * kTera, 450 * kGB, 700},
      {"b200-180g", 180 * kGB, 2250 * kTera, 900 * kGB, 1000},
      {"l40s-48g", 48 * kGB, 362 * kTera, 32 * kGB, 350},
      {"rtx4090-24g", 24 * kGB, 165 * kTera, 32 * kGB, 450},
  };
  return known;
}

const Gpu& gpu_named(const std::string& name) {
  std::vector<std::string> names;
  for (const Gpu& gpu : gpus()) {
    if (gpu.name == name) return gpu;
    names.emplace_back(gpu.name);
  }
  fail(ErrorKind::usage, "--gpu '" + escaped(name, 60) + "': unknown; known are " +
                             join(names, ", ") + did_you_mean(name, names));
}

ClusterPlan make_cluster_plan(const Config& config, const ClusterOptions& options) {
  const int64_t sequences = config.train.batch_size * config.train.grad_accum;
  if (sequences % options.gpus != 0) {
    fail(ErrorKind::usage,
         strprintf("--gpus %d: does not divide the %d sequences of a step (train.batch_size %d, "
                   "train.grad_accum %d)",
                   options.gpus, sequences, config.train.batch_size, config.train.grad_accum),
         strprintf("--set train.batch_size=%d gives each GPU as many",
                   (sequences + options.gpus - 1) / options.gpus * options.gpus));
  }
  require_expert_ranks(config.train, options.gpus);
  ClusterPlan plan{options, gpu_named(options.gpu), {}, config.train.expert_ranks};
  for (const Layout layout :
       {Layout::replicated, Layout::sharded_optimizer, Layout::fully_sharded}) {
    plan.layouts.push_back(plan_layout(config, layout, options, plan.gpu));
    if (options.gpus == 1) break;
  }
  return plan;
}

nlohmann::json to_json(const ClusterPlan& plan) {
  nlohmann::json layouts = nlohmann::json::array();
  for (const LayoutPlan& p : plan.layouts) {
    layouts.push_back({{"layout", enum_name(p.layout)},
                       {"sequences", p.sequences},
                       {"micro_batch", p.micro_batch},
                       {"bytes",
                        {{"weights", p.memory.state.weights},
                         {"gradients", p.memory.state.gradients},
                         {"optimizer", p.memory.state.optimizer},
                         {"gathered_weights", p.memory.pass_weights},
                         {"bf16_copies", p.memory.copies},
                         {"activations", p.memory.activations},
                         {"messages", p.memory.messages},
                         {"total", p.total}}},
                       {"fits", p.fits},
                       {"sent_bytes",
                        {{"sum", p.volume.sum},
                         {"reduce_scatter", p.volume.reduce_scatter},
                         {"all_gather", p.volume.all_gather},
                         {"all_to_all", p.volume.all_to_all}}},
                       {"compute_seconds", p.compute_seconds},
                       {"network_seconds", p.network_seconds},
                       {"step_seconds", p.step_seconds},
                       {"tokens_per_day", p.tokens_per_day},
                       {"kwh_per_day", p.kwh_per_day}});
  }
  return {{"gpus", plan.options.gpus},
          {"gpu", plan.gpu.name},
          {"efficiency", plan.options.efficiency},
          {"expert_ranks", plan.expert_ranks},
          {"layouts", layouts}};
}

std::string cluster_text(const ClusterPlan& plan) {
  const ClusterOptions& o = plan.options;
  std::string out = strprintf("\n%d x %s, bf16, %d sequences a step on each\n", o.gpus,
                              plan.gpu.name, plan.layouts[0].sequences);
  out += strprintf("  %-18s %10s %10s %10s %10s %10s %10s  %s\n", "layout", "weights", "gradients",
                   "optimizer", "passes", "activ.", "total", "of one GPU");
  for (const LayoutPlan& p : plan.layouts) {
    const RankMemory& m = p.memory;
    out += strprintf("  %-18s %10s %10s %10s %10s %10s %10s  ", std::string(enum_name(p.layout)),
                     size_text(m.state.weights), size_text(m.state.gradients),
                     size_text(m.state.optimizer),
                     size_text((Whole(m.pass_weights) + m.copies + m.messages).value()),
                     size_text(m.activations), size_text(p.total));
    const double share = static_cast<double>(p.total) / plan.gpu.memory_bytes;
    out += p.fits ? percent(share) + "\n"
                  : percent(share) + ": does not fit, mostly " + reason(p) + "\n";
  }
  if (plan.expert_ranks > 1) {
    out += strprintf("  experts divided among %d GPUs, each sends the others %s of rows a step\n",
                     plan.expert_ranks, size_text(plan.layouts[0].volume.all_to_all));
  }
  out += strprintf("  %-18s %10s %10s %10s %10s %10s\n", "", "compute", "network", "step",
                   "tokens/day", "kWh/day");
  for (const LayoutPlan& p : plan.layouts) {
    out += strprintf("  %-18s %10s %10s %10s %10s %10s\n", std::string(enum_name(p.layout)),
                     strprintf("%.3g s", p.compute_seconds), strprintf("%.3g s", p.network_seconds),
                     strprintf("%.3g s", p.step_seconds), human_count(p.tokens_per_day),
                     human_count(p.kwh_per_day));
  }
  return out + strprintf(
                   "  passes: bf16 copies, gathered weights and gradients sent in fp32. Assumed: "
                   "%.0f%% of the peak of %.0f TFLOP/s,\n"
                   "  %s/s between %s, gradients summed beside the backward pass and blocks "
                   "gathered beside the one before, %.0f%% of\n"
                   "  memory usable, "
                   "%.0f W for a GPU with its share of server and cooling.\n",
                   100 * o.efficiency, plan.gpu.flops / kTera,
                   human_bytes(o.gpus > o.gpus_per_node ? std::min(o.network_bytes_per_second,
                                                                   plan.gpu.link_bytes_per_second)
                                                        : plan.gpu.link_bytes_per_second),
                   o.gpus > o.gpus_per_node ? "nodes for each GPU" : "GPUs", 100 * kUsable,
                   plan.gpu.watts * kServer * kCooling);
}

}  // namespace mythos
