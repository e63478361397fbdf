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
#include "text/chat/chat_template.h"
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

// A directory whose files have been opened and whose tensors fit its config.json.
struct Opened {
  Config config;
  StoredWeights stored;
  HfTensors read;
};

Opened open_published(const fs::path& directory, const nlohmann::json& config) {
  const std::string origin = directory.string();
  Opened out;
  out.config = config_from_hf(config, (directory / kConfig).string());
  out.stored = read_weights(directory, is_hf_table);
  const std::string prefix = take_wrapper_prefix(out.stored.tensors);
  if (!prefix.empty())
    log_info(strprintf("%s: took the prefix '%s' off all names", origin, prefix));
  require_floating_point(out.stored.tensors, origin);
  out.read = from_hf(out.config.model, out.stored.tensors, origin);
  return out;
}

}  // namespace

std::optional<nlohmann::json> published_config(const fs::path& path) {
  std::error_code status;
  const fs::path config = path / kConfig;
  if (!fs::is_directory(path, status) || !fs::is_regular_file(config, status)) return std::nullopt;
  if (!checkpoint_directories(path).empty()) return std::nullopt;
  std::optional<nlohmann::json> json = read_json(config);
  if (!is_hf_config(*json)) json.reset();
  return json;
}

LoadedCheckpoint load_published(const fs::path& directory, const nlohmann::json& config,
                                at::Device device, LoadFor purpose) {
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
  Opened opened = open_published(directory, config);
  out.config = opened.config;
  out.tokenizer = find_tokenizer(directory);
  out.model_files = read_model_files(directory);
  out.documents = declared_ends(opened.stored.metadata, out.model_files, origin);
  out.state = nlohmann::json::object();
  if (purpose != LoadFor::decoding) out.nonfinite = look_through(opened.stored);
  if (!out.nonfinite.none()) log_warning(origin + ": " + out.nonfinite.text());
  for (const std::string& line : opened.read.dropped) log_info(origin + ": left out " + line);
  opened.stored.tensors.clear();  // each tensor's own source holds it from here on
  StoredTensors tensors =
      letting_go(std::move(opened.read.tensors), std::move(opened.stored.mapped));
  out.model = std::make_unique<Model>(
      out.config.model, Parameters(out.config.model, device, std::move(tensors), origin));
  return out;
}

PublishedSummary summarise_published(const fs::path& directory, const nlohmann::json& config) {
  const Opened opened = open_published(directory, config);
  PublishedSummary out;
  out.family = config.at(config.contains("model_type") ? "model_type" : "_class_name");
  out.loops = opened.config.model.max_loop_iters;
  for (const TensorDeclaration& tensor : declared_tensors(opened.config.model)) {
    out.parameters += tensor.numel();
  }
  for (const fs::path& file : opened.stored.files) {
    std::error_code status;
    out.files.push_back(file.filename().string());
    out.bytes += fs::file_size(file, status);
  }
  out.tensors = static_cast<int64_t>(opened.stored.tensors.size());
  for (const auto& [name, tensor] : opened.stored.tensors) {
    out.types[std::string(stored_type_name(tensor.scalar_type()))] += tensor.numel();
  }
  out.left_out = opened.read.dropped;
  if (const auto tokenizer = find_tokenizer(directory)) out.tokenizer = tokenizer->file_name();
  return out;
}

DownloadCheck verify_published(const fs::path& directory, const nlohmann::json& config) {
  DownloadCheck check;
  try {
    const Opened opened = open_published(directory, config);
    if (const auto tokenizer = find_tokenizer(directory)) {
      generation_stop_ids(directory, *tokenizer);
    }
    check = check_downloads(opened.stored.files);
    const NonFinite found = look_through(opened.stored);
    if (!found.none()) log_warning(directory.string() + ": " + found.text());
  } catch (const Error& error) {
    check.faults.push_back(error.what());
  }
  return check;
}

}  // namespace mythos
