// dispatch.h: which kernel variant this processor and its operating system can run.
#pragma once

#include <string>
#include <vector>

namespace latom {

struct KernelTable;

/// Variants in this build that can run here, slowest first; the first is always "baseline".
std::vector<std::string> available_isas();

/// The table of variant `name`, or of the best one if `name` is empty. Throws std::invalid_argument naming the choices.
const KernelTable* kernel_table(const std::string& name);

}  // namespace latom
