#include "data/build/build_shards.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <thread>

#include "base/log.h"
#include "base/rng.h"
#include "base/strings.h"
#include "data/build/work_folder.h"
#include "data/shards/manifest.h"
#include "data/shards/parting.h"
#include "data/shards/source_counts.h"
#include "number_tokenizer.h"
#include "plain_file.h"
#include "scratch.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;
using test::NumberTokenizer;

class BuildShards : public testing::Test {
 protected:
  BuildSummary build(const std::string& name, const std::string& text,
                     const BuildOptions& options = {}, const std::string& separator = "\n") {
    write_file_atomic(scratch_ / "input", text);
    return build_from(name, {"input"}, options, separator);
  }
  BuildSummary build_from(const std::string& name, const std::vector<std::string>& inputs,
                          const BuildOptions& options = {}, const std::string& separator = "\n") {
    ReaderOptions reader_options;
    reader_options.separator = separator;
    std::vector<std::string> paths;
    for (const std::string& input : inputs) paths.push_back((scratch_ / input).string());
    DocumentReader reader(paths, reader_options);
    return build_shards(reader, tokenizer_, scratch_ / name, options);
  }
  // Every file of a directory with its content.
  std::map<std::string, std::string> content(const std::string& name) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(scratch_ / name))
      files[entry.path().filename().string()] = read_file(entry.path());
    return files;
  }
  void kill_now_and_then(const std::string& name, const std::vector<std::string>& inputs,
                         const BuildOptions& options, int times);
  std::set<std::string> documents(const std::string& name, Split split) {
    const ShardDirectory shards(scratch_ / name);
    std::set<std::string> found;
    for (uint64_t i = 0; i < shards.documents(split); ++i) {
      const uint64_t begin = shards.document_begin(split, i);
      std::vector<uint32_t> ids(shards.document_begin(split, i + 1) - begin);
      shards.read(split, begin, ids);
      found.insert(tokenizer_.decode(ids));
    }
    return found;
  }

  Scratch scratch_;
  NumberTokenizer tokenizer_{300};
};

TEST_F(BuildShards, SplitsByHashWhateverTheOrder) {
  std::string forwards, backwards;
  for (int i = 0; i < 2000; ++i) {
    forwards += strprintf("document %d\n", i);
    backwards += strprintf("document %d\n", 1999 - i);
  }
  BuildOptions options;
  options.val_fraction = 0.1;
  const BuildSummary summary = build("a", forwards, options);
  build("b", backwards, options);
  EXPECT_EQ(summary.manifest.train.documents + summary.manifest.val.documents, 2000u);
  EXPECT_NEAR(static_cast<double>(summary.manifest.val.documents), 200, 45);
  EXPECT_EQ(documents("a", Split::val), documents("b", Split::val));
  EXPECT_EQ(documents("a", Split::train), documents("b", Split::train));
  EXPECT_EQ(ShardDirectory(scratch_ / "a").manifest().train.text_bytes +
                ShardDirectory(scratch_ / "a").manifest().val.text_bytes,
            forwards.size() - 2000);
}

TEST_F(BuildShards, TheSameInputGivesTheSameBytes) {
  build("a", "x\ny\nz\n");
  build("b", "x\ny\nz\n");
  EXPECT_EQ(read_file(scratch_ / "a" / "manifest.json"),
            read_file(scratch_ / "b" / "manifest.json"));
}

TEST_F(BuildShards, TheTailOfASingleDocumentIsForValidation) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += strprintf("line %d of a book\n", 1000 + i);
  BuildOptions options;
  options.val_fraction = 0.1;
  const ShardManifest manifest = build("a", text, options, "").manifest;
  const std::string tail = text.substr(text.size() - text.size() / 10);
  EXPECT_EQ(documents("a", Split::val), std::set<std::string>{tail});
  EXPECT_EQ(documents("a", Split::train),
            std::set<std::string>{text.substr(0, text.size() - tail.size())});
  EXPECT_EQ(manifest.val.text_bytes, tail.size());
  ASSERT_EQ(manifest.sources.size(), 1u);
  EXPECT_EQ(manifest.sources[0].documents, 2u);
  EXPECT_EQ(manifest.sources[0].text_bytes, text.size());
  options.val_fraction = 0;
  EXPECT_EQ(build("b", text, options, "").manifest.val.documents, 0u);
  EXPECT_EQ(documents("b", Split::train), std::set<std::string>{text});
  // What is too short to be cut is for training.
  options.val_fraction = 0.999;
  EXPECT_EQ(build("c", "alone", options).manifest.train.documents, 1u);
  EXPECT_EQ(build("d", "one\ntwo\nthree\n", options).manifest.train.documents, 1u);
  options.val_fraction = 0;
  EXPECT_EQ(build("e", "one\ntwo\nthree\n", options).manifest.val.documents, 0u);
}

TEST_F(BuildShards, EmptyDocumentsAreLeftOut) {
  const BuildSummary summary = build("a", "\n\nx\n\n");
  EXPECT_EQ(summary.empty_documents, 3u);
  EXPECT_EQ(summary.manifest.train.documents, 1u);
}

TEST_F(BuildShards, AnInputWithoutTextLeavesNothing) {
  for (const std::string text : {"", "\n\n\n"}) {
    EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { build("a", text); }), "no text"));
    fs::remove(scratch_ / "input");
    EXPECT_TRUE(fs::is_empty(scratch_.path()));
  }
}

// Many small documents, some empty, and a few that fill several batches.
std::string varied_text(uint64_t seed, int documents) {
  Rng rng(seed);
  std::string text;
  for (int i = 0; i < documents; ++i) {
    const uint64_t size = i % 500 == 99 ? 700'000 : rng.below(900);
    for (uint64_t at = 0; at < size; ++at) text += static_cast<char>('a' + rng.below(26));
    text += '\n';
  }
  return text;
}

// Sizes at which a few megabytes make many frames and several files.
BuildOptions small_files(int64_t jobs) {
  BuildOptions options;
  options.val_fraction = 0.2;
  options.writer.tokens_per_file = 700'000;
  options.writer.tokens_per_frame = 1000;
  options.writer.zstd_level = 1;
  options.jobs = jobs;
  options.save_seconds = 0;
  return options;
}

TEST_F(BuildShards, TheSameForAnyNumberOfJobs) {
  const std::string text = varied_text(1, 2500);
  BuildOptions options = small_files(1);
  options.save_seconds = 1e9;
  build("one", text, options);
  EXPECT_GT(content("one").size(), 6u);
  for (const int64_t jobs : {2, 5}) {
    options.jobs = jobs;
    build("many", text, options);
    EXPECT_TRUE(content("one") == content("many")) << jobs;
    fs::remove_all(scratch_ / "many");
  }
}

// Starts the build in a process of its own and kills it at some moment after it has saved anew.
void BuildShards::kill_now_and_then(const std::string& name, const std::vector<std::string>& inputs,
                                    const BuildOptions& options, int times) {
  const fs::path state = WorkFolder::path_for(scratch_ / name) / "state.json";
  Rng rng(options.jobs);
  // The documents that the last save counts; 0 before the first.
  const auto saved = [&] {
    // A child that ends takes the file away at any moment.
    std::ifstream file(state);
    const std::string content(std::istreambuf_iterator<char>(file), {});
    const size_t at = content.find("\"read_documents\":");
    return at == std::string::npos ? 0 : std::stoul(content.substr(at + 17));
  };
  for (int i = 0; i < times; ++i) {
    const uint64_t before = saved();
    const pid_t child = fork();
    if (child == 0) {
      set_log_level(LogLevel::off);
      try {
        build_from(name, inputs, options);
      } catch (...) {
        _exit(1);
      }
      _exit(0);
    }
    int status = 0;
    bool ended = false;
    while (!ended && saved() <= before) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ended = waitpid(child, &status, WNOHANG) != 0;
    }
    if (!ended) {
      std::this_thread::sleep_for(std::chrono::microseconds(rng.below(20'000)));
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      // Killed behind its last step: the next run would be another job.
      if (!fs::exists(state)) return;
    }
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return;
    }
  }
}

TEST_F(BuildShards, AKilledRunGoesOnToTheSameBytes) {
  write_file_atomic(scratch_ / "a", varied_text(2, 1200));
  write_file_atomic(scratch_ / "b", varied_text(3, 1200));
  for (const int64_t jobs : {1, 3}) {
    const BuildOptions options = small_files(jobs);
    build_from("whole", {"a", "b"}, options);
    kill_now_and_then("killed", {"a", "b"}, options, 4);
    if (!fs::exists(scratch_ / "killed")) {
      const BuildSummary summary = build_from("killed", {"a", "b"}, options);
      EXPECT_GT(summary.resumed.documents, 0u);
      // Equal when the last kill fell between the last save and the end.
      EXPECT_LE(summary.resumed.documents, summary.added.documents);
    }
    EXPECT_TRUE(content("whole") == content("killed")) << jobs;
    EXPECT_FALSE(fs::exists(WorkFolder::path_for(scratch_ / "killed")));
    fs::remove_all(scratch_ / "whole");
    fs::remove_all(scratch_ / "killed");
  }
}

// Nothing falls into validation, so the last documents are held back up to the end.
TEST_F(BuildShards, ATailIsTheSameForAnyJobsAndAfterAnyKill) {
  constexpr double kFraction = 0.2;
  std::string text;
  for (const std::string& line : split(varied_text(11, 1500), '\n'))
    if (split_of_hash(parting_hash(line), kFraction) == Split::train) text += line + "\n";
  write_file_atomic(scratch_ / "a", text);
  BuildOptions options = small_files(1);
  options.val_fraction = kFraction;
  const ShardManifest manifest = build_from("whole", {"a"}, options).manifest;
  const auto all = static_cast<double>(manifest.train.text_bytes + manifest.val.text_bytes);
  // A long document in the way is not cut once half of the tail is there.
  EXPECT_LE(static_cast<double>(manifest.val.text_bytes), kFraction * all);
  EXPECT_GE(static_cast<double>(manifest.val.text_bytes), kFraction / 2 * all);
  EXPECT_GT(manifest.val.documents, 100u);
  for (const int64_t jobs : {1, 3}) {
    options.jobs = jobs;
    kill_now_and_then("killed", {"a"}, options, 3);
    if (!fs::exists(scratch_ / "killed")) build_from("killed", {"a"}, options);
    EXPECT_TRUE(content("whole") == content("killed")) << jobs;
    fs::remove_all(scratch_ / "killed");
  }
}

TEST_F(BuildShards, AppendsBehindWhatIsThere) {
  write_file_atomic(scratch_ / "a", varied_text(4, 900));
  write_file_atomic(scratch_ / "b", varied_text(5, 900));
  BuildOptions options = small_files(2);
  build_from("both", {"a", "b"}, options);
  build_from("grown", {"a"}, options);
  fs::copy(scratch_ / "grown", scratch_ / "killed");
  const auto before = content("grown");
  options.append = true;
  const BuildSummary summary = build_from("grown", {"b"}, options);
  EXPECT_GT(summary.added.documents, 800u);
  auto after = content("grown");
  for (const auto& [name, bytes] : before)
    EXPECT_TRUE(name == kShardManifestName || after.at(name) == bytes) << name;
  EXPECT_TRUE(verify_shards(scratch_ / "grown").empty());
  for (const Split split : {Split::train, Split::val})
    EXPECT_EQ(documents("grown", split), documents("both", split));
  const auto sources = ShardDirectory(scratch_ / "grown").manifest().sources;
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[0].name, (scratch_ / "a").string());
  EXPECT_EQ(sources[1].documents, summary.added.documents);

  kill_now_and_then("killed", {"b"}, options, 3);
  EXPECT_TRUE(verify_shards(scratch_ / "killed").empty()) << "whole whenever it was killed";
  // Not when the last kill fell behind the last step: that would add the documents twice.
  if (content("killed") != content("grown")) build_from("killed", {"b"}, options);
  EXPECT_TRUE(content("killed") == content("grown"));
}

// The moments at which a kill is least likely to fall by chance.
TEST_F(BuildShards, AnAppendThatWasKilledInItsLastSteps) {
  write_file_atomic(scratch_ / "a", varied_text(6, 300));
  write_file_atomic(scratch_ / "b", varied_text(7, 300));
  BuildOptions options = small_files(1);
  build_from("base", {"a"}, options);
  fs::copy(scratch_ / "base", scratch_ / "s");
  fs::copy(scratch_ / "base", scratch_ / "whole");
  options.append = true;
  build_from("whole", {"b"}, options);
  const auto base = content("base"), whole = content("whole");
  std::string last;
  for (const auto& [name, bytes] : whole)
    if (!base.contains(name)) last = name;
  // A folder under the name of a new file: everything is done but the last steps.
  fs::create_directories(scratch_ / "s" / last / "x");
  error_of(ErrorKind::resources, [&] { build_from("s", {"b"}, options); });
  fs::remove_all(scratch_ / "s" / last);
  const fs::path folder = WorkFolder::path_for(scratch_ / "s");
  ASSERT_TRUE(fs::exists(folder));
  EXPECT_TRUE(verify_shards(scratch_ / "s").empty()) << "new files are not named yet";
  EXPECT_EQ(content("s").at("manifest.json"), base.at("manifest.json"));
  fs::copy(folder, scratch_ / "kept", fs::copy_options::recursive);
  write_file_atomic(scratch_ / "s" / ".manifest.json.4711.unfinished", "{");
  const BuildSummary summary = build_from("s", {"b"}, options);
  EXPECT_EQ(summary.resumed.documents, summary.added.documents);
  EXPECT_TRUE(content("s") == whole);
  // The directory is done, and the folder is still there.
  fs::copy(scratch_ / "kept", folder, fs::copy_options::recursive);
  build_from("s", {"b"}, options);
  EXPECT_TRUE(content("s") == whole) << "not added twice";
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(BuildShards, AppendRefusesWhatDoesNotFit) {
  build("s", "one\ntwo\nthree\n");
  BuildOptions options;
  options.append = true;
  options.writer.eos = false;
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { build("s", "four\n", options); }),
                       "without BOS and with EOS"));
  options.writer.eos = true;
  error_of(ErrorKind::data, [&] { build("s", "\n", options); });
  error_of(ErrorKind::data, [&] { build("nowhere", "four\n", options); });
  DocumentReader reader({(scratch_ / "input").string()}, {});
  EXPECT_TRUE(contains(
      error_of(ErrorKind::data,
               [&] { build_shards(reader, NumberTokenizer(301), scratch_ / "s", options); }),
      "another tokenizer"));
  EXPECT_FALSE(fs::exists(WorkFolder::path_for(scratch_ / "s")));
  // By hash alone: the document that is alone in an append may be for validation.
  options.val_fraction = 0.999;
  const ShardManifest before = ShardDirectory(scratch_ / "s").manifest();
  const ShardManifest after = build("s", "four\n", options).manifest;
  EXPECT_EQ(after.val.documents, before.val.documents + 1);
}

TEST_F(BuildShards, DamagedWorkIsNotGoneOnWith) {
  write_file_atomic(scratch_ / "a", varied_text(8, 1500));
  BuildOptions options = small_files(1);
  const fs::path folder = WorkFolder::path_for(scratch_ / "s");
  kill_now_and_then("s", {"a"}, options, 1);
  ASSERT_TRUE(fs::exists(folder));
  fs::copy(folder, scratch_ / "kept", fs::copy_options::recursive);
  const auto try_with = [&](const std::string& file, size_t offset) {
    fs::remove_all(folder);
    fs::copy(scratch_ / "kept", folder, fs::copy_options::recursive);
    std::string bytes = read_file(folder / file);
    ASSERT_GT(bytes.size(), offset) << file;
    bytes[offset] ^= 1;
    write_plain(folder / file, bytes);
    const std::string message = error_of(ErrorKind::data, [&] { build_from("s", {"a"}, options); });
    EXPECT_TRUE(contains(message, file) && contains(message, "--force")) << message;
    EXPECT_TRUE(fs::exists(folder)) << "nothing is deleted unasked";
  };
  try_with("state.json", 100);
  const std::string state = read_file(scratch_ / "kept" / "state.json");
  for (const auto& entry : fs::directory_iterator(scratch_ / "kept" / "shards")) {
    const std::string name = entry.path().filename().string();
    if (!contains(state, "\"name\":\"" + name + "\"")) continue;
    try_with("shards/" + name, 40);
    try_with("shards/" + name + ".documents", 0);
  }
  options.replace = true;
  EXPECT_EQ(build_from("s", {"a"}, options).resumed.documents, 0u);
}

TEST_F(BuildShards, SourcesAreCounted) {
  write_file_atomic(scratch_ / "a", "one\ntwo\n");
  write_file_atomic(scratch_ / "b", "\n");
  write_file_atomic(scratch_ / "c", "three\n");
  const auto sources = build_from("s", {"c", "b", "a"}).manifest.sources;
  ASSERT_EQ(sources.size(), 2u) << "none without documents";
  EXPECT_EQ(sources[0].name, (scratch_ / "c").string());
  EXPECT_EQ(sources[1].documents, 2u);
  EXPECT_EQ(sources[1].tokens, 8u);
  EXPECT_EQ(sources[1].text_bytes, 6u);
  const auto read = ShardDirectory(scratch_ / "s").manifest().sources;
  EXPECT_EQ(read[1].name, sources[1].name);
  EXPECT_EQ(read[1].tokens, 8u);
}

TEST(SourceNames, ManyInputsAreCountedByDirectory) {
  EXPECT_EQ(source_names({"a/x", "a/y", "b/z"}, 3),
            (std::vector<std::string>{"a/x", "a/y", "b/z"}));
  EXPECT_EQ(source_names({"a/x", "a/y", "b/z"}, 2), (std::vector<std::string>{"a", "a", "b"}));
  EXPECT_EQ(source_names({"/d/a/x", "/d/a/y", "/d/b/z"}, 1),
            (std::vector<std::string>{"/d", "/d", "/d"}));
  EXPECT_EQ(source_names({"x", "y"}, 1), (std::vector<std::string>{".", "."}));
  EXPECT_EQ(source_names({"x\xFF\n"}), (std::vector<std::string>{"x\\xff\\n"}));
}

// Fails on one text.
class ChokingTokenizer : public NumberTokenizer {
 public:
  ChokingTokenizer() : NumberTokenizer(300) {}
  void encode(std::string_view text, std::vector<uint32_t>& ids, Specials specials) const override {
    if (text == "poison") fail(ErrorKind::internal, "choked");
    NumberTokenizer::encode(text, ids, specials);
  }
};

class ChangedInputs : public BuildShards {
 protected:
  ChangedInputs() {
    write_file_atomic(scratch_ / "a", varied_text(12, 1200));
    write_file_atomic(scratch_ / "b", varied_text(13, 1200));
    write_file_atomic(scratch_ / "c", first_half_ + "poison\n" + varied_text(15, 700));
    write_file_atomic(scratch_ / "d", varied_text(16, 300));
  }
  // A run that ends in the middle of the third input, and leaves its work.
  void stop_in_third() {
    fs::remove_all(scratch_ / "s");
    ReaderOptions reader_options;
    reader_options.separator = "\n";
    std::vector<std::string> paths;
    for (const char* name : {"a", "b", "c"}) paths.push_back((scratch_ / name).string());
    DocumentReader reader(paths, reader_options);
    error_of(ErrorKind::internal,
             [&] { build_shards(reader, ChokingTokenizer(), scratch_ / "s", options_); });
    ASSERT_TRUE(fs::exists(WorkFolder::path_for(scratch_ / "s")));
  }
  // Whether that work goes on to what a run of its own makes of these inputs. Returns how many
  // documents were done.
  uint64_t expect_same_as_fresh(const std::vector<std::string>& inputs) {
    const uint64_t resumed = build_from("s", inputs, options_).resumed.documents;
    build_from("fresh", inputs, options_);
    EXPECT_TRUE(content("s") == content("fresh"));
    EXPECT_FALSE(fs::exists(WorkFolder::path_for(scratch_ / "s")));
    fs::remove_all(scratch_ / "fresh");
    return resumed;
  }

  const std::string first_half_ = varied_text(14, 1100);
  const BuildOptions options_ = small_files(2);
};

TEST_F(ChangedInputs, TheOneBeingReadMayBeRepaired) {
  stop_in_third();
  write_file_atomic(scratch_ / "c", first_half_ + "cured\n" + varied_text(15, 700));
  const uint64_t whole = expect_same_as_fresh({"a", "b", "c"});
  EXPECT_GT(whole, 2900u) << "what was read of the third counts";
}

TEST_F(ChangedInputs, TheOneBeingReadMayBeReplacedOrTakenAway) {
  stop_in_third();
  write_file_atomic(scratch_ / "c", "another text\n" + first_half_);
  const uint64_t replaced = expect_same_as_fresh({"a", "b", "c"});
  EXPECT_GT(replaced, 2300u) << "the first two are done";
  EXPECT_LT(replaced, 2450u);
  write_file_atomic(scratch_ / "c", first_half_ + "poison\n");
  stop_in_third();
  EXPECT_EQ(expect_same_as_fresh({"a", "b"}), replaced);
  stop_in_third();
  EXPECT_EQ(expect_same_as_fresh({"a", "b", "d"}), replaced);
}

TEST_F(ChangedInputs, MoreMayFollow) {
  stop_in_third();
  write_file_atomic(scratch_ / "c", first_half_);
  EXPECT_GT(expect_same_as_fresh({"a", "b", "c", "d"}), 2900u);
}

TEST_F(ChangedInputs, ThoseThatWereReadMustBeTheSame) {
  stop_in_third();
  for (const std::vector<std::string>& inputs :
       {std::vector<std::string>{"a", "c"}, {"b", "a", "c"}, {"a"}}) {
    EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { build_from("s", inputs, options_); }),
                         "the inputs (name, size, time of change) were"));
  }
  write_file_atomic(scratch_ / "b", varied_text(13, 1200));
  EXPECT_TRUE(contains(error_of(ErrorKind::usage,
                                [&] {
                                  build_from("s", {"a", "b", "c"}, options_);
                                }),
                       "another run"));
  BuildOptions anew = options_;
  anew.replace = true;
  write_file_atomic(scratch_ / "c", first_half_);
  EXPECT_EQ(build_from("s", {"a", "b", "c"}, anew).resumed.documents, 0u);
}

TEST_F(BuildShards, AnErrorOfAnyThreadEndsTheJob) {
  write_file_atomic(scratch_ / "a", varied_text(9, 800) + "poison\n" + varied_text(10, 1200));
  ReaderOptions reader_options;
  reader_options.separator = "\n";
  BuildOptions options = small_files(3);
  options.save_seconds = 1e9;
  DocumentReader reader({(scratch_ / "a").string()}, reader_options);
  EXPECT_EQ(error_of(ErrorKind::internal,
                     [&] { build_shards(reader, ChokingTokenizer(), scratch_ / "s", options); }),
            "choked");
  EXPECT_FALSE(fs::exists(scratch_ / "s"));
}

}  // namespace
}  // namespace mythos
