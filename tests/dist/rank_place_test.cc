#include "dist/rank_place.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace mythos {
namespace {

using Variables = std::map<std::string, std::string>;

RankPlace place_of(const Variables& variables) {
  return rank_place([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

std::string error_of(const Variables& variables) {
  try {
    place_of(variables);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "no error";
}

const Variables kTorchrunNode = {{"RANK", "5"},
                                 {"WORLD_SIZE", "16"},
                                 {"LOCAL_RANK", "1"},
                                 {"MASTER_ADDR", "node0"},
                                 {"MASTER_PORT", "12345"}};
const Variables kSlurmStep = {{"SLURM_PROCID", "5"},
                              {"SLURM_NTASKS", "16"},
                              {"SLURM_LOCALID", "1"},
                              {"SLURM_STEP_ID", "0"},
                              {"SLURM_JOB_ID", "4711"},
                              {"SLURM_STEP_NUM_TASKS", "16"},
                              {"SLURM_STEP_NODELIST", "gpu[07-10],x3"}};

TEST(RankPlace, a_process_by_itself_has_size_one) {
  const RankPlace place = place_of({{"PATH", "/bin"}});
  EXPECT_EQ(place.size, 1);
  EXPECT_EQ(place.rank, 0);
}

TEST(RankPlace, torchrun) {
  Variables variables = kTorchrunNode;
  variables["TORCHELASTIC_RESTART_COUNT"] = "2";
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  const RankPlace place = place_of(variables);
  EXPECT_EQ(place.rank, 5);
  EXPECT_EQ(place.size, 16);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.address, "node0");
  EXPECT_EQ(place.port, 12345);
  EXPECT_EQ(place.restarts, 2);
  EXPECT_TRUE(place.hosted);
  EXPECT_FALSE(place_of(kTorchrunNode).hosted);
}

TEST(RankPlace, srun_names_its_first_machine) {
  const RankPlace place = place_of(kSlurmStep);
  EXPECT_EQ(place.rank, 5);
  EXPECT_EQ(place.size, 16);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.address, "gpu07");
  EXPECT_GE(place.port, 20000);
  EXPECT_LT(place.port, 30000);
}

TEST(RankPlace, a_batch_script_is_no_step) {
  Variables variables = kSlurmStep;
  variables.erase("SLURM_STEP_ID");
  EXPECT_EQ(place_of(variables).size, 1);
}

TEST(RankPlace, mpirun_on_one_machine_needs_no_address) {
  Variables variables = {{"OMPI_COMM_WORLD_RANK", "3"},
                         {"OMPI_COMM_WORLD_SIZE", "4"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "3"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
  EXPECT_EQ(place_of(variables).address, "127.0.0.1");
  EXPECT_EQ(place_of(variables).rank, 3);
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "2";
  EXPECT_NE(error_of(variables).find("MASTER_ADDR is not set"), std::string::npos);
}

TEST(RankPlace, torchrun_within_srun_is_no_contradiction) {
  Variables variables = kTorchrunNode;
  variables.insert(kSlurmStep.begin(), kSlurmStep.end());
  variables["SLURM_PROCID"] = "0";
  variables["SLURM_STEP_NUM_TASKS"] = "2";
  EXPECT_NE(error_of(variables).find("RANK=5 of WORLD_SIZE=16 contradicts srun"),
            std::string::npos);
  variables["TORCHELASTIC_RUN_ID"] = "x";
  EXPECT_EQ(place_of(variables).rank, 5);
}

TEST(RankPlace, variables_that_contradict_each_other_are_refused) {
  const auto with = [](const char* name, const char* value) {
    Variables variables = kTorchrunNode;
    variables[name] = value;
    return error_of(variables);
  };
  EXPECT_NE(with("RANK", "16").find("RANK=16 contradicts WORLD_SIZE=16"), std::string::npos);
  EXPECT_NE(with("RANK", "one").find("RANK is 'one', expected a number"), std::string::npos);
  EXPECT_NE(with("RANK", "-1").find("expected a number from 0"), std::string::npos);
  EXPECT_NE(with("WORLD_SIZE", "0").find("WORLD_SIZE is '0'"), std::string::npos);
  EXPECT_NE(with("WORLD_SIZE", "").find("sets RANK but not WORLD_SIZE"), std::string::npos);
  EXPECT_NE(with("LOCAL_RANK", "16").find("LOCAL_RANK=16 contradicts"), std::string::npos);
  EXPECT_NE(with("MASTER_PORT", "70000").find("MASTER_PORT is '70000'"), std::string::npos);
  EXPECT_NE(with("MASTER_ADDR", "").find("MASTER_ADDR is not set"), std::string::npos);
}

TEST(RankPlace, the_first_host_of_a_list) {
  EXPECT_EQ(first_host("node1"), "node1");
  EXPECT_EQ(first_host("node1,node2"), "node1");
  EXPECT_EQ(first_host("node[003-010,12],x"), "node003");
  EXPECT_EQ(first_host("node[7]"), "node7");
  EXPECT_EQ(first_host("rack[1-2]n[05-06]"), "rack1n05");
  EXPECT_EQ(first_host("a,rack[1-2]"), "a");
}

}  // namespace
}  // namespace mythos
