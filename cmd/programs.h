#pragma once
#include <string>
#include <vector>

#include "base/files.h"

// Where the front end finds the programs of the verbs and their manual pages.
namespace mythos {

// The folder of the running program.
fs::path own_folder();
// Where programs are looked for, first to last: MYTHOS_EXEC_PATH, beside the running program, PATH.
std::vector<fs::path> exec_path();
// "" where no mythos-VERB can be executed.
fs::path find_program(const std::string& verb);
// "" where there is none.
fs::path find_manual(const std::string& page);
// Sets what libraries read when they are loaded, before a program's main().
void prepare_environment();

}  // namespace mythos
