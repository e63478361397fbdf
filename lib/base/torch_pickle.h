#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/torch_archive.h"
#include "base/zip_archive.h"

namespace mythos {

using ZipMembers = std::map<std::string_view, ZipMember>;  // by name

// The tensors of the dictionary in the member prefix + "data.pkl", whose storages are the members
// prefix + "data/KEY"; read_torch_archive() says the rest.
std::vector<TorchTensor> read_torch_pickle(const MappedFile& file, const ZipMembers& members,
                                           const std::string& prefix);

}  // namespace mythos
