#include "base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "../scratch.h"

namespace mythos {
namespace {

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Files, ReadGivesEveryByte) {
  const Scratch scratch;
  std::string content(3'000'000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 % 251);
  write_file_atomic(scratch / "a", content);
  EXPECT_EQ(read_file(scratch / "a"), content);
  const MappedFile mapped(scratch / "a");
  EXPECT_EQ(mapped.text(), content);
}

TEST(Files, EmptyFile) {
  const Scratch scratch;
  write_file_atomic(scratch / "empty", "");
  EXPECT_EQ(read_file(scratch / "empty"), "");
  EXPECT_EQ(MappedFile(scratch / "empty").bytes().size(), 0u);
}

TEST(Files, MissingIsNamed) {
  for (const auto& body : {std::function<void()>([] { read_file("/nowhere/a"); }),
                           std::function<void()>([] { MappedFile("/nowhere/a"); }),
                           std::function<void()>([] { AtomicFile("/nowhere/a"); })}) {
    EXPECT_TRUE(contains(error_of(ErrorKind::data, body), "/nowhere/a: No such file"));
  }
}

TEST(Files, AFolderIsNotAFile) {
  const Scratch scratch;
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { read_file(scratch.path()); }), "Is a directory"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { MappedFile file(scratch.path()); }),
                       "Is a directory"));
}

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const Scratch scratch;
  {
    AtomicFile file(scratch / "a");
    file.write("half");
    EXPECT_FALSE(fs::exists(scratch / "a"));
    for (const std::string& name : names_in(scratch.path())) EXPECT_TRUE(is_unfinished(name));
  }
  EXPECT_TRUE(names_in(scratch.path()).empty());
  AtomicFile file(scratch / "a");
  file.write("who");
  file.write("le");
  EXPECT_EQ(file.size_bytes(), 5u);
  file.commit();
  EXPECT_EQ(read_file(scratch / "a"), "whole");
  EXPECT_EQ(names_in(scratch.path()), std::vector<std::string>{"a"});
}

TEST(AtomicFile, KeepsTheOldFileWhenGivenUp) {
  const Scratch scratch;
  write_file_atomic(scratch / "a", "old");
  {
    AtomicFile file(scratch / "a");
    file.write(std::string(3'000'000, 'x'));
  }
  EXPECT_EQ(read_file(scratch / "a"), "old");
}

TEST(AtomicFile, FullDiskKeepsTheOldFile) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const Scratch scratch;
  write_file_atomic(scratch / "a", "old");
  const std::string message = error_of(ErrorKind::resources, [&] {
    AtomicFile file(scratch / "a");
    // The unfinished file's place is taken by a device that is always full.
    const std::string name = names_in(scratch.path()).at(0);
    const int full = open("/dev/full", O_WRONLY);
    for (int fd = 3; fd < 64; ++fd) {
      char link[4096] = {};
      const ssize_t got =
          readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), link, sizeof link - 1);
      if (got > 0 && fs::path(link).filename() == name) dup2(full, fd);
    }
    close(full);
    file.write("new");
    file.commit();
  });
  EXPECT_TRUE(contains(message, "No space left on device")) << message;
  EXPECT_TRUE(contains(message, "Free some space")) << message;
  EXPECT_EQ(read_file(scratch / "a"), "old");
  EXPECT_EQ(names_in(scratch.path()), std::vector<std::string>{"a"});
}

TEST(AtomicDirectory, AppearsWholeOrNotAtAll) {
  const Scratch scratch;
  {
    AtomicDirectory directory(scratch / "d");
    write_file_atomic(directory.path() / "x", "1");
    EXPECT_FALSE(fs::exists(scratch / "d"));
    EXPECT_TRUE(is_unfinished(directory.path()));
  }
  EXPECT_TRUE(names_in(scratch.path()).empty());
  AtomicDirectory directory(scratch / "d");
  write_file_atomic(directory.path() / "x", "1");
  directory.commit();
  EXPECT_EQ(read_file(scratch / "d/x"), "1");
}

TEST(AtomicDirectory, ReplacesAnOldOne) {
  const Scratch scratch;
  fs::create_directory(scratch / "d");
  write_file_atomic(scratch / "d/old", "1");
  AtomicDirectory directory((scratch / "d").string() + "/");
  write_file_atomic(directory.path() / "new", "2");
  EXPECT_TRUE(fs::exists(scratch / "d/old"));
  directory.commit();
  EXPECT_EQ(names_in(scratch / "d"), std::vector<std::string>{"new"});
  EXPECT_EQ(names_in(scratch.path()), std::vector<std::string>{"d"});
}

TEST(AtomicDirectory, MakesTheParents) {
  const Scratch scratch;
  AtomicDirectory directory(scratch / "a/b/c");
  directory.commit();
  EXPECT_TRUE(fs::is_directory(scratch / "a/b/c"));
}

TEST(FileLabels, KeepFoldersOnlyWhereNamesAreTheSame) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(file_labels({"a/x.model", "y.model"}), (Names{"x.model", "y.model"}));
  EXPECT_EQ(file_labels({"a/x.model", "b/x.model"}), (Names{"a/x.model", "b/x.model"}));
}

TEST(Checksum, IsXxh3AndTheSameInPieces) {
  // XXH3-64 of no bytes, from the specification.
  EXPECT_EQ(checksum(""), "2d06800538d394c2");
  const std::string text(100'000, 'q');
  Checksum pieces;
  pieces.update(text.data(), 12'345);
  pieces.update(text.data() + 12'345, text.size() - 12'345);
  EXPECT_EQ(pieces.hex(), checksum(text));
  std::string other = text;
  other[5000] ^= 1;
  EXPECT_NE(checksum(other), checksum(text));
}

}  // namespace
}  // namespace mythos
