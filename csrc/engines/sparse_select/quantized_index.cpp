// quantized_index.cpp: counting the atoms of each term, laying heads and tails out, filling them.
#include "engines/sparse_select/quantized_index.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"

namespace latom {
namespace {

/// Byte of group j within its line: the layout that the kernel's interleaving undoes.
int64_t line_byte(int64_t j) { return (j & ~int64_t{63}) | (((j >> 2) & 3) << 4) | (((j >> 4) & 3) << 2) | (j & 3); }

/// f(position, column, unit value) over the entries of all atoms whose column lies in [from, to), by position.
template <class T, class F>
void each_entry(const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order, int64_t from, int64_t to, F f) {
    for (std::size_t j = 0; j < order.size(); ++j) {
        const Atom<T>& atom = atoms[order[j]];
        if (!(atom.norm2 > 0)) continue;
        const double scale = 1 / std::sqrt(atom.norm2);
        const auto begin = std::lower_bound(atom.column.begin(), atom.column.end(), from);
        for (std::size_t p = begin - atom.column.begin(); p < atom.column.size() && atom.column[p] < to; ++p)
            f(static_cast<int64_t>(j), atom.column[p], static_cast<float>(atom.value[p] * scale));
    }
}

// Columns of a chunk: some 16 chunks, so that threads share them evenly.
int64_t columns_per_chunk(int64_t d) { return std::max<int64_t>(64, chunk_count(d, 16)); }

}  // namespace

template <class T>
void QuantizedIndex::build(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order,
                           int64_t d, bool non_negative_rows, int64_t atoms_a_group) {
    const auto m = static_cast<int64_t>(order.size());
    group = atoms_a_group;
    groups = chunk_count(m, group);
    width_ = (groups + 63) / 64 * 64;
    round_up = !count_terms(ctx, atoms, order, d) && non_negative_rows;
    signs = round_up ? 1 : 2;
    lay_out(ctx, m);
    fill(ctx, atoms, order, d);
}

// Of each term how many atoms hold it (in `line`) and its largest magnitude (in `sigma`); whether an entry is negative.
template <class T>
bool QuantizedIndex::count_terms(const Context& ctx, const std::vector<Atom<T>>& atoms,
                                 const std::vector<int32_t>& order, int64_t d) {
    terms.assign(static_cast<std::size_t>(d), {0.0f, 0});
    const int64_t columns = columns_per_chunk(d), blocks = chunk_count(d, columns);
    std::vector<char> negative(static_cast<std::size_t>(blocks), 0);
    parallel_for(ctx, blocks, [&](int64_t b, int) {
        bool any = false;
        each_entry(atoms, order, b * columns, (b + 1) * columns, [&](int64_t, int32_t t, float c) {
            ++terms[t].line;
            terms[t].sigma = std::max(terms[t].sigma, std::abs(c));
            any |= c < 0;
        });
        negative[b] = any;
    });
    return std::find(negative.begin(), negative.end(), 1) != negative.end();
}

// Divides the terms into heads and tails, and makes room for them.
void QuantizedIndex::lay_out(const Context& ctx, int64_t m) {
    int64_t entries = 0;
    tails.clear();
    std::vector<std::pair<int32_t, Term*>> head;
    for (Term& term : terms) {
        const int32_t count = term.line;
        if (count > 0) term.sigma = std::max(term.sigma / 127, 1e-30f);  // the floor keeps 1 / sigma finite
        if (count > 0 && count * head_share(group) >= m) {
            head.emplace_back(count, &term);
        } else {
            term.line = ~static_cast<int32_t>(tails.size());
            tails.push_back({entries, count});
            entries += count;
        }
    }
    std::stable_sort(head.begin(), head.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    heads = static_cast<int64_t>(head.size());
    for (int64_t k = 0; k < heads; ++k) head[k].second->line = static_cast<int32_t>(k);  // frequent ones share pages
    tile = std::clamp(kTileBytes / std::max<int64_t>(heads * signs, 1) / kMinTile * kMinTile, kMinTile, kMaxTile);
    maxima.resize(static_cast<std::size_t>(heads * signs * width_));
    values.resize(static_cast<std::size_t>(group > 1 ? heads * groups * group : 0));
    tail_position.resize(static_cast<std::size_t>(entries));
    tail_value.resize(static_cast<std::size_t>(entries));
    for (AlignedVector<int8_t>* bytes : {&maxima, &values}) {
        constexpr int64_t kChunk = 1 << 21;
        const auto size = static_cast<int64_t>(bytes->size());
        parallel_for(ctx, chunk_count(size, kChunk), [&](int64_t c, int) {
            std::fill_n(bytes->data() + c * kChunk, std::min(kChunk, size - c * kChunk), int8_t{0});
        });
    }
}

// Quantizes the entries into their places.
template <class T>
void QuantizedIndex::fill(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order,
                          int64_t d) {
    const int64_t columns = columns_per_chunk(d), blocks = chunk_count(d, columns);
    parallel_for(ctx, blocks, [&](int64_t b, int) {
        const int64_t from = b * columns, to = std::min(d, from + columns);
        std::vector<int64_t> next(static_cast<std::size_t>(to - from));
        std::vector<float> inverse(static_cast<std::size_t>(to - from));
        for (int64_t t = from; t < to; ++t) {
            inverse[t - from] = terms[t].sigma > 0 ? 1 / terms[t].sigma : 0;
            if (terms[t].line < 0) next[t - from] = tails[~terms[t].line].begin;
        }
        each_entry(atoms, order, from, to, [&](int64_t j, int32_t t, float c) {
            const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
            const float scaled = c * inverse[t - from];
            float rounded = (scaled + magic) - magic;
            if (round_up && rounded < scaled) rounded += 1;
            const auto q = static_cast<int8_t>(std::clamp(rounded, -127.0f, 127.0f));
            const int64_t line = terms[t].line, g = j / group;
            if (line < 0) {
                const int64_t at = next[t - from]++;
                tail_position[at] = static_cast<int32_t>(j);
                tail_value[at] = q;
                return;
            }
            const int64_t start = g / tile * tile;
            int8_t* largest =
                maxima.data() + start * heads * signs + line * signs * stride(start) + line_byte(g - start);
            int8_t* opposite = largest + stride(start);
            if (group == 1) {
                *largest = q;
                if (signs == 2) *opposite = static_cast<int8_t>(-q);
            } else {
                values[(g * heads + line) * group + j % group] = q;
                if (q > *largest) *largest = q;
                if (signs == 2 && -q > *opposite) *opposite = static_cast<int8_t>(-q);
            }
        });
    });
}

template void QuantizedIndex::build(const Context&, const std::vector<Atom<float>>&, const std::vector<int32_t>&,
                                    int64_t, bool, int64_t);
template void QuantizedIndex::build(const Context&, const std::vector<Atom<double>>&, const std::vector<int32_t>&,
                                    int64_t, bool, int64_t);

}  // namespace latom
