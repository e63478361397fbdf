#include "base/pointer_file.h"

#include "../scratch.h"

namespace mythos {
namespace {

TEST(PointerFile, IsCalledWhatItIs) {
  const auto message = [](std::string_view content) {
    return error_of(ErrorKind::data, [&] { refuse_pointer("a/b", content); });
  };
  EXPECT_EQ(message("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
            "a/b: a Git LFS pointer, which stands for a file that was not fetched.\n"
            "Run git lfs pull");
  EXPECT_TRUE(contains(message("# xet version 0\n"), "a Xet pointer"));
  EXPECT_TRUE(contains(message("/annex/objects/SHA256E-s1\n"), "a git-annex pointer"));
}

TEST(PointerFile, OtherFilesPass) {
  for (const char* content :
       {"", "version https://git-lfs", "{}", "version 1", "\n# xet version 0"}) {
    EXPECT_FALSE(pointer_file(content)) << content;
    refuse_pointer("a/b", content);
  }
}

}  // namespace
}  // namespace mythos
