// What our SentencePiece tokenizer takes beside the library that it calls, in one process and in
// turns. Ends with status 1 when the ids differ,
// which they may where a text holds what the library would change (invalid UTF-8, NUL, U+2581).
#include <sentencepiece_processor.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/timing.h"
#include "data/read/readers.h"
#include "text/load_tokenizer.h"

using namespace mythos;

namespace {

struct Options {
  std::string model, file, separator;
  int repeat = 5;
  bool json = false;
};

int compare(const Options& options) {
  ReaderOptions reader_options;
  reader_options.separator = unescape(options.separator, "--separator");
  DocumentReader reader({options.file}, reader_options);
  std::vector<std::string> documents;
  double bytes = 0;
  for (std::string text; reader.next(text); bytes += static_cast<double>(text.size())) {
    documents.push_back(text);
  }
  const auto tokenizer = load_tokenizer(options.model);
  sentencepiece::SentencePieceProcessor processor;
  if (!processor.Load(options.model).ok()) fail(ErrorKind::data, options.model + ": cannot load");
  std::vector<uint32_t> ours;
  std::vector<int> theirs, ids;
  const std::function<void()> both[] = {[&] {
                                          theirs.clear();
                                          for (const std::string& text : documents) {
                                            const auto status = processor.Encode(text, &ids);
                                            if (!status.ok())
                                              fail(ErrorKind::data, status.ToString());
                                            theirs.insert(theirs.end(), ids.begin(), ids.end());
                                          }
                                        },
                                        [&] {
                                          ours.clear();
                                          for (const std::string& text : documents)
                                            tokenizer->encode(text, ours, Specials::as_text);
                                        }};
  const auto seconds = measure_in_turn(1, options.repeat, both);
  const auto tokens = static_cast<double>(ours.size());
  const std::vector<Measurement> rows = {
      {"library", seconds[0], {{"bytes", bytes}, {"tokens", tokens}}},
      {"mythos", seconds[1], {{"bytes", bytes}, {"tokens", tokens}}}};
  const bool equal = std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end());
  // The ratio is taken within each round, as both halves of a round met the same machine.
  Measurement ratios{"", {}, {}};
  for (size_t i = 0; i < seconds[0].size(); ++i) {
    ratios.seconds.push_back(seconds[1][i] / seconds[0][i]);
  }
  const BenchResult result = {"sentencepiece",
                              {{"documents", documents.size()},
                               {"ids", equal ? "equal" : "DIFFERENT"},
                               {"time_ratio", strprintf("%.3f", ratios.median_seconds())}},
                              rows};
  std::fputs(format_bench(result, options.json ? BenchFormat::json : BenchFormat::table).c_str(),
             stdout);
  return equal ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(argc, argv,
                     {"sentencepiece_overhead", "Our SentencePiece beside the library.",
                      "sentencepiece_overhead --separator '\\n\\n' tok.model book.txt",
                      [&](CLI::App& app) {
                        app.add_option("MODEL", options.model)->required();
                        app.add_option("FILE", options.file)->required();
                        app.add_option("--separator", options.separator, "Between documents");
                        app.add_option("--repeat", options.repeat, "Samples");
                        app.add_flag("--json", options.json, "As JSON");
                      },
                      [&] { return compare(options); }});
}
