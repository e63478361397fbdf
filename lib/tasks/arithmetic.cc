#include <algorithm>

#include "tasks/generators.h"

namespace mythos {
namespace {

std::string random_number(int64_t digits, Rng& rng) {
  std::string number;
  for (int64_t i = 0; i < digits; ++i) {
    number += static_cast<char>(i == 0 && digits > 1 ? '1' + rng.below(9) : '0' + rng.below(10));
  }
  return number;
}

// The sum of decimal numbers of one length, its digits from the lowest.
std::string reversed_sum(const std::vector<std::string>& numbers) {
  std::string sum;
  uint64_t carry = 0;
  for (size_t place = numbers[0].size(); place > 0; --place) {
    for (const std::string& number : numbers) {
      carry += static_cast<uint64_t>(number[place - 1] - '0');
    }
    sum += static_cast<char>('0' + carry % 10);
    carry /= 10;
  }
  for (; carry > 0; carry /= 10) sum += static_cast<char>('0' + carry % 10);
  return sum;
}

}  // namespace

TaskRow make_addition(const TaskOptions& options, int64_t digits, Rng& rng) {
  TaskRow row;
  std::vector<std::string> numbers;
  for (int64_t i = 0; i < options.operands; ++i) {
    numbers.push_back(random_number(digits, rng));
    row.prompt += (i > 0 ? "+" : "") + numbers.back();
  }
  row.prompt += '=';
  row.completion = reversed_sum(numbers);
  if (!options.reversed) std::ranges::reverse(row.completion);
  return row;
}

TaskRow make_modular(const TaskOptions& options, int64_t operations, Rng& rng) {
  const auto modulus = static_cast<uint64_t>(options.modulus);
  TaskRow row;
  uint64_t value = rng.below(modulus);
  row.prompt = std::to_string(value);
  for (int64_t i = 0; i < operations; ++i) {
    const char sign = "+-*"[rng.below(3)];
    // Multiplying by 0 would end the chain's dependence on what came before.
    const uint64_t operand = sign == '*' ? 1 + rng.below(modulus - 1) : rng.below(modulus);
    row.prompt += sign + std::to_string(operand);
    value = (sign == '+'   ? value + operand
             : sign == '-' ? value + modulus - operand
                           : value * operand) %
            modulus;
  }
  row.prompt += '=';
  row.completion = std::to_string(value);
  return row;
}

TaskRow make_parity(int64_t bits, Rng& rng) {
  TaskRow row;
  uint64_t ones = 0;
  for (int64_t i = 0; i < bits; ++i) {
    const uint64_t bit = rng.below(2);
    ones += bit;
    row.prompt += bit ? '1' : '0';
  }
  row.prompt += '=';
  row.completion = ones % 2 ? "1" : "0";
  return row;
}

}  // namespace mythos
