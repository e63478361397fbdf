#include "train/config_changes.h"

#include <algorithm>

#include "base/strings.h"
#include "config/field_value.h"
#include "train/schedule.h"

namespace mythos {
namespace {

// Keys beside the model's that a run keeps: they decide the order of the data, and which tensors
// the optimizer has state for.
constexpr std::string_view kFixedKeys[] = {
    "train.optimizer",     "train.freeze", "train.tune_rank", "train.tune_alpha",
    "train.tune_matrices", "train.seed",   "train.seq_len",   "train.packing"};

template <class Table>
void add_changes(std::string_view table, const Table& before, const Table& after,
                 std::vector<ConfigChange>& out) {
  std::vector<std::string> old_values;
  Table::visit(before, [&](const Field&, const auto& value) {
    old_values.push_back(show(field_value(value)));
  });
  size_t i = 0;
  Table::visit(after, [&](const Field& field, const auto& value) {
    const std::string& old_value = old_values[i++];
    const std::string new_value = show(field_value(value));
    if (new_value == old_value) return;
    out.push_back({std::string(table) + "." + std::string(field.name), old_value, new_value});
  });
}

}  // namespace

std::vector<ConfigChange> config_changes(const Config& before, const Config& after) {
  std::vector<ConfigChange> out;
  add_changes("model", before.model, after.model, out);
  add_changes("train", before.train, after.train, out);
  add_changes("objectives", before.objectives, after.objectives, out);
  add_changes("decode", before.decode, after.decode, out);
  return out;
}

std::string describe(const std::vector<ConfigChange>& changes) {
  std::vector<std::string> texts;
  for (const ConfigChange& change : changes) {
    texts.push_back(change.key + " = " + change.after + " instead of " + change.before);
  }
  return join(texts, ", ");
}

std::vector<ConfigChange> fixed_changes(const Config& before, const Config& after) {
  const bool masks = after.train.packing == Packing::best_fit &&
                     before.train.masks_documents() != after.train.masks_documents();
  std::vector<ConfigChange> out = config_changes(before, after);
  std::erase_if(out, [&](const ConfigChange& change) {
    const bool fixed = change.key.starts_with("model.") ||
                       std::ranges::find(kFixedKeys, change.key) != std::end(kFixedKeys);
    return !fixed && !(masks && change.key == "train.document_mask");
  });
  return out;
}

std::string learning_rate_jump(const TrainConfig& before, const TrainConfig& after, int64_t step) {
  if (step == 0 || step > before.steps || step >= after.steps) return {};
  const auto jump = [&](const char* what, double old_peak, double peak) -> std::string {
    const double planned = old_peak * schedule_factor(before, std::min(step, before.steps - 1));
    const double is = peak * schedule_factor(after, step);
    if (planned <= 0 || (is < 1.25 * planned && is > 0.8 * planned)) return {};
    return strprintf("%s goes from %.2e at step %d to %.2e at the next", what,
                     old_peak * schedule_factor(before, step - 1), step, is);
  };
  const std::string adamw = jump("the learning rate", before.lr, after.lr);
  if (!adamw.empty() || after.optimizer != Optimizer::muon) return adamw;
  return jump("the learning rate of muon's matrices", before.muon_lr, after.muon_lr);
}

}  // namespace mythos
