#include "base/torch_pickle.h"

#include <map>
#include <optional>

#include "base/pickle_machine.h"
#include "base/strings.h"

namespace mythos {
namespace {

using pickle::Kind, pickle::Place, pickle::Value;

constexpr size_t kMaxDimensions = 64;  // as PyTorch has it

// A pickle whose persistent ids are storages in the archive, and whose calls make tensors of them.
class TensorPickle : pickle::Machine {
 public:
  TensorPickle(const MappedFile& file, const ZipMembers& members, const std::string& prefix)
      : Machine(file.path(), code_of(file, members, prefix)), members_(members), prefix_(prefix) {}

  std::vector<TorchTensor> read() {
    const Place top = run();
    if (value(top).kind != Kind::dict) bad_kind("it holds", top);
    std::vector<TorchTensor> tensors = tensors_of(top);
    for (const char* member : {"model", "state_dict", "model_state_dict"}) {
      if (!tensors.empty()) break;
      const auto inner = entry(top, member);
      if (inner && value(*inner).kind == Kind::dict) tensors = tensors_of(*inner);
    }
    if (tensors.empty()) bad(code_bytes(), "its dictionary holds no tensors");
    return tensors;
  }

 private:
  static std::string_view code_of(const MappedFile& file, const ZipMembers& members,
                                  const std::string& prefix) {
    const ZipMember& pickle = members.at(prefix + "data.pkl");
    return file.text().substr(pickle.begin, pickle.end - pickle.begin);
  }

  // ('storage', type, key, device, number of elements) → the storage.
  Value storage_of(const Value& facts) override {
    if (facts.items.size() != 5) bad("a storage without five facts");
    if (argument(facts, 0, Kind::text, "the kind").text != "storage") bad("not a storage");
    const TorchType type = argument(facts, 1, Kind::storage_type, "the type of a storage").type;
    const std::string_view key = argument(facts, 2, Kind::text, "the name of a storage").text;
    const int64_t count = argument(facts, 4, Kind::integer, "the size of a storage").number;
    const std::string name = prefix_ + "data/" + std::string(key);
    const auto member = members_.find(name);
    if (member == members_.end()) bad("storage '" + escaped(name) + "' is not in the archive");
    const uint64_t bytes = member->second.end - member->second.begin;
    if (count < 0 || static_cast<uint64_t>(count) > bytes / element_bytes(type)) {
      bad(strprintf("storage '%s' has %u bytes, less than its %d elements of %u bytes: truncated?",
                    escaped(name), bytes, count, element_bytes(type)));
    }
    Value storage;
    storage.kind = Kind::storage;
    storage.type = type;
    storage.number = count;
    storage.begin = member->second.begin;
    return storage;
  }

  std::vector<int64_t> sizes(const Value& tuple, const char* what) const {
    std::vector<int64_t> numbers;
    for (size_t i = 0; i < tuple.items.size(); ++i) {
      numbers.push_back(argument(tuple, i, Kind::integer, what).number);
      if (numbers.back() < 0) bad(strprintf("%s is %d", what, numbers.back()));
    }
    return numbers;
  }

  // (storage, offset in elements, shape, strides, …) → the tensor.
  Value rebuilt(const Value& arguments) override {
    const Value& storage = argument(arguments, 0, Kind::storage, "the storage of a tensor");
    const int64_t offset = argument(arguments, 1, Kind::integer, "a tensor's offset").number;
    TorchTensor tensor;
    tensor.type = storage.type;
    tensor.shape = sizes(argument(arguments, 2, Kind::tuple, "a shape"), "a tensor's size");
    tensor.strides = sizes(argument(arguments, 3, Kind::tuple, "the strides"), "a stride");
    if (tensor.shape.size() > kMaxDimensions) bad("a tensor of more than 64 dimensions");
    if (tensor.shape.size() != tensor.strides.size()) bad("a tensor's shape and strides differ");
    // The element that lies last, in a storage of `number` elements.
    int64_t last = offset, numel = 1;
    bool overflow = offset < 0, empty = false;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      if (tensor.shape[i] == 0) {
        empty = true;
        continue;
      }
      int64_t reach = 0;
      overflow = overflow || __builtin_mul_overflow(numel, tensor.shape[i], &numel) ||
                 __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &reach) ||
                 __builtin_add_overflow(last, reach, &last);
    }
    int64_t bytes = 0;
    overflow = overflow || __builtin_mul_overflow(
                               numel, static_cast<int64_t>(element_bytes(storage.type)), &bytes);
    if (overflow || (!empty && last >= storage.number)) {
      bad(strprintf("a tensor reaches outside its storage of %d elements", storage.number));
    }
    tensor.begin =
        storage.begin + (empty ? 0 : static_cast<uint64_t>(offset) * element_bytes(storage.type));
    Value made;
    made.kind = Kind::tensor;
    made.number = static_cast<int64_t>(tensors_.size());
    tensors_.push_back(std::move(tensor));
    return made;
  }

  std::optional<Place> entry(Place dict, std::string_view key) const {
    const std::vector<Place>& items = value(dict).items;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const Value& name = value(items[i]);
      if (name.kind == Kind::text && name.text == key) return items[i + 1];
    }
    return std::nullopt;
  }

  std::vector<TorchTensor> tensors_of(Place dict) const {
    std::vector<TorchTensor> found;
    std::map<std::string_view, bool> names;
    const std::vector<Place>& items = value(dict).items;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const Value &key = value(items[i]), &held = value(items[i + 1]);
      if (key.kind != Kind::text || held.kind != Kind::tensor) continue;
      if (!names.emplace(key.text, true).second) {
        bad("tensor '" + escaped(std::string(key.text)) + "' is in the dictionary twice");
      }
      found.push_back(tensors_[static_cast<size_t>(held.number)]);
      found.back().name = std::string(key.text);
    }
    return found;
  }

  const ZipMembers& members_;
  const std::string& prefix_;
  std::vector<TorchTensor> tensors_;
};

}  // namespace

std::vector<TorchTensor> read_torch_pickle(const MappedFile& file, const ZipMembers& members,
                                           const std::string& prefix) {
  return TensorPickle(file, members, prefix).read();
}

}  // namespace mythos
