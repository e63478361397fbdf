#include "published.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "checkpoint/safetensors.h"
#include "model/exit_criteria.h"
#include "model/model.h"
#include "model/row_program.h"

namespace mythos {
namespace {

using nlohmann::json;

constexpr double kAbsolute = 2e-4;  // states, logits
constexpr double kGate = 1e-5;      // probabilities
constexpr double kExit = 1e-4;      // of 1 + |value|
constexpr double kLoss = 1e-5;      // relative
constexpr double kGradient = 1e-3;  // of each tensor's largest entry

class Published {
 public:
  Published(const fs::path& path, const json& file, at::Device device, const Change& change,
            Report& report)
      : file_(file), device_(device), report_(report) {
    Config config = config_from_hf(file.at("config"), path.string());
    const fs::path tensors = fs::path(path).replace_extension(".safetensors");
    TensorMap weights;
    for (const auto& [name, tensor] : read_safetensors(tensors).tensors) {
      if (name.starts_with("w.")) {
        weights[name.substr(2)] = tensor;
      } else {
        golden_[name] = tensor;
      }
    }
    // Names follow from what the file says; the change is to the model alone.
    const TensorMap native = made(from_hf(config.model, weights, tensors.string()).tensors);
    for (const std::string& assignment : change.set) set_value(config, assignment);
    c_ = config.model;
    parameters_ = std::make_unique<Parameters>(c_, device);
    parameters_->load(native, tensors.string());
    if (!change.swap.empty()) swap_halves(change.swap);
    weights_ = make_weights(c_, *parameters_, at::kFloat);
    ids_ = golden_.at("ids").to(device);
    if (golden_.count("h0")) h0_ = golden_.at("h0").to(device);
  }

  void check() {
    {
      const at::NoGradGuard no_grad;
      check_loops();
      check_decode();
      check_warm_start();
      check_criteria();
    }
    check_gate();
    check_gradients();
  }

 private:
  void swap_halves(const std::string& name) {
    const at::NoGradGuard no_grad;
    Tensor tensor = parameters_->at(name);
    const int64_t longest = tensor.dim() > 1 && tensor.size(1) > tensor.size(0) ? 1 : 0;
    tensor.copy_(tensor.roll(tensor.size(longest) / 2, longest).clone());
  }

  // Options of a pass of the sequences or positions that `part` takes of [B,S,…].
  ForwardOptions options(int64_t loops, const std::function<Tensor(const Tensor&)>& part = {}) {
    ForwardOptions options;
    options.loops = loops;
    if (h0_.defined()) options.initial_state = part ? part(h0_) : h0_;
    return options;
  }

  // The loop count behind the dot of a golden name that begins so.
  static std::optional<int64_t> count_of(const std::string& name, std::string_view prefix) {
    if (!name.starts_with(prefix)) return std::nullopt;
    return parse_int(name.substr(prefix.size()));
  }

  void check_loops() {
    int64_t most = 0;
    for (const auto& [name, want] : golden_) {
      most = std::max(most, count_of(name, "state.").value_or(0));
    }
    ForwardOptions all = options(most);
    all.observer = [&](int64_t, const Tensor&, const Tensor& after) {
      states_.push_back(after.clone());
    };
    forward(c_, weights_, ids_, all);
    for (const auto& [name, want] : golden_) {
      if (const auto n = count_of(name, "state.")) {
        report_.compare(name, states_.at(static_cast<size_t>(*n - 1)), want, kAbsolute);
      }
      if (const auto n = count_of(name, "logits.")) {
        report_.compare(name, logits_after(*n), want, kAbsolute);
      }
    }
  }

  Tensor logits_after(int64_t loops) {
    return logits(weights_, forward(c_, weights_, ids_, options(loops)).hidden);
  }

  std::unique_ptr<KvCache> cache(int64_t loops, int64_t batch) const {
    return make_cache(c_, loops, batch, 4, device_, at::kFloat);
  }

  // Positions from … to the end, each alone, behind those in the cache; every first state comes
  // from `state`, which is given what the token before left.
  Tensor tensor_steps(KvCache& cache, int64_t loops, int64_t from,
                      const std::function<Tensor(int64_t at, const Tensor& left)>& state,
                      Tensor left, int64_t to) {
    std::vector<Tensor> steps;
    for (int64_t at = from; at < to; ++at) {
      ForwardOptions step = options(loops);
      step.cache = &cache;
      step.keep_state = left.defined();
      step.initial_state = state(at, left);
      const ForwardResult result = forward(c_, weights_, ids_.narrow(1, at, 1), step);
      left = result.last_state;
      steps.push_back(logits(weights_, result.hidden));
    }
    return at::cat(steps, 1);
  }

  // Logits of one sequence, [1,…], by the recorded steps of the CPU. `left` [D] is written to.
  Tensor row_steps(RowProgram& program, KvCache& cache, int64_t sequence, int64_t loops,
                   int64_t from, Tensor left, int64_t to) {
    Tensor out = at::empty({1, to - from, c_.vocab_size});
    for (int64_t at = from; at < to; ++at) {
      DecodeRow row;
      row.cache = &cache;
      row.id = static_cast<uint32_t>(ids_[sequence][at].item<int64_t>());
      row.loops = loops;
      row.logits = out[0][at - from].data_ptr<float>();
      Tensor state;
      if (left.defined()) {
        row.first_state = row.last_state = left.data_ptr<float>();
      } else if (h0_.defined()) {
        state = h0_[sequence][at].contiguous();
        row.first_state = state.data_ptr<float>();
      }
      program.run({&row, 1});
    }
    return out;
  }

  void check_decode() {
    const int64_t batch = ids_.size(0), length = ids_.size(1);
    for (const auto& [name, want] : golden_) {
      const auto loops = count_of(name, "decode.");
      if (!loops) continue;
      const auto kept = cache(*loops, batch);
      const auto given = [&](int64_t at, const Tensor&) {
        return h0_.defined() ? h0_.narrow(1, at, 1) : Tensor();
      };
      report_.compare(name, tensor_steps(*kept, *loops, 0, given, {}, length), want, kAbsolute);
      if (!device_.is_cpu()) continue;
      RowProgram program(c_, weights_, {});
      std::vector<Tensor> rows;
      for (int64_t b = 0; b < batch; ++b) {
        const auto own = cache(*loops, 1);
        rows.push_back(row_steps(program, *own, b, *loops, 0, {}, length));
      }
      report_.compare(name + " (rows)", at::cat(rows, 0), want, kAbsolute);
    }
  }

  // A token's loops begin with what the last loop of the token before left.
  void check_warm_start() {
    const int64_t batch = ids_.size(0);
    for (const auto& [name, want] : golden_) {
      const auto loops = count_of(name, "warm.");
      if (!loops) continue;
      const int64_t prefill = file_.at("warm_prefill_tokens"), to = prefill + want.size(1) - 1;
      const auto first = [&](int64_t b, int64_t sequences, KvCache& kept) {
        ForwardOptions pass = options(*loops, [&](const Tensor& x) {
          return x.narrow(0, b, sequences).narrow(1, 0, prefill);
        });
        pass.cache = &kept;
        pass.keep_state = true;
        const Tensor ids = ids_.narrow(0, b, sequences).narrow(1, 0, prefill);
        ForwardResult result = forward(c_, weights_, ids, pass);
        result.hidden = logits(weights_, result.hidden.narrow(1, prefill - 1, 1));
        return result;
      };
      const auto kept = cache(*loops, batch);
      const ForwardResult begun = first(0, batch, *kept);
      const auto handed_on = [](int64_t, const Tensor& left) {
        return left.narrow(1, left.size(1) - 1, 1);
      };
      const Tensor rest = tensor_steps(*kept, *loops, prefill, handed_on, begun.last_state, to);
      report_.compare(name, at::cat({begun.hidden, rest}, 1), want, kAbsolute);
      if (!device_.is_cpu()) continue;
      RowProgram program(c_, weights_, {});
      std::vector<Tensor> rows;
      for (int64_t b = 0; b < batch; ++b) {
        const auto own = cache(*loops, 1);
        const ForwardResult start = first(b, 1, *own);
        const Tensor left = start.last_state[0][start.last_state.size(1) - 1].clone();
        rows.push_back(
            at::cat({start.hidden, row_steps(program, *own, b, *loops, prefill, left, to)}, 1));
      }
      report_.compare(name + " (rows)", at::cat(rows, 0), want, kAbsolute);
    }
  }

  // Huginn's exit criteria after each loop of a pass over the whole sequences.
  void check_criteria() {
    static const std::pair<const char*, ExitRule> kRules[] = {
        {"entropy-diff", ExitRule::entropy_diff},
        {"latent-diff", ExitRule::latent_diff},
        {"cosine", ExitRule::cosine},
        {"kl", ExitRule::huginn_kl},
        {"minp-kl", ExitRule::minp_kl},
        {"argmax-stability", ExitRule::argmax_stability},
    };
    for (const auto& [name, rule] : kRules) {
      const auto want = golden_.find(std::string("exit.") + name);
      if (want == golden_.end()) continue;
      Tensor before, value;
      Tensor state = h0_;
      double error = 0;
      for (int64_t t = 0; t < want->second.size(0); ++t) {
        if (compares_states(rule)) {
          const Tensor& after = states_.at(static_cast<size_t>(t));
          value = state_criterion(rule, state, after).mean(-1);
          state = after;
        } else {
          const Tensor after = logits_after(t + 1).select(1, ids_.size(1) - 1);
          value = output_criterion(rule, before, after, value);
          before = after;
        }
        const Tensor told = want->second[t];
        const Tensor differs = (value.cpu() - told).abs() / (1 + told.abs());
        error = std::max(error, differs.max().item<double>());
      }
      report_.add(want->first, error, rule == ExitRule::argmax_stability ? 0 : kExit);
    }
  }

  // Ouro's gate: its probabilities, the exit distribution, and what is read out.
  void check_gate() {
    if (!golden_.count("pdf")) return;
    const Tensor& pdf = golden_.at("pdf");
    const int64_t loops = pdf.size(2);
    int64_t most = loops;
    for (const auto& [name, want] : golden_) {
      most = std::max(most, count_of(name, "gate.").value_or(0));
    }
    ForwardOptions all = options(most);
    all.collect.gate = all.collect.outputs = true;
    const ForwardResult result = forward(c_, weights_, ids_, all);
    const at::NoGradGuard no_grad;
    const Tensor gate = at::sigmoid(result.gate_logits);
    for (const auto& [name, want] : golden_) {
      if (const auto n = count_of(name, "gate.")) {
        report_.compare(name, gate.select(2, *n - 1), want, kGate);
      }
    }
    Tensor left = at::ones_like(gate.select(2, 0)), weighted;
    std::vector<Tensor> shares, logits_of;
    for (int64_t t = 0; t < loops; ++t) {
      const Tensor share = t + 1 < loops ? left * gate.select(2, t) : left;
      left = left - share;
      shares.push_back(share);
      logits_of.push_back(logits(weights_, result.loop_hidden.at(static_cast<size_t>(t))));
      const Tensor part = share.unsqueeze(-1) * logits_of.back();
      weighted = weighted.defined() ? weighted + part : part;
    }
    const Tensor distribution = at::stack(shares, -1);
    report_.compare("pdf", distribution, pdf, kGate);
    report_.compare("logits_weighted", weighted, golden_.at("logits_weighted"), kAbsolute);
    const int64_t length = ids_.size(1) - 1;
    const Tensor loss = at::cross_entropy_loss(weighted.narrow(1, 0, length).flatten(0, 1),
                                               ids_.narrow(1, 1, length).flatten());
    compare_loss("loss_weighted", loss.item<double>());
    for (const auto& [name, want] : golden_) {
      if (!name.starts_with("exit_loop.")) continue;
      check_quantile(name.substr(10), want, distribution, at::stack(logits_of, 2));
    }
    check_quantile("default", Tensor(), distribution, at::stack(logits_of, 2));
  }

  // distribution [B,S,T], logits [B,S,T,V]. `exit_loop` is undefined at the family's own quantile.
  void check_quantile(const std::string& quantile, const Tensor& exit_loop,
                      const Tensor& distribution, const Tensor& each) {
    const double threshold = exit_loop.defined()
                                 ? parse_double(quantile).value()
                                 : file_.at("config").at("early_exit_threshold").get<double>();
    const int64_t loops = each.size(2);
    const Tensor early = distribution.cumsum(-1).narrow(2, 0, loops - 1).lt(threshold);
    const Tensor left = early.to(at::kLong).sum(-1) + 1;  // the loop after those below it
    const std::string at = exit_loop.defined() ? "logits_at." + quantile : "logits_default";
    if (exit_loop.defined()) report_.compare("exit_loop." + quantile, left, exit_loop, 0);
    const Tensor index = (left - 1).unsqueeze(-1).unsqueeze(-1);
    const Tensor got = each.take_along_dim(index, 2).squeeze(2);
    report_.compare(at, got, golden_.at(at), kAbsolute);
    if (!exit_loop.defined()) return;
    // The exit rule of the first token, before which nothing has left early.
    const Exit exit{ExitRule::gate, threshold};
    ForwardOptions first = options(loops);
    first.exit = exit;
    const ForwardResult result = forward(c_, weights_, ids_.narrow(1, 0, 1), first);
    report_.compare("exit_loop." + quantile + " (rule)", result.loops_run,
                    exit_loop.narrow(1, 0, 1), 0);
    report_.compare(at + " (rule)", logits(weights_, result.hidden), golden_.at(at).narrow(1, 0, 1),
                    kAbsolute);
    if (!device_.is_cpu()) return;
    RowProgram program(c_, weights_, exit);
    for (int64_t b = 0; b < ids_.size(0); ++b) {
      const auto own = cache(loops, 1);
      const Tensor row = row_steps(program, *own, b, loops, 0, {}, 1);
      report_.compare(at + " (rule, rows)", row, golden_.at(at).narrow(0, b, 1).narrow(1, 0, 1),
                      kAbsolute);
    }
  }

  void compare_loss(const std::string& name, double got) {
    const double want = golden_.at(name).item<double>();
    report_.add(name, std::abs(got - want) / std::abs(want), kLoss);
  }

  // One sequence's share of the loss, after `without` loops that record no gradient and `with` that
  // do.
  Tensor loss_of(int64_t sequence, int64_t without, int64_t with, Tensor* all_logits) {
    const int64_t length = ids_.size(1) - 1;
    ForwardOptions pass =
        options(without + with, [&](const Tensor& x) { return x.narrow(0, sequence, 1); });
    pass.grad_loops = without > 0 ? with : 0;
    const Tensor ids = ids_.narrow(0, sequence, 1);
    const ForwardResult result = forward(c_, weights_, ids, pass);
    *all_logits = logits(weights_, result.hidden.detach());
    return loss_sum(weights_, result.hidden.narrow(1, 0, length), ids.narrow(1, 1, length),
                    1.0 / static_cast<double>(length * ids_.size(0)));
  }

  void check_gradients() {
    if (!file_.contains("gradients")) return;
    const json& gradients = file_.at("gradients");
    const auto same = [&](int64_t value) {
      return std::vector<int64_t>(static_cast<size_t>(ids_.size(0)), value);
    };
    if (gradients.contains("full")) {
      check_gradients("loss", "g.", same(0), same(gradients.at("full")));
    }
    if (gradients.contains("trunc")) {
      const json& depth = gradients.at("trunc");
      check_gradients("loss_trunc", "gt.", same(depth.at(0)), same(depth.at(1)));
    }
    if (gradients.contains("perseq")) {
      const json& depth = gradients.at("perseq");
      check_gradients("loss", "g.", depth.at(0), depth.at(1));
    }
  }

  void check_gradients(const std::string& loss_name, const std::string& prefix,
                       const std::vector<int64_t>& without, const std::vector<int64_t>& with) {
    weights_ = make_weights(c_, *parameters_, at::kFloat);
    Tensor loss = at::zeros({}, at::TensorOptions(device_));
    std::vector<Tensor> each(without.size());
    for (size_t i = 0; i < without.size(); ++i) {
      loss = loss + loss_of(static_cast<int64_t>(i), without[i], with[i], &each[i]);
    }
    compare_loss(loss_name, loss.item<double>());
    if (golden_.count("logits.perseq")) {
      report_.compare("logits.perseq", at::cat(each, 0), golden_.at("logits.perseq"), kAbsolute);
    }
    loss.backward();
    TensorMap native;
    for (const Parameters::Item& item : parameters_->items()) {
      Tensor& grad = item.tensor.mutable_grad();
      native[item.name] = grad.defined() ? grad.clone() : at::zeros_like(item.tensor);
      grad = Tensor();
    }
    const TensorMap published = to_hf(c_, native);
    for (const auto& [name, want] : golden_) {
      if (!name.starts_with(prefix)) continue;
      const auto found = published.find(name.substr(prefix.size()));
      if (found == published.end()) {
        report_.add(name + " (no such tensor)", want.abs().max().item<double>(), 0);
        continue;
      }
      const double largest = std::max(want.abs().max().item<double>(), 1e-12);
      report_.compare(name, found->second.cpu() / largest, want / largest, kGradient);
    }
  }

  const json& file_;
  const at::Device device_;
  Report& report_;
  ModelConfig c_;
  TensorMap golden_;
  std::unique_ptr<Parameters> parameters_;
  Weights weights_;
  Tensor ids_, h0_;             // on the device
  std::vector<Tensor> states_;  // after each loop
};

}  // namespace

void check_published(const fs::path& json_path, const json& file, at::Device device,
                     const Change& change, Report& report) {
  Published(json_path, file, device, change, report).check();
}

}  // namespace mythos
