// dispatch.cpp: the variants of this build, and whether processor and operating system can run them.
#include <sstream>
#include <stdexcept>

#include "kernels/dispatch.h"
#include "kernels/table.h"

namespace latom {

extern const KernelTable kernels_baseline;
#ifdef LATOM_X86
extern const KernelTable kernels_avx2;
extern const KernelTable kernels_avx512;
extern const KernelTable kernels_avx512bf16;
#endif

namespace {

// The compiler's built-in test asks CPUID and, for the wide registers, whether the system saves them (XGETBV).
std::vector<const KernelTable*> runnable() {
    std::vector<const KernelTable*> tables{&kernels_baseline};
#ifdef LATOM_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return tables;
    tables.push_back(&kernels_avx2);
    for (bool has : {!!__builtin_cpu_supports("avx512f"), !!__builtin_cpu_supports("avx512bw"),
                     !!__builtin_cpu_supports("avx512dq"), !!__builtin_cpu_supports("avx512vl")})
        if (!has) return tables;
    tables.push_back(&kernels_avx512);
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16"))
        tables.push_back(&kernels_avx512bf16);
#endif
    return tables;
}

}  // namespace

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const KernelTable* table : runnable()) names.emplace_back(table->isa);
    return names;
}

const KernelTable* kernel_table(const std::string& name) {
    const auto tables = runnable();
    if (name.empty()) return tables.back();
    std::ostringstream choices;
    for (const KernelTable* table : tables) {
        if (name == table->isa) return table;
        choices << (table == tables.front() ? "" : ", ") << table->isa;
    }
    throw std::invalid_argument("latom: LATOM_ISA must name a variant that this build and processor have (" +
                                choices.str() + "); got '" + name + "'. Unset it to take the best.");
}

}  // namespace latom
