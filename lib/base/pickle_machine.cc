#include "base/pickle_machine.h"

#include "base/error.h"
#include "base/strings.h"

namespace mythos::pickle {
namespace {

constexpr std::string_view kAdvice =
    "Nothing of it was run. Only dictionaries of tensors are read: save model.state_dict(), or "
    "convert with safetensors.torch.save_file";
constexpr uint64_t kMaxPickleBytes = 16 << 20;

// The opcodes of all protocols that tensors do not need, for messages: by their characters, and
// those from 0x80 on in their order.
constexpr std::string_view kLowOpcodes =
    "0 POP 1 POP_MARK 2 DUP F FLOAT I INT L LONG P PERSID S STRING T BINSTRING U SHORT_BINSTRING "
    "V UNICODE d DICT g GET i INST l LIST o OBJ p PUT B BINBYTES C SHORT_BINBYTES";
constexpr std::string_view kHighOpcodes =
    "PROTO NEWOBJ EXT1 EXT2 EXT4 TUPLE1 TUPLE2 TUPLE3 NEWTRUE NEWFALSE LONG1 LONG4 "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES8 EMPTY_SET ADDITEMS FROZENSET NEWOBJ_EX STACK_GLOBAL "
    "MEMOIZE FRAME BYTEARRAY8 NEXT_BUFFER READONLY_BUFFER";

constexpr const char* kKindNames[] = {
    "None",
    "a truth value",
    "a whole number",
    "a number",
    "a text",
    "a tuple",
    "a list",
    "a dictionary",
    "_rebuild_tensor_v2",
    "_rebuild_parameter",
    "OrderedDict",
    "a type of storage",
    "a storage",
    "a tensor",
};

struct Global {
  std::string_view module, name;
  Kind kind;
  TorchType type = TorchType::f32;
};
constexpr Global kGlobals[] = {
    {"torch._utils", "_rebuild_tensor_v2", Kind::rebuild_tensor},
    {"torch._utils", "_rebuild_parameter", Kind::rebuild_parameter},
    {"collections", "OrderedDict", Kind::make_dict},
    {"torch", "DoubleStorage", Kind::storage_type, TorchType::f64},
    {"torch", "FloatStorage", Kind::storage_type, TorchType::f32},
    {"torch", "HalfStorage", Kind::storage_type, TorchType::f16},
    {"torch", "BFloat16Storage", Kind::storage_type, TorchType::bf16},
    {"torch", "LongStorage", Kind::storage_type, TorchType::i64},
    {"torch", "IntStorage", Kind::storage_type, TorchType::i32},
    {"torch", "ShortStorage", Kind::storage_type, TorchType::i16},
    {"torch", "CharStorage", Kind::storage_type, TorchType::i8},
    {"torch", "ByteStorage", Kind::storage_type, TorchType::u8},
    {"torch", "BoolStorage", Kind::storage_type, TorchType::boolean},
    {"torch", "ComplexFloatStorage", Kind::storage_type, TorchType::c64},
    {"torch", "ComplexDoubleStorage", Kind::storage_type, TorchType::c128},
};

}  // namespace

Place Machine::run() {
  if (code_.size() > kMaxPickleBytes) {
    bad(0, strprintf("it has %u bytes, more than tensors need", code_.size()));
  }
  while (step()) {
  }
  return pop();
}

void Machine::bad(uint64_t at, const std::string& what) const {
  fail(ErrorKind::data, strprintf("%s: data.pkl, byte %u: ", file_, at) + what + ".", kAdvice);
}

void Machine::bad_kind(const std::string& what, Place place) const {
  bad(what + " " + kKindNames[static_cast<size_t>(values_[place].kind)] +
      ", which tensors do not need");
}

std::string_view Machine::take(uint64_t size) {
  if (size > code_.size() - at_) bad("the pickle ends within an opcode: truncated?");
  const std::string_view bytes = code_.substr(at_, size);
  at_ += size;
  return bytes;
}

std::string_view Machine::line() {
  const size_t end = code_.find('\n', at_);
  if (end == std::string_view::npos) bad("the pickle ends within a name: truncated?");
  const std::string_view text = take(end - at_);
  take(1);
  return text;
}

void Machine::push(Value value) {
  stack_.push_back(static_cast<Place>(values_.size()));
  values_.push_back(std::move(value));
}

void Machine::push(Kind kind, int64_t number) {
  Value value;
  value.kind = kind;
  value.number = number;
  push(std::move(value));
}

Place Machine::pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) bad("nothing is on the stack");
  const Place place = stack_.back();
  stack_.pop_back();
  return place;
}

std::vector<Place> Machine::pop_marked() {
  if (marks_.empty()) bad("no MARK is on the stack");
  const auto first = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
  std::vector<Place> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

Value& Machine::top(Kind kind, const char* expected) {
  if (stack_.empty()) bad("nothing is on the stack");
  Value& value = values_[stack_.back()];
  if (value.kind != kind)
    bad_kind(std::string("instead of ") + expected + " there is", stack_.back());
  return value;
}

void Machine::push_tuple(size_t count) {
  Value tuple;
  tuple.kind = Kind::tuple;
  tuple.items.resize(count);
  for (size_t i = count; i-- > 0;) tuple.items[i] = pop();
  push(std::move(tuple));
}

void Machine::push_marked(Kind kind) {
  Value value;
  value.kind = kind;
  value.items = pop_marked();
  push(std::move(value));
}

bool Machine::step() {
  opcode_at_ = at_;
  const auto code = number<unsigned char>();
  switch (code) {
    case 0x80:
      if (const auto protocol = number<uint8_t>(); protocol != 2) {
        bad(strprintf("protocol %u instead of 2", protocol));
      }
      return true;
    case '.':
      return false;
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case 'q':
      remember(number<uint8_t>());
      return true;
    case 'r':
      remember(number<uint32_t>());
      return true;
    case 'h':
      recall(number<uint8_t>());
      return true;
    case 'j':
      recall(number<uint32_t>());
      return true;
    default:
      if (!step_value(code) && !step_container(code)) refuse(code);
      return true;
  }
}

bool Machine::step_value(unsigned char code) {
  switch (code) {
    case 'N':
      push(Kind::none);
      return true;
    case 0x88:
    case 0x89:
      push(Kind::boolean, code == 0x88);
      return true;
    case 'J':
      push(Kind::integer, number<int32_t>());
      return true;
    case 'K':
      push(Kind::integer, number<uint8_t>());
      return true;
    case 'M':
      push(Kind::integer, number<uint16_t>());
      return true;
    case 0x8a:
      push(Kind::integer, long_number());
      return true;
    case 'G':
      take(8);
      push(Kind::real);
      return true;
    case 'X': {
      Value text;
      text.kind = Kind::text;
      text.text = take(number<uint32_t>());
      push(std::move(text));
      return true;
    }
    case 'c':
      push_global();
      return true;
    default:
      return false;
  }
}

bool Machine::step_container(unsigned char code) {
  switch (code) {
    case '}':
      push(Kind::dict);
      return true;
    case ']':
      push(Kind::list);
      return true;
    case ')':
      push_tuple(0);
      return true;
    case 0x85:
    case 0x86:
    case 0x87:
      push_tuple(code - 0x84U);
      return true;
    case 't':
      push_marked(Kind::tuple);
      return true;
    case 'a':
      append(Kind::list, "a list", {pop()});
      return true;
    case 'e':
      append(Kind::list, "a list", pop_marked());
      return true;
    case 's': {
      const Place value = pop();
      append(Kind::dict, "a dictionary", {pop(), value});
      return true;
    }
    case 'u': {
      const std::vector<Place> items = pop_marked();
      if (items.size() % 2 != 0) bad("a key without a value");
      append(Kind::dict, "a dictionary", items);
      return true;
    }
    case 'Q':
      push_storage();
      return true;
    case 'R':
      reduce();
      return true;
    case 'b':
      pop();  // attributes, such as the _metadata of a state dict
      top(Kind::dict, "a dictionary");
      return true;
    default:
      return false;
  }
}

void Machine::refuse(unsigned char code) const {
  const std::vector<std::string> low = split(kLowOpcodes, ' '), high = split(kHighOpcodes, ' ');
  std::string name = code >= 0x80 && code - 0x80U < high.size() ? high[code - 0x80U] : "";
  for (size_t i = 0; i + 1 < low.size(); i += 2) {
    if (low[i][0] == static_cast<char>(code)) name = low[i + 1];
  }
  if (!name.empty()) bad(strprintf("opcode %s is none that tensors need", name));
  bad(strprintf("0x%02x is no opcode of a pickle", static_cast<unsigned>(code)));
}

void Machine::remember(uint32_t place) {
  if (stack_.empty()) bad("nothing is on the stack");
  memo_[place] = stack_.back();
}

void Machine::recall(uint32_t place) {
  const auto found = memo_.find(place);
  if (found == memo_.end()) bad(strprintf("nothing was put at %u", place));
  stack_.push_back(found->second);
}

void Machine::append(Kind kind, const char* expected, const std::vector<Place>& items) {
  Value& to = top(kind, expected);
  to.items.insert(to.items.end(), items.begin(), items.end());
}

int64_t Machine::long_number() {
  const auto size = number<uint8_t>();
  const std::string_view bytes = take(size);
  if (size > sizeof(int64_t)) bad("a whole number of more than 64 bits");
  if (size == 0) return 0;
  uint64_t value = static_cast<signed char>(bytes.back()) < 0 ? ~uint64_t{0} : 0;
  std::memcpy(&value, bytes.data(), size);
  return static_cast<int64_t>(value);
}

void Machine::push_global() {
  const std::string_view module = line(), name = line();
  for (const Global& known : kGlobals) {
    if (known.module != module || known.name != name) continue;
    Value value;
    value.kind = known.kind;
    value.type = known.type;
    push(std::move(value));
    return;
  }
  bad("global '" + escaped(std::string(module) + "." + std::string(name)) +
      "' is none that tensors need");
}

const Value& Machine::argument(const Value& tuple, size_t i, Kind kind, const char* what) const {
  const Value& value = values_[tuple.items[i]];
  if (value.kind != kind) bad_kind(std::string(what) + " is", tuple.items[i]);
  return value;
}

void Machine::push_storage() {
  const Place id = pop();
  if (values_[id].kind != Kind::tuple) bad_kind("instead of a storage's five facts there is", id);
  push(storage_of(values_[id]));
}

void Machine::reduce() {
  const Place arguments = pop(), callable = pop();
  if (values_[arguments].kind != Kind::tuple) {
    bad_kind("instead of arguments there is", arguments);
  }
  const std::vector<Place>& items = values_[arguments].items;
  switch (values_[callable].kind) {
    case Kind::make_dict:
      if (!items.empty()) bad("an OrderedDict that is made from something");
      push(Kind::dict);
      return;
    case Kind::rebuild_tensor:
      if (items.size() < 4) bad("_rebuild_tensor_v2 has too few arguments");
      push(rebuilt(values_[arguments]));
      return;
    case Kind::rebuild_parameter:
      if (items.empty()) bad("_rebuild_parameter has no argument");
      argument(values_[arguments], 0, Kind::tensor, "a parameter");
      stack_.push_back(items[0]);
      return;
    default:
      bad_kind("what is called is", callable);
  }
}

}  // namespace mythos::pickle
