#include "base/format.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <limits>

namespace mythos {
namespace {

TEST(Format, Integers) {
  EXPECT_EQ(strprintf("%d %d", 3, -4), "3 -4");
  EXPECT_EQ(strprintf("%d", std::numeric_limits<int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(strprintf("%d %u", UINT64_MAX, UINT64_MAX),
            "18446744073709551615 18446744073709551615");
  EXPECT_EQ(strprintf("%u", -1), "-1");
  EXPECT_EQ(strprintf("%d %d %d", uint8_t{200}, int8_t{-5}, uint16_t{65535}), "200 -5 65535");
  EXPECT_EQ(strprintf("[%5d|%-5d|%05d|%+d]", 42, 42, 42, 42), "[   42|42   |00042|+42]");
  EXPECT_EQ(strprintf("%x %02X %#x %06o %016x", 255, 10, 255u, 8, uint64_t{1} << 60),
            "ff 0A 0xff 000010 1000000000000000");
}

TEST(Format, Reals) {
  EXPECT_EQ(strprintf("%g %g %f", 0.5, 1e30, 1.0), "0.5 1e+30 1.000000");
  EXPECT_EQ(strprintf("%.3f %.0f %.1e %.9g", 3.14159, 2.6, 12345.0, 0.1f),
            "3.142 3 1.2e+04 0.100000001");
  EXPECT_EQ(strprintf("[%8.4f|%-6.1f|%+.2e]", 2.5, 2.5, 2.5), "[  2.5000|2.5   |+2.50e+00]");
  EXPECT_EQ(strprintf("%f", 1e300).size(), 308u);
}

TEST(Format, Texts) {
  const std::string string = "string";
  const char* const none = nullptr;
  EXPECT_EQ(strprintf("%s, %s, %s", string, std::string_view("string_view").substr(7), "array"),
            "string, view, array");
  EXPECT_EQ(strprintf("%s", std::filesystem::path("/a/b")), "/a/b");
  EXPECT_EQ(strprintf("%s %s %s", true, false, 'c'), "true false c");
  EXPECT_EQ(strprintf("%s", none), "(null)");
  EXPECT_EQ(strprintf("[%5s|%-5s|%2s|%.2s]", "abc", "abc", "abc", "abc"), "[  abc|abc  |abc|ab]");
  EXPECT_EQ(strprintf("%s", std::string(5000, 'a')), std::string(5000, 'a'));
  EXPECT_EQ(strprintf("%s|", std::string("a\0b", 3)), std::string("a\0b|", 4));
}

TEST(Format, WidthsAndPrecisionsAsArguments) {
  EXPECT_EQ(strprintf("[%*d|%-*s|%*.4f|%.*f]", 4, 7, size_t{3}, "a", 8, 0.5, 1, 0.25),
            "[   7|a  |  0.5000|0.2]");
}

TEST(Format, TextAroundConversions) {
  EXPECT_EQ(strprintf(""), "");
  EXPECT_EQ(strprintf("100%%"), "100%");
  EXPECT_EQ(strprintf("%d%%%s.", 5, "%d"), "5%%d.");
}

template <class... Args>
std::string fault(const char* format, const Args&...) {
  const FormatKind kinds[] = {format_kind<Args>..., FormatKind::none};
  const char* const found = format_fault(format, kinds, sizeof...(Args));
  return found ? found : "";
}

TEST(Format, FaultsAreFound) {
  EXPECT_EQ(fault("%d %s %g %%", 1, "a", 1.0), "");
  const std::string other = "an argument of another type than its conversion";
  EXPECT_EQ(fault("%d", 1.0), other);
  EXPECT_EQ(fault("%d", "1"), other);
  EXPECT_EQ(fault("%d", true), other);
  EXPECT_EQ(fault("%x", 'c'), other);
  EXPECT_EQ(fault("%g", 1), other);
  EXPECT_EQ(fault("%s", 1), other);
  EXPECT_EQ(fault("%s", FormatKind::text), other);
  EXPECT_EQ(fault("%d %d", 1), "an argument is missing");
  EXPECT_EQ(fault("%d", 1, 2), "more arguments than conversions");
  EXPECT_EQ(fault("", 1), "more arguments than conversions");
  EXPECT_EQ(fault("%*d", "a", 1), "no integer for a '*'");
  EXPECT_EQ(fault("%.*f", 1.0), "no integer for a '*'");
  for (const char* unknown : {"%", "%5", "%n", "%p", "%i", "% y", "%zu", "%lld"}) {
    EXPECT_EQ(fault(unknown, 1), "an unknown conversion") << unknown;
  }
}

}  // namespace
}  // namespace mythos
