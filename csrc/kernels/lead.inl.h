// lead.inl.h: of the scores of one row with few atoms, which is highest, how high at least, and the others at most.
//
//   s_j = factor_j dot_j + bias_j,      e_j = slope_j length + base_j       of m atoms
//   returns the first k of the highest s_k,     least = s_k - e_k,     others = max over j != k of s_j + e_j
//
// Shapes    factor, bias, slope and base [m] are readable, and finite, up to the next multiple of 8, dot is readable
//           so far, whatever stands there; upper [as many] is scratch. others is minus infinity where m = 1.
// Numerics  float64, each operation rounded: every variant returns the same.
// Cost      some 15 instructions per 8 atoms of AVX-512.

std::int64_t lead(const float* dot, const LeadAtoms& atoms, double length, double* upper, double* least,
                  double* others) {
    const double none = -__builtin_inf();
    double place[f64x8::kCount];
    for (int l = 0; l < f64x8::kCount; ++l) place[l] = l;
    const f64x8 lane = line_at(place);
    f64x8 high = line_of(none), at = line_of(0.0);
    for (std::int64_t j = 0; j < atoms.m; j += f64x8::kCount) {
        const f64x8 inside = line_of(static_cast<double>(atoms.m - j));
        const f64x8 any = wide8(dot + j) * line_at(atoms.factor + j) + line_at(atoms.bias + j);
        const f64x8 score = where_less(lane, inside, any, line_of(none));
        line_to(upper + j, score + (line_at(atoms.slope + j) * length + line_at(atoms.base + j)));
        at = where_less(high, score, lane + static_cast<double>(j), at);
        high = larger(high, score);
    }
    double highest[f64x8::kCount];
    line_to(highest, high);
    line_to(place, at);
    int first = 0;
    for (int l = 1; l < f64x8::kCount; ++l)
        if (highest[l] > highest[first] || (highest[l] == highest[first] && place[l] < place[first])) first = l;
    const auto best = static_cast<std::int64_t>(place[first]);
    *least = highest[first] - (atoms.slope[best] * length + atoms.base[best]);
    upper[best] = none;
    f64x8 rest = line_of(none);
    for (std::int64_t j = 0; j < atoms.m; j += f64x8::kCount) rest = larger(rest, line_at(upper + j));
    *others = max_lanes(rest);
    return best;
}
