#include "base/output_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "../scratch.h"

namespace mythos {
namespace {

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// "there" of one folder is what "link", "links/link" and "absolute" of another one lead to.
class Links : public testing::Test {
 protected:
  Links() {
    fs::create_directories(scratch_ / "far");
    fs::create_directories(scratch_ / "links");
    fs::create_symlink("../far/there", scratch_ / "links/first");
    fs::create_symlink("links/first", scratch_ / "link");
    fs::create_symlink(scratch_ / "far/there", scratch_ / "absolute");
  }
  void expect_links() const {
    for (const char* name : {"link", "links/first", "absolute"})
      EXPECT_TRUE(fs::is_symlink(scratch_ / name)) << name;
    EXPECT_EQ(names_in(scratch_ / "far"), std::vector<std::string>{"there"});
    EXPECT_EQ(names_in(scratch_.path()),
              (std::vector<std::string>{"absolute", "far", "link", "links"}));
  }
  Scratch scratch_;
};

TEST_F(Links, AFileIsReplacedBehindThem) {
  // The first one leads to a free name.
  for (const char* name : {"link", "links/first", "absolute"}) {
    check_output(scratch_ / name, OutputKind::file);
    write_file_atomic(scratch_ / name, name);
    EXPECT_EQ(read_file(scratch_ / "far/there"), name);
    expect_links();
  }
}

TEST_F(Links, ADirectoryIsReplacedBehindThem) {
  for (const char* name : {"link", "links/first/", "absolute"}) {
    check_output(scratch_ / name, OutputKind::directory);
    AtomicDirectory directory(scratch_ / name);
    write_file_atomic(directory.path() / "name", name);
    directory.commit();
    EXPECT_EQ(names_in(scratch_ / "far/there"), std::vector<std::string>{"name"});
    EXPECT_EQ(read_file(scratch_ / "far/there/name"), name);
    expect_links();
  }
}

TEST_F(Links, ThatLeadInACircleAreRefused) {
  fs::create_symlink("b", scratch_ / "a");
  fs::create_symlink("a", scratch_ / "b");
  for (const OutputKind kind : {OutputKind::file, OutputKind::directory, OutputKind::contents}) {
    EXPECT_TRUE(
        contains(error_of(ErrorKind::usage, [&] { check_output(scratch_ / "a", kind); }), "/a: "));
  }
}

TEST_F(Links, ToAnotherFileSystem) {
  struct stat here = {}, there = {};
  if (stat("/dev/shm", &there) != 0 || access("/dev/shm", W_OK) != 0 ||
      stat(scratch_.path().c_str(), &here) != 0 || here.st_dev == there.st_dev) {
    GTEST_SKIP() << "/dev/shm is no other file system here";
  }
  std::string name = "/dev/shm/mythos-test-XXXXXX";
  const fs::path folder = mkdtemp(name.data());
  fs::create_symlink(folder / "file", scratch_ / "file");
  fs::create_symlink(folder / "directory", scratch_ / "directory");
  for (int i = 0; i < 2; ++i) {
    write_file_atomic(scratch_ / "file", "text");
    AtomicDirectory directory(scratch_ / "directory");
    write_file_atomic(directory.path() / "x", "1");
    directory.commit();
    EXPECT_EQ(names_in(folder), (std::vector<std::string>{"directory", "file"}));
  }
  fs::remove_all(folder);
}

TEST(CheckOutput, TakesWhatCanBeWritten) {
  const Scratch scratch;
  write_file_atomic(scratch / "file", "");
  fs::create_directory(scratch / "directory");
  check_output(scratch / "new", OutputKind::file);
  check_output(scratch / "file", OutputKind::file);
  for (const OutputKind kind : {OutputKind::directory, OutputKind::contents}) {
    check_output(scratch / "new", kind);
    check_output(scratch / "new/", kind);
    check_output(scratch / "directory", kind);
    check_output(scratch / "parents/that/are/made", kind);
  }
  check_output(scratch / std::string(255, 'n'), OutputKind::file);
  check_output("/dev/null", OutputKind::file);
  EXPECT_EQ(names_in(scratch.path()), (std::vector<std::string>{"directory", "file"}));
}

TEST(CheckOutput, SaysWhatIsInTheWay) {
  const Scratch scratch;
  write_file_atomic(scratch / "file", "");
  fs::create_directory(scratch / "directory");
  const auto refused = [&](ErrorKind error, const fs::path& name, OutputKind kind,
                           const std::string& part) {
    const std::string message = error_of(error, [&] { check_output(name, kind); });
    EXPECT_TRUE(contains(message, part)) << message;
  };
  using enum OutputKind;
  refused(ErrorKind::usage, scratch / "directory", file, "directory is a directory; name a file");
  refused(ErrorKind::usage, scratch / "new/", file, "names a directory");
  refused(ErrorKind::data, scratch / "no/such/file", file, "no/such: no such directory");
  refused(ErrorKind::usage, "", file, "empty");
  for (const OutputKind kind : {directory, contents}) {
    refused(ErrorKind::usage, scratch / "file", kind, "file is not a directory");
    refused(ErrorKind::usage, "/dev/null", kind, "/dev/null is not a directory");
    refused(ErrorKind::data, scratch / "file/below", kind, "Not a directory");
    refused(ErrorKind::usage, scratch / std::string(256, 'n'), kind, "File name too long");
    refused(ErrorKind::usage, "", kind, "empty");
  }
  refused(ErrorKind::usage, scratch / std::string(256, 'n'), file, "File name too long");
  refused(ErrorKind::usage, ".", directory, "by its name");
  refused(ErrorKind::usage, "/proc", directory, "mount point");
}

TEST(CheckOutput, WhereNothingCanBeMade) {
  // In /proc nobody can make files.
  for (const OutputKind kind : {OutputKind::file, OutputKind::directory, OutputKind::contents}) {
    EXPECT_EQ(error_of(ErrorKind::resources, [&] { check_output("/proc/new", kind); }),
              "cannot write /proc/new: /proc takes no new files.");
  }
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const Scratch scratch;
  fs::create_directory(scratch / "closed");
  fs::permissions(scratch / "closed", fs::perms::owner_read | fs::perms::owner_exec);
  for (const OutputKind kind : {OutputKind::file, OutputKind::directory, OutputKind::contents}) {
    EXPECT_TRUE(contains(
        error_of(ErrorKind::resources, [&] { check_output(scratch / "closed/new", kind); }),
        "closed/new: Permission denied"));
  }
}

TEST(AtomicFile, ANameOfTheGreatestLength) {
  const Scratch scratch;
  const std::string name(255, 'n'), other = std::string(254, 'n') + "m";
  {
    AtomicFile a(scratch / name), b(scratch / other);
    a.write("a");
    b.write("b");
    for (const std::string& found : names_in(scratch.path())) EXPECT_TRUE(is_unfinished(found));
    a.commit();
    b.commit();
  }
  EXPECT_EQ(read_file(scratch / name) + read_file(scratch / other), "ab");
}

TEST(AtomicFile, APipeIsWrittenInto) {
  const Scratch scratch;
  ASSERT_EQ(mkfifo((scratch / "pipe").c_str(), 0666), 0);
  fs::create_symlink("pipe", scratch / "link");
  for (const char* name : {"pipe", "link"}) {
    check_output(scratch / name, OutputKind::file);
    std::string read;
    std::thread reader([&] { read = read_file(scratch / "pipe"); });
    write_file_atomic(scratch / name, "through the pipe");
    reader.join();
    EXPECT_EQ(read, "through the pipe");
    EXPECT_TRUE(fs::is_fifo(scratch / "pipe"));
  }
}

// A device of its own: were this broken, root would lose /dev/null to a file.
TEST(AtomicFile, ADeviceStaysADevice) {
  const Scratch scratch;
  const fs::path device = scratch / "null";
  if (mknod(device.c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0 ||
      access(device.c_str(), W_OK) != 0 || close(open(device.c_str(), O_WRONLY)) != 0) {
    GTEST_SKIP() << "no device can be made here";
  }
  check_output(device, OutputKind::file);
  write_file_atomic(device, "text");
  EXPECT_TRUE(fs::is_character_file(device));
  EXPECT_EQ(names_in(scratch.path()), std::vector<std::string>{"null"});
}

// As /dev/stdout is, when the shell has opened a file for it.
TEST(AtomicFile, ADescriptorGoesOnWhereItIs) {
  const Scratch scratch;
  const int fd = open((scratch / "out").c_str(), O_WRONLY | O_CREAT, 0666);
  ASSERT_GE(fd, 0);
  const std::string name = "/dev/fd/" + std::to_string(fd);
  check_output(name, OutputKind::file);
  EXPECT_TRUE(is_stream(name));
  ASSERT_EQ(write(fd, "before ", 7), 7);
  write_file_atomic(name, "between");
  ASSERT_EQ(write(fd, " after", 6), 6);
  close(fd);
  EXPECT_EQ(read_file(scratch / "out"), "before between after");
}

}  // namespace
}  // namespace mythos
