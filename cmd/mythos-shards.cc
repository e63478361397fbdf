#include <map>

#include "shards/subcommand.h"

using namespace mythos;

namespace {

// The examples go from a look at shards to other programs' files.
std::string examples() {
  std::string lines;
  for (const Subcommand* each :
       {&kInfo, &kVerify, &kHead, &kCat, &kMerge, &kSplit, &kExport, &kImport}) {
    lines += std::string(each->example) + "\n";
  }
  return lines;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App* root = nullptr;
  std::map<const CLI::App*, Subcommand::Job> jobs;
  return run_command(
      argc, argv,
      {"mythos-shards", "Look into directories of token shards, and make new ones of them.",
       examples(),
       [&](CLI::App& app) {
         root = &app;
         app.require_subcommand(1);
         app.fallthrough();  // --quiet behind the subcommand too
         for (const Subcommand* each :
              {&kInfo, &kVerify, &kCat, &kHead, &kMerge, &kSplit, &kImport, &kExport}) {
           CLI::App* command = app.add_subcommand(each->name, each->summary);
           jobs[command] = each->declare(*command);
         }
       },
       [&] { return jobs.at(root->get_subcommands().front())(); }});
}
