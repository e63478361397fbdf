#include "checkpoint/retrofit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <map>

#include "arch/tensors.h"
#include "base/error.h"
#include "base/strings.h"
#include "model/weights.h"

namespace mythos {
namespace {

constexpr int64_t kMostLayers = 4096;  // of a section, as model.core_layers has it
constexpr const char* kSectionsForm =
    "Write as --retrofit prelude=4,core=8,coda=4: how many layers serve where.";
constexpr const char* kDropForm =
    "Layers are counted from 0; ranges have both ends: --drop 3,10-14.";

int64_t layer_number(const std::string& text, const std::string& word) {
  const std::optional<int64_t> number = parse_int(trim(text));
  if (!number || *number < 0 || *number >= kMostLayers) {
    fail(ErrorKind::usage,
         strprintf("--drop %s: expected a layer from 0 to %d, or a range of them.", shown(word),
                   kMostLayers - 1),
         kDropForm);
  }
  return *number;
}

std::vector<int64_t> parse_dropped(const std::vector<std::string>& words) {
  std::vector<int64_t> layers;
  for (const std::string& word : words) {
    const size_t dash = word.find('-', 1);
    const int64_t first = layer_number(word.substr(0, dash), word);
    const int64_t last =
        dash == std::string::npos ? first : layer_number(word.substr(dash + 1), word);
    if (last < first) {
      fail(ErrorKind::usage, strprintf("--drop %s: the range ends before it begins.", shown(word)),
           kDropForm);
    }
    for (int64_t layer = first; layer <= last; ++layer) layers.push_back(layer);
  }
  std::ranges::sort(layers);
  const auto twice = std::ranges::adjacent_find(layers);
  if (twice != layers.end()) {
    fail(ErrorKind::usage, strprintf("--drop names layer %d twice.", *twice), kDropForm);
  }
  return layers;
}

// The numbers of a rising list, "0-3,7".
std::string ranges_text(const std::vector<int64_t>& layers) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < layers.size();) {
    size_t end = i + 1;
    while (end < layers.size() && layers[end] == layers[end - 1] + 1) ++end;
    const std::string first = std::to_string(layers[i]), last = std::to_string(layers[end - 1]);
    parts.push_back(end == i + 1 ? first : first + "-" + last);
    i = end;
  }
  return parts.empty() ? "none" : join(parts, ",");
}

// The first `count` layers that are not dropped.
std::vector<int64_t> kept_layers(const Retrofit& retrofit, int64_t count) {
  std::vector<int64_t> kept;
  for (int64_t layer = 0; static_cast<int64_t>(kept.size()) < count; ++layer) {
    if (!std::ranges::binary_search(retrofit.dropped, layer)) kept.push_back(layer);
  }
  return kept;
}

// Where a kept layer comes to stand, such as "coda.1.".
std::string place_of(const Retrofit& retrofit, int64_t kept) {
  const int64_t core = kept - retrofit.prelude, coda = core - retrofit.core;
  if (core < 0) return strprintf("prelude.%d.", kept);
  return coda < 0 ? strprintf("core.%d.", core) : strprintf("coda.%d.", coda);
}

void require_plain_stack(const ModelConfig& c, const std::string& origin) {
  const bool stack = c.prelude_layers == 0 && c.coda_layers == 0 &&
                     c.injection == Injection::none && c.halting == Halting::none &&
                     c.final_norm == FinalNorm::output && !c.readout && !c.prelude_norm &&
                     c.lora_rank == 0 && c.loop_embedding == LoopEmbedding::none;
  if (stack && c.max_loop_iters == 1) return;
  fail(ErrorKind::data, origin + ": a looped model already, which --retrofit cannot cut again.",
       "Import it without --retrofit.");
}

void require_places(const Retrofit& r, int64_t layers, const std::string& origin) {
  const auto dropped = static_cast<int64_t>(r.dropped.size());
  if (dropped > 0 && r.dropped.back() >= layers) {
    fail(ErrorKind::usage, strprintf("--drop names layer %d, but %s has the layers 0 to %d.",
                                     r.dropped.back(), origin, layers - 1));
  }
  const int64_t wanted = r.prelude + r.core + r.coda, kept = layers - dropped;
  if (wanted == kept) return;
  const std::string left = dropped > 0 ? strprintf(", of which --drop leaves %d", kept) : "";
  fail(ErrorKind::usage,
       strprintf("--retrofit has places for %d + %d + %d = %d layers, but %s has %d%s.", r.prelude,
                 r.core, r.coda, wanted, origin, layers, left),
       wanted < kept ? strprintf("Raise a count, or name %d more in --drop", kept - wanted)
                     : strprintf("Lower the counts by %d, or drop fewer", wanted - kept));
}

ModelConfig looped_form(const ModelConfig& plain, const Retrofit& retrofit) {
  ModelConfig c = plain;
  c.prelude_layers = retrofit.prelude;
  c.core_layers = retrofit.core;
  c.coda_layers = retrofit.coda;
  c.max_loop_iters = retrofit.loops;
  c.injection = Injection::linear;
  c.injection_norm = false;
  c.initial_state = InitialState::zero;
  return c;
}

}  // namespace

Retrofit parse_retrofit(const std::string& sections, const std::vector<std::string>& dropped) {
  Retrofit retrofit;
  struct Count {
    std::string name;
    int64_t* value;
    int64_t least;
    bool given = false;
  };
  std::array<Count, 3> counts = {{{"prelude", &retrofit.prelude, 0},
                                  {"core", &retrofit.core, 1},
                                  {"coda", &retrofit.coda, 0}}};
  const auto refuse = [&](const std::string& why) {
    fail(ErrorKind::usage, "--retrofit " + shown(sections) + ": " + why, kSectionsForm);
  };
  for (const std::string& item : split(sections, ',')) {
    const size_t equals = item.find('=');
    const std::string name(trim(item.substr(0, equals)));
    const auto found = std::ranges::find(counts, name, &Count::name);
    if (found == counts.end()) refuse("'" + shown(name) + "' is none of prelude, core, coda.");
    if (found->given) refuse(name + " is there twice.");
    const std::string text = equals == std::string::npos ? "" : item.substr(equals + 1);
    const std::optional<int64_t> number = parse_int(trim(text));
    if (!number || *number < found->least || *number > kMostLayers) {
      refuse(strprintf("%s = '%s': expected a number of layers from %d to %d.", name, shown(text),
                       found->least, kMostLayers));
    }
    *found->value = *number;
    found->given = true;
  }
  for (const Count& count : counts) {
    if (!count.given) refuse(count.name + " is missing.");
  }
  retrofit.dropped = parse_dropped(dropped);
  return retrofit;
}

Config retrofitted(const Config& plain, const Retrofit& retrofit, const std::string& origin) {
  require_plain_stack(plain.model, origin);
  require_places(retrofit, plain.model.core_layers, origin);
  Config config = plain;
  config.model = looped_form(plain.model, retrofit);
  config.train.loop_sampling = LoopSampling::lognormal_poisson;
  config.validate();
  return config;
}

NamedTensors retrofitted(const ModelConfig& plain, const Retrofit& retrofit,
                         const NamedTensors& tensors) {
  const ModelConfig looped = looped_form(plain, retrofit);
  const std::map<std::string, at::Tensor> old(tensors.begin(), tensors.end());
  std::map<std::string, std::string> old_names;  // what a new name begins with, and the old one
  const auto kept = kept_layers(retrofit, retrofit.prelude + retrofit.core + retrofit.coda);
  for (size_t i = 0; i < kept.size(); ++i) {
    old_names[place_of(retrofit, static_cast<int64_t>(i))] = strprintf("core.%d.", kept[i]);
  }
  NamedTensors out;
  for (const TensorDeclaration& tensor : declared_tensors(looped)) {
    const size_t dot = tensor.name.find('.', tensor.name.find('.') + 1);
    const std::string head = tensor.name.substr(0, dot == std::string::npos ? dot : dot + 1);
    const auto layer = old_names.find(head);
    const std::string name =
        layer == old_names.end() ? tensor.name : layer->second + tensor.name.substr(head.size());
    const auto found = old.find(name);
    if (found != old.end()) {
      out.emplace_back(tensor.name, found->second);
      continue;
    }
    if (tensor.init != Init::identity_tail) fail(ErrorKind::internal, "no tensor '" + name + "'");
    const at::Tensor value = at::empty(tensor.shape, at::kFloat);
    set_initial_value(tensor, looped, 0, 0, value);
    out.emplace_back(tensor.name, value);
  }
  return out;
}

std::string describe(const Retrofit& r) {
  const auto kept = kept_layers(r, r.prelude + r.core + r.coda);
  const auto part = [&](int64_t begin, int64_t count) {
    return ranges_text({kept.begin() + begin, kept.begin() + begin + count});
  };
  return strprintf("prelude %s, core %s, coda %s; dropped %s", part(0, r.prelude),
                   part(r.prelude, r.core), part(r.prelude + r.core, r.coda),
                   ranges_text(r.dropped));
}

}  // namespace mythos
