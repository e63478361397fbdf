#include <cstdio>

#include "base/cli.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/output_path.h"
#include "base/strings.h"
#include "report/run_page.h"

using namespace mythos;

namespace {

struct Options {
  std::vector<std::string> runs;
  std::string output;
};

int write_report(const Options& options) {
  std::vector<RunMetrics> runs;
  for (const std::string& run : options.runs) {
    runs.push_back(read_run_metrics(run));
    if (runs.back().damaged_lines > 0) {
      log_warning(strprintf("%s/metrics.jsonl: %d lines are damaged and left out", run,
                            runs.back().damaged_lines));
    }
  }
  // Runs of one name in different folders are told apart by their paths.
  const std::vector<std::string> labels = file_labels(options.runs);
  for (size_t i = 0; i < runs.size(); ++i) {
    for (size_t j = 0; j < runs.size(); ++j) {
      if (i != j && runs[i].name == runs[j].name) runs[i].name = labels[i];
    }
  }
  const std::string page = run_page(runs);
  if (options.output == "-") {
    std::fwrite(page.data(), 1, page.size(), stdout);
    return 0;
  }
  const fs::path output = options.output.empty() ? fs::path(options.runs.front()) / "report.html"
                                                 : fs::path(options.output);
  check_output(output, OutputKind::file);
  write_file_atomic(output, page);
  log_info("report: " + output.string());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(
      argc, argv,
      {"mythos-report", "Write one HTML page about training runs, with their curves.",
       R"(mythos report RUN
          mythos report runs/nano runs/gpt-nano --output beside.html
          mythos report RUN --output - > page.html)",
       [&](CLI::App& app) {
         app.add_option("RUN", options.runs, "Directories of runs, drawn side by side")
             ->required()
             ->type_name("");
         app.add_option("--output", options.output,
                        "File to write, - for standard output; default: RUN/report.html of the "
                        "first run")
             ->type_name("FILE");
       },
       [&] { return write_report(options); }});
}
