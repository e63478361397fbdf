#include "model/weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"
#include "ops/linear/weight.h"

namespace mythos {
namespace {

// Standard normal numbers by Box and Muller's method, the same on every device and with any number
// of threads: a pair takes two numbers of the stream, so its place in it is known.
void fill_normal(float* out, int64_t count, double deviation, uint64_t seed, uint64_t stream) {
  at::parallel_for(0, (count + 1) / 2, 1 << 14, [&](int64_t begin, int64_t end) {
    Rng rng(seed, stream, static_cast<uint64_t>(2 * begin));
    for (int64_t i = 2 * begin; i < 2 * end; i += 2) {
      const double radius = deviation * std::sqrt(-2.0 * std::log(1.0 - rng.uniform()));
      const double angle = 2.0 * M_PI * rng.uniform();
      out[i] = static_cast<float>(radius * std::cos(angle));
      if (i + 1 < count) out[i + 1] = static_cast<float>(radius * std::sin(angle));
    }
  });
}

// Fills a CPU tensor.
void set_initial_value(const ParameterSpec& spec, const ModelConfig& config, uint64_t seed,
                       uint64_t stream, Tensor value) {
  switch (spec.init) {
    case Init::zeros:
      value.zero_();
      break;
    case Init::ones:
      value.fill_(1);
      break;
    case Init::injection:
      value.fill_(0.1);
      break;
    case Init::normal:
      fill_normal(value.data_ptr<float>(), value.numel(), config.init_std, seed, stream);
      break;
    case Init::identity_tail:
      value.zero_();
      value.narrow(1, value.size(1) - config.dim, config.dim).copy_(at::eye(config.dim));
      break;
    case Init::halt_bias: {
      Rng rng(seed, stream);
      const double bound = 1.0 / std::sqrt(static_cast<double>(config.dim));
      for (int64_t i = 0; i < value.numel(); ++i) value[i] = bound * (2.0 * rng.uniform() - 1.0);
    }
  }
}

}  // namespace

std::string shape_text(at::IntArrayRef shape) {
  std::vector<std::string> sizes;
  for (const int64_t size : shape) sizes.push_back(std::to_string(size));
  return strprintf("[%s]", join(sizes, ",").c_str());
}

Parameters::Parameters(const ModelConfig& config, at::Device device) {
  for (ParameterSpec& spec : parameter_specs(config)) {
    const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
    Tensor tensor = at::empty(spec.shape, options).requires_grad_(spec.trained);
    index_[spec.name] = items_.size();
    items_.push_back({std::move(spec), std::move(tensor)});
  }
}

void Parameters::initialize(const ModelConfig& config, uint64_t seed) {
  for (const Item& item : items_) initialize(config, seed, item.spec.name);
}

void Parameters::initialize(const ModelConfig& config, uint64_t seed, const std::string& name) {
  const at::NoGradGuard no_grad;
  Tensor target = at(name);
  const size_t i = index_.at(name);
  const Tensor value = target.is_cpu() ? target : at::empty(items_[i].spec.shape);
  set_initial_value(items_[i].spec, config, seed, i, value);
  if (!target.is_cpu()) target.copy_(value);
}

const Tensor& Parameters::at(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail(ErrorKind::internal, "no parameter '" + name + "'");
  return items_[found->second].tensor;
}

void Parameters::release(const std::string& name) {
  at(name);
  items_[index_.at(name)].tensor = Tensor();
}

std::vector<const Tensor*> Parameters::match(const std::map<std::string, Tensor>& values,
                                             const std::string& origin) const {
  for (const auto& [name, value] : values) {
    if (!contains(name)) {
      std::vector<std::string> known;
      for (const Item& item : items_) known.push_back(item.spec.name);
      fail(ErrorKind::data, origin + ": tensor '" + name + "' is not part of this model." +
                                did_you_mean(name, known));
    }
  }
  std::vector<const Tensor*> found;
  for (const Item& item : items_) {
    const auto value = values.find(item.spec.name);
    if (value == values.end()) {
      fail(ErrorKind::data, origin + ": tensor '" + item.spec.name +
                                "' is missing (expected shape " + shape_text(item.spec.shape) +
                                ")");
    }
    if (value->second.sizes() != at::IntArrayRef(item.spec.shape)) {
      fail(ErrorKind::data, origin + ": tensor '" + item.spec.name + "' has shape " +
                                shape_text(value->second.sizes()) + ", expected " +
                                shape_text(item.spec.shape));
    }
    found.push_back(&value->second);
  }
  return found;
}

void Parameters::load(const std::map<std::string, Tensor>& values, const std::string& origin) {
  const at::NoGradGuard no_grad;
  const auto found = match(values, origin);
  for (size_t i = 0; i < items_.size(); ++i) items_[i].tensor.copy_(*found[i]);
}

void Parameters::adopt(const std::map<std::string, Tensor>& values, const std::string& origin) {
  const at::NoGradGuard no_grad;
  const auto found = match(values, origin);
  for (size_t i = 0; i < items_.size(); ++i) {
    items_[i].tensor = found[i]->to(items_[i].tensor.device(), at::kFloat);
  }
}

namespace {

// Gives the memory of rows that nobody will read again back to the system.
void forget(const Tensor& rows) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(rows.data_ptr());
  const uintptr_t first = (begin + page - 1) / page * page;
  const uintptr_t last = (begin + rows.nbytes()) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

class WeightMaker {
 public:
  WeightMaker(const Parameters& parameters, at::ScalarType type,
              std::optional<int64_t> multiple = {})
      : parameters_(parameters),
        type_(type),
        multiple_(multiple),
        device_(parameters.items().front().tensor.device().type()) {
    for (const Parameters::Item& item : parameters.items()) {
      matrix_[item.spec.name] = item.spec.matrix;
    }
  }
  // Takes the parameters one by one, rounded where only products read them.
  WeightMaker(Parameters& parameters, at::ScalarType type, WeightFormat format,
              const PrepareParameter& prepare)
      : WeightMaker(parameters, type) {
    taken_from_ = &parameters;
    prepare_ = prepare;
    format_ = format;
  }

  // The parameter, cast when it is a matrix; undefined when the configuration lacks it.
  Tensor get(const std::string& name, const Padding& padding = {}) const {
    if (!parameters_.contains(name)) return {};
    if (!taken_from_) {
      const Tensor& tensor = parameters_.at(name);
      return matrix_.at(name) ? shared_weight(tensor, type_, padding) : tensor;
    }
    prepare(name);
    const Tensor out = matrix_.at(name)
                           ? padded(cast(parameters_.at(name), type_, last_reader(name)), padding)
                           : parameters_.at(name);
    taken_from_->release(name);
    return out;
  }
  // One that only products read. Rounded ones are not padded.
  Matrix product(const std::string& name, const Padding& padding = {}) const {
    if (format_ == WeightFormat::plain || !parameters_.contains(name)) return get(name, padding);
    prepare(name);
    Matrix out = quantize(parameters_.at(name), format_, last_reader(name));
    taken_from_->release(name);
    return out;
  }

  // Embedding and head into w. A head that is tied stays so unless it is rounded: by the format, to
  // int8 where that is int4.
  void make_ends(Weights& w, bool tied) const {
    const WeightFormat format = format_ == WeightFormat::plain ? format_ : WeightFormat::int8;
    const std::string head = tied ? "embed.weight" : "head.weight";
    if (format != WeightFormat::plain) {
      prepare(head);
      w.head = quantize(parameters_.at(head), format);
    }
    if (format == WeightFormat::plain || !tied) {
      w.embed = get("embed.weight");
    } else {
      w.embed = cast(parameters_.at(head), type_, last_reader(head));
    }
    if (format == WeightFormat::plain) w.head = tied ? Matrix(w.embed) : Matrix(get(head));
    if (taken_from_ && format != WeightFormat::plain) taken_from_->release(head);
  }

  std::vector<LayerWeights> layers(const std::string& part, int64_t count) const {
    std::vector<LayerWeights> out;
    for (int64_t i = 0; i < count; ++i) out.push_back(layer(part + "." + std::to_string(i) + "."));
    return out;
  }

 private:
  LayerWeights layer(const std::string& p) const {
    LayerWeights w;
    w.attn_norm = get(p + "attn_norm.weight");
    w.ffn_norm = get(p + "ffn_norm.weight");
    w.down = product(p + "attn.down.weight");
    w.q_norm = get(p + "attn.q_norm.weight");
    w.q_up = product(p + "attn.q_up.weight");
    w.kv_norm = get(p + "attn.kv_norm.weight");
    w.kv_up = get(p + "attn.kv_up.weight");
    w.qkv = product(p + "attn.qkv.weight");
    w.k_norm = get(p + "attn.k_norm.weight");
    w.wo = product(p + "attn.wo.weight");
    w.gate_up = product(p + "ffn.gate_up.weight", hidden_rows());
    w.ffn_down = product(p + "ffn.down.weight", hidden_columns());
    w.router = get(p + "ffn.router.weight");
    w.router_bias = get(p + "ffn.router_bias");
    w.experts_gate_up = product(p + "ffn.experts.gate_up");
    w.experts_down = product(p + "ffn.experts.down");
    w.shared_gate_up = product(p + "ffn.shared.gate_up.weight", hidden_rows());
    w.shared_down = product(p + "ffn.shared.down.weight", hidden_columns());
    return w;
  }
  // The padding of a hidden width: in gate_up [2F,D] and in down [D,F].
  Padding hidden_rows() const { return {0, 2, width()}; }
  Padding hidden_columns() const { return {1, 1, width()}; }
  int64_t width() const { return multiple_.value_or(width_multiple(device_, type_)); }

  const Parameters& parameters_;
  void prepare(const std::string& name) const {
    if (prepare_) prepare_(*taken_from_, name);
  }
  // Forgets what is read, where nobody else holds the tensor.
  RowsRead last_reader(const std::string& name) const {
    const Tensor& tensor = parameters_.at(name);
    const bool alone = tensor.use_count() == 1 && tensor.storage().use_count() == 1;
    return tensor.is_cpu() && tensor.is_contiguous() && alone ? RowsRead(forget) : RowsRead();
  }

  Parameters* taken_from_ = nullptr;
  PrepareParameter prepare_;
  at::ScalarType type_;
  std::optional<int64_t> multiple_;
  at::DeviceType device_;
  WeightFormat format_ = WeightFormat::plain;
  std::map<std::string, bool> matrix_;
};

// All but embedding and head.
Weights make_layers(const ModelConfig& config, const WeightMaker& make,
                    at::ScalarType compute_type) {
  const std::string injection = "recurrent.injection.";
  Weights w;
  w.compute_type = compute_type;
  w.prelude = make.layers("prelude", config.prelude_layers);
  w.core = make.layers("core", config.core_layers);
  w.coda = make.layers("coda", config.coda_layers);
  w.prelude_norm = make.get("prelude_norm.weight");
  w.core_norm = make.get("recurrent.norm.weight");
  w.norm = make.get("norm.weight");
  w.log_A = make.get(injection + "log_A");
  w.log_dt = make.get(injection + "log_dt");
  w.log_a = make.get(injection + "log_a");
  w.dt_bias = make.get(injection + "dt_bias");
  w.injection_B = make.get(injection + (config.injection == Injection::zoh ? "B.weight" : "B"));
  w.injection = make.get(injection + "weight");
  w.lora_down = make.get("recurrent.lora.down.weight");
  w.lora_scale = make.get("recurrent.lora.scale.weight");
  w.lora_B = make.get("recurrent.lora.B");
  w.halt_weight = make.get("recurrent.halt.weight");
  w.halt_bias = make.get("recurrent.halt.bias");
  return w;
}

}  // namespace

Weights make_weights(const ModelConfig& config, const Parameters& parameters,
                     at::ScalarType compute_type, std::optional<int64_t> multiple) {
  const WeightMaker make(parameters, compute_type, multiple);
  Weights w = make_layers(config, make, compute_type);
  make.make_ends(w, config.tied_head);
  return w;
}

Weights make_inference_weights(const ModelConfig& config, Parameters&& parameters,
                               at::ScalarType compute_type, WeightFormat format,
                               const PrepareParameter& prepare) {
  const at::NoGradGuard no_grad;
  const WeightMaker make(parameters, compute_type, format, prepare);
  Weights w = make_layers(config, make, compute_type);
  make.make_ends(w, config.tied_head);
  return w;
}

int64_t size_bytes(const Weights& w) {
  int64_t bytes = 0;
  const auto add = [&](std::initializer_list<Matrix> all) {
    for (const Matrix& one : all) bytes += one.defined() ? one.size_bytes() : 0;
  };
  add({w.embed, w.prelude_norm, w.core_norm, w.norm, w.log_A, w.log_dt, w.log_a, w.dt_bias,
       w.injection_B, w.injection, w.lora_down, w.lora_scale, w.lora_B, w.halt_weight,
       w.halt_bias});
  if (!w.head.values.is_same(w.embed)) add({w.head});
  for (const auto* layers : {&w.prelude, &w.core, &w.coda}) {
    for (const LayerWeights& l : *layers) {
      add({l.attn_norm, l.ffn_norm, l.down, l.q_up, l.q_norm, l.kv_norm, l.kv_up, l.qkv, l.k_norm,
           l.wo, l.gate_up, l.ffn_down, l.router, l.router_bias, l.experts_gate_up, l.experts_down,
           l.shared_gate_up, l.shared_down});
    }
  }
  return bytes;
}

}  // namespace mythos
