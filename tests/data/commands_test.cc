#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "scratch.h"
#include "text/vocab/train_vocab.h"

namespace mythos {
namespace {

struct Outcome {
  int status = 0;  // as a shell tells it: 128 + signal
  std::string out, err;
};

class Commands : public testing::Test {
 protected:
  Commands() {
    TrainingText text(1 << 20);
    for (int i = 0; i < 200; ++i)
      text.add("the loop runs again and again " + std::to_string(i * i));
    VocabOptions options;
    options.vocab_size = 300;
    write_file_atomic(tokenizer_, train_vocab(text.take_sentences(), options));
  }

  // Runs a shell line in the scratch folder with the programs on PATH.
  Outcome run(const std::string& line) {
    const std::string command = "cd '" + scratch_.path().string() +
                                "' && PATH=" MYTHOS_BINARY_DIR "/bin:$PATH; (" + line +
                                ") >.out 2>.err </dev/null";
    const int status = std::system(("bash -c '" + escaped_quotes(command) + "'").c_str());
    Outcome outcome = {WEXITSTATUS(status), read_file(scratch_ / ".out"),
                       read_file(scratch_ / ".err")};
    fs::remove(scratch_ / ".out");
    fs::remove(scratch_ / ".err");
    return outcome;
  }
  static std::string escaped_quotes(std::string text) {
    for (size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4)
      text.replace(at, 1, "'\\''");
    return text;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(scratch_.path()))
      found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }

  Scratch scratch_;
  fs::path tokenizer_ = scratch_ / "tok.model";
};

TEST_F(Commands, FromTextToShardsAndBack) {
  const std::string text("the loop \xFF\0 runs\n", 17);
  write_file_atomic(scratch_ / "in.txt", text);
  Outcome result = run("mythos-tokenize --tokenizer tok.model --output s in.txt");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(contains(result.err, "the text is too short to be parted")) << result.err;
  EXPECT_EQ(run("mythos-shards cat s").out, text);
  EXPECT_EQ(run("mythos-shards verify s").out, "ok\n");
  EXPECT_TRUE(contains(run("mythos-shards info s --json").out, "\"mythos.shards-info/1\""));
  EXPECT_EQ(run("mythos-tokenize --tokenizer tok.model --ids in.txt | "
                "mythos-tokenize --tokenizer tok.model --decode")
                .out,
            text);
  EXPECT_EQ(run("mythos-tokenize --tokenizer tok.model --ids in.txt | sed s/$/\\ 2/").out,
            run("mythos-shards cat s --ids").out);
}

TEST_F(Commands, VerifyNamesTheFaultAndExitsWithOne) {
  run("echo text | mythos-tokenize --tokenizer tok.model --output s --val-fraction 0");
  std::string content = read_file(scratch_ / "s" / "train-00000.shard");
  content[35] ^= 1;
  write_file_atomic(scratch_ / "s" / "train-00000.shard", content);
  const Outcome result = run("mythos-shards verify s");
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.out, "s/train-00000.shard: byte 32: frame 0")) << result.out;
  EXPECT_EQ(run("mythos-shards cat s").status, 3);
  EXPECT_EQ(run("mythos-shards verify nowhere").status, 3);
}

TEST_F(Commands, UsageErrors) {
  run("echo text | mythos-tokenize --tokenizer tok.model --output s --val-fraction 0");
  const std::string base = "mythos-tokenize --tokenizer tok.model ";
  for (const std::string& line :
       {base, base + "--output s", base + "--ids --output t",
        base + "--output t --val-fraction 1.5", base + "--ids --bos",
        base + "--output t --separator \"\\q\"", base + "--output t - -",
        std::string("mythos-shards cat s --from 99999"), std::string("mythos-shards"),
        std::string("mythos-vocab --vocab-size 5000 --output v tok.model --format text")}) {
    const Outcome result = run(line);
    EXPECT_EQ(result.status, 2) << line << "\n" << result.err;
  }
  EXPECT_EQ(run("echo more | " + base + "--output s --force --val-fraction 0").status, 0);
  EXPECT_EQ(run("mythos-shards cat s").out, "more\n");
}

TEST_F(Commands, EmptyAndMissingInput) {
  const Outcome empty = run("mythos-tokenize --tokenizer tok.model --output s /dev/null");
  EXPECT_EQ(empty.status, 3);
  EXPECT_TRUE(contains(empty.err, "no text")) << empty.err;
  EXPECT_EQ(run("mythos-tokenize --tokenizer tok.model --output s missing.txt").status, 3);
  EXPECT_EQ(run("mythos-tokenize --tokenizer missing --output s tok.model").status, 3);
  EXPECT_EQ(run("mythos-vocab --vocab-size 300 --output v.model /dev/null").status, 3);
  EXPECT_EQ(names(), std::vector<std::string>{"tok.model"});
}

// A limit on the file size acts as a full disk does.
TEST_F(Commands, AFullDiskLeavesNothing) {
  const std::string full = "ulimit -f 8; ";
  const Outcome shards =
      run("head -c 200000 /dev/urandom | (" + full +
          "mythos-tokenize --tokenizer tok.model --output s --format text --val-fraction 0)");
  EXPECT_EQ(shards.status, 4) << shards.err;
  EXPECT_TRUE(contains(shards.err, "cannot write")) << shards.err;
  const Outcome vocab =
      run("seq 100000 | (ulimit -f 0; mythos-vocab --vocab-size 270 --output v -)");
  EXPECT_EQ(vocab.status, 4) << vocab.err;
  EXPECT_EQ(names(), std::vector<std::string>{"tok.model"});
}

TEST_F(Commands, AStoppedRunLeavesNothing) {
  for (const std::string& signal : {std::string("TERM"), std::string("INT")}) {
    // A writer that never ends: the program must stop while it waits for more input.
    const Outcome result =
        run("mkfifo pipe; exec 3<>pipe; echo \"some text\" >&3; set -m; "
            "mythos-tokenize --tokenizer tok.model --output s --separator \"\\n\" pipe & "
            "until ls -A | grep -q unfinished; do sleep 0.05; done; "
            "kill -" +
            signal + " $!; wait $!");
    EXPECT_EQ(result.status, signal == "TERM" ? 143 : 130) << result.err;
    fs::remove(scratch_ / "pipe");
    EXPECT_EQ(names(), std::vector<std::string>{"tok.model"});
  }
}

// What was read when the signal came is no row and no file: nothing is said of it.
TEST_F(Commands, AStopWithinARowIsNoError) {
  for (const auto& [format, text] :
       {std::pair<std::string, std::string>{"jsonl", "{\"text"}, {"parquet", "PAR1"}}) {
    if (format == "parquet" && !fs::exists(MYTHOS_BINARY_DIR "/lib/libmythos_parquet.so")) continue;
    const Outcome result =
        run("mkfifo pipe; exec 3<>pipe; echo -n '" + text +
            "' >&3; set -m; mythos-tokenize --tokenizer tok.model --output s --strict --format " +
            format +
            " - <pipe & until ls -A | grep -q unfinished; do sleep 0.05; done; sleep 0.1; "
            "kill -TERM $!; wait $!");
    EXPECT_EQ(result.status, 143) << result.err;
    EXPECT_FALSE(contains(result.err, "error")) << result.err;
    fs::remove(scratch_ / "pipe");
  }
}

TEST_F(Commands, AStoppedRunGoesOn) {
  run("seq 200000 | sed \"s/$/ the loop runs/\" > text");
  const std::string tokenize =
      "mythos-tokenize --tokenizer tok.model --separator \"\\n\" --jobs 2 ";
  EXPECT_EQ(run(tokenize + "--output whole - < text").status, 0);
  for (const std::string& signal : {std::string("TERM"), std::string("INT")}) {
    const Outcome stopped =
        run("mkfifo pipe; set -m; " + tokenize + "--output s - < pipe & exec 3>pipe; " +
            "head -c 1500000 text >&3; until [ -e .s.unfinished/shards/train-00000.shard ]; do " +
            "sleep 0.05; done; kill -" + signal + " $!; wait $!");
    EXPECT_EQ(stopped.status, signal == "TERM" ? 143 : 130) << stopped.err;
    EXPECT_TRUE(contains(stopped.err, "run the same command again to go on")) << stopped.err;
    EXPECT_FALSE(fs::exists(scratch_ / "s"));
    const Outcome resumed = run(tokenize + "--output s --json - < text");
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    EXPECT_TRUE(contains(resumed.err, "going on with the unfinished run: ")) << resumed.err;
    EXPECT_EQ(run("diff -r s whole").status, 0);
    EXPECT_EQ(run("rm -r s pipe; ls -A").out, ".err\n.out\ntext\ntok.model\nwhole\n");
  }
}

TEST_F(Commands, MalformedRows) {
  write_file_atomic(scratch_ / "rows.jsonl", "{\"text\": \"a\"}\nnot json\n{\"text\": \"b\"}\n");
  const Outcome lenient = run("mythos-tokenize --tokenizer tok.model --output s rows.jsonl");
  EXPECT_EQ(lenient.status, 0);
  EXPECT_TRUE(contains(lenient.err, "rows.jsonl:2: not valid JSON")) << lenient.err;
  const Outcome strict =
      run("mythos-tokenize --tokenizer tok.model --output t --strict rows.jsonl");
  EXPECT_EQ(strict.status, 3);
  EXPECT_FALSE(fs::exists(scratch_ / "t"));
}

TEST_F(Commands, VocabNamesTheLargestSize) {
  const Outcome result = run("seq 1000 | mythos-vocab --vocab-size 9999 --output v.model -");
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(contains(result.err, "the largest size that works is ")) << result.err;
  EXPECT_FALSE(fs::exists(scratch_ / "v.model"));
}

}  // namespace
}  // namespace mythos
