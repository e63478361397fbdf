#pragma once
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/torch_archive.h"

// The machine that reads a pickle: a stack, a memo, and the few opcodes and globals that tensors
// need (torch_archive.h). Every other one is refused by its name and byte; nothing is executed.
namespace mythos::pickle {

enum class Kind {
  none,
  boolean,
  integer,
  real,
  text,
  tuple,
  list,
  dict,
  rebuild_tensor,
  rebuild_parameter,
  make_dict,
  storage_type,
  storage,
  tensor,
};

using Place = uint32_t;  // of a value in the machine's list

struct Value {
  Kind kind = Kind::none;
  TorchType type = TorchType::f32;  // storage_type, storage
  int64_t number = 0;               // boolean, integer; a storage's elements; a tensor's place
  std::string_view text;
  uint64_t begin = 0;        // of a storage's bytes in the file
  std::vector<Place> items;  // tuple, list; of a dictionary keys and values in turn
};

// Interprets one pickle. Values refer to each other by their places in a list, so that those which
// hold themselves do no harm.
class Machine {
 public:
  virtual ~Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

 protected:
  // `file` names the archive in errors. Both must outlive the machine.
  Machine(const fs::path& file, std::string_view code) : file_(file), code_(code) {}

  // Runs the pickle and returns its value.
  Place run();
  // What stands for the storage that a persistent id names.
  virtual Value storage_of(const Value& id) = 0;
  // What a tensor is rebuilt to, from the arguments of _rebuild_tensor_v2.
  virtual Value rebuilt(const Value& arguments) = 0;

  [[noreturn]] void bad(uint64_t at, const std::string& what) const;
  [[noreturn]] void bad(const std::string& what) const { bad(opcode_at_, what); }
  [[noreturn]] void bad_kind(const std::string& what, Place place) const;
  // Element i of a tuple, which must be of a kind.
  const Value& argument(const Value& tuple, size_t i, Kind kind, const char* what) const;
  const Value& value(Place place) const { return values_[place]; }
  uint64_t code_bytes() const { return code_.size(); }

 private:
  std::string_view take(uint64_t size);
  template <class T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line();
  void push(Value value);
  void push(Kind kind, int64_t number = 0);
  Place pop();
  std::vector<Place> pop_marked();
  Value& top(Kind kind, const char* expected);
  void push_tuple(size_t count);
  void push_marked(Kind kind);
  // Runs one opcode; false at the end.
  bool step();
  bool step_value(unsigned char code);
  bool step_container(unsigned char code);
  [[noreturn]] void refuse(unsigned char code) const;
  void remember(uint32_t place);
  void recall(uint32_t place);
  void append(Kind kind, const char* expected, const std::vector<Place>& items);
  int64_t long_number();
  void push_global();
  void push_storage();
  void reduce();

  const fs::path& file_;
  std::string_view code_;
  uint64_t at_ = 0, opcode_at_ = 0;
  std::vector<Value> values_;
  std::vector<Place> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::map<uint32_t, Place> memo_;
};

}  // namespace mythos::pickle
