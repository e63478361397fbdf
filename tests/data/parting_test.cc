#include "data/shards/parting.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;

std::string tail_of(std::string_view text, uint64_t bytes) {
  const auto place = cut_place(text, bytes);
  return place ? std::string(text.substr(*place)) : "(none)";
}

TEST(CutPlace, BehindTheNearestLine) {
  std::string lines;
  for (int i = 1000; i < 2000; ++i) lines += "the line number " + std::to_string(i) + ".\n";
  ASSERT_EQ(lines.size(), 22'000u);
  EXPECT_EQ(cut_place(lines, 1100), 22'000u - 1100);
  EXPECT_EQ(cut_place(lines, 1090), 22'000u - 1100);
  EXPECT_EQ(cut_place(lines, 1088), 22'000u - 1078);
  EXPECT_EQ(cut_place(lines, 1), 22'000u - 22) << "a line is the least";
  // Nearly all of the text, and more than there is.
  EXPECT_EQ(cut_place(lines, 21'990), 22u);
  EXPECT_EQ(cut_place(lines, 100'000), 22u);
}

TEST(CutPlace, OfAShortText) {
  EXPECT_EQ(tail_of("a\nb\nc\n", 1), "c\n");
  EXPECT_EQ(tail_of("a\r\nb\r\nc\r\nd", 1), "d");
  EXPECT_EQ(tail_of("a\nb", 1), "b");
  EXPECT_EQ(tail_of("one line\n", 1), "(none)");
  EXPECT_EQ(tail_of("one line", 4), "(none)");
  EXPECT_EQ(tail_of("title\nand a line that is all of the text\n", 3), "(none)")
      << "the tail would be most of the text";
  EXPECT_EQ(tail_of("", 1), "(none)");
  EXPECT_EQ(tail_of("\n", 1), "(none)");
}

TEST(CutPlace, ALineTooLongIsCutAtWhiteSpace) {
  std::string words;
  for (int i = 0; i < 10'000; ++i) words += "kettle ";
  EXPECT_EQ(cut_place(words, 7000), 63'000u);
  EXPECT_EQ(cut_place(words, 6997), 63'000u);
  EXPECT_EQ(cut_place("title\n" + words, 7000), 63'006u) << "the title is too far away";
  EXPECT_EQ(cut_place(words + "\n" + std::string(4000, 'x'), 3000), 70'001u)
      << "a line is preferred as long as the tail is no longer than twice";
}

TEST(CutPlace, ATextWithoutSpaceIsCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "\xE6\x96\x87";
  EXPECT_EQ(cut_place(text, 3000), 27'000u);
  for (const uint64_t bytes : {2999, 3001}) EXPECT_EQ(*cut_place(text, bytes) % 3, 0u);
  EXPECT_EQ(cut_place(std::string(30'000, '\x80'), 3000), 27'000u) << "no character begins here";
}

// Its split is what it begins with: "t" or "v".
struct Document {
  explicit Document(std::string text_)
      : text(std::move(text_)), split(text.front() == 'v' ? Split::val : Split::train) {}
  std::string text;
  Split split;
  Document cut(size_t place) {
    Document rest = *this;
    rest.text.erase(0, place);
    text.resize(place);
    return rest;
  }
};

struct Parted {
  std::string train, val;
  Tail tail;
};

Parted part(double val_fraction, const std::vector<std::string>& texts) {
  Parting<Document> parting(val_fraction, {});
  std::vector<Document> out;
  for (const std::string& text : texts) {
    if (parting.decided())
      out.emplace_back(text);
    else
      parting.add(Document(text), out);
  }
  Parted parted;
  parted.tail = parting.finish(out);
  for (const Document& document : out)
    (document.split == Split::train ? parted.train : parted.val) += document.text + "|";
  return parted;
}

TEST(Parting, ByTheHashWhereBothSplitsGetDocuments) {
  const Parted parted = part(0.5, {"t1", "t2", "v1", "t3", "v2"});
  EXPECT_EQ(parted.train, "t1|t2|t3|");
  EXPECT_EQ(parted.val, "v1|v2|");
  EXPECT_EQ(parted.tail.text_bytes, 0u);
}

TEST(Parting, OneDocumentGivesItsTail) {
  for (const char* first : {"t", "v"}) {
    const std::string text = first + std::string("1\nb\nc\nd\n");
    Parted parted = part(0.25, {text});
    EXPECT_EQ(parted.train, text.substr(0, 7) + "|");
    EXPECT_EQ(parted.val, "d\n|");
    EXPECT_EQ(parted.tail.text_bytes, 2u);
    EXPECT_TRUE(parted.tail.of_one_document);
    parted = part(0.25, {text.substr(0, 2)});
    EXPECT_EQ(parted.train, text.substr(0, 2) + "|") << "too short";
    EXPECT_EQ(parted.val, "");
  }
  EXPECT_EQ(part(0, {"t1\nb\n"}).val, "") << "none is wanted";
}

TEST(Parting, TheTailOfDocumentsOfOneSplit) {
  const std::string ten = "t23456789\n";
  // Whole documents where they fit.
  EXPECT_EQ(part(0.2, std::vector<std::string>(10, ten)).val, ten + "|" + ten + "|");
  EXPECT_EQ(part(0.1, std::vector<std::string>(10, ten)).val, ten + "|");
  // At least one.
  EXPECT_EQ(part(0.001, std::vector<std::string>(10, ten)).val, ten + "|");
  // A tail that ends inside a document.
  const std::string lines = "t1\nb\nc\nd\n";
  const Parted parted = part(0.1, {lines, lines});
  EXPECT_EQ(parted.train, lines + "|" + lines.substr(0, 7) + "|");
  EXPECT_EQ(parted.val, "d\n|");
  EXPECT_EQ(parted.tail.split, Split::val);
  EXPECT_FALSE(parted.tail.of_one_document);
}

TEST(Parting, DocumentsThatAllFellIntoValidation) {
  const Parted two = part(0.5, {"v1 of one line", "v2 of one line"});
  EXPECT_EQ(two.val, "v1 of one line|");
  EXPECT_EQ(two.train, "v2 of one line|");
  EXPECT_EQ(two.tail.split, Split::train);
  const Parted three = part(0.999, {"v1", "v2", "v3"});
  EXPECT_EQ(three.val, "v1|v2|");
  EXPECT_EQ(three.train, "v3|");
}

// Starting anew behind the documents that went out gives the same rest: what a build that was
// stopped relies on.
TEST(Parting, GoesOnWhereItStopped) {
  Rng rng(7);
  for (int trial = 0; trial < 200; ++trial) {
    const double fraction = 0.05 + 0.4 * static_cast<double>(rng.below(3));
    std::vector<std::string> texts;
    for (uint64_t i = 0, count = 2 + rng.below(30); i < count; ++i) {
      std::string text = trial % 2 ? "t" : "v";
      for (uint64_t line = 0, lines = 1 + rng.below(20); line < lines; ++line)
        text += std::string(rng.below(30), 'x') + "\n";
      texts.push_back(std::move(text));
    }
    const Parted whole = part(fraction, texts);
    EXPECT_FALSE(whole.train.empty() || whole.val.empty());
    // Stops behind `given` documents of those that went out up to then.
    Parting<Document> first(fraction, {});
    std::vector<Document> out;
    const size_t read = 1 + rng.below(texts.size());
    for (size_t i = 0; i < read; ++i) first.add(Document(texts[i]), out);
    const size_t given = out.empty() ? 0 : rng.below(out.size() + 1);
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(given), out.end());
    Parting<Document>::Given state;
    for (const Document& document : out) {
      (document.split == Split::train ? state.train : state.val) = true;
      state.text_bytes += document.text.size();
    }
    Parting<Document> second(fraction, state);
    for (size_t i = given; i < texts.size(); ++i) second.add(Document(texts[i]), out);
    EXPECT_EQ(second.finish(out).text_bytes, whole.tail.text_bytes);
    Parted again;
    for (const Document& document : out)
      (document.split == Split::train ? again.train : again.val) += document.text + "|";
    EXPECT_EQ(again.train, whole.train);
    EXPECT_EQ(again.val, whole.val);
  }
}

}  // namespace
}  // namespace mythos
