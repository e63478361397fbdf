#include "checkpoint/published.h"

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/strings.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "checkpoint/json_file.h"
#include "checkpoint/weight_files.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

constexpr const char* kConfig = "config.json";

std::unique_ptr<Tokenizer> find_tokenizer(const fs::path& directory) {
  std::error_code status;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tekken.json"}) {
    if (fs::exists(directory / name, status)) return load_tokenizer(directory);
  }
  return nullptr;
}

// Whether the library `transformers` puts BOS before a text; unknown where no file says so.
std::optional<DocumentEnds> declared_ends(const fs::path& directory) {
  const fs::path path = directory / "tokenizer_config.json";
  std::error_code status;
  if (!fs::exists(path, status)) return std::nullopt;
  const nlohmann::json json = read_json(path);
  if (!json.is_object()) return std::nullopt;
  const auto adds = json.find("add_bos_token");
  if (adds == json.end() || !adds->is_boolean()) return std::nullopt;
  return DocumentEnds{adds->get<bool>() ? Share::all : Share::none, Share::all};
}

// Looks at each tensor once; its pages do not stay.
NonFinite look_through(const StoredWeights& stored) {
  const std::map<const void*, size_t> mapped(stored.mapped.ranges.begin(),
                                             stored.mapped.ranges.end());
  NonFinite found;
  for (const auto& [name, tensor] : stored.tensors) {
    found.look_at(name, tensor);
    const auto range = mapped.find(tensor.const_data_ptr());
    if (range != mapped.end()) forget_pages(range->first, range->second);
  }
  return found;
}

// Tensors that are joined of several leave the pages of those resident, so that a model would take
// its size twice; each makes all pages of the files go back, which are read again from the page
// cache where they are needed.
StoredTensors letting_go(StoredTensors tensors, MappedRanges mapped) {
  const auto pages = std::make_shared<const MappedRanges>(std::move(mapped));
  for (auto& item : tensors) {
    item.second = [make = std::move(item.second), pages] {
      const at::Tensor tensor = make();
      const void* data = tensor.const_data_ptr();
      for (const auto& [begin, size] : pages->ranges) {
        const auto* first = static_cast<const std::byte*>(begin);
        if (data >= first && data < first + size) return tensor;
      }
      for (const auto& [begin, size] : pages->ranges) forget_pages(begin, size);
      return tensor;
    };
  }
  return tensors;
}

}  // namespace

bool is_published(const fs::path& path) {
  std::error_code status;
  const fs::path config = path / kConfig;
  if (!fs::is_directory(path, status) || !fs::is_regular_file(config, status)) return false;
  if (!checkpoint_directories(path).empty()) return false;
  return is_hf_config(read_json(config));
}

LoadedCheckpoint load_published(const fs::path& directory, at::Device device, LoadFor purpose) {
  const std::string origin = directory.string();
  if (purpose == LoadFor::resuming || purpose == LoadFor::averages) {
    fail(ErrorKind::data,
         origin + ": a published model, which holds " +
             (purpose == LoadFor::resuming ? "no state of a training run."
                                           : "no averages of the weights."),
         purpose == LoadFor::resuming ? "Begin a new run with its weights: --init-from " + origin
                                      : "Leave out --ema");
  }
  LoadedCheckpoint out;
  out.path = directory;
  out.config = config_from_hf(read_json(directory / kConfig), (directory / kConfig).string());
  out.tokenizer = find_tokenizer(directory);
  out.documents = declared_ends(directory);
  out.state = nlohmann::json::object();
  StoredWeights stored = read_weights(directory, is_hf_table);
  const std::string prefix = take_wrapper_prefix(stored.tensors);
  if (!prefix.empty())
    log_info(strprintf("%s: took the prefix '%s' off all names", origin, prefix));
  require_floating_point(stored.tensors, origin);
  out.nonfinite = look_through(stored);
  if (!out.nonfinite.none()) log_warning(origin + ": " + out.nonfinite.text());
  HfTensors read = from_hf(out.config.model, stored.tensors, origin);
  for (const std::string& line : read.dropped) log_info(origin + ": left out " + line);
  stored.tensors.clear();  // each tensor's own source holds it from here on
  StoredTensors tensors = letting_go(std::move(read.tensors), std::move(stored.mapped));
  if (purpose == LoadFor::training) {
    out.model = std::make_unique<Model>(out.config.model, device);
    out.model->parameters.load(std::move(tensors), origin);
  } else {
    out.model = std::make_unique<Model>(
        out.config.model, Parameters(out.config.model, device, std::move(tensors), origin));
  }
  return out;
}

}  // namespace mythos
