#include "../scratch.h"
#include "config/config.h"

namespace mythos {
namespace {

// Makes the folder the one with the presets, until the end of the test.
class PresetFolder {
 public:
  explicit PresetFolder(const fs::path& folder) { setenv("MYTHOS_PRESETS", folder.c_str(), 1); }
  ~PresetFolder() { unsetenv("MYTHOS_PRESETS"); }
};

TEST(Extends, LaysAFileOverAnother) {
  const Scratch scratch;
  fs::create_directory(scratch / "sub");
  write_file_atomic(scratch / "base.toml", "[model]\ndim = 64\nvocab_size = 99\n");
  write_file_atomic(scratch / "sub/mine.toml",
                    "extends = \"../base.toml\"\n[model]\ndim = 32\n[train]\nlr = 0.5\n");
  const Config config = load_config_file(scratch / "sub/mine.toml");
  EXPECT_EQ(config.model.dim, 32);
  EXPECT_EQ(config.model.vocab_size, 99);
  EXPECT_EQ(config.train.lr, 0.5);
}

TEST(Extends, ListIsLaidInOrder) {
  const Scratch scratch;
  write_file_atomic(scratch / "a.toml", "[model]\ndim = 64\nvocab_size = 99\n");
  write_file_atomic(scratch / "b.toml", "[model]\ndim = 128\n");
  write_file_atomic(scratch / "c.toml", "extends = [\"a.toml\", \"b.toml\"]\n");
  const Config config = load_config_file(scratch / "c.toml");
  EXPECT_EQ(config.model.dim, 128);
  EXPECT_EQ(config.model.vocab_size, 99);
}

TEST(Extends, TheSameBaseTwiceIsNoCircle) {
  const Scratch scratch;
  write_file_atomic(scratch / "base.toml", "[model]\nvocab_size = 99\n");
  write_file_atomic(scratch / "a.toml", "extends = \"base.toml\"\n[model]\ndim = 64\n");
  write_file_atomic(scratch / "b.toml", "extends = [\"a.toml\", \"base.toml\"]\n");
  EXPECT_EQ(load_config_file(scratch / "b.toml").model.dim, 64);
}

TEST(Extends, APresetByName) {
  const Scratch scratch;
  write_file_atomic(scratch / "small.toml", "# Small\n[model]\ndim = 64\n");
  const PresetFolder folder(scratch.path());
  EXPECT_EQ(parse_config("extends = \"small\"\n", "x.toml").model.dim, 64);
  const std::string message =
      error_of(ErrorKind::usage, [] { parse_config("\nextends = \"smal\"\n", "x.toml"); });
  EXPECT_TRUE(contains(message, "x.toml:2: extends = \"smal\": there is no such preset."));
  EXPECT_TRUE(contains(message, "Did you mean 'small'?")) << message;
}

TEST(Extends, CircleIsNamed) {
  const Scratch scratch;
  write_file_atomic(scratch / "a.toml", "extends = \"b.toml\"\n");
  write_file_atomic(scratch / "b.toml", "extends = \"a.toml\"\n");
  const std::string message =
      error_of(ErrorKind::usage, [&] { load_config_file(scratch / "a.toml"); });
  EXPECT_TRUE(contains(message, "b.toml:1: extends = \"a.toml\"")) << message;
  EXPECT_TRUE(contains(message, "circle")) << message;
}

TEST(Extends, ErrorOfABaseNamesTheBase) {
  const Scratch scratch;
  write_file_atomic(scratch / "base.toml", "[model]\ndimm = 64\n");
  write_file_atomic(scratch / "mine.toml", "extends = \"base.toml\"\n");
  const std::string message =
      error_of(ErrorKind::usage, [&] { load_config_file(scratch / "mine.toml"); });
  EXPECT_TRUE(contains(message, "base.toml:2: unknown key 'model.dimm'")) << message;
}

TEST(Extends, MissingFileAndWrongType) {
  const Scratch scratch;
  write_file_atomic(scratch / "mine.toml", "extends = \"none.toml\"\n");
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { load_config_file(scratch / "mine.toml"); }),
                       "none.toml"));
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [] { parse_config("extends = 3\n", "x.toml"); }),
                       "x.toml:1: extends: expected the name of a preset"));
}

TEST(Extends, ABaseMayBeIncompleteByItself) {
  const Scratch scratch;
  write_file_atomic(scratch / "base.toml", "[train]\nseq_len = 2048\n");
  write_file_atomic(scratch / "mine.toml",
                    "extends = \"base.toml\"\n[model]\nmax_seq_len = 2048\n");
  EXPECT_EQ(load_config_file(scratch / "mine.toml").train.seq_len, 2048);
}

TEST(ConfigFile, MissingIsAUsageError) {
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [] { load_config_file("/nowhere/x.toml"); }),
                       "no configuration file /nowhere/x.toml"));
}

}  // namespace
}  // namespace mythos
