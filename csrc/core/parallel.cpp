#include "core/parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

#ifdef __linux__
#include <sched.h>
#endif

namespace latom {
namespace {

int from_environment(const char* name) {
    const char* text = std::getenv(name);
    if (!text) return 0;
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);  // "4" or "4,2" (nested levels): the first number counts
    return end != text && value > 0 && value < 65536 ? static_cast<int>(value) : 0;
}

int from_affinity() {
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    return static_cast<int>(std::thread::hardware_concurrency());
}

// CPUs that the cgroup quota (v2, then v1) pays for; 0 when there is none.
int from_cgroup() {
    double quota = 0, period = 0;
    std::string word;
    if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> word >> period) {
        if (word == "max") return 0;
        quota = std::atof(word.c_str());
    } else {
        std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
        std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
    }
    return quota > 0 && period > 0 ? std::max(1, static_cast<int>(std::ceil(quota / period))) : 0;
}

}  // namespace

int resolve_threads(int n_threads) {
    if (n_threads > 0) return n_threads;
    for (const char* name : {"LATOM_NUM_THREADS", "OMP_NUM_THREADS"})
        if (const int value = from_environment(name)) return value;
    int count = std::max(1, from_affinity());
    static const int quota = from_cgroup();  // some 40 us to read: once a process
    return quota > 0 ? std::min(count, quota) : count;
}

}  // namespace latom
