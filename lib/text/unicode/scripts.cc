#include "text/unicode/scripts.h"

#include <algorithm>
#include <iterator>

namespace mythos {
namespace {

constexpr std::string_view kNames[kScripts] = {
    "Latin",       "Greek", "Cyrillic",    "Hebrew", "Arabic",       "Devanagari",
    "Indic",       "Thai",  "Han",         "Kana",   "Hangul",       "Digits",
    "Punctuation", "Emoji", "White space", "Other",  "Invalid UTF-8"};

struct Range {
  char32_t first, last;
  Script script;
};

// Blocks of Unicode 15 in order and without overlap; code points between them are `other`.
constexpr Range kRanges[] = {
    {0x09, 0x0D, Script::whitespace},      {0x20, 0x20, Script::whitespace},
    {0x21, 0x2F, Script::punctuation},     {0x30, 0x39, Script::digits},
    {0x3A, 0x40, Script::punctuation},     {0x41, 0x5A, Script::latin},
    {0x5B, 0x60, Script::punctuation},     {0x61, 0x7A, Script::latin},
    {0x7B, 0x7E, Script::punctuation},     {0x85, 0x85, Script::whitespace},
    {0xA0, 0xA0, Script::whitespace},      {0xA1, 0xA9, Script::punctuation},
    {0xAA, 0xAA, Script::latin},           {0xAB, 0xB9, Script::punctuation},
    {0xBA, 0xBA, Script::latin},           {0xBB, 0xBF, Script::punctuation},
    {0xC0, 0xD6, Script::latin},           {0xD7, 0xD7, Script::punctuation},
    {0xD8, 0xF6, Script::latin},           {0xF7, 0xF7, Script::punctuation},
    {0xF8, 0x2AF, Script::latin},          {0x370, 0x3FF, Script::greek},
    {0x400, 0x52F, Script::cyrillic},      {0x590, 0x5FF, Script::hebrew},
    {0x600, 0x65F, Script::arabic},        {0x660, 0x669, Script::digits},
    {0x66A, 0x6EF, Script::arabic},        {0x6F0, 0x6F9, Script::digits},
    {0x6FA, 0x6FF, Script::arabic},        {0x750, 0x77F, Script::arabic},
    {0x870, 0x8FF, Script::arabic},        {0x900, 0x965, Script::devanagari},
    {0x966, 0x96F, Script::digits},        {0x970, 0x97F, Script::devanagari},
    {0x980, 0xDFF, Script::indic},         {0xE00, 0xE4F, Script::thai},
    {0xE50, 0xE59, Script::digits},        {0xE5A, 0xE7F, Script::thai},
    {0x1100, 0x11FF, Script::hangul},      {0x1680, 0x1680, Script::whitespace},
    {0x1C80, 0x1C8F, Script::cyrillic},    {0x1D00, 0x1DBF, Script::latin},
    {0x1E00, 0x1EFF, Script::latin},       {0x1F00, 0x1FFF, Script::greek},
    {0x2000, 0x200A, Script::whitespace},  {0x2010, 0x2027, Script::punctuation},
    {0x2028, 0x2029, Script::whitespace},  {0x202F, 0x202F, Script::whitespace},
    {0x2030, 0x205E, Script::punctuation}, {0x205F, 0x205F, Script::whitespace},
    {0x2070, 0x20CF, Script::punctuation}, {0x2100, 0x25FF, Script::punctuation},
    {0x2600, 0x27BF, Script::emoji},       {0x27C0, 0x2BFF, Script::punctuation},
    {0x2C60, 0x2C7F, Script::latin},       {0x2DE0, 0x2DFF, Script::cyrillic},
    {0x2E00, 0x2E7F, Script::punctuation}, {0x2E80, 0x2FDF, Script::han},
    {0x3000, 0x3000, Script::whitespace},  {0x3001, 0x3004, Script::punctuation},
    {0x3005, 0x3007, Script::han},         {0x3008, 0x3020, Script::punctuation},
    {0x3021, 0x3029, Script::han},         {0x3030, 0x303F, Script::punctuation},
    {0x3040, 0x30FF, Script::kana},        {0x3130, 0x318F, Script::hangul},
    {0x31F0, 0x31FF, Script::kana},        {0x3400, 0x4DBF, Script::han},
    {0x4E00, 0x9FFF, Script::han},         {0xA640, 0xA69F, Script::cyrillic},
    {0xA720, 0xA7FF, Script::latin},       {0xA8E0, 0xA8FF, Script::devanagari},
    {0xA960, 0xA97F, Script::hangul},      {0xAB30, 0xAB6F, Script::latin},
    {0xAC00, 0xD7FF, Script::hangul},      {0xF900, 0xFAFF, Script::han},
    {0xFB00, 0xFB06, Script::latin},       {0xFB1D, 0xFB4F, Script::hebrew},
    {0xFB50, 0xFDFF, Script::arabic},      {0xFE10, 0xFE1F, Script::punctuation},
    {0xFE30, 0xFE6F, Script::punctuation}, {0xFE70, 0xFEFE, Script::arabic},
    {0xFF01, 0xFF0F, Script::punctuation}, {0xFF10, 0xFF19, Script::digits},
    {0xFF1A, 0xFF20, Script::punctuation}, {0xFF21, 0xFF3A, Script::latin},
    {0xFF3B, 0xFF40, Script::punctuation}, {0xFF41, 0xFF5A, Script::latin},
    {0xFF5B, 0xFF65, Script::punctuation}, {0xFF66, 0xFF9F, Script::kana},
    {0xFFA0, 0xFFDC, Script::hangul},      {0x1F000, 0x1FAFF, Script::emoji},
    {0x20000, 0x3FFFF, Script::han},
};

Script find_script(char32_t code_point) {
  const Range* after =
      std::upper_bound(std::begin(kRanges), std::end(kRanges), code_point,
                       [](char32_t value, const Range& range) { return value < range.first; });
  if (after == std::begin(kRanges)) return Script::other;
  const Range& range = *(after - 1);
  return code_point <= range.last ? range.script : Script::other;
}

constexpr size_t kFastEnd = 0x800;  // the code points of one or two bytes are looked up

std::array<Script, kFastEnd> fast_table() {
  std::array<Script, kFastEnd> table;
  for (char32_t c = 0; c < kFastEnd; ++c) table[c] = find_script(c);
  return table;
}

}  // namespace

std::string_view script_name(Script script) {
  return kNames[static_cast<size_t>(script)];
}

Script script_of(char32_t code_point) {
  static const std::array<Script, kFastEnd> table = fast_table();
  return code_point < kFastEnd ? table[code_point] : find_script(code_point);
}

}  // namespace mythos
