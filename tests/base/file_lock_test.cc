#include "base/file_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../scratch.h"

namespace mythos {
namespace {

using Outcome = FileLock::Outcome;

TEST(FileLock, HasOneOwner) {
  const Scratch scratch;
  const fs::path path = scratch / "lock";
  FileLock first, second;
  EXPECT_EQ(first.owner(path), Outcome::locked);
  EXPECT_EQ(second.owner(path), Outcome::held);
  const std::string owner = FileLock::owner_of(path);
  EXPECT_TRUE(owner.starts_with("process " + std::to_string(getpid()) + " on ")) << owner;
  first.release();
  EXPECT_EQ(second.owner(path), Outcome::locked);
}

TEST(FileLock, ReadersShareAndKeepTheOwnerOut) {
  const Scratch scratch;
  const fs::path path = scratch / "file";
  FileLock a, b, c;
  EXPECT_EQ(a.shared(path), Outcome::gone);
  EXPECT_FALSE(fs::exists(path));
  write_file_atomic(path, "text");
  EXPECT_EQ(a.shared(path), Outcome::locked);
  EXPECT_EQ(b.shared(path), Outcome::locked);
  EXPECT_EQ(c.exclusive(path), Outcome::held);
  a.release();
  b = FileLock();
  EXPECT_EQ(c.exclusive(path), Outcome::locked);
  EXPECT_EQ(read_file(path), "text");
  EXPECT_EQ(FileLock::owner_of(path), "another process");
}

TEST(FileLock, ADeadOwnerDoesNotKeepIt) {
  const Scratch scratch;
  const fs::path path = scratch / "lock";
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    FileLock lock;
    const char held = lock.owner(path) == Outcome::locked ? 'y' : 'n';
    if (write(ready[1], &held, 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char held = 0;
  ASSERT_EQ(read(ready[0], &held, 1), 1);
  EXPECT_EQ(held, 'y');
  FileLock lock;
  EXPECT_EQ(lock.owner(path), Outcome::held);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(lock.owner(path), Outcome::locked);
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace mythos
